#include "leat/log/maintenance.h"

#include <cerrno>

#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

// Three sealed segments of one record each, at times 1000, 2000 and 3000, and an active one.
struct SegmentsFixture : LogFixture {
  explicit SegmentsFixture(TopicSettings settings)
      : LogFixture(settings), topic(writer_topic()), partition(must(Partition::open(topic, {0}))) {
    for (std::int64_t i = 0; i < 4; ++i) {
      auto batches = batch_of({std::string(1, static_cast<char>('a' + i))}, {1000 * (i + 1)});
      must(partition.commit(must(partition.append(batches))));
      if (i < 3) must(partition.roll());
    }
  }
  bool segment_is_there(std::int64_t base) const { return std::filesystem::exists(log_path({base})); }

  Topic topic;
  Partition partition;
};

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("retention by age takes the segments whose newest record is too old, and their files") {
  SegmentsFixture log({.retention_ms = 1000});
  must(apply_retention(log.partition, {3000}));
  CHECK(log.values() == Strings{"b", "c", "d"});
  CHECK(!log.segment_is_there(0));
  must(apply_retention(log.partition, {4001}));
  CHECK(log.values() == Strings{"d"});
  for (const auto& entry : std::filesystem::directory_iterator(log.partition_path())) {
    CHECK(entry.path().filename().string().find("00000000000000000000.") == std::string::npos);
  }
}

TEST_CASE("a segment whose age cannot be read is kept, and all behind it") {
  SegmentsFixture log({.retention_ms = 1000});
  flip_byte(log.log_path({1}), 16);  // the magic of its only batch
  must(apply_retention(log.partition, {4001}));
  CHECK(!log.segment_is_there(0));
  CHECK(log.segment_is_there(1));
  CHECK(log.segment_is_there(2));
}

TEST_CASE("nothing is retired while another has the maintenance lock") {
  SegmentsFixture log({.retention_ms = 1000});
  Topic other_topic = log.writer_topic();
  Partition other = must(Partition::open(other_topic, {0}));
  {
    const RangeLock lock = must(other.take_lock(StateLocks::maintenance(other.id())));
    REQUIRE(bool(lock));
    must(apply_retention(log.partition, {4001}));
    CHECK(log.segment_is_there(0));
  }
  must(apply_retention(log.partition, {4001}));
  CHECK(!log.segment_is_there(0));
}

TEST_CASE("compacted topics keep old records whatever their age") {
  SegmentsFixture log({.retention_ms = 1000, .cleanup = Cleanup::compact});
  must(apply_retention(log.partition, {1'000'000}));
  CHECK(log.values().size() == 4);
}

TEST_CASE("a start that cannot be stored unlinks nothing") {
  SegmentsFixture log({.retention_ms = 1000});
  set_disk_fault_hook([](DiskCall call, std::string_view path) {
    return call == DiskCall::write && path.ends_with("/start") ? ENOSPC : 0;
  });
  const auto applied = apply_retention(log.partition, {4001});
  const auto trimmed = trim_partition(log.partition, {2});
  set_disk_fault_hook(nullptr);
  REQUIRE(!applied);
  CHECK(applied.error().code == Code::io);
  CHECK(!trimmed);
  CHECK(log.values() == Strings{"a", "b", "c", "d"});
}

TEST_CASE("a trim inside a segment keeps the segment and hides what lies before") {
  LogFixture log;
  log.produce({"a", "b", "c"});
  Topic topic = log.writer_topic();
  Partition partition = must(Partition::open(topic, {0}));
  must(trim_partition(partition, {1}));
  CHECK(log.values() == Strings{"b", "c"});
  CHECK(std::filesystem::exists(log.log_path()));
  must(trim_partition(partition, {0}));
  CHECK(log.values() == Strings{"b", "c"});
}

TEST_CASE("the largest timestamp of a segment is found with and without its index") {
  SegmentsFixture log({});
  const Directory& directory = log.partition.directory();
  CHECK(must(segment_max_timestamp(directory, {1})).value == 2000);
  std::filesystem::remove(log.partition_path(time_index_file_name({1})));
  std::filesystem::remove(log.partition_path(index_file_name({1})));
  CHECK(must(segment_max_timestamp(directory, {1})).value == 2000);
}
