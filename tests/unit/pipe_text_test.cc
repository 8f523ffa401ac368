// What stages read and write: members of JSON, frames, templates, built-ins.
#include "leat/pipe/builtin.h"
#include "leat/pipe/framing.h"
#include "leat/pipe/json_field.h"
#include "leat/pipe/line_format.h"
#include "tests/support/pipe_fixture.h"

using namespace leat;
using namespace leat::pipe;
using namespace leat::test;
using namespace std::string_literals;

namespace {

std::string field(std::string_view text, const std::vector<std::string>& path) {
  const auto found = json_field(text, path);
  if (!found) return "error: " + found.error().message;
  return found->value_or("(nothing)");
}

Outcome mapped(const MakeMapper& make, const Message& message) {
  std::vector<Outcome> outcomes;
  const std::atomic<bool> halt = false;
  must(must(make({}))->map({&message, 1}, outcomes, halt));
  REQUIRE(outcomes.size() == 1);
  return outcomes.front();
}

std::string template_of(const std::string& text, const Message& message) {
  const Outcome outcome = mapped(template_mapper(must(RecordTemplate::parse("template", text, false))), message);
  return outcome.kind == Outcome::Kind::refused ? "refused: " + outcome.reason : *outcome.message.value;
}

Outcome answer(std::string_view line, bool filters = false) {
  return read_answer(Framing::json, line, message(3, "asked", "k"), filters);
}

}  // namespace

TEST_CASE("a member of JSON is found by its path; texts lose their quotes, all else keeps its digits") {
  CHECK(field(R"({"a":1,"b":"x\n\u00e4"})", {"b"}) == "x\n\xc3\xa4");
  CHECK(field(R"({"a":12345678901234567890.5000})", {"a"}) == "12345678901234567890.5000");
  CHECK(field(R"( {"a" : { "b" : [ 1, {"c":null}, "d" ] } } )", {"a", "b"}) == R"([1,{"c":null},"d"])");
  CHECK(field(R"({"x":{"b":1},"a":{"c":{"b":2},"b":true}})", {"a", "b"}) == "true");
  CHECK(field(R"({"b":1,"a":[{"b":2}],"c":{"a":{"b":3}}})", {"a", "b"}) == "(nothing)");
  CHECK(field(R"({"a":{"b":1},"a":{"b":2}})", {"a", "b"}) == "1");
  CHECK(field(R"({"a":{"c":1},"a":{"b":2}})", {"a", "b"}) == "2");
  CHECK(field(R"({"a":null})", {"a"}) == "(nothing)");
  CHECK(field(R"({"a":""})", {"a"}).empty());
  CHECK(field(R"({"a":{}})", {"a"}) == "{}");
  CHECK(field("[1]", {"a"}) == "(nothing)");
  CHECK(field("3", {"a"}) == "(nothing)");
}

