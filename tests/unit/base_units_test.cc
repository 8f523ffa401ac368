#include "leat/base/units.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace leat;

TEST_CASE("sizes are read with decimal and binary units in any case") {
  const std::vector<std::pair<std::string, std::int64_t>> sizes = {
      {"0", 0},           {"4096", 4096},       {"17B", 17},
      {"2KiB", 2048},     {"2kib", 2048},       {"2K", 2048},
      {"10MB", 10000000}, {"1GiB", 1073741824}, {"1.5MiB", 1572864},
      {"1 MB", 1000000},  {"3T", 3LL << 40},    {"0.5k", 512},
      {"2kB", 2000},      {"1GB", 1000000000},  {"9223372036854775807", INT64_MAX}};
  for (const auto& [text, bytes] : sizes) {
    CAPTURE(text);
    REQUIRE(parse_size(text));
    CHECK(*parse_size(text) == bytes);
  }
}

TEST_CASE("what is no size is a usage error that quotes it") {
  for (const std::string text : {"", "KiB", "-1", "1XB", "1.", ".5K", "1.5", "1.5B", "10MBs", "1  MB", "+1",
                                 "8388608TiB", "9223372036854775808", "1.1234567K", "none"}) {
    CAPTURE(text);
    REQUIRE_FALSE(parse_size(text));
    CHECK(parse_size(text).error().code == Code::usage);
    CHECK(parse_size(text).error().message.find("\"" + text + "\"") != std::string::npos);
  }
}

TEST_CASE("sizes are written in the largest unit that divides them") {
  CHECK(format_size(0) == "0B");
  CHECK(format_size(1000) == "1000B");
  CHECK(format_size(1024) == "1KiB");
  CHECK(format_size(65536) == "64KiB");
  CHECK(format_size(1 << 30) == "1GiB");
  CHECK(format_size((1 << 30) + 1024) == "1048577KiB");
  CHECK(format_size(5LL << 50) == "5120TiB");
}

TEST_CASE("what format_size writes parse_size reads") {
  for (const std::int64_t bytes : {0LL, 1LL, 1023LL, 1024LL, 1025LL, 8LL << 20, 3LL << 41, (1LL << 31) - 1}) {
    CHECK(*parse_size(format_size(bytes)) == bytes);
  }
}

TEST_CASE("sizes for people have one digit behind the point") {
  CHECK(format_size_short(17) == "17 B");
  CHECK(format_size_short(1023) == "1023 B");
  CHECK(format_size_short(1024) == "1.0 KiB");
  CHECK(format_size_short(576307) == "562.8 KiB");
  CHECK(format_size_short(1048575) == "1.0 MiB");
  CHECK(format_size_short(INT64_MAX) == "8388608.0 TiB");
}

TEST_CASE("durations are read in one or several units") {
  const std::vector<std::pair<std::string, std::int64_t>> durations = {
      {"0", 0},          {"150ms", 150},    {"2s", 2000},   {"5m", 300000}, {"1h30m", 5400000},
      {"2d", 172800000}, {"1w", 604800000}, {"1.5s", 1500}, {"0ms", 0},     {"0.5h", 1800000}};
  for (const auto& [text, ms] : durations) {
    CAPTURE(text);
    REQUIRE(parse_duration(text));
    CHECK(parse_duration(text)->count() == ms);
  }
}

TEST_CASE("what is no duration is a usage error") {
  for (const std::string text :
       {"", "5", "ms", "-1s", "1x", "1h30", "1.2345ms", "0.5ms", "1 s", "15250284452472w", "1M"}) {
    CAPTURE(text);
    REQUIRE_FALSE(parse_duration(text));
    CHECK(parse_duration(text).error().code == Code::usage);
  }
}

TEST_CASE("durations are written in their shortest exact form") {
  CHECK(format_duration(Milliseconds(0)) == "0s");
  CHECK(format_duration(Milliseconds(150)) == "150ms");
  CHECK(format_duration(Milliseconds(2000)) == "2s");
  CHECK(format_duration(Milliseconds(5400000)) == "1h30m");
  CHECK(format_duration(Milliseconds(86400000)) == "1d");
  CHECK(format_duration(Milliseconds(604800000)) == "7d");
  CHECK(format_duration(Milliseconds(30LL * 86400000)) == "30d");
  CHECK(format_duration(Milliseconds(1500)) == "1s500ms");
  CHECK(*parse_duration(format_duration(Milliseconds(987654321))) == Milliseconds(987654321));
}

