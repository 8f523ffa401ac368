// One member of a JSON text, without making values of the rest. Numbers keep every digit.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/error.h"

namespace leat::pipe {

// What `path` leads to in the object that `text` is ({"a", "b"} is b in the object a): the content of a text, the
// compact JSON of anything else; nullopt where there is nothing, or null. The first of several members of one name
// counts. Errors: bad_data (not JSON).
Result<std::optional<std::string>> json_field(std::string_view text, const std::vector<std::string>& path);

}  // namespace leat::pipe
