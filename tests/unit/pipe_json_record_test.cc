#include "leat/pipe/json_record.h"

#include <doctest/doctest.h>

#include <string>

namespace {

using leat::Code;
using leat::JsonRecord;
using leat::parse_json_record;
using leat::TimestampMs;
using namespace std::string_literals;

// Holds the text that a record points into.
struct Parsed {
  explicit Parsed(std::string_view line) : text(std::string(line) + "\n") {
    result = parse_json_record(text.data(), text.size() - 1, record);
  }
  std::string text;
  JsonRecord record;
  leat::Result<void> result;
};

std::string fault(std::string_view line) {
  const Parsed parsed(line);
  if (parsed.result) return "accepted";
  CHECK(parsed.result.error().code == Code::bad_data);
  return parsed.result.error().message;
}

std::string value_of(std::string_view line) {
  const Parsed parsed(line);
  if (!parsed.result) return "<" + parsed.result.error().message + ">";
  return parsed.record.value ? std::string(*parsed.record.value) : "<null>";
}

}  // namespace

TEST_CASE("an envelope as consume writes it is read whole, and where it came from is ignored") {
  const Parsed parsed(
      R"({"topic":"t","partition":0,"offset":3,"timestamp":1732150000123,"key":"k","value":"v","headers":[["h","v"],["n",null]]})");
  REQUIRE(parsed.result);
  CHECK(parsed.record.key == "k");
  CHECK(parsed.record.value == "v");
  CHECK(parsed.record.timestamp == TimestampMs{1732150000123});
  REQUIRE(parsed.record.headers.size() == 2);
  CHECK(parsed.record.headers[0].key == "h");
  CHECK(parsed.record.headers[0].value == "v");
  CHECK(parsed.record.headers[1].key == "n");
  CHECK_FALSE(parsed.record.headers[1].value.has_value());
}

TEST_CASE("a missing key is null, a null value a null, an empty value empty") {
  CHECK_FALSE(Parsed(R"({"value":"v"})").record.key.has_value());
  CHECK_FALSE(Parsed(R"({"key":null,"value":"v"})").record.key.has_value());
  CHECK(Parsed(R"({"key":"","value":""})").record.key == "");
  CHECK(value_of(R"({"value":null})") == "<null>");
  CHECK(value_of(R"({"value":""})") == "");
  CHECK(value_of(R"({"value_b64":null})") == "<null>");
}

TEST_CASE("what is missing is null") {
  const Parsed parsed("{}");
  REQUIRE(parsed.result);
  CHECK_FALSE(parsed.record.key.has_value());
  CHECK_FALSE(parsed.record.value.has_value());
  CHECK_FALSE(parsed.record.timestamp.has_value());
  CHECK(parsed.record.headers.empty());
}

TEST_CASE("unknown names are refused by name") {
  CHECK(fault(R"({"value":"v","vaule":"v"})") == R"(unknown name "vaule")");
  CHECK(fault(R"({"payload":{"a":[1,{"b":2}]}})") == R"(unknown name "payload")");
}

TEST_CASE("a name given twice is refused, also once plain and once in base64") {
  CHECK(fault(R"({"value":"a","value":"b"})") == R"("value" is given twice)");
  CHECK(fault(R"({"value":"a","value_b64":"YQ=="})") == R"("value_b64" is given twice)");
  CHECK(fault(R"({"key_b64":"YQ==","key":"b","value":"v"})") == R"("key" is given twice)");
}

TEST_CASE("a record parsed into a used one keeps nothing of it") {
  JsonRecord record;
  std::string first = R"({"key":"k","value":"v","timestamp":1,"headers":[["a","b"]]})"
                      "\n";
  std::string second = R"({"value":null})"
                       "\n";
  REQUIRE(parse_json_record(first.data(), first.size() - 1, record));
  REQUIRE(parse_json_record(second.data(), second.size() - 1, record));
  CHECK_FALSE(record.key.has_value());
  CHECK_FALSE(record.value.has_value());
  CHECK_FALSE(record.timestamp.has_value());
  CHECK(record.headers.empty());
}