TEST_CASE("ages have at most two units and never a zero one") {
  CHECK(format_age(Milliseconds(-5)) == "0s");
  CHECK(format_age(Milliseconds(999)) == "0s");
  CHECK(format_age(Milliseconds(59999)) == "59s");
  CHECK(format_age(Milliseconds(254000)) == "4m 14s");
  CHECK(format_age(Milliseconds(240000)) == "4m");
  CHECK(format_age(Milliseconds(7380000)) == "2h 3m");
  CHECK(format_age(Milliseconds(5LL * 86400000 + 3600000)) == "5d 1h");
  CHECK(format_age(Milliseconds(500LL * 86400000)) == "500d");
}

TEST_CASE("times are read in every form a person pastes") {
  const TimestampMs now{1700000000000};
  const std::vector<std::pair<std::string, std::int64_t>> times = {
      {"2026-11-21T03:37:22.123Z", 1795232242123},
      {"2026-11-21t03:37:22z", 1795232242000},
      {"2026-11-21 03:37", 1795232220000},
      {"2026-11-21", 1795219200000},
      {"2026-11-21T03:37:22.1239999Z", 1795232242123},
      {"2026-11-21T05:37:22+02:00", 1795232242000},
      {"2026-11-20T22:07:22-05:30", 1795232242000},
      {"1969-12-31T23:59:59.999Z", -1},
      {"2016-12-31T23:59:60Z", 1483228800000},
      {"1732150000", 1732150000000},
      {"1732150000123", 1732150000123},
      {"1732150000123456", 1732150000123},
      {"1732150000123456789", 1732150000123},
      {"now", 1700000000000},
      {"-1h", 1699996400000},
  };
  for (const auto& [text, ms] : times) {
    CAPTURE(text);
    REQUIRE(parse_time(text, now));
    CHECK(parse_time(text, now)->value == ms);
  }
}

TEST_CASE("what is no time is a usage error") {
  for (const std::string text :
       {"", "yesterday", "2026-13-01", "2026-02-30", "2026-11-21T24:00:00Z", "2026-11-21T03:60Z",
        "2026-11-21T03:37:61Z", "2026-11-21T03:37:22.Z", "2026-11-21T03:37:22+2", "2026-11-21T",
        "2026-11-21T03:37:22Zx", "123", "12345678901", "-1", "-", "26-11-21", "99999999999999999999"}) {
    CAPTURE(text);
    REQUIRE_FALSE(parse_time(text, TimestampMs{0}));
    CHECK(parse_time(text, TimestampMs{0}).error().code == Code::usage);
  }
}

TEST_CASE("times are written in UTC with milliseconds, also before 1970 and far away") {
  CHECK(format_time(TimestampMs{1795232242123}) == "2026-11-21T03:37:22.123Z");
  CHECK(format_time(TimestampMs{0}) == "1970-01-01T00:00:00.000Z");
  CHECK(format_time(TimestampMs{-1}) == "1969-12-31T23:59:59.999Z");
  CHECK(format_time(TimestampMs{253402300799999}) == "9999-12-31T23:59:59.999Z");
  CHECK(format_time(TimestampMs{-62167219200000}) == "0000-01-01T00:00:00.000Z");
  CHECK(format_time(TimestampMs{INT64_MAX}) == "9223372036854775807ms");
  CHECK(format_time(TimestampMs{INT64_MIN}) == "-9223372036854775808ms");
}

TEST_CASE("counts are whole decimal numbers") {
  CHECK(*parse_count("--end", "12") == 12);
  CHECK(*parse_count("--end", "-3") == -3);
  for (const std::string text : {"", "x", "1x", "1.5", " 1", "+1", "9223372036854775808"}) {
    CAPTURE(text);
    REQUIRE_FALSE(parse_count("--end", text));
    CHECK(parse_count("--end", text).error().code == Code::usage);
    CHECK(parse_count("--end", text).error().message.starts_with("--end: "));
  }
}

TEST_CASE("escapes become the bytes they name and unknown ones are refused") {
  using namespace std::string_literals;
  CHECK(*unescape("-F", R"(a\tb\nc\0d\\e\x41\xfF)") == "a\tb\nc\0d\\eA\xff"s);
  CHECK(*unescape("-F", "plain") == "plain");
  CHECK(unescape("-F", "")->empty());
  for (const std::string text : {R"(\q)", R"(a\)", R"(\x4)", R"(\x)", R"(\xg0)"}) {
    CAPTURE(text);
    REQUIRE_FALSE(unescape("--delimiter", text));
    CHECK(unescape("--delimiter", text).error().message.starts_with("--delimiter: "));
  }
}

TEST_CASE("the edit distance counts a swap of neighbours once") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("produce", "prodcue") == 1);
  CHECK(edit_distance("consume", "consumer") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("the nearest word is suggested only when it is near") {
  const std::vector<std::string> words = {"produce", "consume", "topic"};
  CHECK(nearest("prodcue", words) == "produce");
  CHECK(nearest("topics", words) == "topic");
  CHECK(nearest("xyzzy", words).empty());
}
