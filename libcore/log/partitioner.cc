// murmur2 as Kafka's clients have it: 32 bits, little-endian words, a fixed seed.
#include "leat/log/partitioner.h"

#include "leat/base/error.h"

namespace leat {

std::uint32_t murmur2(Bytes bytes) {
  constexpr std::uint32_t kSeed = 0x9747b28c;
  constexpr std::uint32_t kMultiplier = 0x5bd1e995;
  // Java's int holds the length there, so longer keys than any record may have would wrap the same way.
  std::uint32_t hash = kSeed ^ static_cast<std::uint32_t>(bytes.size());

  const auto byte = [&bytes](std::size_t at) { return std::to_integer<std::uint32_t>(bytes[at]); };
  std::size_t at = 0;
  for (; bytes.size() - at >= 4; at += 4) {
    std::uint32_t word = byte(at) | byte(at + 1) << 8 | byte(at + 2) << 16 | byte(at + 3) << 24;
    word *= kMultiplier;
    word ^= word >> 24;
    word *= kMultiplier;
    hash *= kMultiplier;
    hash ^= word;
  }
  if (const std::size_t left = bytes.size() - at; left > 0) {
    if (left >= 3) hash ^= byte(at + 2) << 16;
    if (left >= 2) hash ^= byte(at + 1) << 8;
    hash ^= byte(at);
    hash *= kMultiplier;
  }
  hash ^= hash >> 13;
  hash *= kMultiplier;
  hash ^= hash >> 15;
  return hash;
}

PartitionId partition_for_key(Bytes key, std::int32_t partition_count) {
  ASSERT(partition_count > 0);
  return {static_cast<std::int32_t>(murmur2(key) & 0x7fffffff) % partition_count};
}

}  // namespace leat
