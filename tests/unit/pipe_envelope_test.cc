#include "leat/pipe/envelope.h"

#include <doctest/doctest.h>
#include <rapidjson/reader.h>

#include <random>
#include <string>
#include <vector>

#include "leat/pipe/json_record.h"
#include "tools/json_text.h"

namespace leat::tools {
namespace {

using namespace std::string_literals;

std::string envelope_of(const RecordView& record) {
  std::string line;
  append_envelope(line, record);
  return line;
}

// The record that produce --framing json would make of the envelope of `record`.
struct RoundTrip {
  explicit RoundTrip(const RecordView& record) : text(envelope_of(record) + '\0') {
    const auto done = parse_json_record(text.data(), text.size() - 1, parsed);
    REQUIRE_MESSAGE(done.has_value(), (done ? ""s : done.error().message), " in ", envelope_of(record));
  }
  std::string text;
  JsonRecord parsed;
};

std::string random_bytes(std::mt19937& random, std::size_t size_max) {
  std::string bytes(random() % (size_max + 1), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

TEST_CASE("the envelope is one line with its members in a fixed order") {
  const std::vector<HeaderView> headers = {{"h", "v"}};
  CHECK(
      envelope_of({.topic = "t",
                   .partition = {0},
                   .offset = {3},
                   .timestamp = {1732150000123},
                   .key = "k",
                   .value = "v",
                   .headers = headers}) ==
      R"({"topic":"t","partition":0,"offset":3,"timestamp":1732150000123,"key":"k","value":"v","headers":[["h","v"]]})");
}

TEST_CASE("a null is JSON null and an empty value an empty string") {
  CHECK(envelope_of({.topic = "t", .key = {}, .value = {}}) ==
        R"({"topic":"t","partition":0,"offset":0,"timestamp":0,"key":null,"value":null,"headers":[]})");
  CHECK(envelope_of({.topic = "t", .key = "", .value = ""}) ==
        R"({"topic":"t","partition":0,"offset":0,"timestamp":0,"key":"","value":"","headers":[]})");
}

TEST_CASE("bytes that are not UTF-8 go as base64") {
  CHECK(envelope_of({.topic = "t", .key = "\xff", .value = "a\x80"}) ==
        R"({"topic":"t","partition":0,"offset":0,"timestamp":0,"key_b64":"/w==","value_b64":"YYA=","headers":[]})");
  const std::vector<HeaderView> headers = {{"h", "\xfe"}, {"n", std::nullopt}, {"e", ""}};
  CHECK(envelope_of({.topic = "t", .value = "", .headers = headers})
            .ends_with(R"("headers":[["h",null,"/g=="],["n",null],["e",""]]})"));
}

TEST_CASE("a header whose name is not UTF-8 is not lost") {
  const std::vector<HeaderView> headers = {{"\xff", "v"}, {"\xff", "\xfe"}, {"\xff", std::nullopt}};
  CHECK(envelope_of({.topic = "t", .value = "", .headers = headers})
            .ends_with(R"("headers":[[null,"v",null,"/w=="],[null,null,"/g==","/w=="],[null,null,null,"/w=="]]})"));
}

TEST_CASE("control characters, quotes and backslashes stand escaped on one line") {
  std::string all;
  for (char c = 0; c < 0x20; ++c) all += c;
  all += "\"\\\x7f";
  const std::string line = envelope_of({.topic = "t", .value = all});
  for (const char c : line) CHECK(static_cast<unsigned char>(c) >= 0x20);
  CHECK(RoundTrip({.topic = "t", .value = all}).parsed.value == all);
}

TEST_CASE("line separators and characters outside the basic plane come back as they were") {
  for (const std::string& text : {"a\u2028b\u2029c"s, "\U0001F600"s, "\u0085"s, "\uFFFD\uFEFF"s, "x\0y"s}) {
    CHECK(RoundTrip({.topic = "t", .key = text, .value = text}).parsed.key == text);
    CHECK(RoundTrip({.topic = "t", .key = text, .value = text}).parsed.value == text);
  }
}

TEST_CASE("what only looks like UTF-8 is treated as bytes") {
  for (const std::string& bytes : {"\xED\xA0\x80"s, "\xED\xBF\xBF"s, "\xED\xA0\xBD\xED\xB8\x80"s, "\xC0\x80"s,
                                   "\xF4\x90\x80\x80"s, "\xE2\x82"s, "12345678\x80"s}) {
    const RoundTrip trip({.topic = "t", .value = bytes});
    CHECK(trip.parsed.value == bytes);
    CHECK(envelope_of({.topic = "t", .value = bytes}).find("value_b64") != std::string::npos);
  }
}

TEST_CASE("any record comes back byte for byte") {
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    const std::string key = random_bytes(random, 20);
    const std::string value = random_bytes(random, round % 10 == 0 ? 300 : 12);
    const std::string header = random_bytes(random, 9);
    const std::vector<HeaderView> headers = {{"first", header}, {"second", std::nullopt}, {"first", "again"}};
    const RecordView record = {.topic = "t",
                               .partition = {3},
                               .offset = {std::int64_t{1} << 40},
                               .timestamp = {-5},
                               .key = round % 3 == 0 ? std::nullopt : std::optional<std::string_view>(key),
                               .value = round % 7 == 0 ? std::nullopt : std::optional<std::string_view>(value),
                               .headers = headers};
    const RoundTrip trip(record);
    REQUIRE(trip.parsed.key == record.key);
    REQUIRE(trip.parsed.value == record.value);
    REQUIRE(trip.parsed.timestamp == record.timestamp);
    REQUIRE(trip.parsed.headers.size() == headers.size());
    for (std::size_t i = 0; i < headers.size(); ++i) {
      REQUIRE(trip.parsed.headers[i].key == headers[i].key);
      REQUIRE(trip.parsed.headers[i].value == headers[i].value);
    }
  }
}

TEST_CASE("every single byte at every place of a word is carried") {
  for (int byte = 0; byte < 256; ++byte) {
    for (std::size_t place = 0; place < 17; ++place) {
      std::string value(17, 'a');
      value[place] = static_cast<char>(byte);
      REQUIRE(RoundTrip({.topic = "t", .value = value}).parsed.value == value);
    }
  }
}

TEST_CASE("JSON is made compact without touching strings and numbers") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"( { "a" : [ 1 , 2.50 , -0e+10 ] , "b c" : { } } )", R"({"a":[1,2.50,-0e+10],"b c":{}})"},
      {"\t\"x \\u00e9 \\\" y\"\r\n", R"("x \u00e9 \" y")"},
      {"123456789012345678901234567890.10", "123456789012345678901234567890.10"},
      {"null", "null"},
      {"[]", "[]"},
      {"[[[]],{\"a\":true}]", "[[[]],{\"a\":true}]"},
      {"{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"},
  };
  for (const auto& [text, compact] : cases) {
    std::string to = "before ";
    CHECK(append_compact_json(to, text));
    CHECK(to == "before " + compact);
  }
}

