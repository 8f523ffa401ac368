#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

#include "leat/log/maintenance.h"
#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

// Runs `work` in a child that ends without any clean-up, as kill -9 ends a process.
template <class Work>
void in_killed_child(Work work) {
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
}

DiskCall failing_call = DiskCall::sync;
int failing_errno = 0;

struct FailingDisk {
  FailingDisk(DiskCall call, int error) {
    failing_call = call;
    failing_errno = error;
    set_disk_fault_hook([](DiskCall made, std::string_view path) {
      return made == failing_call && path.ends_with(".log") ? failing_errno : 0;
    });
  }
  ~FailingDisk() { set_disk_fault_hook(nullptr); }
};

}  // namespace

TEST_CASE("offsets are dense and in append order over several writers") {
  LogFixture log;
  Topic topic_a = log.writer_topic();
  Topic topic_b = log.writer_topic();
  Partition a = must(Partition::open(topic_a, {0}));
  Partition b = must(Partition::open(topic_b, {0}));
  for (int i = 0; i < 20; ++i) {
    auto batches = batch_of({fmt::format("{}", 2 * i), fmt::format("{}", 2 * i + 1)});
    const Appended appended = must((i % 2 == 0 ? a : b).append(batches));
    CHECK(appended.base.value == 2 * i);
    CHECK(appended.end.value == 2 * i + 2);
    must((i % 2 == 0 ? a : b).commit(appended));
  }
  const auto values = log.values();
  REQUIRE(values.size() == 40);
  for (int i = 0; i < 40; ++i) CHECK(values[static_cast<std::size_t>(i)] == fmt::format("{}", i));
}

TEST_CASE("what is appended but not synced is invisible to readers of committed records") {
  LogFixture log;
  Topic topic = log.writer_topic();
  Partition partition = must(Partition::open(topic, {0}));
  auto batches = batch_of({"a"});
  const Appended appended = must(partition.append(batches));
  Topic reading = log.reader_topic();
  PartitionReader committed = must(PartitionReader::open(reading, {0}, false));
  PartitionReader uncommitted = must(PartitionReader::open(reading, {0}, true));
  CHECK(must(committed.visible()).end.value == 0);
  CHECK(must(uncommitted.visible()).end.value == 1);
  must(partition.commit(appended));
  CHECK(must(committed.visible()).end.value == 1);
}

