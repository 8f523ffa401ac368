// How sinks that write bytes (stdout, stderr, file, command) write a message.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "leat/base/error.h"
#include "leat/pipe/settings_table.h"
#include "leat/pipe/sink.h"

namespace leat::pipe {

enum class LineFormat : std::uint8_t {
  text,   // the value and a newline; an empty line for a null
  jsonl,  // a line with the envelope
  raw,    // the value
  u32be,  // the value behind its length; 0xFFFFFFFF for a null
};

// The key `format` of a sink's table.
Result<LineFormat> read_line_format(SettingsTable& table, LineFormat fallback);
std::string_view name_of(LineFormat format);

void append_formatted(std::string& to, LineFormat format, const Message& message);
std::string formatted(LineFormat format, std::span<const Message> batch);

}  // namespace leat::pipe
