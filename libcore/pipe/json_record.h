// One line of JSON as a record: the envelope that `consume -O jsonl` writes. With json_keys.cc the only includer of
// RapidJSON.
//
//   {"key":"k", "value":"v", "headers":[["h","v"]], "timestamp":1732150000123}
//
// * bytes that are not UTF-8 come as "key_b64" and "value_b64" (RFC 4648, padded), in a header as ["h",null,"YmFzZTY0"]
// or
//   ["h","YmFzZTY0","base64"], and a header whose name is not UTF-8 as [null,VALUE,BASE64 or null,BASE64-OF-NAME];
// * null is a null key, value or header value; a missing key or value is null;
// * "topic", "partition" and "offset" are ignored, any other name is an error, lest a misspelt value deletes something;
// * the text must be valid UTF-8 without NULs, and so must what its \u escapes make, which may contain NULs.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "leat/base/error.h"
#include "leat/log/record.h"

namespace leat {

struct JsonRecord {
  std::optional<std::string_view> key = {};
  std::optional<std::string_view> value = {};
  std::vector<HeaderView> headers = {};
  std::optional<TimestampMs> timestamp = {};
};

// Parses the object in [text, text + size) into `record`, which afterwards points into the text: it is unescaped in
// place. text[size] is overwritten too. Errors: bad_data, with the place in the line for what is not JSON.
Result<void> parse_json_record(char* text, std::size_t size, JsonRecord& record);

}  // namespace leat