TEST_CASE("what is not one JSON text is an error, wherever the member lies") {
  for (const std::string_view text :
       {"", "{", R"({"a":1)", R"({"a":1} x)", R"({"a":1,})", "{\"a\":\"\xff\"}", "{'a':1}"}) {
    CAPTURE(text);
    CHECK(field(text, {"a"}).starts_with("error: not JSON: "));
  }
  std::string deep = R"({"a":1,"b":)";
  deep.append(100'000, '[').append(100'000, ']').append("}");
  CHECK(field(deep, {"a"}) == "1");
}

TEST_CASE("frames are read back as they were written, however they are cut") {
  for (const Framing framing : {Framing::lines, Framing::u32be}) {
    std::string text;
    must(append_frame(text, framing, message(0, "one")));
    must(append_frame(text, framing, message(1, "")));
    std::vector<std::string> found;
    std::size_t at = 0;
    for (std::size_t end = 0; end <= text.size(); ++end) {
      std::optional<std::string_view> frame;
      while (must(take_frame(std::string_view(text).substr(0, end), at, framing, 3, frame))) found.emplace_back(*frame);
    }
    CHECK(found == std::vector<std::string>{"one", ""});
    CHECK(at == text.size());
  }
  std::string null;
  Message nothing = message(0, "");
  nothing.value.reset();
  must(append_frame(null, Framing::u32be, nothing));
  std::size_t at = 0;
  std::optional<std::string_view> frame = "x";
  CHECK(must(take_frame(null, at, Framing::u32be, 3, frame)));
  CHECK_FALSE(frame);
}

TEST_CASE("a frame that is too large is refused, be it whole or not") {
  const auto taken = [](std::string_view text, Framing framing, std::size_t bytes_max) {
    std::size_t at = 0;
    std::optional<std::string_view> frame;
    auto found = take_frame(text, at, framing, bytes_max, frame);
    CHECK((found || found.error().code == Code::bad_data));
    CHECK(at == (found && *found ? text.size() : 0));
    return found;
  };
  for (const Framing framing : {Framing::json, Framing::lines}) {
    CHECK(must(taken("abc\n", framing, 3)));
    CHECK_FALSE(must(taken("abc", framing, 3)));
    CHECK_FALSE(taken("abcd\n", framing, 3));
    CHECK_FALSE(taken("abcd", framing, 3));
  }
  CHECK(must(taken("\0\0\0\x03"s + "abc", Framing::u32be, 3)));
  CHECK_FALSE(must(taken("\0\0\0\x03"s + "ab", Framing::u32be, 3)));
  CHECK_FALSE(taken("\0\0\0\x04"s + "abcd", Framing::u32be, 3));
  CHECK_FALSE(taken("\0\0\0\x04"s, Framing::u32be, 3));
  CHECK_FALSE(taken("\xF0\0\0\0"s, Framing::u32be, kAnswerBytesMax));
}

TEST_CASE("what cannot be a line is refused") {
  std::string to;
  CHECK(append_frame(to, Framing::lines, message(0, "a\nb")).error().code == Code::bad_data);
  Message nothing = message(0, "");
  nothing.value.reset();
  CHECK(append_frame(to, Framing::lines, nothing).error().code == Code::bad_data);
  CHECK(to.empty());
}

TEST_CASE("a batch is an array of envelopes, or a frame of frames") {
  const std::vector<Message> batch = {message(0, "a", "k"), message(1, "b")};
  std::string json;
  append_batch_frame(json, Framing::json, batch);
  CHECK(json == R"([{"topic":"t","partition":0,"offset":0,"timestamp":1000,"key":"k","value":"a","headers":[]},)"
                R"({"topic":"t","partition":0,"offset":1,"timestamp":1001,"key":null,"value":"b","headers":[]}])"
                "\n");
  std::string frames;
  append_batch_frame(frames, Framing::u32be, batch);
  CHECK(frames == "\0\0\0\x0A\0\0\0\x01"s + "a" + "\0\0\0\x01"s + "b");
}

TEST_CASE("an answer changes, drops, refuses or keeps") {
  const Outcome made = answer(R"({"key":null,"value":"new","headers":[["h","v"]],"offset":99})");
  CHECK(made.kind == Outcome::Kind::changed);
  CHECK_FALSE(made.message.key);
  CHECK(made.message.value == "new");
  CHECK(made.message.headers.size() == 1);
  CHECK(made.message.timestamp == TimestampMs{1003});
  CHECK(answer(R"({"value":"x","timestamp":5})").message.timestamp == TimestampMs{5});
  CHECK(answer("null").kind == Outcome::Kind::dropped);
  CHECK(answer(R"({"error":"because"})").reason == "because");
  CHECK(answer("what").kind == Outcome::Kind::refused);
  CHECK(answer(R"({"valu":"x"})").kind == Outcome::Kind::refused);
  CHECK(answer("true\r", true).kind == Outcome::Kind::passed);
  CHECK(answer("false", true).kind == Outcome::Kind::dropped);
  CHECK(answer("1", true).kind == Outcome::Kind::refused);
  CHECK(answer(R"({"error":"e"})", true).reason == "e");
  const Outcome plain = read_answer(Framing::lines, "new", message(3, "asked", "k"), false);
  CHECK(plain.message.value == "new");
  CHECK(plain.message.key == "k");
  CHECK_FALSE(read_answer(Framing::u32be, std::nullopt, message(3, "asked"), false).message.value);
}

TEST_CASE("a template names what a record has") {
  const Message one = message(5, "v\"", "k", 2);
  CHECK(template_of(R"({"partition":{{partition}},"offset":{{offset}},"timestamp":{{time_s}}})", one) ==
        R"({"partition":2,"offset":5,"timestamp":1})");
  CHECK(template_of("{{topic}} {{key}}={{value}} {{value_json}} {{key_json}} {{time_ms}} {{time}}", one) ==
        R"(t k=v" "v\"" "k" 1005 1970-01-01T00:00:01.005Z)");
  CHECK(template_of(R"(\n{{key_json}})", message(0, "v")) == R"(\nnull)");
  CHECK(template_of("{{value_json}}", message(0, "\xff")) == "refused: the value is not UTF-8, which JSON needs");
  Message before = message(0, "v");
  before.timestamp = {-1};
  CHECK(template_of("{{time_s}}", before) == "-1");
}

TEST_CASE("a JSON member becomes the value or the key") {
  const Message one = message(0, R"({"id":7,"name":"x"})", "k");
  CHECK(mapped(json_field_mapper({.path = {"name"}}), one).message.value == "x");
  CHECK(mapped(json_field_mapper({.path = {"name"}}), one).message.key == "k");
  const Outcome keyed = mapped(json_field_mapper({.path = {"id"}, .to_key = true}), one);
  CHECK(keyed.message.key == "7");
  CHECK(keyed.message.value == one.value);
  CHECK(mapped(json_field_mapper({.path = {"no"}}), one).reason == "the value has no member \"no\"");
  CHECK(mapped(json_field_mapper({.path = {"no"}, .missing = Missing::drop}), one).kind == Outcome::Kind::dropped);
  const Outcome null = mapped(json_field_mapper({.path = {"no"}, .missing = Missing::null}), one);
  CHECK(null.kind == Outcome::Kind::changed);
  CHECK_FALSE(null.message.value);
  CHECK(mapped(json_field_mapper({.path = {"no"}}), message(0, "{")).kind == Outcome::Kind::refused);
}

TEST_CASE("a JSON member decides who stays") {
  const auto kept = [](const JsonFilterOptions& options, std::string value) {
    return mapped(json_field_filter(options), message(0, std::move(value))).kind == Outcome::Kind::passed;
  };
  CHECK(kept({.path = {"a"}}, R"({"a":0})"));
  CHECK_FALSE(kept({.path = {"a"}}, R"({"b":0})"));
  CHECK(kept({.path = {"a"}, .equals = {"x", "1"}}, R"({"a":1})"));
  CHECK_FALSE(kept({.path = {"a"}, .equals = {"x", "1"}}, R"({"a":2})"));
  CHECK(kept({.path = {"a"}, .equals = {"x"}, .negated = true}, R"({"a":2})"));
  CHECK(kept({.path = {"a"}, .equals = {"x"}, .negated = true}, R"({})"));
  CHECK_FALSE(kept({.path = {"a"}, .equals = {"x"}, .negated = true}, R"({"a":"x"})"));
}

TEST_CASE("batches are counted, and come to be lines") {
  std::vector<Message> batch = {message(0, "a"), message(1, ""), message(2, "c")};
  const std::atomic<bool> halt = false;
  CHECK(must(must(count_reducer()({}))->reduce(batch, halt)).message.value == "3");
  batch[1].value.reset();
  const Outcome lines = must(must(lines_reducer()({}))->reduce(batch, halt));
  CHECK(lines.message.value == "a\nc\n");
  CHECK(lines.message.timestamp == TimestampMs{1002});
}

TEST_CASE("sinks that write bytes know four ways to do so") {
  std::vector<Message> batch = {message(0, "a", "k"), message(1, "b")};
  batch[1].value.reset();
  CHECK(formatted(LineFormat::text, batch) == "a\n\n");
  CHECK(formatted(LineFormat::raw, batch) == "a");
  CHECK(formatted(LineFormat::u32be, batch) == "\0\0\0\x01"s + "a\xff\xff\xff\xff");
  CHECK(formatted(LineFormat::jsonl, batch).find(R"("offset":1,"timestamp":1001,"key":null,"value":null)") !=
        std::string::npos);
}
