#include "tools/input.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace leat::tools;
using namespace std::string_literals;
using namespace std::chrono_literals;
using leat::Code;
using leat::SteadyTime;
using leat::TimestampMs;

// A pipe to write input into.
class Pipe {
 public:
  Pipe() { REQUIRE(::pipe2(ends_.data(), O_CLOEXEC) == 0); }
  ~Pipe() {
    close_writer();
    ::close(ends_[0]);
  }
  int reader() const { return ends_[0]; }
  void write(std::string_view bytes) { CHECK(::write(ends_[1], bytes.data(), bytes.size()) == std::ssize(bytes)); }
  void close_writer() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }

 private:
  std::array<int, 2> ends_{};
};

// A file with some bytes in it, gone at the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view bytes) {
    std::string name = "/tmp/leat-input-XXXXXX";
    const int fd = ::mkstemp(name.data());
    REQUIRE(fd >= 0);
    ::close(fd);
    path = name;
    std::ofstream(path, std::ios::binary) << bytes;
  }
  ~TemporaryFile() { ::unlink(path.c_str()); }
  std::string path;
};

// "key=value" with "<null>" for nulls, "?key" left out where there is none, and headers in brackets.
std::string show(const leat::RecordInput& record) {
  std::string text;
  if (record.key) text += std::string(*record.key) + "=";
  text += record.value ? std::string(*record.value) : "<null>";
  for (const auto& header : record.headers) {
    text += "[" + std::string(header.key) + ":" + std::string(header.value.value_or("<null>")) + "]";
  }
  return text;
}

// All records, and the errors of bad ones, until the input ends.
std::vector<std::string> drain(Input& input) {
  std::vector<std::string> shown;
  for (;;) {
    const auto state = input.next(std::nullopt);
    if (!state) {
      shown.push_back("error: " + state.error().message);
      if (state.error().code != Code::bad_data) return shown;
      continue;
    }
    if (*state != Input::State::record) return shown;
    shown.push_back(show(input.record()));
  }
}

std::vector<std::string> read_bytes(InputOptions options, const std::string& bytes) {
  const TemporaryFile file(bytes);
  options.files = {file.path};
  Input input(std::move(options));
  auto shown = drain(input);
  for (auto& text : shown) {
    if (const auto at = text.find(file.path); at != std::string::npos) text.replace(at, file.path.size(), "FILE");
  }
  return shown;
}

using Shown = std::vector<std::string>;

}  // namespace

TEST_CASE("a record split at every boundary of a pipe comes whole") {
  Pipe pipe;
  Input input({.key_separator = "::", .stdin_fd = pipe.reader()});
  const std::string bytes = "k1::one\nk2::\nk3::a::b\xff\nlast::line";
  for (const char byte : bytes) {
    pipe.write({&byte, 1});
    const auto state = input.next(SteadyTime::min());
    REQUIRE(state);
    CHECK(*state == (byte == '\n' ? Input::State::record : Input::State::idle));
    if (*state == Input::State::record && input.place().record == 3) CHECK(show(input.record()) == "k3=a::b\xff");
  }
  pipe.close_writer();
  CHECK(drain(input) == Shown{"last=line"});
  CHECK(input.place().record == 4);
  CHECK(input.place().byte == 23);
  CHECK(input.place().file == "stdin");
}

TEST_CASE("every framing reads the same from a pipe that gives one byte at a time as from a file") {
  struct Row {
    InputOptions options;
    std::string bytes;
    Shown expected;
  };
  const std::vector<Row> rows = {
      {{}, "a\nb\n", {"a", "b"}},
      {{.framing = Framing::nul}, "a\nb\0c"s, {"a\nb", "c"}},
      {{.framing = Framing::delim, .delimiter = "\r\n\r\n"}, "a\r\nb\r\n\r\n\r\r\n\r\n", {"a\r\nb", "\r"}},
      {{.framing = Framing::u32be}, "\0\0\0\1a\xff\xff\xff\xff\0\0\0\0"s, {"a", "<null>", ""}},
      {{.framing = Framing::json}, "{\"key\":\"k\",\"value\":\"v\"}\n\n{\"value\":null}", {"k=v", "<null>"}},
      {{.framing = Framing::raw}, "a\nb\n", {"a\nb\n"}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.bytes);
    CHECK(read_bytes(row.options, row.bytes) == row.expected);
    Pipe pipe;
    std::thread writer([&] {
      for (const char byte : row.bytes) {
        pipe.write({&byte, 1});
        std::this_thread::sleep_for(200us);
      }
      pipe.close_writer();
    });
    InputOptions options = row.options;
    options.stdin_fd = pipe.reader();
    Input input(std::move(options));
    CHECK(drain(input) == row.expected);
    writer.join();
  }
}

