#include "leat/log/inspection.h"

#include <doctest/doctest.h>

#include "leat/log/segment_index.h"
#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

struct InspectionFixture : LogFixture {
  using LogFixture::LogFixture;

  PartitionInspection open(const Topic& topic) { return must(PartitionInspection::open(topic, {0})); }

  // The base offsets of the batches that are found.
  std::vector<std::int64_t> bases(OffsetRange range = {}, bool decode = false) {
    const Topic topic = reader_topic();
    std::vector<std::int64_t> found;
    must(open(topic).visit_batches(range, decode, findings, [&](Offset, const BatchAt& batch) -> Result<void> {
      found.push_back(batch.header.base_offset.value);
      return {};
    }));
    return found;
  }

  // Three segments of one record each, and one that is empty of records or not.
  void produce_three_segments() {
    produce({std::string(40000, 'a'), std::string(40000, 'b'), std::string(40000, 'c')});
  }

  InspectionFindings findings;
};

TopicSettings small_segments() {
  TopicSettings settings;
  settings.segment_bytes = kSegmentBytesMin;
  return settings;
}

}  // namespace

TEST_CASE("every batch of every segment is visited in order, and only those of the range") {
  InspectionFixture log(small_segments());
  log.produce_three_segments();
  log.produce({"d", "e"});
  CHECK(log.bases() == std::vector<std::int64_t>{0, 1, 2, 3, 4});
  CHECK(log.bases({{1}, {3}}) == std::vector<std::int64_t>{1, 2});
  CHECK(log.bases({{4}, {5}}) == std::vector<std::int64_t>{4});
  CHECK(log.bases({{9}, {10}}).empty());
  CHECK(log.bases({{3}, {3}}).empty());
  CHECK(log.bases({}, true).size() == 5);
  CHECK(log.findings.damage.empty());
  CHECK(log.findings.notices.empty());
}

TEST_CASE("segments are summed up with the active one last") {
  InspectionFixture log(small_segments());
  log.produce_three_segments();
  const Topic topic = log.reader_topic();
  const auto segments = must(log.open(topic).segments({}, log.findings));
  REQUIRE(segments.size() == 3);
  CHECK(segments[0].base == Offset{0});
  CHECK(segments[0].next == Offset{1});
  CHECK(segments[0].bytes > 40000);
  CHECK_FALSE(segments[0].active);
  CHECK(segments[2].active);
  CHECK(must(log.open(topic).segments({{1}, {2}}, log.findings)).size() == 1);
}

TEST_CASE("damage is reported with its place and what is behind it is still visited") {
  InspectionFixture log;
  log.produce({"a", "b", "c"});
  const std::size_t batch_bytes = read_file(log.log_path()).size() / 3;
  flip_byte(log.log_path(), batch_bytes + batch_bytes - 1);
  CHECK(log.bases() == std::vector<std::int64_t>{0, 2});
  REQUIRE(log.findings.damage.size() == 1);
  CHECK(log.findings.damage[0].code == Code::damaged);
  CHECK(log.findings.damage[0].message == log.log_path() + ": damaged at byte " + std::to_string(batch_bytes) +
                                              ": the checksum is wrong; last good offset 0, next readable offset 2");
}

TEST_CASE("an unfinished write at the end is a notice, a durable batch that is damaged there is not") {
  InspectionFixture log;
  log.produce({"a", "b"});
  const std::string whole = read_file(log.log_path());
  write_file(log.log_path(), whole + whole.substr(0, 20));
  CHECK(log.bases().size() == 2);
  CHECK(log.findings.damage.empty());
  REQUIRE(log.findings.notices.size() == 1);
  CHECK(log.findings.notices[0].find("20 bytes behind the last whole batch") != std::string::npos);

  log.findings = {};
  write_file(log.log_path(), whole);
  flip_byte(log.log_path(), whole.size() - 1);
  CHECK(log.bases().size() == 1);
  REQUIRE(log.findings.damage.size() == 1);
  CHECK(log.findings.damage[0].message.find("nothing readable behind it") != std::string::npos);
}

TEST_CASE("a sealed segment that lost its end is damage") {
  InspectionFixture log(small_segments());
  log.produce({"a", "b"});
  log.produce_three_segments();
  const std::string first = read_file(log.log_path());
  const std::size_t a_bytes =
      BatchHeader(load_batch_header(reinterpret_cast<const std::byte*>(first.data()))).total_bytes();
  write_file(log.log_path(), first.substr(0, a_bytes));
  CHECK(log.bases().front() == 0);
  REQUIRE(log.findings.damage.size() == 1);
  CHECK(log.findings.damage[0].message.find("the segment ends here, but the next one begins at offset") !=
        std::string::npos);
}

TEST_CASE("index entries that point at no batch are told from those that do, and are no damage") {
  InspectionFixture log;
  log.produce({std::string(5000, 'a'), std::string(5000, 'b'), std::string(5000, 'c')});
  {
    const Topic topic = log.reader_topic();
    const Directory partition = must(topic.open_partition({0}));
    const File file = must(partition.open_file(log_file_name({0}), OpenMode::read));
    must(catch_up_index(partition, {0}, file, must(file.size())));
    const auto entries = must(log.open(topic).index_entries({}, log.findings));
    CHECK(entries.size() >= 2);
    for (const IndexEntryReport& entry : entries) CHECK(entry.points_at_batch);
    CHECK(log.findings.notices.empty());
  }
  flip_byte(log.partition_path(index_file_name({0})), 7);
  const Topic topic = log.reader_topic();
  const auto entries = must(log.open(topic).index_entries({}, log.findings));
  CHECK_FALSE(entries.front().points_at_batch);
  CHECK(log.findings.notices.size() == 1);
  CHECK(log.findings.damage.empty());
}

TEST_CASE("looking changes nothing on the disk") {
  InspectionFixture log;
  log.produce({"a", "b"});
  write_file(log.log_path(), read_file(log.log_path()) + "torn");
  const std::string before = read_file(log.log_path());
  const std::string state = read_file(log.state_path());
  log.bases({}, true);
  const Topic topic = log.reader_topic();
  must(log.open(topic).segments({}, log.findings));
  must(log.open(topic).index_entries({}, log.findings));
  CHECK(read_file(log.log_path()) == before);
  CHECK(read_file(log.state_path()) == state);
}
