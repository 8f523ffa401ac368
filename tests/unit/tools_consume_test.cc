#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <deque>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "tools/consume_range.h"
#include "tools/consume_session.h"
#include "tools/consume_size.h"
#include "tools/delivery.h"
#include "tools/offsets_file.h"

namespace leat::tools {
namespace {

using namespace std::chrono_literals;
using State = Fetch::State;

// A value of a partition in the script of a fake reader.
struct Line {
  std::string value;
  std::optional<std::string> key = {};
  std::int64_t timestamp = 0;
};

// A reader that hands out what it was told to, and remembers what was committed. Offsets of a partition count up from
// 0.
class FakeReader final : public GroupReader {
 public:
  void add_records(std::int32_t partition, std::vector<Line> lines) {
    steps_.push_back({.state = State::records, .partition = {partition}, .lines = std::move(lines)});
  }
  void add(State state) { steps_.push_back({.state = state}); }
  void add_failure(Error error) { steps_.push_back({.error = std::move(error)}); }
  // Runs `action` when everything before it has been handed out.
  void add_action(std::function<void()> action) {
    steps_.push_back({.state = State::caught_up, .action = std::move(action)});
  }

  Result<Fetch> next(Milliseconds wait) override {
    waits.push_back(wait);
    if (steps_.empty()) return Fetch{.state = State::ended};
    step_ = std::move(steps_.front());
    steps_.pop_front();
    if (step_.action) step_.action();
    if (step_.error) return std::unexpected(*step_.error);
    if (step_.state != State::records) return Fetch{.state = step_.state};
    records_.clear();
    Offset& at = at_.at(static_cast<std::size_t>(step_.partition.value));
    for (const Line& line : step_.lines) {
      records_.push_back({.topic = "t",
                          .partition = step_.partition,
                          .offset = at,
                          .timestamp = {line.timestamp},
                          .key = line.key ? std::optional<std::string_view>(*line.key) : std::nullopt,
                          .value = line.value});
      at += 1;
    }
    return Fetch{.state = State::records, .records = records_, .position = {"t", step_.partition, at}};
  }
  std::vector<std::string> take_notices() override { return {}; }

  Result<void> commit(std::span<const Position> positions) override {
    ++commits;
    for (const Position& position : positions)
      committed.at(static_cast<std::size_t>(position.partition.value)) = position.next;
    return {};
  }
  Result<void> tend() override { return {}; }
  void on_release(LetGo callback) override { release = std::move(callback); }
  Result<void> leave() override { return {}; }
  std::vector<Position> resumed() const override { return {}; }
  std::vector<Position> positions() const override { return {{"t", {0}, at_[0]}, {"t", {1}, at_[1]}}; }

  LetGo release;
  std::array<std::optional<Offset>, 2> committed = {};
  int commits = 0;
  std::vector<Milliseconds> waits;

 private:
  struct Step {
    State state = State::ended;
    PartitionId partition = {};
    std::vector<Line> lines = {};
    std::optional<Error> error = {};
    std::function<void()> action = {};
  };
  std::deque<Step> steps_;
  Step step_;
  std::vector<RecordView> records_;
  std::array<Offset, 2> at_ = {};
};

// Lets descriptor 1 be something else while it lives.
class OtherStdout {
 public:
  explicit OtherStdout(int descriptor) : saved_(::dup(STDOUT_FILENO)) {
    REQUIRE(::dup2(descriptor, STDOUT_FILENO) == STDOUT_FILENO);
  }
  ~OtherStdout() {
    ::dup2(saved_, STDOUT_FILENO);
    ::close(saved_);
  }
  OtherStdout(const OtherStdout&) = delete;
  OtherStdout& operator=(const OtherStdout&) = delete;