TEST_CASE("records much longer than a block come whole") {
  const std::string first(900'000, 'x');
  const std::string second(300'000, 'y');
  CHECK(read_bytes({}, first + "\n" + second + "\nz") == Shown{first, second, "z"});
  CHECK(read_bytes({.framing = Framing::raw, .record_bytes_max = 2'000'000}, first + second) == Shown{first + second});
}

TEST_CASE("many records across many blocks keep their numbers and places") {
  std::string bytes;
  for (int i = 0; i < 100'000; ++i) bytes += "reading " + std::to_string(i) + "\n";
  const TemporaryFile file(bytes);
  Input input({.files = {file.path}});
  std::int64_t count = 0;
  std::uint64_t offset = 0;
  for (;;) {
    const auto state = input.next(std::nullopt);
    REQUIRE(state);
    if (*state == Input::State::ended) break;
    const std::string expected = "reading " + std::to_string(count++);
    REQUIRE(input.record().value == expected);
    REQUIRE(input.place().record == count);
    REQUIRE(input.place().byte == offset);
    offset += expected.size() + 1;
  }
  CHECK(count == 100'000);
  CHECK(input.bytes_done() == bytes.size());
}

TEST_CASE("a missing separator names the record and its byte, and reading can go on") {
  CHECK(read_bytes({.key_separator = ":"}, "a:1\nb2\nc:3:4\n\n") ==
        Shown{"a=1", "error: record 2: separator ':' not found (FILE, byte 4)", "c=3:4",
              "error: record 4: separator ':' not found (FILE, byte 13)"});
}

TEST_CASE("an empty key is a key, and an empty value a null only when asked") {
  CHECK(read_bytes({.key_separator = ":"}, ":v\nk:\n") == Shown{"=v", "k="});
  CHECK(read_bytes({.key_separator = ":", .empty_is_null = true}, ":v\nk:\n") == Shown{"=v", "k=<null>"});
  CHECK(read_bytes({.empty_is_null = true}, "\n") == Shown{"<null>"});
  CHECK(read_bytes({.framing = Framing::json, .empty_is_null = true}, R"({"value":""})") == Shown{"<null>"});
}

TEST_CASE("a CR at the end of a line goes only when asked, and only one") {
  CHECK(read_bytes({}, "a\r\nb") == Shown{"a\r", "b"});
  CHECK(read_bytes({.strip_cr = true}, "a\r\nb\r\r\n\r\nc\r") == Shown{"a", "b\r", "", "c"});
}

TEST_CASE("key, headers and time of the flags go to every record, headers before a record's own") {
  CHECK(read_bytes({.key = "k", .headers = {{"a", "1"}, {"b", ""}}}, "x\ny") == Shown{"k=x[a:1][b:]", "k=y[a:1][b:]"});
  CHECK(read_bytes({.framing = Framing::json, .headers = {{"a", "1"}}},
                   "{\"value\":\"x\",\"headers\":[[\"own\",null]]}\n{\"value\":\"y\"}") ==
        Shown{"x[a:1][own:<null>]", "y[a:1]"});
  const TimestampMs before = leat::now_ms();
  const TemporaryFile file("{\"value\":\"x\",\"timestamp\":7}\n{\"value\":\"x\"}");
  Input own({.files = {file.path}, .framing = Framing::json});
  REQUIRE(own.next(std::nullopt));
  CHECK(own.record().timestamp == TimestampMs{7});
  REQUIRE(own.next(std::nullopt));
  CHECK(own.record().timestamp >= before);  // when it was read
  Input fixed({.files = {file.path}, .framing = Framing::json, .timestamp = TimestampMs{9}});
  REQUIRE(fixed.next(std::nullopt));
  CHECK(fixed.record().timestamp == TimestampMs{9});
}

TEST_CASE("files are read in their order, a record does not reach across two, and records are numbered over all") {
  const TemporaryFile one("a\nb");
  const TemporaryFile empty("");
  const TemporaryFile two("c\nd\n");
  Input input({.files = {one.path, empty.path, two.path}});
  CHECK(drain(input) == Shown{"a", "b", "c", "d"});
  CHECK(input.place().record == 4);
  CHECK(input.place().byte == 2);
  CHECK(input.place().file == two.path);
  Input raw({.files = {one.path, empty.path, two.path}, .framing = Framing::raw});
  CHECK(drain(raw) == Shown{"a\nb", "c\nd\n"});
}

TEST_CASE("a record over the limit names number, byte, limit and flag, and the next one is read") {
  const std::string limit = "longer than 10B, the limit of --max-request-size";
  CHECK(read_bytes({.record_bytes_max = 10}, "1234567890\n12345678901\nnext\n") ==
        Shown{"1234567890", "error: record 2: " + limit + " (FILE, byte 11)", "next"});
  CHECK(read_bytes({.framing = Framing::u32be, .record_bytes_max = 10},
                   "\0\0\0\x0b"
                   "12345678901\0\0\0\1x"s) == Shown{"error: record 1: " + limit + " (FILE, byte 0)", "x"});
  CHECK(read_bytes({.framing = Framing::json, .record_bytes_max = 10}, R"({"key":"123456","value":"12345"})") ==
        Shown{"error: record 1: " + limit + " (FILE, byte 0)"});
  CHECK(read_bytes({.framing = Framing::raw, .record_bytes_max = 10}, "12345678901") ==
        Shown{"error: record 1: " + limit + " (FILE, byte 0)"});
}

TEST_CASE("key, value and headers count towards the limit, the separator and a stripped CR do not") {
  CHECK(read_bytes({.strip_cr = true, .key_separator = "::", .record_bytes_max = 10}, "12345::67890\r\n") ==
        Shown{"12345=67890"});
  CHECK(read_bytes({.key_separator = "::", .record_bytes_max = 10}, "12345::678901\n")
            .at(0)
            .starts_with("error: record 1"));
  CHECK(read_bytes({.key = "12345", .record_bytes_max = 10}, "678901").at(0).starts_with("error: record 1"));
  CHECK(
      read_bytes({.headers = {{"12", "345"}}, .record_bytes_max = 10}, "678901").at(0).starts_with("error: record 1"));
}

TEST_CASE("an endless line is refused at the limit, without its end being waited for") {
  Pipe pipe;
  Input input({.record_bytes_max = 100, .stdin_fd = pipe.reader()});
  pipe.write(std::string(101, 'x'));
  const auto state = input.next(std::nullopt);
  REQUIRE_FALSE(state);
  CHECK(state.error().code == Code::bad_data);
  pipe.write(std::string(50'000, 'x'));
  CHECK(input.next(SteadyTime::min()).value() == Input::State::idle);
  pipe.write("x\nnext\n");
  CHECK(input.next(std::nullopt).value() == Input::State::record);
  CHECK(input.record().value == "next");
  CHECK(input.place().record == 2);
}

TEST_CASE("bad JSON names the record and the place in it") {
  CHECK(read_bytes({.framing = Framing::json}, "{\"value\":\"a\"}\n\n{\"value\"\n{\"value\":\"b\"}\n") ==
        Shown{"a",
              "error: record 2: not JSON at byte 8 of the line: Missing a colon after a name of object member (FILE, "
              "byte 15)",
              "b"});
}

TEST_CASE("waiting ends when its time is up") {
  Pipe pipe;
  Input input({.stdin_fd = pipe.reader()});
  pipe.write("half");
  const SteadyTime begun = std::chrono::steady_clock::now();
  CHECK(input.next(begun + 30ms).value() == Input::State::idle);
  CHECK(std::chrono::steady_clock::now() - begun >= 30ms);
  pipe.write(" a line\n");
  CHECK(input.next(begun).value() == Input::State::record);
  CHECK(input.record().value == "half a line");
}

TEST_CASE("a stop hands out what has been read and drops an unfinished record") {
  Pipe pipe;
  std::atomic<bool> stop = false;
  Input input({.stdin_fd = pipe.reader(), .stop = &stop});
  pipe.write("one\ntwo\nthr");
  CHECK(input.next(std::nullopt).value() == Input::State::record);
  stop = true;
  CHECK(input.next(std::nullopt).value() == Input::State::record);
  CHECK(input.record().value == "two");
  CHECK(input.next(std::nullopt).value() == Input::State::stopped);
}

TEST_CASE("inputs are looked at before they are read") {
  const TemporaryFile one("abc");
  const TemporaryFile two("de");
  const std::vector<std::string> files = {one.path, two.path};
  CHECK(check_inputs(files, 0).value().total_bytes == 5U);

  const std::vector<std::string> missing = {one.path, "/nonexistent/file"};
  CHECK(check_inputs(missing, 0).error().code == Code::not_found);
  CHECK(check_inputs(missing, 0).error().message.find("/nonexistent/file") != std::string::npos);

  const std::vector<std::string> directory = {"/tmp"};
  CHECK(check_inputs(directory, 0).error().code == Code::not_found);

  Pipe pipe;
  const std::vector<std::string> piped = {one.path, "-"};
  const auto check = check_inputs(piped, pipe.reader());
  REQUIRE(check);
  CHECK_FALSE(check->total_bytes.has_value());
  CHECK_FALSE(check->terminal);
}

TEST_CASE("a terminal is recognised as one") {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(terminal >= 0);
  const std::vector<std::string> files = {"-"};
  CHECK(check_inputs(files, terminal).value().terminal);
  ::close(terminal);
}

TEST_CASE("a file that vanishes between the check and its turn is reported") {
  const TemporaryFile one("a\n");
  Input input({.files = {one.path, "/nonexistent/file"}});
  const auto shown = drain(input);
  REQUIRE(shown.size() == 2);
  CHECK(shown[0] == "a");
  CHECK(shown[1].starts_with("error: /nonexistent/file"));
}
