#include "tools/output.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <thread>

using namespace leat;
using namespace leat::tools;

namespace {

// Puts `to` in the place of the descriptor `of` while it lives.
class Replaced {
 public:
  Replaced(int of, int to) : of_(of), saved_(::dup(of)) { ::dup2(to, of); }
  Replaced(const Replaced&) = delete;
  Replaced& operator=(const Replaced&) = delete;
  ~Replaced() {
    ::dup2(saved_, of_);
    ::close(saved_);
  }

 private:
  int of_;
  int saved_;
};

std::string read_all(int descriptor) {
  std::string bytes;
  std::array<char, 65536> block = {};
  for (ssize_t count = 0; (count = ::read(descriptor, block.data(), block.size())) > 0;) {
    bytes.append(block.data(), static_cast<std::size_t>(count));
  }
  return bytes;
}

// What `act` writes to the descriptor `of`.
std::string captured(int of, const std::function<void()>& act) {
  std::array<int, 2> pipe = {};
  REQUIRE(::pipe(pipe.data()) == 0);
  std::string bytes;
  std::thread reader([&] { bytes = read_all(pipe[0]); });
  {
    const Replaced replaced(of, pipe[1]);
    ::close(pipe[1]);
    act();
  }
  reader.join();
  ::close(pipe[0]);
  return bytes;
}

std::string rows_text(ListFormat format, const std::vector<std::vector<Cell>>& rows) {
  const std::vector<Column> columns = {{"NAME", "name"}, {"LAST SEEN", "last_seen"}, {"SIZE", "size"}};
  return captured(STDOUT_FILENO, [&] {
    CHECK(print_rows(format, columns, rows, "No rows found"));
    CHECK(out().flush());
  });
}

}  // namespace

TEST_CASE("bytes written come out as they went in, through the pipe's small buffer") {
  std::string expected;
  const std::string text = captured(STDOUT_FILENO, [&] {
    StandardOutput output;
    for (int i = 0; i < 3000; ++i) {
      const std::string piece(static_cast<std::size_t>(i), static_cast<char>(i));
      expected += piece;
      CHECK(output.write(piece));
    }
    const std::string large(1 << 20, 'x');
    expected += large;
    CHECK(output.write(large));
    CHECK(output.write("end"));
    expected += "end";
    CHECK(output.flush());
    CHECK(output.written() == expected.size());
  });
  CHECK(text == expected);
}

TEST_CASE("nothing is written before the buffer is full or flushed") {
  const std::string text = captured(STDOUT_FILENO, [] {
    StandardOutput output;
    CHECK(output.write("never seen"));
    CHECK(output.written() == 0);
  });
  CHECK(text.empty());
}

TEST_CASE("a reader that has gone away breaks the output without an error") {
  ::signal(SIGPIPE, SIG_IGN);
  std::array<int, 2> pipe = {};
  REQUIRE(::pipe(pipe.data()) == 0);
  ::close(pipe[0]);
  const Replaced replaced(STDOUT_FILENO, pipe[1]);
  ::close(pipe[1]);
  StandardOutput output;
  CHECK(output.write("x"));
  CHECK_FALSE(output.broken());
  CHECK(output.flush());
  CHECK(output.broken());
  CHECK(output.written() == 0);
  CHECK(output.write(std::string(1 << 20, 'x')));
}

TEST_CASE("a full disk is an io error") {
  const int full = ::open("/dev/full", O_WRONLY);
  REQUIRE(full >= 0);
  const Replaced replaced(STDOUT_FILENO, full);
  ::close(full);
  StandardOutput output;
  CHECK(output.write("x"));
  const auto flushed = output.flush();
  REQUIRE_FALSE(flushed);
  CHECK(flushed.error().code == Code::io);
  CHECK(flushed.error().message == "cannot write to standard output: No space left on device");
}

TEST_CASE("a table is aligned to the left with no spaces at the end of a line") {
  CHECK(rows_text(ListFormat::table, {{cell("a"), cell(std::int64_t{1}), size_cell(2048)},
                                      {cell("longer"), null_cell(), cell("\xc3\xa9")}}) ==
        "  NAME    LAST SEEN  SIZE\n"
        "  a       1          2.0 KiB\n"
        "  longer  -          \xc3\xa9\n");
}

TEST_CASE("control characters in a cell do not reach the terminal") {
  CHECK(rows_text(ListFormat::table, {{cell("\033[31m"), null_cell(), null_cell()}}).find('\033') == std::string::npos);
}

TEST_CASE("JSON is one array of objects in one line") {
  CHECK(rows_text(ListFormat::json,
                  {{cell("a\"b"), null_cell(), size_cell(2048)}, {cell("c"), cell("d"), cell(std::int64_t{-3})}}) ==
        "[{\"name\":\"a\\\"b\",\"last_seen\":null,\"size\":2048},{\"name\":\"c\",\"last_seen\":\"d\",\"size\":-3}]\n");
}

TEST_CASE("an empty list is a sentence on stderr or an empty array") {
  std::string out_text;
  const std::string error_text = captured(STDERR_FILENO, [&] { out_text = rows_text(ListFormat::table, {}); });
  CHECK(out_text.empty());
  CHECK(error_text == "No rows found\n");
  CHECK(rows_text(ListFormat::json, {}) == "[]\n");
}

TEST_CASE("a listing of any length has one heading and columns that only grow") {
  const std::vector<Column> columns = {{"N", "n"}, {"X", "x"}};
  const std::string text = captured(STDOUT_FILENO, [&] {
    RowPrinter printer(ListFormat::table, columns);
    for (std::int64_t i = 0; i < 2500; ++i) CHECK(printer.add({cell(i), cell("x")}));
    CHECK(printer.finish("none"));
    CHECK(out().flush());
  });
  CHECK(text.starts_with("  N    X\n  0    x\n"));
  CHECK(text.ends_with("  2499  x\n"));
  CHECK(std::count(text.begin(), text.end(), '\n') == 2501);
  CHECK(std::count(text.begin(), text.end(), 'N') == 1);
}

TEST_CASE("ages are for people and times for programs") {
  CHECK(age_cell(TimestampMs{0}, TimestampMs{254000}).text == "4m 14s");
  CHECK(age_cell(TimestampMs{0}, TimestampMs{254000}).json == "\"1970-01-01T00:00:00.000Z\"");
  CHECK(time_cell(TimestampMs{1}).text == "1970-01-01T00:00:00.001Z");
}

TEST_CASE("errors, hints, warnings and notes are one line each") {
  CHECK(captured(STDERR_FILENO, [] { print_error({Code::io, "a\nb", "do this"}); }) ==
        "leat: error: a\\x0ab\nhint: do this\n");
  CHECK(captured(STDERR_FILENO, [] { print_error({Code::io, "a"}); }) == "leat: error: a\n");
  CHECK(captured(STDERR_FILENO, [] { print_warning("careful"); }) == "leat: warning: careful\n");
  CHECK(captured(STDERR_FILENO, [] { print_note("so it is"); }) == "so it is\n");
}

TEST_CASE("quiet silences notes and nothing else") {
  set_quiet(true);
  CHECK(captured(STDERR_FILENO, [] { print_note("so it is"); }).empty());
  CHECK_FALSE(captured(STDERR_FILENO, [] { print_warning("careful"); }).empty());
  set_quiet(false);
}

TEST_CASE("colour is used only when it was asked for") {
  set_error_color(true);
  CHECK(captured(STDERR_FILENO, [] { print_error({Code::io, "a"}); }).find("\033[1;31merror:\033[0m a") !=
        std::string::npos);
  set_error_color(false);
}
