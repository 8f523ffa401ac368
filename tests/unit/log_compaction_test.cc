#include "leat/log/compaction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

constexpr Milliseconds kHour = std::chrono::hours(1);

// A record to be appended; no value is a tombstone.
struct Entry {
  std::string key;
  std::optional<std::string> value;
  TimestampMs time{1000};
};

struct CompactionFixture : LogFixture {
  explicit CompactionFixture(TopicSettings settings = {.cleanup = Cleanup::compact})
      : LogFixture(settings), topic(writer_topic()), partition(must(Partition::open(topic, {0}))) {}

  void append(const std::vector<Entry>& entries, Codec codec = Codec::none) {
    BatchBuilder builder(codec);
    for (const Entry& entry : entries) must(builder.add({.key = entry.key, .value = entry.value}, entry.time));
    std::vector<EncodedBatch> batches;
    batches.push_back(must(builder.finish()));
    must(partition.commit(must(partition.append(batches))));
  }
  void append_each(const std::vector<Entry>& entries) {
    for (const Entry& entry : entries) append({entry});
  }
  void compact(TimestampMs now = {1000}) { must(compact_partition(partition, now)); }

  // "offset key=value" of every record; checks on the way that offsets are dense over the batches.
  std::vector<std::string> records() {
    Topic reading = reader_topic();
    PartitionReader reader = must(PartitionReader::open(reading, {0}, false));
    const VisibleRange range = must(reader.visible());
    must(reader.seek({0}));
    BatchDecoder decoder;
    std::vector<std::string> found;
    Offset expected{0};
    while (const auto batch = must(reader.next(range))) {
      CHECK(batch->header.base_offset == expected);
      expected = batch->header.end_offset();
      for (const RecordView& r : must(decoder.decode(batch->bytes))) {
        found.push_back(fmt::format("{} {}={}", r.offset.value, *r.key, r.value.value_or("<null>")));
      }
    }
    CHECK(expected == range.end);
    return found;
  }

  bool has_leftovers() const {
    for (const auto& entry : std::filesystem::directory_iterator(partition_path())) {
      if (entry.path().string().find("compacting") != std::string::npos) return true;
    }
    return false;
  }

  Topic topic;
  Partition partition;
};

using Strings = std::vector<std::string>;

DiskCall failing_call = DiskCall::write;
std::string_view failing_suffix;
int failures = 0;

struct FailingDisk {
  FailingDisk(DiskCall call, std::string_view suffix) {
    failing_call = call;
    failing_suffix = suffix;
    failures = 0;
    set_disk_fault_hook([](DiskCall made, std::string_view path) {
      if (made != failing_call || !path.ends_with(failing_suffix)) return 0;
      ++failures;
      return ENOSPC;
    });
  }
  ~FailingDisk() { set_disk_fault_hook(nullptr); }
};

}  // namespace

TEST_CASE("of each key only the last record stays in sealed segments, at its offset") {
  CompactionFixture log;
  log.append_each({{"a", "1"}, {"b", "1"}, {"a", "2"}, {"c", "1"}});
  must(log.partition.roll());
  log.append_each({{"b", "2"}, {"d", "1"}, {"b", "3"}});
  must(log.partition.roll());
  log.append_each({{"c", "2"}, {"c", "3"}});
  log.compact();
  // The active segment supersedes but is not rewritten.
  CHECK(log.records() == Strings{"2 a=2", "5 d=1", "6 b=3", "7 c=2", "8 c=3"});
  log.compact();
  CHECK(log.records().size() == 5);
  log.append({{"a", "3"}});
  CHECK(log.records().back() == "9 a=3");
}

TEST_CASE("mixed batches of every codec keep their offsets, and whole batches their bytes") {
  CompactionFixture log;
  std::map<std::string, std::string> last;
  int count = 0;
  for (const Codec codec : {Codec::none, Codec::lz4, Codec::zstd, Codec::none}) {
    std::vector<Entry> entries;
    for (int i = 0; i < 50; ++i, ++count) {
      entries.push_back(
          {fmt::format("key {}", (i * 7 + count) % 23), fmt::format("{} {}", count, std::string(100, 'v'))});
      last[entries.back().key] = *entries.back().value;
    }
    log.append(entries, codec);
  }
  must(log.partition.roll());
  log.compact();
  const auto records = log.records();
  CHECK(records.size() == last.size());
  for (const std::string& record : records) {
    const auto space = record.find(' ');
    const auto equals = record.find('=');
    const std::string key = record.substr(space + 1, equals - space - 1);
    CHECK(record.substr(equals + 1) == last[key]);
    CHECK(record.substr(equals + 1).starts_with(record.substr(0, space + 1)));  // the value begins with its offset
  }
}

