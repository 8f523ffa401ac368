// Percent-encoding of URLs, RFC 3986 section 2.1. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace leat {

// %XX becomes the byte; a plus stays one. nullopt for a % that no two hexadecimal digits follow.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace leat
