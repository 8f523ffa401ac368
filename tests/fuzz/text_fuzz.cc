// Fuzzes the small text forms: sizes, durations, times, counts, escapes, names of files, offsets files, the template of
// consume. Any text gives an error that says why or a value, and the text form of a value is read back as that value.
#include "leat/base/units.h"
#include "leat/log/codec.h"
#include "leat/log/file_names.h"
#include "leat/log/partition_state.h"
#include "leat/log/topic_settings.h"
#include "leat/pipe/record_template.h"
#include "tests/fuzz/fuzz.h"
#include "tools/json_text.h"
#include "tools/offsets_file.h"
#include "tools/output.h"

namespace leat::fuzz {
namespace {

void check_refusal(const Error& error, Code code = Code::usage) {
  ASSERT(error.code == code && !error.message.empty());
}

void check_size(std::string_view text) {
  const auto size = parse_size(text);
  if (!size) return check_refusal(size.error());
  ASSERT(*size >= 0);
  ASSERT(parse_size(format_size(*size)) == *size);
  ASSERT(!format_size_short(*size).empty());
}

void check_duration(std::string_view text) {
  const auto duration = parse_duration(text);
  if (!duration) return check_refusal(duration.error());
  ASSERT(duration->count() >= 0);
  ASSERT(parse_duration(format_duration(*duration)) == *duration);
  ASSERT(!format_age(*duration).empty());
}

void check_time(std::string_view text) {
  const auto time = parse_time(text, TimestampMs{1'763'696'242'123});
  if (!time) return check_refusal(time.error());
  // Four digits for the year are all that the text form has.
  constexpr TimestampMs kYear10000{253'402'300'800'000};
  constexpr TimestampMs kYear0{-62'167'219'200'000};
  const std::string shown = format_time(*time);
  if (*time >= kYear0 && *time < kYear10000) ASSERT(parse_time(shown, TimestampMs{0}) == *time);
}

void check_numbers(std::string_view text) {
  const auto count = parse_count("N", text);
  if (count) {
    ASSERT(parse_count("N", std::to_string(*count)) == *count);
  } else {
    check_refusal(count.error());
  }
  const auto bytes = unescape("N", text);
  if (bytes) {
    ASSERT(bytes->size() <= text.size());
  } else {
    check_refusal(bytes.error());
  }
}

void check_names(std::string_view text) {
  if (const auto base = parse_log_file_name(text)) ASSERT(base->value >= 0 && log_file_name(*base) == text);
  if (const auto partition = parse_partition_directory_name(text))
    ASSERT(partition->value >= 0 && partition_directory_name(*partition) == text);
  if (const auto id = parse_topic_id(text)) ASSERT(to_string(*id) == text);
  if (const auto codec = parse_codec(text)) ASSERT(to_string(*codec) == text);
  const auto named = check_name("topic", text);
  if (!named) return check_refusal(named.error());
  ASSERT(!text.empty() && text.size() <= 249 && text != "." && text != ".." && text.find('/') == text.npos);
}

void check_shown(std::string_view text) {
  const std::string shown = escape_controls(text);
  ASSERT(is_utf8(shown));
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const auto byte = static_cast<unsigned char>(shown[i]);
    ASSERT(byte >= 0x20 && byte != 0x7f);
    // C1 in UTF-8.
    ASSERT(byte != 0xc2 || static_cast<unsigned char>(shown[i + 1]) >= 0xa0);
  }
  std::string compact;
  if (tools::append_compact_json(compact, text)) {
    std::string again;
    ASSERT(tools::append_compact_json(again, compact) && again == compact && compact.size() <= text.size());
  } else {
    ASSERT(compact.empty());
  }
  if (!is_utf8(text)) return;
  std::string quoted;
  append_json_string(quoted, text);
  compact.clear();
  ASSERT(tools::append_compact_json(compact, quoted) && compact == quoted);
}

void check_offsets(std::string_view text) {
  const auto lines = tools::parse_offsets("FILE", text);
  if (!lines) return check_refusal(lines.error(), Code::bad_data);
  for (const tools::OffsetsLine& line : *lines)
    ASSERT(check_name("topic", line.topic) && line.partition.value >= 0 && line.next.value >= 0);
}

void check_template(Source input) {
  const std::int64_t time = input.number<std::int64_t>();
  const bool escape = (input.byte() & 1) != 0;
  const std::string_view value = input.text(input.byte() % 16);
  auto parsed = RecordTemplate::parse("--format", input.rest(), true);
  if (!parsed) return check_refusal(parsed.error());
  std::string text = "before";
  const auto appended = parsed->append(text, {.topic = "t", .timestamp = {time}, .value = value}, escape);
  ASSERT(text.starts_with("before") && (appended || text == "before"));
}

void check_distance(Source input) {
  const std::string_view a = input.text(input.byte() % 32);
  const std::string_view b = input.rest();
  const std::size_t distance = edit_distance(a, b);
  ASSERT(distance == edit_distance(b, a) && (distance == 0) == (a == b) && distance <= std::max(a.size(), b.size()));
}

void check(Source input) {
  switch (input.byte() % 9) {
    case 0:
      return check_size(input.rest());
    case 1:
      return check_duration(input.rest());
    case 2:
      return check_time(input.rest());
    case 3:
      return check_numbers(input.rest());
    case 4:
      return check_names(input.rest());
    case 5:
      return check_shown(input.rest());
    case 6:
      return check_offsets(input.rest());
    case 7:
      return check_template(input);
    default:
      return check_distance(input);
  }
}

}  // namespace
}  // namespace leat::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leat::fuzz::check(leat::fuzz::Source(data, size));
  return 0;
}
