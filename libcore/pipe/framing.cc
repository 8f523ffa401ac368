#include "leat/pipe/framing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "leat/base/bytes.h"
#include "leat/pipe/envelope.h"
#include "leat/pipe/json_field.h"
#include "leat/pipe/json_record.h"
#include "leat/pipe/message_view.h"

namespace leat::pipe {
namespace {

constexpr std::uint32_t kNull = 0xFFFFFFFF;
constexpr std::size_t kLengthBytes = sizeof(std::uint32_t);

void append_length(std::string& to, std::uint32_t length) {
  std::array<std::byte, kLengthBytes> bytes;
  store_be(bytes.data(), length);
  to += as_text(bytes);
}

void append_u32be(std::string& to, std::optional<std::string_view> value) {
  append_length(to, value ? static_cast<std::uint32_t>(value->size()) : kNull);
  if (value) to += *value;
}

Result<void> append_line(std::string& to, std::optional<std::string_view> value) {
  if (!value) return fail(Code::bad_data, "a null value is not a line");
  if (value->find('\n') != std::string_view::npos)
    return fail(Code::bad_data, "a value with a newline in it is not one line");
  to += *value;
  to += '\n';
  return {};
}

Outcome changed(const Message& asked, std::optional<std::string> value) {
  Outcome outcome{Outcome::Kind::changed};
  outcome.message = {
      .key = asked.key, .value = std::move(value), .headers = asked.headers, .timestamp = asked.timestamp};
  return outcome;
}

Outcome verdict(std::string_view text) {
  if (text == "true") return {Outcome::Kind::passed};
  if (text == "false") return {Outcome::Kind::dropped};
  return Outcome::refuse("the program was to say true or false");
}

// The WHY of {"error":"WHY"}.
std::optional<std::string> complaint(std::string_view line) {
  if (line.find("\"error\"") == std::string_view::npos) return std::nullopt;
  auto why = json_field(line, {"error"});
  return why ? *std::move(why) : std::nullopt;
}

Outcome read_envelope(std::string_view line, const Message& asked) {
  if (line == "null") return {Outcome::Kind::dropped};
  if (auto why = complaint(line)) return Outcome::refuse(*std::move(why));
  std::string text(line);
  text += '\n';
  JsonRecord record;
  if (const auto parsed = parse_json_record(text.data(), line.size(), record); !parsed)
    return Outcome::refuse(fmt::format("the program's answer: {}", parsed.error().message));
  Outcome outcome{Outcome::Kind::changed};
  Message& message = outcome.message;
  if (record.key) message.key.emplace(*record.key);
  if (record.value) message.value.emplace(*record.value);
  for (const HeaderView& header : record.headers) {
    message.headers.emplace_back(header.key, header.value ? std::optional<std::string>(*header.value) : std::nullopt);
  }
  message.timestamp = record.timestamp.value_or(asked.timestamp);
  return outcome;
}

}  // namespace

Result<void> append_value_frame(std::string& to, Framing framing, std::optional<std::string_view> value) {
  ASSERT(framing != Framing::json);
  if (framing == Framing::lines) return append_line(to, value);
  append_u32be(to, value);
  return {};
}

Result<void> append_frame(std::string& to, Framing framing, const Message& message) {
  if (framing != Framing::json) return append_value_frame(to, framing, message.value);
  append_envelope(to, MessageView(message).record());
  to += '\n';
  return {};
}

void append_batch_frame(std::string& to, Framing framing, std::span<const Message> batch) {
  ASSERT(framing != Framing::lines);
  if (framing == Framing::u32be) {
    std::string frames;
    for (const Message& message : batch) append_u32be(frames, message.value);
    append_length(to, static_cast<std::uint32_t>(frames.size()));
    to += frames;
    return;
  }
  char before = '[';
  for (const Message& message : batch) {
    to += before;
    append_envelope(to, MessageView(message).record());
    before = ',';
  }
  to += "]\n";
}

Result<bool> take_frame(std::string_view text, std::size_t& at, Framing framing, std::size_t bytes_max,
                        std::optional<std::string_view>& frame) {
  const std::string_view left = text.substr(at);
  const auto too_large = [] { return fail(Code::bad_data, "an answer of the program is larger than a record may be"); };
  if (framing != Framing::u32be) {
    const std::size_t end = std::min(left.find('\n'), left.size());
    if (end > bytes_max) return too_large();
    if (end == left.size()) return false;
    frame = left.substr(0, end);
    at += end + 1;
    return true;
  }
  if (left.size() < kLengthBytes) return false;
  const auto length = load_be<std::uint32_t>(as_bytes(left).data());
  if (length == kNull) {
    frame.reset();
    at += kLengthBytes;
    return true;
  }
  if (length > bytes_max) return too_large();
  if (left.size() - kLengthBytes < length) return false;
  frame = left.substr(kLengthBytes, length);
  at += kLengthBytes + length;
  return true;
}

Outcome read_answer(Framing framing, std::optional<std::string_view> frame, const Message& asked, bool filters) {
  if (filters && framing != Framing::json) return verdict(frame.value_or(""));
  if (framing != Framing::json) return changed(asked, frame ? std::optional<std::string>(*frame) : std::nullopt);
  std::string_view line = frame.value_or("");
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (!filters) return read_envelope(line, asked);
  if (auto why = complaint(line)) return Outcome::refuse(*std::move(why));
  return verdict(line);
}

}  // namespace leat::pipe
