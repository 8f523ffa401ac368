#include "leat/log/partitioner.h"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <string_view>

namespace leat {
namespace {

TEST_CASE("murmur2 has the values of Kafka's own tests") {
  struct Example {
    std::string_view key;
    std::int32_t hash;
  };
  for (const auto& [key, hash] :
       {Example{"21", -973932308}, Example{"foobar", -790332482}, Example{"a-little-bit-long-string", -985981536},
        Example{"a-little-bit-longer-string", -1486304829},
        Example{"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971}, Example{"abc", 479470107}}) {
    CHECK_MESSAGE(static_cast<std::int32_t>(murmur2(as_bytes(key))) == hash, std::string(key));
  }
}

// The values are those of python3-kafka 2.0.2.
TEST_CASE("murmur2 takes every length of tail and bytes above 127") {
  CHECK(murmur2({}) == 275646681);
  CHECK(murmur2(as_bytes("\xff")) == 0xed6f615b);
  CHECK(murmur2(as_bytes("\xff\xfe")) == 0x6660fe8b);
  CHECK(murmur2(as_bytes("\xff\xfe\x80")) == 0xf66b8283);
  CHECK(murmur2(as_bytes(std::string_view("\0\xff\0\x80", 4))) == 0xaa3dea07);
  CHECK(murmur2(as_bytes(std::string_view("\0\xff\0\x80\x81", 5))) == 0x9cf46957);
}

TEST_CASE("a key goes where Kafka's default partitioner sends it") {
  // 21 hashes to a negative number: the sign bit is cleared, not negated.
  CHECK(partition_for_key(as_bytes("21"), 1000).value == (-973932308 & 0x7fffffff) % 1000);
  CHECK(partition_for_key(as_bytes("abc"), 1000).value == 479470107 % 1000);
  CHECK(partition_for_key(as_bytes("abc"), 1).value == 0);
  CHECK(partition_for_key(as_bytes(""), 7).value == 275646681 % 7);
}

TEST_CASE("keys spread over all partitions and only over those") {
  std::set<std::int32_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string key = "key-" + std::to_string(i);
    const PartitionId partition = partition_for_key(as_bytes(key), 16);
    CHECK(partition == partition_for_key(as_bytes(key), 16));
    seen.insert(partition.value);
  }
  CHECK(seen.size() == 16);
  CHECK(*seen.begin() == 0);
  CHECK(*seen.rbegin() == 15);
}

}  // namespace
}  // namespace leat