 private:
  int saved_;
};

struct Ran {
  Result<Ending> ending = Ending::ended;
  std::string output;
  SessionTotals totals;
  std::vector<Position> positions;
};

RecordOutput text_output() {
  return *RecordOutput::make({}, false);
}

// Runs a session of `reader` with its output in a file.
Ran run(FakeReader& reader, SessionOptions options, RecordOutput output = text_output()) {
  char path[] = "/tmp/leat-consume-test-XXXXXX";
  const int file = ::mkstemp(path);
  REQUIRE(file >= 0);
  ::unlink(path);
  Ran ran;
  {
    const OtherStdout other(file);
    StandardOutput out;
    ConsumeSession session(reader, &reader, std::move(output), out, std::move(options));
    ran.ending = session.run();
    ran.totals = session.totals();
    ran.positions = session.positions();
  }
  struct stat status = {};
  REQUIRE(::fstat(file, &status) == 0);
  ran.output.resize(static_cast<std::size_t>(status.st_size));
  REQUIRE(::pread(file, ran.output.data(), ran.output.size(), 0) == status.st_size);
  ::close(file);
  return ran;
}

std::vector<Line> numbered(int from, int to) {
  std::vector<Line> lines;
  for (int i = from; i < to; ++i) lines.push_back({std::to_string(i)});
  return lines;
}

TEST_CASE("everything is written and committed when the reader ends") {
  FakeReader reader;
  reader.add_records(0, numbered(0, 3));
  reader.add_records(1, numbered(10, 12));
  const Ran ran = run(reader, {.commit_every = 1h});
  CHECK(ran.ending == Ending::ended);
  CHECK(ran.output == "0\n1\n2\n10\n11\n");
  CHECK(ran.totals.records == 5);
  CHECK(ran.totals.bytes == 7);
  CHECK(reader.committed[0] == Offset{3});
  CHECK(reader.committed[1] == Offset{2});
  CHECK(reader.commits == 1);
}

TEST_CASE("a limit ends in the middle of a batch and commits exactly so many") {
  FakeReader reader;
  reader.add_records(0, numbered(0, 4));
  reader.add_records(1, numbered(10, 30));
  const Ran ran = run(reader, {.records_max = 6, .commit_every = 1h});
  CHECK(ran.ending == Ending::limit);
  CHECK(ran.output == "0\n1\n2\n3\n10\n11\n");
  CHECK(reader.committed[0] == Offset{4});
  CHECK(reader.committed[1] == Offset{2});
}

TEST_CASE("a limit of none reads nothing") {
  FakeReader reader;
  reader.add_records(0, numbered(0, 4));
  const Ran ran = run(reader, {.records_max = 0, .commit_every = 1h});
  CHECK(ran.ending == Ending::limit);
  CHECK(ran.output.empty());
  CHECK(reader.waits.empty());
  CHECK(reader.commits == 0);
}

TEST_CASE("records of another key are left out, are not counted and do not come again") {
  FakeReader reader;
  reader.add_records(0, {{"1", "a"}, {"2", "ab"}, {"3"}, {"4", "a"}, {"5", "b"}});
  const Ran ran = run(reader, {.key_filter = "a", .commit_every = 1h});
  CHECK(ran.output == "1\n4\n");
  CHECK(ran.totals.records == 2);
  CHECK(ran.totals.read == 5);
  CHECK(reader.committed[0] == Offset{5});
}

TEST_CASE("an empty key is not the same as none") {
  FakeReader reader;
  reader.add_records(0, {{"1", ""}, {"2"}});
  CHECK(run(reader, {.key_filter = ""}).output == "1\n");
}

TEST_CASE("records at or behind the time are left out and stay uncommitted") {
  FakeReader reader;
  reader.add_records(0, {{"1", {}, 10}, {"2", {}, 20}, {"3", {}, 19}});
  reader.add_records(1, {{"4", {}, 5}});
  const Ran ran = run(reader, {.until = TimestampMs{20}, .commit_every = 1h});
  CHECK(ran.output == "1\n3\n4\n");
  CHECK(reader.committed[0] == Offset{1});
  CHECK(reader.committed[1] == Offset{1});
}

TEST_CASE("a time that is past ends following once the log has been caught up with") {
  FakeReader reader;
  reader.add_records(0, {{"1", {}, 10}});
  reader.add(State::caught_up);
  reader.add_records(0, {{"2", {}, 10}});
  const Ran ran = run(reader, {.until = TimestampMs{20}});
  CHECK(ran.ending == Ending::until);
  CHECK(ran.output == "1\n");
}

TEST_CASE("a time to come is waited for and not longer") {
  FakeReader reader;
  for (int i = 0; i < 1000; ++i) reader.add_action([] { ::usleep(1000); });
  const Ran ran = run(reader, {.until = now_ms() + 30});
  CHECK(ran.ending == Ending::until);
  for (const Milliseconds wait : reader.waits) CHECK(wait <= 30ms);
}

TEST_CASE("reading ends when nothing came for long enough, counted from the last record") {
  FakeReader reader;
  reader.add_action([] { ::usleep(300'000); });
  reader.add_records(0, numbered(0, 1));
  reader.add_action([] { ::usleep(300'000); });
  reader.add_records(0, numbered(1, 2));
  reader.add_action([] { ::usleep(550'000); });
  reader.add_records(0, numbered(2, 3));
  const Ran ran = run(reader, {.idle_timeout = 500ms});
  CHECK(ran.ending == Ending::idle);
  CHECK(ran.output == "0\n1\n");
  for (const Milliseconds wait : reader.waits) CHECK(wait <= 500ms);
}

TEST_CASE("output reaches the reader before waiting for more") {
  FakeReader reader;
  struct stat at_wait = {};
  reader.add_records(0, numbered(0, 2));
  reader.add(State::caught_up);
  reader.add_action([&] { ::fstat(STDOUT_FILENO, &at_wait); });
  run(reader, {});
  CHECK(at_wait.st_size == 4);
  REQUIRE(reader.waits.size() >= 3);
  CHECK(reader.waits[1] == 0ms);
  CHECK(reader.waits[2] > 0ms);
}

TEST_CASE("nothing is written before the log has been caught up with, unless unbuffered") {
  for (const bool unbuffered : {false, true}) {
    FakeReader reader;
    struct stat between = {};
    reader.add_records(0, numbered(0, 2));
    reader.add_action([&] { ::fstat(STDOUT_FILENO, &between); });
    run(reader, {.unbuffered = unbuffered});
    CHECK(between.st_size == (unbuffered ? 4 : 0));
  }
}

TEST_CASE("offsets are committed while following, so often and not more often") {
  FakeReader reader;
  reader.add_records(0, numbered(0, 2));
  reader.add(State::caught_up);
  std::vector<int> commits;
  reader.add_action([&] { commits.push_back(reader.commits); });
  reader.add_action([&] { ::usleep(400'000); });
  reader.add_action([&] { commits.push_back(reader.commits); });
  reader.add_action([&] { ::usleep(400'000); });
  reader.add_action([&] { commits.push_back(reader.commits); });
  run(reader, {.commit_every = 300ms});
  CHECK(commits == std::vector<int>{0, 1, 1});
  CHECK(reader.commits == 1);
}

TEST_CASE("without a period nothing is ever committed, but positions are kept when asked for") {
  FakeReader reader;
  reader.add_records(0, numbered(0, 3));
  const Ran ran = run(reader, {.track = true, .starts = {{"t", {0}, {0}}, {"t", {1}, {5}}}});
  CHECK(reader.commits == 0);
  REQUIRE(ran.positions.size() == 2);
  CHECK(ran.positions[0].next == Offset{3});
  CHECK(ran.positions[1].next == Offset{5});
}

TEST_CASE("the stop flag ends reading, with what was read before written and committed") {
  FakeReader reader;
  std::atomic<bool> stop = false;
  reader.add_records(0, numbered(0, 3));
  reader.add_action([&] { stop = true; });
  reader.add_records(0, numbered(3, 5));
  const Ran ran = run(reader, {.commit_every = 1h, .stop = &stop});
  CHECK(ran.ending == Ending::stopped);
  CHECK(ran.output == "0\n1\n2\n");
  CHECK(reader.committed[0] == Offset{3});
}

TEST_CASE("a stopped reader ends the session") {
  FakeReader reader;
  reader.add_records(0, numbered(0, 1));
  reader.add(State::stopped);
  CHECK(run(reader, {}).ending == Ending::stopped);
}

TEST_CASE("damage is reported behind everything before it, printed and committed") {
  FakeReader reader;
  reader.add_records(0, numbered(0, 3));
  reader.add_failure({Code::damaged, "rotten"});
  const Ran ran = run(reader, {.commit_every = 1h});
  REQUIRE(!ran.ending.has_value());
  CHECK(ran.ending.error().code == Code::damaged);
  CHECK(ran.output == "0\n1\n2\n");
  CHECK(reader.committed[0] == Offset{3});
}

TEST_CASE("a record that cannot be written ends the session before it") {
  FakeReader reader;
  reader.add_records(0, {{"a"}, {std::string("b\0c", 3)}, {"d"}});
  const Ran ran = run(reader, {.commit_every = 1h}, *RecordOutput::make({.framing = ValueFraming::nul}, false));
  REQUIRE(!ran.ending.has_value());
  CHECK(ran.ending.error().code == Code::bad_data);
  CHECK(ran.output == std::string("a\0", 2));
  CHECK(reader.committed[0] == Offset{1});
}

TEST_CASE("records that print nothing are committed, too") {
  FakeReader reader;
  reader.add_records(0, numbered(0, 1000));
  const Ran ran = run(reader, {.commit_every = 1h}, *RecordOutput::make({.format = OutputFormat::none}, false));
  CHECK(ran.output.empty());
  CHECK(ran.totals.records == 1000);
  CHECK(reader.committed[0] == Offset{1000});
}

// A session whose output goes to a pipe, of which `taken` bytes are read before its other end is closed.
struct Pipe {
  Pipe() {
    ::signal(SIGPIPE, SIG_IGN);
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    ::fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
  }
  void take_and_close(std::size_t taken) {
    std::string bytes(taken, '\0');
    while (taken > 0) {
      const ssize_t count = ::read(ends[0], bytes.data(), taken);
      REQUIRE(count > 0);
      taken -= static_cast<std::size_t>(count);
    }
    ::close(ends[0]);
  }
  Result<Ending> run(FakeReader& reader, SessionOptions options) {
    const OtherStdout other(ends[1]);
    ::close(ends[1]);
    StandardOutput out;
    ConsumeSession session(reader, &reader, text_output(), out, std::move(options));
    return session.run();
  }
  int ends[2] = {-1, -1};
};

TEST_CASE("a reader that goes away while more is written has committed what it took in whole records") {
  Pipe pipe;
  FakeReader reader;
  reader.add_records(0, std::vector<Line>(1000, Line{"123456789"}));
  reader.add(State::caught_up);
  reader.add_action([&] { pipe.take_and_close(123); });
  reader.add_records(0, std::vector<Line>(1000, Line{"123456789"}));
  CHECK(pipe.run(reader, {.commit_every = 1h}) == Ending::broken);
  CHECK(reader.committed[0] == Offset{12});
}

TEST_CASE("a reader that went away ends following without anything being written") {
  Pipe pipe;
  FakeReader reader;
  reader.add_records(0, numbered(0, 3));
  reader.add(State::caught_up);
  reader.add_action([&] { pipe.take_and_close(4); });
  for (int i = 0; i < 5; ++i) reader.add(State::caught_up);
  CHECK(pipe.run(reader, {.commit_every = 1h}) == Ending::broken);
  CHECK(reader.committed[0] == Offset{2});
  CHECK(reader.waits.at(2) <= 1s);
}

TEST_CASE("what a living reader has not taken from the pipe yet is not committed before the end") {
  Pipe pipe;
  FakeReader reader;
  reader.add_records(0, numbered(0, 3));
  reader.add(State::caught_up);
  std::optional<Offset> meanwhile;
  reader.add_action([&] { meanwhile = reader.committed[0]; });
  CHECK(pipe.run(reader, {.commit_every = 0ms}) == Ending::ended);
  CHECK(meanwhile == std::nullopt);
  CHECK(reader.committed[0] == Offset{3});
  ::close(pipe.ends[0]);
}

TEST_CASE("a full disk is an error and commits only what got there") {
  FakeReader reader;
  reader.add_records(0, numbered(0, 3));
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  REQUIRE(full >= 0);
  const OtherStdout other(full);
  ::close(full);
  StandardOutput out;
  ConsumeSession session(reader, &reader, text_output(), out, {.commit_every = 1h});
  const auto ending = session.run();
  REQUIRE(!ending.has_value());
  CHECK(ending.error().code == Code::io);
  CHECK(reader.commits == 0);
}

TEST_CASE("a delivery settles records in the order of their bytes") {
  Delivery delivery;
  delivery.select("t", {0});
  delivery.add(10, {1});
  delivery.add(20, {2});
  delivery.select("t", {1});
  delivery.add(30, {8});
  CHECK(delivery.positions().empty());
  delivery.settle(19);
  CHECK(delivery.pending() == 2);
  REQUIRE(delivery.moved_positions().size() == 1);
  CHECK(delivery.moved_positions()[0].next == Offset{1});
  delivery.mark_committed();
  CHECK(!delivery.moved());
  delivery.settle(30);
  CHECK(delivery.pending() == 0);
  REQUIRE(delivery.moved_positions().size() == 2);
  CHECK(delivery.moved_positions()[0].next == Offset{2});
  CHECK(delivery.moved_positions()[1].next == Offset{8});
}

TEST_CASE("a delivery keeps topics of the same partition apart") {
  Delivery delivery;
  delivery.select("a", {0});
  delivery.add(1, {1});
  delivery.select("b", {0});
  delivery.add(1, {5});
  delivery.select("a", {0});
  delivery.add(1, {2});
  delivery.settle(1);
  REQUIRE(delivery.positions().size() == 2);
  CHECK(delivery.positions()[0].next == Offset{2});
  CHECK(delivery.positions()[1].next == Offset{5});
}

TEST_CASE("a frozen partition stays where it was") {
  Delivery delivery;
  delivery.select("a", {0});
  delivery.add(1, {1});
  delivery.freeze();
  delivery.add(2, {2});
  delivery.settle(2);
  CHECK(delivery.positions().at(0).next == Offset{1});
}

TEST_CASE("each start flag says where reading starts") {
  using Kind = StartAt::Kind;
  const auto start = [](const RangeFlags& flags) {
    const auto range = resolve_range(flags);
    REQUIRE(range.has_value());
    return std::pair(range->start.kind, range->start.value);
  };
  CHECK(start({}) == std::pair(Kind::end, std::int64_t{0}));
  CHECK(start({.beginning = true}) == std::pair(Kind::beginning, std::int64_t{0}));
  CHECK(start({.head = 2}) == std::pair(Kind::after_beginning, std::int64_t{2}));
  CHECK(start({.tail = 3}) == std::pair(Kind::before_end, std::int64_t{3}));
  CHECK(start({.start = 4}) == std::pair(Kind::offset, std::int64_t{4}));
  CHECK(start({.since = TimestampMs{5}}) == std::pair(Kind::time, std::int64_t{5}));
}

TEST_CASE("any two start flags exclude each other") {
  for (int first = 0; first < 5; ++first) {
    for (int second = first + 1; second < 5; ++second) {
      RangeFlags flags;
      for (const int flag : {first, second}) {
        if (flag == 0) flags.beginning = true;
        if (flag == 1) flags.head = 0;
        if (flag == 2) flags.tail = 0;
        if (flag == 3) flags.start = 0;
        if (flag == 4) flags.since = TimestampMs{0};
      }
      const auto range = resolve_range(flags);
      REQUIRE(!range.has_value());
      CHECK(range.error().code == Code::usage);
    }
  }
}

TEST_CASE("an end is inclusive and must not be before the start") {
  CHECK(resolve_range({.start = 5, .end = 5})->end == Offset{6});
  CHECK(resolve_range({.beginning = true, .end = 0})->end == Offset{1});
  CHECK(resolve_range({.end = INT64_MAX})->end == std::nullopt);
  CHECK(resolve_range({.start = 5, .end = 4}).error().code == Code::usage);
  CHECK(resolve_range({.since = TimestampMs{5}, .until = TimestampMs{4}}).error().code == Code::usage);
  CHECK(resolve_range({.since = TimestampMs{5}, .until = TimestampMs{5}})->until == TimestampMs{5});
}

TEST_CASE("the status line says where reading starts") {
  using Kind = StartAt::Kind;
  CHECK(status_sentence({"hello-topic"}, {Kind::beginning, 0}) ==
        "Consuming records from 'hello-topic' starting from the beginning of log");
  CHECK(status_sentence({"t"}, {Kind::end, 0}) == "Consuming records from 't' starting from the end of log");
  CHECK(status_sentence({"t"}, {Kind::after_beginning, 2}) ==
        "Consuming records from 't' starting 2 after the beginning of log");
  CHECK(status_sentence({"t"}, {Kind::before_end, 2}) == "Consuming records from 't' starting 2 before the end of log");
  CHECK(status_sentence({"a", "b"}, {Kind::offset, 7}) == "Consuming records from 'a', 'b' starting from offset 7");
  CHECK(status_sentence({"t"}, {Kind::time, 0}) == "Consuming records from 't' starting from 1970-01-01T00:00:00.000Z");
}

TEST_CASE("a resumed consumer says where, and of what when there are several") {
  const std::vector<Position> one = {{"t", {0}, {2}}};
  const std::vector<Position> two = {{"t", {0}, {2}}, {"t", {1}, {9}}};
  CHECK(resume_sentences("c1", one, 1, false) == std::vector<std::string>{"c1 resumes at 2"});
  CHECK(resume_sentences("c1", two, 2, false) ==
        std::vector<std::string>{"c1 resumes at 2 in partition 0", "c1 resumes at 9 in partition 1"});
  CHECK(resume_sentences("c1", one, 2, true) == std::vector<std::string>{"c1 resumes at 2 in partition 0 of 't'"});
  CHECK(resume_sentences("c1", {}, 1, false).empty());
}

TEST_CASE("what lies ahead is counted from the start to the end") {
  const PartitionInfo info = {.topic = "t", .start = {10}, .end = {110}};
  using Kind = StartAt::Kind;
  CHECK(records_ahead({.start = {Kind::beginning, 0}}, info, {}) == 100);
  CHECK(records_ahead({.start = {Kind::end, 0}}, info, {}) == 0);
  CHECK(records_ahead({.start = {Kind::before_end, 30}}, info, {}) == 30);
  CHECK(records_ahead({.start = {Kind::before_end, INT64_MAX}}, info, {}) == 100);
  CHECK(records_ahead({.start = {Kind::after_beginning, 30}}, info, {}) == 70);
  CHECK(records_ahead({.start = {Kind::after_beginning, INT64_MAX}}, info, {}) == 0);
  CHECK(records_ahead({.start = {Kind::offset, 5}}, info, {}) == 100);
  CHECK(records_ahead({.start = {Kind::offset, 500}}, info, {}) == 0);
  CHECK(records_ahead({.start = {Kind::beginning, 0}, .end = Offset{20}}, info, {}) == 10);
  CHECK(records_ahead({.start = {Kind::beginning, 0}}, info, Offset{100}) == 10);
}

std::string content_of(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

TEST_CASE("the offsets file is replaced as a whole, in order, with no other file left") {
  char directory[] = "/tmp/leat-offsets-test-XXXXXX";
  REQUIRE(::mkdtemp(directory) != nullptr);
  const std::string path = std::string(directory) + "/next";
  const std::vector<Position> positions = {{"t", {10}, {5}}, {"t", {2}, {7}}, {"a", {3}, {0}}};
  REQUIRE(check_offsets_file(path).has_value());
  REQUIRE(write_offsets_file(path, positions).has_value());
  CHECK(content_of(path) == "a 3 0\nt 2 7\nt 10 5\n");

  // Through a link, which stays one.
  const std::string link = std::string(directory) + "/link";
  REQUIRE(::symlink("next", link.c_str()) == 0);
  REQUIRE(write_offsets_file(link, {}).has_value());
  CHECK(content_of(path).empty());
  struct stat status = {};
  REQUIRE(::lstat(link.c_str(), &status) == 0);
  CHECK(S_ISLNK(status.st_mode));

  ::unlink(link.c_str());
  ::unlink(path.c_str());
  CHECK(::rmdir(directory) == 0);
}

TEST_CASE("an offsets file that could not be written is refused before anything is read") {
  CHECK(check_offsets_file("/nonexistent/next").error().code == Code::not_found);
  CHECK(check_offsets_file("/tmp").error().code == Code::usage);
  CHECK(check_offsets_file("").error().code == Code::usage);
}

TEST_CASE("an offsets file that is a device is written to and stays a device") {
  const std::vector<Position> positions = {{"t", {0}, {5}}};
  REQUIRE(write_offsets_file("/dev/null", positions).has_value());
  struct stat status = {};
  REQUIRE(::stat("/dev/null", &status) == 0);
  CHECK(S_ISCHR(status.st_mode));
}

}  // namespace
}  // namespace leat::tools