TEST_CASE("segments roll at their size, and reading goes on over them") {
  LogFixture log({.segment_bytes = kSegmentBytesMin});
  const std::string value(20'000, 'x');
  log.produce(std::vector<std::string>(20, value));
  CHECK(must(list_segments(must(must(log.data_dir.open_topic("t")).open_directory("0")))).size() > 4);
  CHECK(log.values().size() == 20);
}

TEST_CASE("bytes behind the published end, left by a writer that died, are cut by the next one") {
  LogFixture log;
  log.produce({"a"});
  Topic topic = log.writer_topic();
  Partition alive = must(Partition::open(topic, {0}));
  must(alive.end());
  write_file(log.log_path(), read_file(log.log_path()) + "half a batch");
  log.produce({"b"});
  CHECK(log.values() == std::vector<std::string>{"a", "b"});
}

TEST_CASE("a torn tail is cut, kept and named when no writer lives") {
  LogFixture log;
  log.produce({"a", "b"});
  const std::string whole = read_file(log.log_path());
  // The first seven bytes of a batch are zeros, and zeros alone are no write.
  for (std::size_t cut = whole.size() / 2 + 8; cut < whole.size(); cut += 7) {
    // What a power cut leaves: the page knows less than the log holds.
    std::filesystem::remove(log.state_path());
    write_file(log.log_path(), whole.substr(0, cut));
    Topic topic = log.writer_topic();
    Partition partition = must(Partition::open(topic, {0}));
    CHECK(must(partition.end()).end.value == 1);
    const auto notices = partition.take_notices();
    REQUIRE(notices.size() == 1);
    CHECK(notices[0].find("cut/1-") != std::string::npos);
    CHECK(log.values() == std::vector<std::string>{"a"});
  }
  CHECK(!std::filesystem::is_empty(log.partition_path("cut")));
}

TEST_CASE("a log shorter than its durable end is damage, never silently taken over") {
  LogFixture log;
  log.produce({"a", "b", "c"});
  const std::string whole = read_file(log.log_path());
  std::filesystem::resize_file(log.log_path(), whole.size() - 3);
  Topic topic = log.writer_topic();
  Partition partition = must(Partition::open(topic, {0}));
  const auto end = partition.end();
  REQUIRE(!end);
  CHECK(end.error().code == Code::damaged);
}

TEST_CASE("a flipped byte with whole batches behind it refuses writers and names the place") {
  LogFixture log;
  log.produce({"first", "second", "third"});
  const std::size_t batch = read_file(log.log_path()).size() / 3;
  flip_byte(log.log_path(), batch + 70);
  std::filesystem::remove(log.state_path());
  Topic topic = log.writer_topic();
  Partition partition = must(Partition::open(topic, {0}));
  const auto end = partition.end();
  REQUIRE(!end);
  CHECK(end.error().code == Code::damaged);
  CHECK(end.error().message.find(fmt::format("byte {}", batch)) != std::string::npos);
  CHECK(end.error().message.find("next readable offset 2") != std::string::npos);
}

TEST_CASE("records on both sides of a damaged batch can be read") {
  LogFixture log;
  log.produce({"first", "second", "third"});
  flip_byte(log.log_path(), read_file(log.log_path()).size() / 3 + 70);
  Topic topic = log.reader_topic();
  PartitionReader reader = must(PartitionReader::open(topic, {0}, false));
  const VisibleRange range = must(reader.visible());
  must(reader.seek({0}));
  REQUIRE(must(reader.next(range)));
  const auto damaged = reader.next(range);
  REQUIRE(!damaged);
  CHECK(damaged.error().code == Code::damaged);
  CHECK(damaged.error().message.find("last good offset 0") != std::string::npos);
  CHECK(reader.readable_behind_damage() == Offset{2});
  must(reader.seek({2}));
  CHECK(must(reader.next(range))->header.base_offset.value == 2);
}

TEST_CASE("a state file that is missing, garbage or from elsewhere is made anew without losing a record") {
  LogFixture log;
  log.produce({"a", "b"});
  SUBCASE("missing") {
    std::filesystem::remove(log.state_path());
  }
  SUBCASE("garbage") {
    write_file(log.state_path(), std::string(8192, '\x5a'));
  }
  SUBCASE("short") {
    write_file(log.state_path(), "x");
  }
  SUBCASE("empty") {
    write_file(log.state_path(), "");
  }
  SUBCASE("partition page garbage") {
    std::string content = read_file(log.state_path());
    content.replace(4096, 200, std::string(200, '\x77'));
    write_file(log.state_path(), content);
  }
  SUBCASE("copied directory") {
    std::filesystem::copy(log.temp / "data", log.temp / "copy", std::filesystem::copy_options::recursive);
    std::filesystem::remove_all(log.temp / "data");
    std::filesystem::rename(log.temp / "copy", log.temp / "data");
    log.data_dir = must(DataDir::open(log.temp / "data", {}));
  }
  CHECK(log.values() == std::vector<std::string>{"a", "b"});
  log.produce({"c"});
  CHECK(log.values() == std::vector<std::string>{"a", "b", "c"});
}

TEST_CASE("records appended by a process that was killed before it could commit become durable and visible") {
  LogFixture log;
  in_killed_child([&] {
    Topic topic = log.writer_topic();
    Partition partition = must(Partition::open(topic, {0}));
    auto batches = batch_of({"a"});
    must(partition.append(batches));
    ::_exit(0);
  });
  CHECK(log.values() == std::vector<std::string>{"a"});
  log.produce({"b"});
  CHECK(log.values() == std::vector<std::string>{"a", "b"});
}

TEST_CASE("a failed write leaves nothing behind") {
  LogFixture log;
  log.produce({"a"});
  {
    Topic topic = log.writer_topic();
    Partition partition = must(Partition::open(topic, {0}));
    must(partition.end());
    const FailingDisk disk(DiskCall::write, ENOSPC);
    auto batches = batch_of({"b"});
    const auto appended = partition.append(batches);
    REQUIRE(!appended);
    CHECK(appended.error().code == Code::io);
  }
  log.produce({"c"});
  CHECK(log.values() == std::vector<std::string>{"a", "c"});
}

TEST_CASE(
    "after a failed sync nothing is acknowledged, the tail is cut, and writing goes on in a new epoch and segment") {
  LogFixture log;
  log.produce({"a"});
  Topic topic = log.writer_topic();
  Partition partition = must(Partition::open(topic, {0}));
  Topic other_topic = log.writer_topic();
  Partition other = must(Partition::open(other_topic, {0}));
  auto waiting = batch_of({"waits for the same sync"});
  const Appended also_lost = must(other.append(waiting));
  auto batches = batch_of({"lost"});
  const Appended lost = must(partition.append(batches));
  {
    const FailingDisk disk(DiskCall::sync, EIO);
    const auto committed = partition.commit(lost);
    REQUIRE(!committed);
    CHECK(committed.error().code == Code::io);
  }
  // The sync would succeed now; it must not be believed.
  const auto later = other.commit(also_lost);
  REQUIRE(!later);
  CHECK(later.error().code == Code::io);
  CHECK(log.values() == std::vector<std::string>{"a"});
  auto next = batch_of({"b"});
  const Appended appended = must(other.append(next));
  CHECK(appended.epoch > lost.epoch);
  CHECK(appended.base.value == 1);
  must(other.commit(appended));
  CHECK(!other.commit(also_lost));
  CHECK(log.values() == std::vector<std::string>{"a", "b"});
  CHECK(std::filesystem::exists(log.log_path(Offset{1})));
}

TEST_CASE("a page that names no place in a log is not believed") {
  LogFixture log;
  log.produce({"a", "b"});
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  const LogEnd good = log.writer_topic().state()->page({0}).durable.load()->value;
  std::vector<LogEnd> impossible(5, good);
  impossible[0].position = kLeast + 138;
  impossible[1].position = std::numeric_limits<std::int64_t>::max();
  impossible[2].segment_base = Offset{-1};
  impossible[3].end = Offset{kLeast};
  impossible[4].log_start = Offset{-5};
  for (const LogEnd& end : impossible) {
    Topic topic = log.writer_topic();
    PartitionPage& page = topic.state()->page({0});
    page.durable.store(end);
    page.published.store(end);
    CHECK(!load_end(page.durable));
    CHECK(log.values() == std::vector<std::string>{"a", "b"});
    Partition partition = must(Partition::open(topic, {0}));
    CHECK(must(partition.end()).end == Offset{2});
    CHECK(must(partition.end()).position == good.position);
  }
}

TEST_CASE("a cut behind the last epoch there can be begins another one") {
  LogFixture log;
  log.produce({"a"});
  Topic topic = log.writer_topic();
  PartitionPage& page = topic.state()->page({0});
  LogEnd last = page.durable.load()->value;
  last.epoch = std::numeric_limits<std::int64_t>::max();
  const auto store_last = [&] {
    page.durable.store(last);
    page.published.store(last);
  };
  store_last();
  write_file(log.log_path(), read_file(log.log_path()) + "half a batch");
  Partition partition = must(Partition::open(topic, {0}));
  CHECK(must(partition.end()).epoch == 1);
  // The same after a failed sync.
  store_last();
  auto batches = batch_of({"lost"});
  const Appended lost = must(partition.append(batches));
  CHECK(lost.epoch == last.epoch);
  {
    const FailingDisk disk(DiskCall::sync, EIO);
    CHECK(!partition.commit(lost));
  }
  CHECK(must(partition.end()).epoch == 1);
  CHECK(!partition.commit(lost));
  CHECK(log.values() == std::vector<std::string>{"a"});
}

TEST_CASE("trimming is durable, frees whole segments and survives the loss of the state file") {
  LogFixture log({.segment_bytes = kSegmentBytesMin});
  log.produce(std::vector<std::string>(20, std::string(20'000, 'x')));
  {
    Topic topic = log.writer_topic();
    Partition partition = must(Partition::open(topic, {0}));
    must(trim_partition(partition, {11}));
  }
  std::filesystem::remove(log.state_path());
  CHECK(log.values().size() == 9);
  CHECK(!std::filesystem::exists(log.log_path({0})));
  Topic topic = log.writer_topic();
  Partition partition = must(Partition::open(topic, {0}));
  must(trim_partition(partition, {1000}));
  CHECK(log.values().empty());
  CHECK(must(partition.end()).log_start.value == 20);
  CHECK(must(list_segments(partition.directory())).size() == 1);
  log.produce({"after"});
  CHECK(log.values() == std::vector<std::string>{"after"});
}

TEST_CASE("retention by records is exact and does not wait for a segment to go") {
  LogFixture log({.retention_records = 5});
  std::vector<std::string> values;
  for (int i = 0; i < 12; ++i) values.push_back(fmt::format("{}", i));
  log.produce(values);
  CHECK(log.values() == std::vector<std::string>{"7", "8", "9", "10", "11"});
}

TEST_CASE("retention by bytes and by age unlinks whole segments") {
  TopicSettings settings{.segment_bytes = kSegmentBytesMin};
  SUBCASE("bytes") {
    settings.retention_bytes = 150'000;
  }
  SUBCASE("age") {
    settings.retention_ms = 60'000;
  }
  LogFixture log(settings);
  log.produce(std::vector<std::string>(40, std::string(20'000, 'x')));
  Topic topic = log.writer_topic();
  Partition partition = must(Partition::open(topic, {0}));
  must(apply_retention(partition, now_ms()));
  const auto left = log.values().size();
  CHECK(left < 12);
  CHECK(!std::filesystem::exists(log.log_path({0})));
  log.produce({"after"});
  CHECK(log.values().back() == "after");
}

TEST_CASE("a reader inside a retired segment finishes it and is told where reading goes on") {
  LogFixture log({.segment_bytes = kSegmentBytesMin});
  log.produce(std::vector<std::string>(20, std::string(20'000, 'x')));
  Topic reading = log.reader_topic();
  PartitionReader reader = must(PartitionReader::open(reading, {0}, false));
  must(reader.seek({0}));
  REQUIRE(must(reader.next(must(reader.visible()))));
  {
    Topic topic = log.writer_topic();
    Partition partition = must(Partition::open(topic, {0}));
    must(trim_partition(partition, {15}));
  }
  std::vector<std::int64_t> offsets;
  const VisibleRange range = must(reader.visible());
  while (const auto batch = must(reader.next(range))) offsets.push_back(batch->header.base_offset.value);
  CHECK(offsets == std::vector<std::int64_t>{1, 2, 15, 16, 17, 18, 19});
  CHECK(reader.take_notices().size() == 1);
}

TEST_CASE("a reader whose place was trimmed away after it asked what is visible goes on at the log start") {
  LogFixture log({.segment_bytes = kSegmentBytesMin});
  log.produce(std::vector<std::string>(20, std::string(20'000, 'x')));
  Topic reading = log.reader_topic();
  PartitionReader reader = must(PartitionReader::open(reading, {0}, false));
  const VisibleRange range = must(reader.visible());
  {
    Topic topic = log.writer_topic();
    Partition partition = must(Partition::open(topic, {0}));
    must(trim_partition(partition, {15}));
  }
  std::vector<std::int64_t> offsets;
  while (const auto batch = must(reader.next(range))) offsets.push_back(batch->header.base_offset.value);
  CHECK(offsets == std::vector<std::int64_t>{15, 16, 17, 18, 19});
  CHECK(reader.take_notices().size() == 1);
}

TEST_CASE("many threads on one partition lose nothing, double nothing, and keep each writer's order") {
  LogFixture log;
  constexpr int kWriters = 4;
  constexpr int kRecords = 200;
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&log, w] {
      Topic topic = log.writer_topic();
      Partition partition = must(Partition::open(topic, {0}));
      for (int i = 0; i < kRecords; ++i) {
        auto batches = batch_of({fmt::format("{} {}", w, i)});
        must(partition.commit(must(partition.append(batches))));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<int> next(kWriters);
  const auto values = log.values();
  CHECK(values.size() == kWriters * kRecords);
  for (const std::string& value : values) {
    const auto w = static_cast<std::size_t>(value[0] - '0');
    CHECK(value == fmt::format("{} {}", w, next[w]++));
  }
}

TEST_CASE("a deleted topic refuses its writers and readers") {
  LogFixture log;
  log.produce({"a"});
  Topic topic = log.writer_topic();
  Partition partition = must(Partition::open(topic, {0}));
  must(partition.end());
  Topic reading = log.reader_topic();
  PartitionReader reader = must(PartitionReader::open(reading, {0}, false));
  must(delete_topic(log.data_dir, "t"));
  auto batches = batch_of({"b"});
  const auto appended = partition.append(batches);
  REQUIRE(!appended);
  CHECK(appended.error().code == Code::not_found);
  CHECK(reader.visible().error().code == Code::not_found);
  must(create_topic(log.data_dir, "t", {}));
  CHECK(log.values().empty());
}

TEST_CASE("files that went with their topic are no failed sync") {
  LogFixture log;
  log.produce({"a"});
  Topic topic = log.writer_topic();
  Partition partition = must(Partition::open(topic, {0}));
  auto batches = batch_of({"b"});
  const auto appended = must(partition.append(batches));
  // Whoever was to sync them died in the middle of it: what they read back as is asked of the disk.
  topic.state()->page({0}).sync_started_ns.store(1);
  must(delete_topic(log.data_dir, "t"));
  const auto committed = partition.commit(appended);
  REQUIRE(!committed);
  CHECK(committed.error().code == Code::not_found);
}

namespace {

// A writer of small records that has made room ahead of them.
struct ReservingFixture : LogFixture {
  explicit ReservingFixture(TopicSettings settings = {}) : LogFixture(settings) { append(partition, 8); }

  void append(Partition& to, int records) {
    for (int i = 0; i < records; ++i) {
      auto batches = batch_of({fmt::format("{}", count++)});
      must(to.commit(must(to.append(batches))));
    }
  }
  std::int64_t file_bytes() const { return static_cast<std::int64_t>(std::filesystem::file_size(log_path())); }
  std::int64_t position() { return must(partition.end()).position; }
  void check_values() {
    const auto read = values();
    REQUIRE(read.size() == static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < read.size(); ++i) CHECK(read[i] == fmt::format("{}", i));
  }

  int count = 0;
  Topic topic = writer_topic();
  Partition partition = must(Partition::open(topic, {0}));
};

}  // namespace

TEST_CASE("room is made ahead of small appends, used by all writers, and given back at the end") {
  ReservingFixture log;
  const std::int64_t reserved = log.file_bytes();
  REQUIRE(reserved > log.position() + 100'000);
  Topic other_topic = log.writer_topic();
  Partition other = must(Partition::open(other_topic, {0}));
  log.append(other, 8);
  log.append(log.partition, 8);
  CHECK(log.file_bytes() == reserved);
  log.check_values();
  other.release_reserved();  // has made none
  CHECK(log.file_bytes() == reserved);
  log.partition.release_reserved();
  CHECK(log.file_bytes() == log.position());
  log.append(other, 1);
  log.check_values();
}

TEST_CASE("a large append makes no room, and ends a row of small ones") {
  ReservingFixture log;
  log.partition.release_reserved();
  auto large = batch_of({std::string(200'000, 'x')});
  must(log.partition.append(large));
  auto small = batch_of({"y"});
  must(log.partition.append(small));
  CHECK(log.file_bytes() == log.position());
}

TEST_CASE("a closed segment ends with its last batch, whatever room there was") {
  ReservingFixture log;
  const std::int64_t position = log.position();
  must(log.partition.roll());
  CHECK(log.file_bytes() == position);
  log.append(log.partition, 8);
  log.check_values();
}

TEST_CASE("room is never made beyond the size of a segment") {
  ReservingFixture log({.segment_bytes = 64 << 10});
  log.append(log.partition, 2000);
  for (const Offset base : must(list_segments(log.partition.directory())))
    CHECK(std::filesystem::file_size(log.log_path(base)) <= 64 << 10);
  log.check_values();
}

TEST_CASE("a writer that died between writing and publishing leaves nothing in the room it had made") {
  ReservingFixture log;
  const std::int64_t position = log.position();
  // What such a writer leaves: bytes behind the published end, and the mark that it was at it.
  std::fstream(log.log_path(), std::ios::in | std::ios::out | std::ios::binary).seekp(position) << "half a batch";
  log.topic.state()->page({0}).appending.store(1);
  log.append(log.partition, 1);
  log.check_values();
  // Without a mark nobody has written.
  const std::int64_t next = log.position();
  log.append(log.partition, 1);
  CHECK(log.file_bytes() > next);
}

TEST_CASE("room that a killed writer had made is no damage and costs nothing") {
  LogFixture log;
  in_killed_child([&] {
    Topic topic = log.writer_topic();
    Partition partition = must(Partition::open(topic, {0}));
    for (int i = 0; i < 10; ++i) {
      auto batches = batch_of({"v"});
      must(partition.commit(must(partition.append(batches))));
    }
  });
  REQUIRE(std::filesystem::file_size(log.log_path()) > 100'000);
  CHECK(log.values().size() == 10);
  Topic topic = log.writer_topic();
  Partition partition = must(Partition::open(topic, {0}));
  auto batches = batch_of({"w"});
  must(partition.append(batches));
  CHECK(partition.take_notices().empty());
  CHECK(static_cast<std::int64_t>(std::filesystem::file_size(log.log_path())) == must(partition.end()).position);
}

TEST_CASE("after a failed sync, what is kept is what was written, not the room behind it") {
  ReservingFixture log;
  auto batches = batch_of({"lost"});
  const Appended lost = must(log.partition.append(batches));
  {
    const FailingDisk failing(DiskCall::sync, EIO);
    CHECK(!log.partition.commit(lost));
  }
  log.append(log.partition, 1);
  log.check_values();
  const auto cut = std::filesystem::directory_iterator(log.partition_path("cut"));
  CHECK(std::filesystem::file_size(cut->path()) < 200);
}

TEST_CASE("a disk that has no room to make ahead does not stop appends") {
  ReservingFixture log;
  log.partition.release_reserved();
  {
    const FailingDisk failing(DiskCall::open, 0);
    set_disk_fault_hook([](DiskCall call, std::string_view path) {
      static int writes = 0;
      return call == DiskCall::write && path.ends_with(".log") && writes++ % 2 == 0 ? ENOSPC : 0;
    });
    log.append(log.partition, 20);
  }
  log.check_values();
}

TEST_CASE("retention by bytes does not count the room behind the last batch") {
  ReservingFixture log({.retention_bytes = 256 << 10, .segment_bytes = 64 << 10});
  // Three closed segments and a little in the fourth, with room up to the size of a segment behind it.
  while (must(list_segments(log.partition.directory())).size() < 4) log.append(log.partition, 1);
  log.append(log.partition, 8);
  must(apply_retention(log.partition, now_ms()));
  CHECK(must(list_segments(log.partition.directory())).size() == 4);
  log.check_values();
}