TEST_CASE("base64 carries any bytes") {
  CHECK(value_of(R"({"value_b64":""})") == "");
  CHECK(value_of(R"({"value_b64":"AA=="})") == "\0"s);
  CHECK(value_of(R"({"value_b64":"//4="})") == "\xff\xfe");
  CHECK(value_of(R"({"value_b64":"+\/8A"})") == "\xfb\xff\0"s);
  CHECK(value_of(R"({"value_b64":"YWJjZA=="})") == "abcd");
  CHECK(Parsed(R"({"key_b64":"gA==","value":"v"})").record.key == "\x80");
}

TEST_CASE("what no encoder writes is not base64") {
  for (const char* text : {"A", "AA", "AAA", "AA=A", "=AAA", "A===", "====", "AAAA====", "AA==AAAA",
                           "AB==", "AAB=", "AA A", "A_-A", "AAAA\\n", "\\u0000AAA"}) {
    CAPTURE(text);
    CHECK(fault(R"({"value_b64":")" + std::string(text) + "\"}") == "not base64 in a _b64 value");
  }
}

TEST_CASE("a header's bytes come in base64 as well, its value and its name") {
  const Parsed parsed(
      R"({"value":"v","headers":[["h",null,"/w=="],["h","/w==","base64"],[null,"v",null,"/w=="],[null,null,"/g==","/w=="],[null,null,null,"/w=="]]})");
  REQUIRE(parsed.result);
  REQUIRE(parsed.record.headers.size() == 5);
  CHECK(parsed.record.headers[0].value == "\xff");
  CHECK(parsed.record.headers[1].key == "h");
  CHECK(parsed.record.headers[1].value == "\xff");
  CHECK(parsed.record.headers[2].key == "\xff");
  CHECK(parsed.record.headers[2].value == "v");
  CHECK(parsed.record.headers[3].key == "\xff");
  CHECK(parsed.record.headers[3].value == "\xfe");
  CHECK(parsed.record.headers[4].key == "\xff");
  CHECK_FALSE(parsed.record.headers[4].value.has_value());
}

TEST_CASE("headers of any other form are refused") {
  for (const char* headers : {R"([[]])",
                              R"([["h"]])",
                              R"([[null,"v"]])",
                              R"([["h","v","x"]])",
                              R"([["h",null,null]])",
                              R"([["h","v",null]])",
                              R"([["h","v","AA==","AA=="]])",
                              R"([[null,"v","AA==","AA=="]])",
                              R"([[null,"v",null,null]])",
                              R"([["h",null,"no base64"]])",
                              R"([[null,null,null,"AA"]])",
                              R"([["h",1]])",
                              R"([["h",true]])",
                              R"([["h",{}]])",
                              R"([["h",["v"]]])",
                              R"(["h","v"])",
                              R"({"h":"v"})",
                              R"("h")",
                              R"(1)",
                              R"(true)",
                              R"([null])",
                              R"([1])",
                              R"([[null,null,null,null,null]])"}) {
    CAPTURE(headers);
    CHECK(fault(R"({"value":"v","headers":)" + std::string(headers) + "}") != "accepted");
  }
  CHECK(Parsed(R"({"value":"v","headers":[]})").result);
  CHECK(Parsed(R"({"value":"v","headers":null})").result);
}

TEST_CASE("timestamps are whole milliseconds that fit 64 bits") {
  const auto time_of = [](const std::string& number) {
    const Parsed parsed(R"({"value":"v","timestamp":)" + number + "}");
    REQUIRE(parsed.result);
    return parsed.record.timestamp;
  };
  CHECK(time_of("0") == TimestampMs{0});
  CHECK(time_of("-1") == TimestampMs{-1});
  CHECK(time_of("9223372036854775807") == TimestampMs{INT64_MAX});
  CHECK(time_of("-9223372036854775808") == TimestampMs{INT64_MIN});
  CHECK_FALSE(time_of("null").has_value());
  for (const char* number : {"1.5", "1e3", "9223372036854775808", "18446744073709551616", "-9223372036854775809",
                             "123456789012345678901234567890"}) {
    CAPTURE(number);
    CHECK(fault(R"({"value":"v","timestamp":)" + std::string(number) + "}") ==
          R"("timestamp" is not an integer of milliseconds)");
  }
  CHECK(fault(R"({"value":"v","timestamp":1e999})") != "accepted");
  CHECK(fault(R"({"value":"v","timestamp":"1"})") == R"("timestamp" cannot be a string)");
  CHECK(fault(R"({"value":"v","timestamp":true})") == R"("timestamp" cannot be a boolean)");
}

TEST_CASE("a number or a boolean is no key and no value") {
  CHECK(fault(R"({"value":1})") == R"("value" cannot be a number)");
  CHECK(fault(R"({"value":1.5})") == R"("value" cannot be a number)");
  CHECK(fault(R"({"value":18446744073709551615})") == R"("value" cannot be a number)");
  CHECK(fault(R"({"value":true})") == R"("value" cannot be a boolean)");
  CHECK(fault(R"({"value":{}})") == R"("value" cannot be an object)");
  CHECK(fault(R"({"value":["a"]})") == R"("value" cannot be an array)");
  CHECK(fault(R"({"key":1,"value":"v"})") == R"("key" cannot be a number)");
}

TEST_CASE("what is ignored may be any scalar") {
  CHECK(Parsed(R"({"topic":null,"partition":"x","offset":1e9,"value":"v"})").result);
  CHECK(Parsed(R"({"topic":true,"partition":18446744073709551615,"offset":-1,"value":"v"})").result);
  CHECK(fault(R"({"topic":[],"value":"v"})") == R"("topic" cannot be an array)");
}

TEST_CASE("escapes become the characters they stand for, NUL and surrogate pairs among them") {
  CHECK(value_of(R"({"value":"\"\\\/\b\f\n\r\t"})") == "\"\\/\b\f\n\r\t");
  CHECK(value_of(R"({"value":"a\u0000b"})") == "a\0b"s);
  CHECK(value_of(R"({"value":"\u00e9\u20AC\ud83d\uDE00"})") == "\u00e9\u20ac\U0001F600");
  CHECK(value_of("{\"value\":\"\u00e9\u20ac\U0001F600\x7f\"}") == "\u00e9\u20ac\U0001F600\x7f");
  CHECK(value_of(R"({"v\u0061lue":"x"})") == "x");
  CHECK(value_of(R"({"value":"\ud7ff\ue000\uffff"})") == "\ud7ff\ue000\uffff");
}

