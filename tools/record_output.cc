#include "tools/record_output.h"

#include <fmt/core.h>

#include <cstring>
#include <type_traits>

#include "leat/base/base64.h"
#include "leat/base/bytes.h"
#include "leat/pipe/envelope.h"
#include "tools/json_text.h"
#include "tools/output.h"

namespace leat::tools {
namespace {

constexpr std::size_t kDumpWidth = 16;
constexpr std::size_t kDumpLineBytes = 10 + kDumpWidth * 3 + 3 + kDumpWidth + 2;  // offset, hex, |text| and newline
constexpr std::uint32_t kNullLength = 0xffffffff;

// A line of a hex dump: "00000010  68 65 6c 6c 6f ...  |hello...|".
void append_dump_line(std::string& to, std::size_t position, std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  char line[kDumpLineBytes];
  std::memset(line, ' ', sizeof line);
  char* at = line;
  for (int shift = 28; shift >= 0; shift -= 4) *at++ = digits[(position >> shift) & 15];
  at += 2;
  char* text = at + kDumpWidth * 3 + 2;
  *text++ = '|';
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (i == kDumpWidth / 2) ++at;
    *at++ = digits[byte >> 4];
    *at++ = digits[byte & 15];
    ++at;
    *text++ = byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '.';
  }
  *text++ = '|';
  *text++ = '\n';
  to.append(line, static_cast<std::size_t>(text - line));
}

void append_dump(std::string& to, const std::optional<std::string_view>& bytes) {
  if (!bytes) to += "null\n";
  for (std::size_t at = 0; bytes && at < bytes->size(); at += kDumpWidth) {
    append_dump_line(to, at, bytes->substr(at, kDumpWidth));
  }
  to.append(kDumpLineBytes - 1, '-');
  to += '\n';
}

// Copies what is as short as most records are without calling anything, in two pieces that may overlap. Returns the
// place behind it.
char* put_bytes(char* to, std::string_view bytes) {
  const std::size_t size = bytes.size();
  const auto halves = [&]<std::size_t kBytes>(std::integral_constant<std::size_t, kBytes>) {
    std::memcpy(to, bytes.data(), kBytes);
    std::memcpy(to + size - kBytes, bytes.data() + size - kBytes, kBytes);
  };
  if (size < 16 || size > 128) {
    if (size != 0) std::memcpy(to, bytes.data(), size);
  } else if (size < 32) {
    halves(std::integral_constant<std::size_t, 16>());
  } else if (size < 64) {
    halves(std::integral_constant<std::size_t, 32>());
  } else {
    halves(std::integral_constant<std::size_t, 64>());
  }
  return to + size;
}

// A value as one line of JSON, whatever it is.
void append_json_value(std::string& to, const std::optional<std::string_view>& bytes) {
  if (!bytes) {
    to += "null";
  } else if (!append_compact_json(to, *bytes) && !append_if_utf8(to, *bytes)) {
    to += "{\"value_b64\":\"";
    append_base64(to, *bytes);
    to += "\"}";
  }
}

// Each flag asks for another form of the whole line; which of them go together.
Result<void> check_together(const OutputFlags& flags) {
  const auto clash = [](std::string_view flag, std::string_view other) {
    return fail(Code::usage, fmt::format("{} and {} do not go together", flag, other));
  };
  const std::string output =
      flags.format ? fmt::format("--output {}", kOutputFormatNames[static_cast<std::size_t>(*flags.format)]) : "";
  if (flags.record_template) {
    if (flags.format) return clash("--format", output);
    if (flags.framing) return clash("--format", "--framing");
    if (flags.keys) return clash("--format", "--key-value");
  }
  const OutputFormat format = flags.format.value_or(OutputFormat::dynamic);
  const bool lines = format == OutputFormat::dynamic || format == OutputFormat::text;
  if (flags.framing) {
    if (!lines && format != OutputFormat::raw) return clash("--framing", output);
    if (flags.keys) return clash("--framing", "--key-value");
  }
  if (flags.keys && !lines && format != OutputFormat::binary && format != OutputFormat::json) {
    return clash("--key-value", output);
  }
  return {};
}

}  // namespace

