#include "tools/input_framing.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

namespace {

using leat::tools::Frame;
using leat::tools::Framer;
using leat::tools::Framing;
using namespace std::string_literals;

// A record as bytes, "<null>" or "<fault: why>".
using Records = std::vector<std::string>;

struct Setup {
  Framing framing = Framing::lines;
  std::string delimiter = {};
  std::size_t record_bytes_max = 1000;
};

// Feeds `input` in windows that grow by `step` bytes at a time, as reading does, and collects what comes out.
Records cut(const Setup& setup, const std::string& input, std::size_t step) {
  Framer framer(setup.framing, setup.delimiter, setup.record_bytes_max);
  Records records;
  std::size_t begin = 0;
  std::size_t end = std::min(step, input.size());
  bool complete = input.empty();
  for (std::size_t turns = 0;; ++turns) {
    REQUIRE(turns < 10 * input.size() + 100);
    const std::string window = input.substr(begin, end - begin);
    const Frame frame = framer.next(window, complete);
    REQUIRE(frame.consumed <= window.size());
    switch (frame.kind) {
      case Frame::Kind::record:
        records.push_back(frame.is_null ? "<null>" : window.substr(frame.begin, frame.size));
        break;
      case Frame::Kind::fault:
        records.push_back("<fault: " + framer.fault() + ">");
        break;
      case Frame::Kind::ended:
        return records;
      case Frame::Kind::need_more:
        if (frame.consumed != 0 || complete) break;
        if (end == input.size()) complete = true;
        end = std::min(end + step, input.size());
        break;
    }
    begin += frame.consumed;
  }
}

// The same whatever the pieces in which the input arrives.
void check(const Setup& setup, const std::string& input, const Records& expected) {
  for (const std::size_t step : {1, 2, 3, 5, 7, 64, 100000}) {
    CAPTURE(step);
    CHECK(cut(setup, input, step) == expected);
  }
}

}  // namespace

TEST_CASE("lines end with a newline, and what is behind the last one is a record too") {
  check({}, "", {});
  check({}, "a", {"a"});
  check({}, "a\n", {"a"});
  check({}, "a\nb", {"a", "b"});
  check({}, "\n", {""});
  check({}, "\n\na\n\n", {"", "", "a", ""});
}

TEST_CASE("lines keep NULs, carriage returns and bytes that are not UTF-8") {
  check({}, "a\0b\r\n\xff\xfe\n"s, {"a\0b\r"s, "\xff\xfe"});
}

TEST_CASE("nul records keep newlines") {
  check({.framing = Framing::nul}, "a\nb\0\0c"s, {"a\nb", "", "c"});
}

TEST_CASE("a delimiter of several bytes is found across every boundary") {
  const Setup setup{.framing = Framing::delim, .delimiter = "--\n"};
  check(setup, "a--\nb-\n--\n---\n-", {"a", "b-\n", "-", "-"});
  check({.framing = Framing::delim, .delimiter = "aab"}, "aaabxaab", {"a", "x"});
  check({.framing = Framing::delim, .delimiter = "ab"}, "ab", {""});
  check({.framing = Framing::delim, .delimiter = "\0\0"s}, "x\0\0\0y"s, {"x", "\0y"s});
}

TEST_CASE("a length in front carries any bytes and tells a null from an empty record") {
  const Setup setup{.framing = Framing::u32be};
  check(setup, "", {});
  check(setup, "\0\0\0\3a\nb\0\0\0\0\xff\xff\xff\xff\0\0\0\1z"s, {"a\nb", "", "<null>", "z"});
}

TEST_CASE("an input that ends inside a sized record says how far it came") {
  const Setup setup{.framing = Framing::u32be};
  check(setup, "\0\0"s, {"<fault: the input ends after 2 of the 4 bytes of a length>"});
  check(setup, "\0\0\0\1a\0\0\0\5bcd"s, {"a", "<fault: the input ends after 3 of 5 bytes>"});
}

TEST_CASE("raw takes everything as one record") {
  check({.framing = Framing::raw}, "", {});
  check({.framing = Framing::raw}, "a\n\0b\n"s, {"a\n\0b\n"s});
}

TEST_CASE("a record of exactly the limit passes, and one more byte is a fault that leaves the next record alone") {
  const std::string four(4, 'x');
  const std::string five(5, 'x');
  for (const Framing framing : {Framing::lines, Framing::nul, Framing::delim}) {
    const Setup setup{.framing = framing, .delimiter = "--", .record_bytes_max = 4};
    const std::string end = framing == Framing::lines ? "\n" : framing == Framing::nul ? "\0"s : "--";
    check(setup, four + end + four, {four, four});
    check(setup, five + end + "y" + end, {"<fault: too long>", "y"});
    check(setup, five + five + five + end + "y" + end, {"<fault: too long>", "y"});
    check(setup, "y" + end + five, {"y", "<fault: too long>"});
  }
}

TEST_CASE("a sized record over the limit is skipped by its length") {
  const Setup setup{.framing = Framing::u32be, .record_bytes_max = 4};
  check(setup, "\0\0\0\5xxxxx\0\0\0\1y"s, {"<fault: too long>", "y"});
  check(setup, "\x7f\xff\xff\xffxxxxx"s, {"<fault: too long>"});
}

TEST_CASE("raw input over the limit is one fault") {
  check({.framing = Framing::raw, .record_bytes_max = 4}, "xxxxx yyyyy", {"<fault: too long>"});
}

TEST_CASE("a line over the limit is noticed before its end has been seen") {
  Framer framer(Framing::lines, "", 4);
  const Frame frame = framer.next("xxxxx", false);
  CHECK(frame.kind == Frame::Kind::fault);
  CHECK(framer.fault_is_length());
}
