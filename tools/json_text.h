// JSON as text (RFC 8259): recognised and made compact, never turned into values, so that numbers keep every digit.
#pragma once

#include <string>
#include <string_view>

namespace leat::tools {

// Appends the one JSON value that `text` is, without the white space between its tokens, and says whether it was one;
// else leaves `to` alone. Nesting is limited by memory only.
bool append_compact_json(std::string& to, std::string_view text);

}  // namespace leat::tools
