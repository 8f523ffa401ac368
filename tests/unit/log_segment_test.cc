#include "leat/log/segment.h"

#include "tests/support/raw_log.h"

using namespace leat;
using namespace leat::test;

namespace {

using Kind = WalkStep::Kind;

// Overwrites bytes of a file's content with a big-endian integer.
template <class Integer>
void put(std::string& content, std::size_t at, Integer value) {
  store_be(reinterpret_cast<std::byte*>(content.data()) + at, value);
}

}  // namespace

TEST_CASE("a walk gives each batch with its place and ends at its limit") {
  RawPartition partition;
  const std::string a = raw_batch({5}, 3);
  const std::string b = raw_batch({8}, 1, {1000}, 700'000);  // larger than a block
  const std::string c = raw_batch({9}, 2);
  const File log = partition.write_log(a + b + c, {5});
  const auto bytes = static_cast<std::int64_t>(a.size() + b.size() + c.size());
  for (const WalkDepth depth : {WalkDepth::checked, WalkDepth::headers}) {
    SegmentWalk walk(log, 0, {5}, depth);
    std::int64_t position = 0;
    for (const std::string* expected : {&a, &b, &c}) {
      const WalkStep step = must(walk.next(bytes));
      REQUIRE(step.kind == Kind::batch);
      CHECK(step.batch.position == position);
      CHECK(step.batch.header.total_bytes() == expected->size());
      CHECK((depth == WalkDepth::headers || as_text(step.batch.bytes) == *expected));
      position += static_cast<std::int64_t>(expected->size());
      CHECK(walk.position() == position);
    }
    CHECK(walk.expected().value == 11);
    CHECK(must(walk.next(bytes)).kind == Kind::end);
    CHECK(must(walk.next(bytes)).kind == Kind::end);
  }
}

TEST_CASE("a walk takes nothing that lies behind its limit, and goes on when the limit grows") {
  RawPartition partition;
  const std::string a = raw_batch({0});
  const std::string b = raw_batch({1});
  const File log = partition.write_log(a + b);
  const auto first = static_cast<std::int64_t>(a.size());
  SegmentWalk walk(log, 0, {0});
  CHECK(must(walk.next(0)).kind == Kind::end);
  for (std::int64_t limit = 1; limit < first; ++limit) {
    CAPTURE(limit);
    const WalkStep step = must(walk.next(limit));
    REQUIRE(step.kind == Kind::bad);
    REQUIRE(step.fault != nullptr);
    REQUIRE(walk.position() == 0);
  }
  CHECK(must(walk.next(first)).kind == Kind::batch);
  CHECK(must(walk.next(first)).kind == Kind::end);
  CHECK(must(walk.next(2 * first)).batch.header.base_offset.value == 1);
}

TEST_CASE("a walk sees what was appended after it began") {
  RawPartition partition;
  const std::string a = raw_batch({0});
  const File log = partition.write_log(a);
  const auto first = static_cast<std::int64_t>(a.size());
  SegmentWalk walk(log, 0, {0});
  CHECK(must(walk.next(first)).kind == Kind::batch);
  const std::string b = raw_batch({1});
  must(log.write_at(as_bytes(b), first));
  CHECK(must(walk.next(2 * first)).kind == Kind::batch);
  // A limit that says more than there is, as a log that was cut.
  CHECK(must(walk.next(4 * first)).kind == Kind::bad);
}

TEST_CASE("a gap or a step back in the offsets is a bad place, even with a right checksum") {
  RawPartition partition;
  const std::string a = raw_batch({0}, 2);
  for (const std::int64_t next : {0, 1, 3}) {
    const std::string content = a + raw_batch({next});
    const File log = partition.write_log(content);
    for (const WalkDepth depth : {WalkDepth::checked, WalkDepth::headers}) {
      SegmentWalk walk(log, 0, {0}, depth);
      CHECK(must(walk.next(static_cast<std::int64_t>(content.size()))).kind == Kind::batch);
      const WalkStep step = must(walk.next(static_cast<std::int64_t>(content.size())));
      REQUIRE(step.kind == Kind::bad);
      CHECK(std::string(step.fault).find("does not continue") != std::string::npos);
      CHECK(walk.expected().value == 2);
    }
  }
}

TEST_CASE("a length that cannot be is a bad place and never read") {
  RawPartition partition;
  const std::string batch = raw_batch({0});
  for (const std::int32_t length :
       {-1, 0, 48, 1 << 30, std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int32_t>::min(),
        static_cast<std::int32_t>(batch.size() - 11)}) {
    CAPTURE(length);
    std::string content = batch;
    put(content, 8, length);
    const File log = partition.write_log(content);
    SegmentWalk walk(log, 0, {0});
    CHECK(must(walk.next(static_cast<std::int64_t>(content.size()))).kind == Kind::bad);
    SegmentWalk headers(log, 0, {0}, WalkDepth::headers);
    CHECK(must(headers.next(static_cast<std::int64_t>(content.size()))).kind == Kind::bad);
  }
}

TEST_CASE("any flipped byte of a batch is noticed, but for the epoch, which stands for nothing a reader uses") {
  RawPartition partition;
  const std::string content = raw_batch({0}, 2) + raw_batch({2});
  for (std::size_t at = 0; at < raw_batch({0}, 2).size(); ++at) {
    CAPTURE(at);
    std::string damaged = content;
    damaged[at] = static_cast<char>(~damaged[at]);
    const File log = partition.write_log(damaged);
    SegmentWalk walk(log, 0, {0});
    const bool epoch = at >= 12 && at < 16;
    REQUIRE((must(walk.next(static_cast<std::int64_t>(content.size()))).kind == Kind::batch) == epoch);
  }
}

TEST_CASE("a walk that jumps goes on there") {
  RawPartition partition;
  const std::string a = raw_batch({0});
  const std::string b = raw_batch({1}, 4);
  const std::string content = a + b + raw_batch({5});
  const File log = partition.write_log(content);
  const auto bytes = static_cast<std::int64_t>(content.size());
  SegmentWalk walk(log, 0, {0});
  walk.jump(static_cast<std::int64_t>(a.size() + b.size()), {5});
  CHECK(must(walk.next(bytes)).batch.header.base_offset.value == 5);
  walk.jump(static_cast<std::int64_t>(a.size()), {1});
  CHECK(must(walk.next(bytes)).batch.header.end_offset().value == 5);
}

TEST_CASE("a read error is an error, not the end of a log") {
  RawPartition partition;
  const File log = partition.write_log(raw_batch({0}));
  SegmentWalk walk(log, 0, {0});
  set_disk_fault_hook([](DiskCall call, std::string_view) { return call == DiskCall::read ? EIO : 0; });
  const auto step = walk.next(80);
  const auto found = find_batch_behind(log, 0, 200, {-1});
  set_disk_fault_hook(nullptr);
  REQUIRE(!step);
  CHECK(step.error().code == Code::io);
  CHECK(!found);
}

TEST_CASE("the first batch behind a place is found wherever it begins") {
  RawPartition partition;
  const std::string batch = raw_batch({7}, 2);
  // Around the edges of the blocks that are searched.
  for (const std::size_t at : {std::size_t{0}, std::size_t{1}, std::size_t{61}, (std::size_t{1} << 20) - 61,
                               (std::size_t{1} << 20) - 1, std::size_t{1} << 20, (std::size_t{1} << 20) + 3}) {
    CAPTURE(at);
    const std::string content = std::string(at, '\x02') + batch + raw_batch({9});
    const File log = partition.write_log(content);
    const auto bytes = static_cast<std::int64_t>(content.size());
    const auto found = must(find_batch_behind(log, 0, bytes, {6}));
    REQUIRE(found);
    CHECK(found->position == static_cast<std::int64_t>(at));
    CHECK(found->base.value == 7);
    CHECK(must(find_batch_behind(log, 0, bytes, {7}))->base.value == 9);
    CHECK(must(find_batch_behind(log, found->position + 1, bytes, {6}))->base.value == 9);
    CHECK(!must(find_batch_behind(log, 0, bytes, {9})));
    CHECK(!must(find_batch_behind(log, 0, static_cast<std::int64_t>(at + batch.size()) - 1, {6})));
    CHECK(!must(find_batch_behind(log, bytes, bytes, {6})));
  }
}

TEST_CASE("a damaged batch is no batch to go on with") {
  RawPartition partition;
  std::string content = raw_batch({1}) + raw_batch({2});
  content[70] = static_cast<char>(~content[70]);
  const File log = partition.write_log(content);
  CHECK(must(find_batch_behind(log, 0, static_cast<std::int64_t>(content.size()), {0}))->base.value == 2);
}

TEST_CASE("segments are listed by their base offsets, other names left out") {
  RawPartition partition;
  for (const std::int64_t base : {1000, 0, 99}) partition.write_log("", {base});
  for (const char* name :
       {"5.log", "00000000000000000005.index", "00000000000000000005.compacting", "start", "x.log"}) {
    write_file(partition.temp / name, "");
  }
  CHECK(must(list_segments(partition.directory)) == std::vector<Offset>{{0}, {99}, {1000}});
}

TEST_CASE("an offset belongs to the last segment that begins at or before it") {
  const std::vector<Offset> bases = {{10}, {20}, {30}};
  CHECK(segment_of(bases, {0}) == 0);
  CHECK(segment_of(bases, {10}) == 0);
  CHECK(segment_of(bases, {19}) == 0);
  CHECK(segment_of(bases, {20}) == 1);
  CHECK(segment_of(bases, {29}) == 1);
  CHECK(segment_of(bases, {30}) == 2);
  CHECK(segment_of(bases, {1'000'000}) == 2);
}
