#include "leat/log/segment_index.h"

#include <fmt/format.h>

#include <filesystem>
#include <random>

#include "tests/support/raw_log.h"

using namespace leat;
using namespace leat::test;

namespace {

constexpr Offset kBase{100};

// A segment whose batches differ in size and whose timestamps go forth and back.
struct IndexedLog : RawPartition {
  struct Batch {
    Offset base;
    std::int64_t position;
    TimestampMs time;
  };

  explicit IndexedLog(int count = 120, unsigned seed = 1) {
    std::mt19937 random(seed);
    Offset next = kBase;
    for (int i = 0; i < count; ++i) {
      const int records = 1 + static_cast<int>(random() % 3);
      // Steps of 100 ms with equal neighbours, and a jump back now and then.
      const TimestampMs time{10'000 + 100 * (i / 3) - (i % 7 == 0 ? 3000 : 0)};
      batches.push_back({next, static_cast<std::int64_t>(content.size()), time});
      content += raw_batch(next, records, time, 100 + random() % 1200);
      next += records;
    }
    log = write_log(content, kBase);
  }

  std::int64_t bytes() const { return static_cast<std::int64_t>(content.size()); }
  std::string index_path() const { return temp / index_file_name(kBase); }
  std::string time_index_path() const { return temp / time_index_file_name(kBase); }
  std::string index() const { return read_file(index_path()); }
  std::string time_index() const { return read_file(time_index_path()); }
  void catch_up(std::int64_t end) { must(catch_up_index(directory, kBase, log, end)); }

  // The number of lookups that give a place where no batch begins, or one behind what was asked for.
  int wrong_places() {
    int wrong = 0;
    for (Offset offset = kBase; offset <= batches.back().base; offset += 1) {
      const IndexHint hint = find_by_offset(directory, kBase, log, offset);
      const auto at = std::ranges::find(batches, hint.position, &Batch::position);
      if (at == batches.end() || at->base != hint.base || hint.base > offset) ++wrong;
    }
    for (std::int64_t time = 6'900; time < 15'000; time += 50) {
      const Offset from = find_by_time(directory, kBase, log, {time});
      for (const Batch& batch : batches) {
        if (batch.base < from && batch.time.value >= time) ++wrong;
      }
    }
    return wrong;
  }

  std::string content;
  std::vector<Batch> batches;
  File log;
};

}  // namespace

TEST_CASE("an index built in steps is byte for byte the one built at once") {
  IndexedLog at_once;
  at_once.catch_up(at_once.bytes());
  REQUIRE(at_once.index().size() > 10 * kIndexEntryBytes);
  REQUIRE(at_once.time_index().size() > 5 * kTimeIndexEntryBytes);
  for (const int step : {1, 2, 7, 50}) {
    CAPTURE(step);
    IndexedLog in_steps;
    for (std::size_t i = 0; i < in_steps.batches.size(); i += static_cast<std::size_t>(step)) {
      in_steps.catch_up(in_steps.batches[i].position);
    }
    in_steps.catch_up(in_steps.bytes());
    in_steps.catch_up(in_steps.bytes());
    CHECK(in_steps.index() == at_once.index());
    CHECK(in_steps.time_index() == at_once.time_index());
  }
}

TEST_CASE("entries lie at least 4096 bytes apart, at batches, and times only grow") {
  IndexedLog log;
  log.catch_up(log.bytes());
  std::int64_t last_position = 0;
  for (const OffsetIndexEntry& entry : must(read_offset_index(log.directory, kBase))) {
    CHECK(entry.position - last_position >= kIndexIntervalBytes);
    last_position = entry.position;
    const auto at = std::ranges::find(log.batches, entry.position, &IndexedLog::Batch::position);
    REQUIRE(at != log.batches.end());
    CHECK(at->base == entry.offset);
  }
  TimestampMs last_time{0};
  Offset last_offset{-1};
  for (const TimeIndexEntry& entry : must(read_time_index(log.directory, kBase))) {
    CHECK(entry.timestamp > last_time);
    CHECK(entry.offset > last_offset);
    last_time = entry.timestamp;
    last_offset = entry.offset;
  }
}

TEST_CASE("a lookup by offset gives the nearest entry, so that a walk is short") {
  IndexedLog log;
  CHECK(find_by_offset(log.directory, kBase, log.log, kBase + 60).position == 0);
  log.catch_up(log.bytes());
  for (const IndexedLog::Batch& batch : log.batches) {
    const IndexHint hint = find_by_offset(log.directory, kBase, log.log, batch.base);
    CHECK(hint.position <= batch.position);
    // Less than an interval, and the batch that crosses it.
    CHECK(batch.position - hint.position < kIndexIntervalBytes + 4096);
  }
  CHECK(find_by_offset(log.directory, kBase, log.log, {0}).base == kBase);
}

TEST_CASE("a search by time never skips a record at or after the time, also when timestamps go back") {
  for (unsigned seed = 1; seed < 6; ++seed) {
    IndexedLog log(120, seed);
    CHECK(log.wrong_places() == 0);
    log.catch_up(log.bytes() / 2);
    CHECK(log.wrong_places() == 0);
    log.catch_up(log.bytes());
    CHECK(log.wrong_places() == 0);
    // It is of use: late times do not start at the beginning.
    CHECK(find_by_time(log.directory, kBase, log.log, {13'500}) > kBase + 100);
  }
}

// What remains of an index must do no harm, and become what it should be when the log has grown.
struct DamagedIndex : IndexedLog {
  DamagedIndex() {
    catch_up(bytes());
    whole_index = index();
    whole_time_index = time_index();
    std::filesystem::remove(index_path());
    std::filesystem::remove(time_index_path());
    catch_up(batches[100].position);
    early_index = index();
    early_time_index = time_index();
  }
  void restore() {
    write_file(index_path(), early_index);
    write_file(time_index_path(), early_time_index);
  }
  bool is_whole() const { return index() == whole_index && time_index() == whole_time_index; }

  std::string whole_index, whole_time_index, early_index, early_time_index;
};

TEST_CASE("an index cut at any byte misleads nobody and grows to the same bytes") {
  DamagedIndex log;
  std::string path, content;
  SUBCASE("offsets") {
    path = log.index_path(), content = log.early_index;
  }
  SUBCASE("times") {
    path = log.time_index_path(), content = log.early_time_index;
  }
  for (std::size_t size = 0; size < content.size(); ++size) {
    CAPTURE(size);
    log.restore();
    write_file(path, content.substr(0, size));
    if (size % 7 == 0) REQUIRE(log.wrong_places() == 0);
    log.catch_up(log.bytes());
    REQUIRE(log.is_whole());
    if (size % 7 == 0) REQUIRE(log.wrong_places() == 0);
  }
}

TEST_CASE("an index with any byte flipped misleads nobody, before and after it grows") {
  DamagedIndex log;
  std::string path, content;
  std::size_t entry = 0;
  SUBCASE("offsets") {
    path = log.index_path(), content = log.early_index, entry = kIndexEntryBytes;
  }
  SUBCASE("times") {
    path = log.time_index_path(), content = log.early_time_index, entry = kTimeIndexEntryBytes;
  }
  for (std::size_t at = 0; at < content.size(); ++at) {
    CAPTURE(at);
    log.restore();
    flip_byte(path, at);
    REQUIRE(log.wrong_places() == 0);
    log.catch_up(log.bytes());
    REQUIRE(log.wrong_places() == 0);
    // Where the index grows from, it is looked at; what lies before only ever costs a longer walk.
    if (at >= content.size() - entry) REQUIRE(log.is_whole());
  }
}

TEST_CASE("garbage in place of an index is replaced by what belongs there") {
  DamagedIndex log;
  std::mt19937 random(4);
  std::string garbage(1001, '\0');
  const auto fill = [&] { std::ranges::generate(garbage, [&] { return static_cast<char>(random()); }); };
  SUBCASE("zeros") {
    write_file(log.index_path(), garbage);
    write_file(log.time_index_path(), garbage);
  }
  SUBCASE("random bytes") {
    fill();
    write_file(log.index_path(), garbage);
    fill();
    write_file(log.time_index_path(), garbage);
  }
  SUBCASE("random offsets only") {
    fill();
    write_file(log.index_path(), garbage);
  }
  SUBCASE("random times only") {
    fill();
    write_file(log.time_index_path(), garbage);
  }
  SUBCASE("each other's bytes") {
    write_file(log.index_path(), log.early_time_index);
    write_file(log.time_index_path(), log.early_index);
  }
  SUBCASE("zeros behind what is right") {
    write_file(log.index_path(), log.early_index + std::string(64, '\0'));
    write_file(log.time_index_path(), log.early_time_index + std::string(120, '\0'));
  }
  SUBCASE("missing") {
    std::filesystem::remove(log.index_path());
    std::filesystem::remove(log.time_index_path());
  }
  SUBCASE("ahead of the log") {
    write_file(log.index_path(), log.whole_index);
    write_file(log.time_index_path(), log.whole_time_index);
    log.catch_up(log.batches[60].position);
    CHECK(must(read_offset_index(log.directory, kBase)).back().position < log.batches[60].position);
  }
  CHECK(log.wrong_places() == 0);
  log.catch_up(log.bytes());
  CHECK(log.is_whole());
  CHECK(log.wrong_places() == 0);
}

TEST_CASE("time entries lost alone, as by a power cut, do not make a later search skip records") {
  RawPartition partition;
  std::string content;
  // The maximum is reached early, then timestamps go back for long.
  for (int i = 0; i < 40; ++i) content += raw_batch({i}, 1, {i < 8 ? 1000 + i : i == 8 ? 9000 : 2000 + i}, 1500);
  const File log = partition.write_log(content);
  const auto bytes = static_cast<std::int64_t>(content.size());
  must(catch_up_index(partition.directory, {0}, log, bytes / 2));
  const std::string path = partition.temp / time_index_file_name({0});
  const std::string times = read_file(path);
  REQUIRE(must(read_time_index(partition.directory, {0})).back().timestamp.value == 9000);
  write_file(path, times.substr(0, times.size() - kTimeIndexEntryBytes));
  must(catch_up_index(partition.directory, {0}, log, bytes));
  CHECK(find_by_time(partition.directory, {0}, log, {5000}).value <= 8);
  CHECK(read_file(path) == times);
}

TEST_CASE("an index stops before a damaged place and reading it fails for nothing") {
  IndexedLog log;
  const std::int64_t bad = log.batches[60].position;
  flip_byte(log.temp / log_file_name(kBase), static_cast<std::size_t>(bad) + 16);
  log.catch_up(log.bytes());
  CHECK(must(read_offset_index(log.directory, kBase)).back().position < bad);
  CHECK(find_by_offset(log.directory, kBase, log.log, log.batches[100].base).position < bad);
}

TEST_CASE("an entry whose batch is damaged is not used") {
  IndexedLog log;
  log.catch_up(log.bytes());
  const auto entries = must(read_offset_index(log.directory, kBase));
  const OffsetIndexEntry entry = entries[entries.size() / 2];
  flip_byte(log.temp / log_file_name(kBase), static_cast<std::size_t>(entry.position) + 70);
  CHECK(find_by_offset(log.directory, kBase, log.log, entry.offset).position == 0);
}

TEST_CASE("a segment without entries is searched from its start") {
  RawPartition partition;
  const File log = partition.write_log(raw_batch({0}));
  must(catch_up_index(partition.directory, {0}, log, must(log.size())));
  CHECK(must(read_offset_index(partition.directory, {0})).empty());
  CHECK(must(read_time_index(partition.directory, {0})).empty());
  CHECK(find_by_offset(partition.directory, {0}, log, {0}).position == 0);
  CHECK(find_by_time(partition.directory, {0}, log, {99'999}).value == 0);
  CHECK(must(read_offset_index(partition.directory, {7})).empty());
}
