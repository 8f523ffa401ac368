// base64 of RFC 4648. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace leat {

// Section 4, padded.
std::string encode_base64(std::string_view bytes);
void append_base64(std::string& to, std::string_view bytes);
// Section 5, without padding: safe in a URL as it is.
std::string encode_base64url(std::string_view bytes);

// What encode_base64() writes; nullopt for anything else.
std::optional<std::string> decode_base64(std::string_view text);
// The same over `text` itself, of which the result is the beginning.
std::optional<std::string_view> decode_base64_in_place(char* text, std::size_t size);
// Both alphabets, padded or not; nullopt for what no encoder writes.
std::optional<std::string> decode_any_base64(std::string_view text);

}  // namespace leat
