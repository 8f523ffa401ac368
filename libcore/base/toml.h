// TOML files read as flat lists of keys with their places, and written. The only includer of toml++.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "leat/base/error.h"

namespace leat {

// One `key = value` of a TOML document. Tables are flattened: key `b` in [a] is "a.b". Dates are not values of any of
// our files and are reported as errors by parse_toml; so are arrays, unless the file is one that has them: then the
// first element of `a` is "a[0]". A table or an array with nothing in it is an entry of its own, with std::monostate.
struct TomlEntry {
  std::string key;
  std::variant<std::string, std::int64_t, bool, std::monostate> value;
  std::uint32_t line = 0;    // of the value, from 1
  std::uint32_t column = 0;  // of the value, from 1
  std::uint32_t key_line = 0;
  std::uint32_t key_column = 0;

  bool operator==(const TomlEntry&) const = default;
};

// Whether a file may have arrays, of values or of tables.
enum class TomlArrays : std::uint8_t { refused, flattened };

// The entries of `text` in the order of their lines. `path` names the file in messages. Errors: configuration, as
// "PATH:LINE:COLUMN: what".
Result<std::vector<TomlEntry>> parse_toml(std::string_view text, std::string_view path,
                                          TomlArrays arrays = TomlArrays::refused);

// `text` as a TOML basic string, quoted and escaped.
std::string toml_quote(std::string_view text);

}  // namespace leat
