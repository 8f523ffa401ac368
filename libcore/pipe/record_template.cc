#include "leat/pipe/record_template.h"

#include <fmt/core.h>

#include <array>
#include <charconv>

#include "leat/base/text.h"
#include "leat/base/units.h"
#include "leat/pipe/envelope.h"

namespace leat {
namespace {

constexpr std::array<std::string_view, 10> kFieldNames = {"key",   "value",    "offset",     "partition", "time",
                                                          "topic", "key_json", "value_json", "time_s",    "time_ms"};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

void append_number(std::string& to, std::int64_t number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  to.append(digits, static_cast<std::size_t>(end - digits));
}

void append_bytes(std::string& to, const std::optional<std::string_view>& bytes, bool escape) {
  if (!bytes) {
    to += "null";
  } else if (escape) {
    to += escape_controls(*bytes);
  } else {
    to += *bytes;
  }
}

std::string all_placeholders() {
  std::string all;
  for (const std::string_view name : kFieldNames) all += fmt::format(" {{{{{}}}}}", name);
  return all;
}

Result<void> append_json(std::string& to, std::string_view what, const std::optional<std::string_view>& bytes) {
  if (!bytes) {
    to += "null";
  } else if (!append_if_utf8(to, *bytes)) {
    return fail(Code::bad_data, fmt::format("the {} is not UTF-8, which JSON needs", what));
  }
  return {};
}

// Down, also before 1970.
std::int64_t seconds_of(TimestampMs time) {
  return time.value / 1000 - (time.value % 1000 < 0 ? 1 : 0);
}

}  // namespace

Result<RecordTemplate> RecordTemplate::parse(std::string_view what, std::string_view text, bool escapes) {
  RecordTemplate made;
  const auto add_literal = [&](std::string_view raw) -> Result<void> {
    if (raw.empty()) return {};
    made.parts_.push_back({Field::literal, escapes ? TRY(unescape(what, raw)) : std::string(raw)});
    return {};
  };
  while (true) {
    std::size_t open = text.find("{{");
    if (open == std::string_view::npos) break;
    // "{{{offset}}}" is a placeholder in braces, so that JSON can be written around one.
    while (open + 2 < text.size() && text[open + 2] == '{') ++open;
    TRY(add_literal(text.substr(0, open)));
    const std::size_t close = text.find("}}", open);
    if (close == std::string_view::npos) {
      return fail(Code::usage, fmt::format("{}: '{}' has no closing '}}}}'", what, text.substr(open)));
    }
    const std::string_view name = trimmed(text.substr(open + 2, close - open - 2));
    std::size_t field = 0;
    while (field < kFieldNames.size() && kFieldNames[field] != name) ++field;
    if (field == kFieldNames.size()) {
      const std::string_view near = nearest(name, kFieldNames);
      return fail(Code::usage,
                  fmt::format("{}: '{{{{{}}}}}' is not a placeholder; there are{}", what, name, all_placeholders()),
                  near.empty() ? std::string() : fmt::format("did you mean {{{{{}}}}}?", near));
    }
    made.parts_.push_back({static_cast<Field>(field + 1), {}});
    text.remove_prefix(close + 2);
  }
  TRY(add_literal(text));
  return made;
}

void RecordTemplate::append_time(std::string& to, TimestampMs time) {
  if (shown_text_.empty() || shown_time_ != time) {
    shown_text_ = format_time(time);
    shown_time_ = time;
  }
  to += shown_text_;
}

Result<void> RecordTemplate::append(std::string& to, const RecordView& record, bool escape) {
  const std::size_t before = to.size();
  const auto json = [&](std::string_view what, const std::optional<std::string_view>& bytes) {
    auto appended = append_json(to, what, bytes);
    if (!appended) to.resize(before);
    return appended;
  };
  for (const Part& part : parts_) {
    switch (part.field) {
      case Field::literal:
        to += part.literal;
        break;
      case Field::key:
        append_bytes(to, record.key, escape);
        break;
      case Field::value:
        append_bytes(to, record.value, escape);
        break;
      case Field::offset:
        append_number(to, record.offset.value);
        break;
      case Field::partition:
        append_number(to, record.partition.value);
        break;
      case Field::time:
        append_time(to, record.timestamp);
        break;
      case Field::topic:
        to += record.topic;
        break;
      case Field::key_json:
        TRY(json("key", record.key));
        break;
      case Field::value_json:
        TRY(json("value", record.value));
        break;
      case Field::time_s:
        append_number(to, seconds_of(record.timestamp));
        break;
      case Field::time_ms:
        append_number(to, record.timestamp.value);
        break;
    }
  }
  return {};
}

}  // namespace leat
