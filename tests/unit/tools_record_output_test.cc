#include "tools/record_output.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace leat::tools {
namespace {

using namespace std::string_literals;

const RecordView kPlain = {
    .topic = "t", .partition = {2}, .offset = {7}, .timestamp = {1704164645006}, .key = "k", .value = "v"};

RecordView with_value(std::optional<std::string_view> value) {
  RecordView record = kPlain;
  record.value = value;
  return record;
}

std::string shown(const OutputFlags& flags, const RecordView& record, bool terminal = false) {
  auto output = RecordOutput::make(flags, terminal);
  REQUIRE_MESSAGE(output.has_value(), (output ? ""s : output.error().message));
  std::string to;
  REQUIRE(output->append(to, record).has_value());
  return to;
}

std::string refused(const OutputFlags& flags) {
  const auto output = RecordOutput::make(flags, false);
  if (output) return "accepted";
  CHECK(output.error().code == Code::usage);
  return output.error().message;
}

TEST_CASE("text is the bytes and a newline, a null an empty line") {
  for (const auto format : {OutputFormat::dynamic, OutputFormat::text}) {
    CHECK(shown({.format = format}, kPlain) == "v\n");
    CHECK(shown({.format = format}, with_value("a\0\xff\r"s)) == "a\0\xff\r\n"s);
    CHECK(shown({.format = format}, with_value("")) == "\n");
    CHECK(shown({.format = format}, with_value({})) == "\n");
  }
}

TEST_CASE("many values are appended as one by one, as far as there is room") {
  std::string bytes(1000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>('!' + i % 90);
  std::vector<RecordView> records = {with_value({}), with_value("")};
  for (std::size_t size = 1; size <= 300; ++size)
    records.push_back(with_value(std::string_view(bytes).substr(size % 7, size)));
  records.push_back(with_value(bytes));
  for (const auto format : {OutputFormat::text, OutputFormat::raw}) {
    auto output = RecordOutput::make({.format = format}, false).value();
    REQUIRE(output.is_values());
    std::string all = "before";
    for (const RecordView& record : records) REQUIRE(output.append(all, record).has_value());
    for (const std::size_t room : {std::size_t{6}, std::size_t{7}, std::size_t{100}, std::size_t{20'000}, all.size()}) {
      std::string some = "before";
      some.reserve(room);
      const auto taken = output.append_values(some, records);
      std::string one_by_one = "before";
      std::size_t count = 0;
      std::size_t payload = 0;
      for (const RecordView& record : records) {
        std::string longer = one_by_one;
        REQUIRE(output.append(longer, record).has_value());
        if (longer.size() > some.capacity()) break;
        one_by_one = longer;
        ++count;
        payload += record.value.value_or("").size() + record.key->size();
      }
      CHECK(some == one_by_one);
      CHECK(taken.records == count);
      CHECK(taken.bytes == payload);
    }
  }
  for (const auto format : {OutputFormat::json, OutputFormat::jsonl, OutputFormat::none, OutputFormat::binary})
    CHECK_FALSE(RecordOutput::make({.format = format}, false)->is_values());
  CHECK_FALSE(RecordOutput::make({}, true)->is_values());
  CHECK_FALSE(RecordOutput::make({.keys = true}, false)->is_values());
}

TEST_CASE("dynamic escapes control characters on a terminal and text does not") {
  CHECK(shown({}, with_value("\033[31m"), true) == "\\x1b[31m\n");
  CHECK(shown({.keys = true}, {.topic = "t", .key = "\a", .value = "\b"}, true) == "[\\x07] \\x08\n");
  CHECK(shown({.record_template = "{{value}}"}, with_value("\033"), true) == "\\x1b\n");
  CHECK(shown({.format = OutputFormat::text}, with_value("\033[31m"), true) == "\033[31m\n");
}

TEST_CASE("raw adds nothing and none prints nothing") {
  CHECK(shown({.format = OutputFormat::raw}, with_value("a\n"s)) == "a\n");
  CHECK(shown({.format = OutputFormat::raw}, with_value({})) == "");
  CHECK(shown({.format = OutputFormat::none}, kPlain) == "");
}

TEST_CASE("keys stand in brackets, a missing one as null") {
  CHECK(shown({.keys = true}, kPlain) == "[k] v\n");
  CHECK(shown({.keys = true}, {.topic = "t", .value = "v"}) == "[null] v\n");
  CHECK(shown({.keys = true}, {.topic = "t", .key = "", .value = {}}) == "[] \n");
  CHECK(shown({.format = OutputFormat::json, .keys = true}, with_value("{ }")) == "[k] {}\n");
}

TEST_CASE("json prints one JSON value a line whatever the record holds") {
  const OutputFlags json = {.format = OutputFormat::json};
  CHECK(shown(json, with_value("{ \"a\" : 1 }\n")) == "{\"a\":1}\n");
  CHECK(shown(json, with_value("plain \"text\"")) == "\"plain \\\"text\\\"\"\n");
  CHECK(shown(json, with_value("")) == "\"\"\n");
  CHECK(shown(json, with_value({})) == "null\n");
  CHECK(shown(json, with_value("\xff")) == "{\"value_b64\":\"/w==\"}\n");
}

TEST_CASE("binary is a hex dump with a line of dashes behind each record") {
  const OutputFlags binary = {.format = OutputFormat::binary};
  const std::string dashes = std::string(78, '-') + "\n";
  CHECK(shown(binary, with_value("hello, world\n\xff\0\x41\x42"s)) ==
        "00000000  68 65 6c 6c 6f 2c 20 77  6f 72 6c 64 0a ff 00 41  |hello, world...A|\n"
        "00000010  42                                                |B|\n" +
            dashes);
  CHECK(shown(binary, with_value("")) == dashes);
  CHECK(shown(binary, with_value({})) == "null\n" + dashes);
}

TEST_CASE("framings tell values apart") {
  CHECK(shown({.framing = ValueFraming::lines}, kPlain) == "v\n");
  CHECK(shown({.framing = ValueFraming::nul}, with_value("a\nb")) == "a\nb\0"s);
  CHECK(shown({.framing = ValueFraming::nul}, with_value({})) == "\0"s);
  CHECK(shown({.framing = ValueFraming::u32be}, with_value("a\0b"s)) == "\0\0\0\3a\0b"s);
  CHECK(shown({.framing = ValueFraming::u32be}, with_value("")) == "\0\0\0\0"s);
  CHECK(shown({.framing = ValueFraming::u32be}, with_value({})) == "\xff\xff\xff\xff"s);
  CHECK(shown({.framing = ValueFraming::u32be}, with_value("\033"), true) == "\0\0\0\1\033"s);
}

TEST_CASE("a value holding NUL is refused under the nul framing and leaves nothing behind") {
  auto output = RecordOutput::make({.framing = ValueFraming::nul}, false);
  REQUIRE(output.has_value());
  std::string to = "before";
  const auto done = output->append(to, with_value("a\0b"s));
  REQUIRE(!done.has_value());
  CHECK(done.error().code == Code::bad_data);
  CHECK(done.error().message.find("offset 7") != std::string::npos);
  CHECK(to == "before");
}

TEST_CASE("a template names every part of a record") {
  const std::string all = "{{key}} {{value}} {{offset}} {{partition}} {{time}} {{topic}}";
  CHECK(shown({.record_template = all}, kPlain) == "k v 7 2 2024-01-02T03:04:05.006Z t\n");
  CHECK(shown({.record_template = all}, {.topic = "t"}) == "null null 0 0 1970-01-01T00:00:00.000Z t\n");
  CHECK(shown({.record_template = "{{ value }}"}, kPlain) == "v\n");
  CHECK(shown({.record_template = ""}, kPlain) == "\n");
  CHECK(shown({.record_template = "{key} }} {"}, kPlain) == "{key} }} {\n");
  CHECK(shown({.record_template = R"({"o":{{{offset}}}})"}, kPlain) == "{\"o\":{7}}\n");
}

TEST_CASE("escapes in a template become bytes and those in records do not") {
  CHECK(shown({.record_template = R"({{key}}\t{{value}}\x21\0\\n)"}, with_value("\\t")) == "k\t\\t!\0\\n\n"s);
}

TEST_CASE("a template shows each record's own time") {
  auto output = RecordOutput::make({.record_template = "{{time}}"}, false);
  REQUIRE(output.has_value());
  std::string to;
  for (const std::int64_t ms : {0, 0, 1, 0}) REQUIRE(output->append(to, {.topic = "t", .timestamp = {ms}}).has_value());
  CHECK(to ==
        "1970-01-01T00:00:00.000Z\n1970-01-01T00:00:00.000Z\n1970-01-01T00:00:00.001Z\n1970-01-01T00:00:00.000Z\n");
}

TEST_CASE("a bad template is a usage error that says what is wrong") {
  CHECK(refused({.record_template = "{{valu}}"}).find("'{{valu}}' is not a placeholder") != std::string::npos);
  CHECK(refused({.record_template = "a {{value"}).find("no closing") != std::string::npos);
  CHECK(refused({.record_template = "\\q"}) != "accepted");
  CHECK(refused({.record_template = "{{}}"}) != "accepted");
}

TEST_CASE("flags that ask for two forms of a record are refused") {
  CHECK(refused({.format = OutputFormat::json, .record_template = "x"}) ==
        "--format and --output json do not go together");
  CHECK(refused({.framing = ValueFraming::nul, .record_template = "x"}) != "accepted");
  CHECK(refused({.record_template = "x", .keys = true}) != "accepted");
  CHECK(refused({.framing = ValueFraming::nul, .keys = true}) != "accepted");
  CHECK(refused({.format = OutputFormat::jsonl, .framing = ValueFraming::nul}) != "accepted");
  CHECK(refused({.format = OutputFormat::raw, .framing = ValueFraming::u32be}) == "accepted");
  for (const auto format : {OutputFormat::raw, OutputFormat::jsonl, OutputFormat::none}) {
    CHECK(refused({.format = format, .keys = true}) != "accepted");
  }
  CHECK(refused({.format = OutputFormat::text, .keys = true}) == "accepted");
}

}  // namespace
}  // namespace leat::tools