TEST_CASE("tombstones stay for their time and then go, with nothing of the key coming back") {
  CompactionFixture log({.retention_ms = kHour.count(), .cleanup = Cleanup::compact});
  log.append_each({{"a", "1"}, {"b", "1"}, {"a", std::nullopt, {5000}}});
  must(log.partition.roll());
  log.compact({5000});
  CHECK(log.records() == Strings{"1 b=1", "2 a=<null>"});
  log.compact({5000 + kHour.count()});
  CHECK(log.records().size() == 2);
  log.compact({5001 + kHour.count()});
  CHECK(log.records() == Strings{"1 b=1"});
}

TEST_CASE("a tombstone outlives its time while a value that it superseded is left in a segment not worth rewriting") {
  CompactionFixture log;
  std::vector<Entry> many{{"a", "1"}};
  for (int i = 0; i < 30; ++i) many.push_back({fmt::format("{}", i), "x"});
  log.append(many);
  must(log.partition.roll());
  log.append_each({{"a", std::nullopt}, {"b", "1"}});
  must(log.partition.roll());
  log.compact({1000 + 100 * kHour.count()});
  const auto records = log.records();
  CHECK(records.front() == "0 a=1");
  CHECK(std::ranges::find(records, "31 a=<null>") != records.end());
}

TEST_CASE("a failing disk leaves the segment as it was, and the next compaction does it") {
  struct Fault {
    DiskCall call;
    const char* suffix;
  };
  for (const Fault fault : {Fault{DiskCall::open, ".compacting"}, Fault{DiskCall::write, ".compacting"},
                            Fault{DiskCall::sync, ".compacting"}, Fault{DiskCall::rename, ""}}) {
    CompactionFixture log;
    log.append_each({{"a", "1"}, {"b", "1"}, {"a", "2"}});
    must(log.partition.roll());
    const std::string before = read_file(log.log_path());
    {
      const FailingDisk disk(fault.call, fault.suffix);
      CHECK(!compact_partition(log.partition, {1000}));
      CHECK(failures > 0);
    }
    CHECK(read_file(log.log_path()) == before);
    CHECK(!log.has_leftovers());
    log.append({{"c", "1"}});
    log.compact();
    CHECK(log.records() == Strings{"1 b=1", "2 a=2", "3 c=1"});
  }
}

TEST_CASE("what a killed compaction left is overwritten, and damage is never compacted away") {
  CompactionFixture log;
  log.append_each({{"a", "1"}, {"b", "1"}, {"a", "2"}});
  must(log.partition.roll());
  write_file(log.partition_path("00000000000000000000.compacting"), std::string(5000, 'x'));
  SUBCASE("leftovers") {
    log.compact();
    CHECK(log.records() == Strings{"1 b=1", "2 a=2"});
    CHECK(!log.has_leftovers());
  }
  SUBCASE("damage") {
    flip_byte(log.log_path(), 65);
    const std::string before = read_file(log.log_path());
    const auto compacted = compact_partition(log.partition, {1000});
    REQUIRE(!compacted);
    CHECK(compacted.error().code == Code::damaged);
    CHECK(read_file(log.log_path()) == before);
  }
}

TEST_CASE("a reader inside a segment finishes the old one") {
  CompactionFixture log;
  log.append_each({{"a", "1"}, {"a", "2"}, {"a", "3"}});
  must(log.partition.roll());
  Topic reading = log.reader_topic();
  PartitionReader reader = must(PartitionReader::open(reading, {0}, false));
  must(reader.seek({0}));
  REQUIRE(must(reader.next(must(reader.visible()))));
  log.compact();
  CHECK(must(reader.next(must(reader.visible())))->header.base_offset.value == 1);
  CHECK(must(reader.next(must(reader.visible())))->header.record_count == 1);
  CHECK(log.records() == Strings{"2 a=3"});
}

TEST_CASE("more keys than fit into memory at once are compacted in slices") {
  CompactionFixture log;
  const std::string padding(4000, 'k');
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 5000; i += 50) {
      std::vector<Entry> entries;
      for (int k = i; k < i + 50; ++k) entries.push_back({fmt::format("{} {}", k, padding), fmt::format("{}", round)});
      log.append(entries, Codec::lz4);
    }
  }
  must(log.partition.roll());
  log.compact();
  const auto records = log.records();
  CHECK(records.size() == 5000);
  CHECK(records.front().starts_with("5000 "));
  CHECK(records.front().ends_with("=1"));
}
