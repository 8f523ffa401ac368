#include "leat/pipe/line_format.h"

#include <algorithm>
#include <array>

#include "leat/pipe/envelope.h"
#include "leat/pipe/framing.h"
#include "leat/pipe/message_view.h"

namespace leat::pipe {
namespace {

constexpr std::array<std::pair<std::string_view, LineFormat>, 4> kFormats = {
    {{"text", LineFormat::text}, {"jsonl", LineFormat::jsonl}, {"raw", LineFormat::raw}, {"u32be", LineFormat::u32be}}};

}  // namespace

Result<LineFormat> read_line_format(SettingsTable& table, LineFormat fallback) {
  return table.choice_or("format", fallback, kFormats);
}

std::string_view name_of(LineFormat format) {
  return std::ranges::find(kFormats, format, &std::pair<std::string_view, LineFormat>::second)->first;
}

void append_formatted(std::string& to, LineFormat format, const Message& message) {
  switch (format) {
    case LineFormat::text:
      to += message.value.value_or("");
      to += '\n';
      break;
    case LineFormat::jsonl:
      append_envelope(to, MessageView(message).record());
      to += '\n';
      break;
    case LineFormat::raw:
      to += message.value.value_or("");
      break;
    case LineFormat::u32be:
      (void)append_frame(to, Framing::u32be, message);  // which takes everything
      break;
  }
}

std::string formatted(LineFormat format, std::span<const Message> batch) {
  std::string text;
  for (const Message& message : batch) append_formatted(text, format, message);
  return text;
}

}  // namespace leat::pipe