TEST_CASE("what is not one JSON value is refused and leaves nothing behind") {
  for (const std::string& text :
       {""s,          " "s,     "{"s,   "}"s,        "[1,]"s,    "{\"a\":}"s,    "{\"a\"}"s, "{a:1}"s,
        "{,}"s,       "[,1]"s,  "01"s,  "1."s,       ".5"s,      "+1"s,          "-"s,       "1e"s,
        "nul"s,       "truex"s, "1 2"s, "\"a"s,      "\"\\x\""s, "\"\\u12g4\""s, "\"\n\""s,  "[1}"s,
        "{\"a\":1]"s, "'a'"s,   "NaN"s, "\"\xff\""s, "1\0"s,     "[1]]"s,        "\"\\"s,    "\"\\u12"s}) {
    std::string to = "before";
    CHECK_MESSAGE(!append_compact_json(to, text), text);
    CHECK(to == "before");
  }
}

TEST_CASE("what is JSON agrees with another parser on mutated documents") {
  std::mt19937 random(11);
  const std::string seed = R"({"a":[1,-2.5e+3,true,false,null,"x\u00e9\n"],"b":{"c":[[],{}]},"d":0.1})";
  const std::string alphabet = R"({}[],:"\0123456789eE+-.truefalsn u \t)";
  int accepted = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string text = seed.substr(random() % seed.size(), random() % 30);
    if (round % 2 == 0) text = seed;
    for (std::size_t i = 0, count = random() % 3; i < count && !text.empty(); ++i) {
      const std::size_t at = random() % text.size();
      if (random() % 2 == 0) {
        text[at] = alphabet[random() % alphabet.size()];
      } else {
        text.erase(at, 1 + random() % 4);
      }
    }
    std::string compact;
    const bool ours = append_compact_json(compact, text);
    rapidjson::StringStream stream(text.c_str());
    rapidjson::Reader reader;
    rapidjson::BaseReaderHandler<> ignore;
    const bool theirs = !reader.Parse<rapidjson::kParseValidateEncodingFlag>(stream, ignore).IsError();
    REQUIRE_MESSAGE(ours == theirs, text);
    if (ours) ++accepted;
  }
  CHECK(accepted > 1000);
}

TEST_CASE("JSON nested a hundred thousand deep is recognised") {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  std::string to;
  CHECK(append_compact_json(to, deep));
  CHECK(to == deep);
}

}  // namespace
}  // namespace leat::tools
