#include "tools/record_template.h"

#include <fmt/core.h>

#include <array>
#include <charconv>

#include "leat/base/units.h"
#include "tools/output.h"

namespace leat::tools {
namespace {

constexpr std::array<std::string_view, 6> kFieldNames = {"key", "value", "offset", "partition", "time", "topic"};

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

}  // namespace

Result<RecordTemplate> RecordTemplate::parse(std::string_view text) {
  RecordTemplate made;
  const auto add_literal = [&](std::string_view raw) -> Result<void> {
    if (raw.empty()) return {};
    made.parts_.push_back({Field::literal, TRY(unescape("--format", raw))});
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
      return fail(Code::usage, fmt::format("--format: '{}' has no closing '}}}}'", text.substr(open)));
    }
    const std::string_view name = trimmed(text.substr(open + 2, close - open - 2));
    std::size_t field = 0;
    while (field < kFieldNames.size() && kFieldNames[field] != name) ++field;
    if (field == kFieldNames.size()) {
      const std::string_view near = nearest(name, kFieldNames);
      return fail(Code::usage,
                  fmt::format("--format: '{{{{{}}}}}' is not a placeholder; there are {{{{key}}}} {{{{value}}}} "
                              "{{{{offset}}}} {{{{partition}}}} {{{{time}}}} {{{{topic}}}}",
                              name),
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

void RecordTemplate::append(std::string& to, const RecordView& record, bool escape) {
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
    }
  }
  to += '\n';
}

}  // namespace leat::tools
