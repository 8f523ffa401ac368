// Bytes as text that others can take: JSON strings, and what is safe to show on a terminal. Pure.
#pragma once

#include <string>
#include <string_view>

namespace leat {

// Appends `text` as a JSON string with quotes. Precondition: valid UTF-8.
void append_json_string(std::string& to, std::string_view text);
// `text` as a JSON string with quotes; what is not valid UTF-8 as escape_controls() shows it.
std::string json_string(std::string_view text);
bool is_utf8(std::string_view text);
// `text` with control characters (C0, DEL, C1, and invalid UTF-8) as \xNN, for showing on a terminal.
std::string escape_controls(std::string_view text);

// Control characters that JSON strings may hold raw (DEL, C1), in the JSON that `json` holds from `from` on, become
// \u00NN: the same values, safe to show on a terminal.
void escape_json_controls(std::string& json, std::size_t from);

}  // namespace leat
