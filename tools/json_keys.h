// The body of a request for many keys: {"keys":["a","b"],"keys_b64":["//4="]}. With json_record.cc the only includer of
// RapidJSON.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "leat/base/error.h"

namespace leat::tools {

// The keys in the order of the text, those in base64 decoded. Errors: bad_data, also for more than `keys_max` and for
// members of another name.
Result<std::vector<std::string>> parse_json_keys(std::string_view text, std::size_t keys_max);

}  // namespace leat::tools