TEST_CASE("half a surrogate pair is not a character") {
  for (const char* text :
       {"\\ud83d", "\\ude00", "a\\udc00", "\\ud83dx", "\\ud83d\\u0041", "\\ude00\\ud83d", "\\udfff"}) {
    CAPTURE(text);
    CHECK(fault(R"({"value":")" + std::string(text) + "\"}") != "accepted");
    CHECK(fault(R"({"value":"v","headers":[["h",")" + std::string(text) + "\"]]}") != "accepted");
  }
}

TEST_CASE("text that is not UTF-8 is refused: it belongs into base64") {
  for (const char* bytes :
       {"\xff", "\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xf0\x9f\x98"}) {
    CAPTURE(bytes);
    CHECK(fault(R"({"value":")" + std::string(bytes) + "\"}").starts_with("not UTF-8"));
    CHECK(fault(R"({"value":")" + std::string(bytes)).starts_with("not UTF-8"));  // nothing behind it is looked at
  }
}

TEST_CASE("what is not one JSON object is refused with the byte") {
  CHECK(fault(R"({"value":"v")") == "not JSON at byte 12 of the line: Missing a comma or '}' after an object member");
  for (const char* line : {"",
                           " ",
                           "null",
                           "1",
                           "\"v\"",
                           "[]",
                           "true",
                           "{",
                           "}",
                           "{\"value\"}",
                           "{\"value\":}",
                           "{\"value\":\"v\",}",
                           "{\"value\":\"v\"} x",
                           "{\"value\":\"v\"}{}",
                           "{value:\"v\"}",
                           "{'value':'v'}",
                           "{\"value\":\"v",
                           "{\"value\":\"\\x\"}",
                           "{\"value\":\"\\u12\"}",
                           "{\"value\":\"a\tb\"}",
                           "{\"value\":nul}",
                           "{\"value\":NaN}",
                           "{\"timestamp\":01}",
                           "{\"timestamp\":-}",
                           "{\"timestamp\":1.}",
                           "{\"value\":\"v\"//\n}"}) {
    CAPTURE(line);
    CHECK(fault(line) != "accepted");
  }
  CHECK(value_of(" \t{ \"value\" :\r \"v\" } \r") == "v");
}

TEST_CASE("a NUL byte in the line does not end it") {
  CHECK(fault("{\"value\":\"v\"}\0garbage"s) == "a NUL at byte 13 of the line, not JSON");
  CHECK(fault("{\"value\":\"a\0b\"}"s) == "a NUL at byte 11 of the line, not JSON");
}

TEST_CASE("nesting however deep is refused without following it") {
  const std::string deep(1'000'000, '[');
  CHECK(fault(deep) == "an array where an object is expected");
  CHECK(fault(R"({"value":)" + deep) == R"("value" cannot be an array)");
  CHECK(fault(R"({"value":"v","headers":)" + deep) == R"(an array in "headers", where ["name","value"] is expected)");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += R"({"topic":)";
  CHECK(fault(objects) == R"("topic" cannot be an object)");
}
