// Fuzzes what consume writes against what produce reads: any record as an envelope, or its value in a framing, comes
// back as it was; a value as JSON is one line of JSON; a hex dump and escaped text hold no control characters.
#include <vector>

#include "leat/log/record.h"
#include "leat/pipe/json_record.h"
#include "tests/fuzz/fuzz.h"
#include "tools/input_framing.h"
#include "tools/json_text.h"
#include "tools/output.h"
#include "tools/record_output.h"

namespace leat::fuzz {
namespace {

using namespace leat::tools;

std::optional<std::string_view> take(Source& input) {
  const std::uint8_t size = input.byte();
  if (size == 255) return std::nullopt;
  return input.text(size % 64);
}

std::string written(const OutputFlags& flags, bool terminal, const RecordView& record) {
  RecordOutput output = must(RecordOutput::make(flags, terminal));
  std::string text;
  must(output.append(text, record));
  return text;
}

void check_envelope(const RecordView& record) {
  std::string line = written({.format = OutputFormat::jsonl}, false, record);
  ASSERT(line.ends_with('\n') && line.find('\n') == line.size() - 1 && is_utf8(line));
  JsonRecord again;
  must(parse_json_record(line.data(), line.size() - 1, again));
  ASSERT(again.key == record.key && again.value == record.value && again.timestamp == record.timestamp);
  ASSERT(std::ranges::equal(again.headers, record.headers, [](const HeaderView& a, const HeaderView& b) {
    return a.key == b.key && a.value == b.value;
  }));
}

// The value alone, read back by the framing of the same name.
void check_framing(const RecordView& record, ValueFraming written_as, Framing read_as) {
  RecordOutput output = must(RecordOutput::make({.format = {}, .framing = written_as}, false));
  std::string text;
  const auto done = output.append(text, record);
  const char delimiter = written_as == ValueFraming::nul ? '\0' : '\n';
  const bool splits = record.value && record.value->find(delimiter) != std::string_view::npos;
  if (!done) {
    ASSERT(written_as == ValueFraming::nul && splits && text.empty());
    return;
  }
  if (written_as == ValueFraming::lines && splits) return;
  Framer framer(read_as, "", 1 << 20);
  const Frame frame = framer.next(text, true);
  ASSERT(frame.kind == Frame::Kind::record && frame.consumed == text.size());
  ASSERT(std::string_view(text).substr(frame.begin, frame.size) == record.value.value_or(""));
  ASSERT(frame.is_null == (written_as == ValueFraming::u32be && !record.value));
}

void check_json(const RecordView& record) {
  const std::string line = written({.format = OutputFormat::json}, false, record);
  ASSERT(line.ends_with('\n') && line.find('\n') == line.size() - 1);
  std::string compact;
  ASSERT(append_compact_json(compact, line));
  std::string again;
  ASSERT(append_compact_json(again, compact) && again == compact);
}

void check_shown(const RecordView& record) {
  const auto is_control = [](char c) { return c != '\n' && (static_cast<unsigned char>(c) < 0x20 || c == 0x7f); };
  ASSERT(std::ranges::none_of(written({.format = OutputFormat::binary}, false, record), is_control));
  const std::string shown = written({.format = {}, .keys = true}, true, record);
  ASSERT(is_utf8(shown) && std::ranges::none_of(shown, [&](char c) { return c != '\t' && is_control(c); }));
}

void check(Source input) {
  RecordView record{
      .topic = "t", .offset = {input.number<std::int64_t>()}, .timestamp = {input.number<std::int64_t>()}};
  record.key = take(input);
  std::vector<HeaderView> headers(input.byte() % 4);
  for (HeaderView& header : headers) {
    header.key = take(input).value_or("");
    header.value = take(input);
  }
  record.headers = headers;
  if (input.byte() != 255) record.value = input.rest();
  check_envelope(record);
  check_framing(record, ValueFraming::lines, Framing::lines);
  check_framing(record, ValueFraming::nul, Framing::nul);
  check_framing(record, ValueFraming::u32be, Framing::u32be);
  check_json(record);
  check_shown(record);
}

}  // namespace
}  // namespace leat::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leat::fuzz::check(leat::fuzz::Source(data, size));
  return 0;
}