Result<RecordOutput> RecordOutput::make(const OutputFlags& flags, bool terminal) {
  TRY(check_together(flags));
  RecordOutput made;
  made.format_ = flags.format.value_or(OutputFormat::dynamic);
  made.keys_ = flags.keys;
  made.escape_ = terminal && made.format_ == OutputFormat::dynamic;
  made.terminal_ = terminal && made.format_ != OutputFormat::text && made.format_ != OutputFormat::raw;
  switch (made.format_) {
    case OutputFormat::dynamic:
    case OutputFormat::text:
      made.mode_ = made.escape_ || made.keys_ ? Mode::keyed_line : Mode::line;
      break;
    case OutputFormat::binary:
      made.mode_ = Mode::binary;
      break;
    case OutputFormat::json:
      made.mode_ = Mode::json;
      break;
    case OutputFormat::jsonl:
      made.mode_ = Mode::jsonl;
      break;
    case OutputFormat::raw:
      made.mode_ = Mode::raw;
      break;
    case OutputFormat::none:
      made.mode_ = Mode::none;
      break;
  }
  if (flags.record_template) {
    made.template_ = TRY(RecordTemplate::parse("--format", *flags.record_template, true));
    made.mode_ = Mode::templated;
  }
  if (flags.framing) {
    switch (*flags.framing) {
      case ValueFraming::lines:
        made.mode_ = Mode::line;
        break;
      case ValueFraming::nul:
        made.mode_ = Mode::nul;
        break;
      case ValueFraming::u32be:
        made.mode_ = Mode::u32be;
        break;
    }
  }
  return made;
}

RecordOutput::Taken RecordOutput::append_values(std::string& to, std::span<const RecordView> records) const {
  ASSERT(is_values());
  const std::size_t newline = mode_ == Mode::line ? 1 : 0;
  const std::size_t before = to.size();
  Taken taken;
  to.resize_and_overwrite(to.capacity(), [&](char* memory, std::size_t room) {
    char* at = memory + before;
    const char* const end = memory + room;
    for (const RecordView& record : records) {
      const std::string_view value = record.value.value_or(std::string_view());
      if (static_cast<std::size_t>(end - at) < value.size() + newline) break;
      at = put_bytes(at, value);
      if (newline != 0) *at++ = '\n';
      ++taken.records;
      taken.bytes += value.size() + (record.key ? record.key->size() : 0);
    }
    return static_cast<std::size_t>(at - memory);
  });
  return taken;
}

void RecordOutput::append_key(std::string& to, const RecordView& record) const {
  to += '[';
  if (!record.key) {
    to += "null";
  } else if (terminal_) {
    to += escape_controls(*record.key);
  } else {
    to += *record.key;
  }
  to += "] ";
}

Result<void> RecordOutput::append_other(std::string& to, const RecordView& record) {
  if (keys_) append_key(to, record);
  const std::size_t begin = to.size();
  switch (mode_) {
    case Mode::keyed_line:
      if (record.value && escape_) {
        to += escape_controls(*record.value);
      } else if (record.value) {
        to += *record.value;
      }
      to += '\n';
      break;
    case Mode::binary:
      if (keys_) to += '\n';
      append_dump(to, record.value);
      break;
    case Mode::json:
      append_json_value(to, record.value);
      if (terminal_) escape_json_controls(to, begin);
      to += '\n';
      break;
    case Mode::jsonl:
      append_envelope(to, record);
      if (terminal_) escape_json_controls(to, begin);
      to += '\n';
      break;
    case Mode::nul:
      if (record.value && record.value->find('\0') != std::string_view::npos) {
        return fail(Code::bad_data,
                    fmt::format("{} [{}] offset {}: the value holds a NUL byte, which --framing nul cannot carry",
                                record.topic, record.partition.value, record.offset.value),
                    "use --framing u32be or -O jsonl");
      }
      if (record.value) to += *record.value;
      to += '\0';
      break;
    case Mode::u32be: {
      std::byte length[4];
      store_be<std::uint32_t>(length, record.value ? static_cast<std::uint32_t>(record.value->size()) : kNullLength);
      to += as_text(length);
      if (record.value) to += *record.value;
      break;
    }
    case Mode::templated:
      TRY(template_.append(to, record, escape_));
      to += '\n';
      break;
    case Mode::line:
    case Mode::raw:
    case Mode::none:
      break;
  }
  return {};
}

}  // namespace leat::tools
