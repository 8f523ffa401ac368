// Whether bytes are JSON (RFC 8259), for what is put together from them. The only includer of rapidjson here.
#pragma once

#include <string_view>

namespace leat::pipe {

// Whether `text` is one JSON value in UTF-8, with nothing but white space around it. Nesting is limited by memory only.
bool is_json(std::string_view text);
// The same, for an object.
bool is_json_object(std::string_view text);

}  // namespace leat::pipe
