// Where a sink's password, token or signing key is: in a file or a variable of the environment, never in the pipeline
// file. Values are read once, when the sink is made, and never shown.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "leat/base/error.h"
#include "leat/pipe/settings_table.h"

namespace leat::pipe {

struct Secret {
  enum class From { literal, file, environment } from = From::literal;
  std::string name;   // the text itself, a path, or the variable
  std::string place;  // "PATH:LINE:COLUMN: KEY", for messages
};

// Takes the keys NAME_file and NAME_env, of which one at most may be there. NAME itself is a mistake that is explained,
// unless it `may_be_literal`: a user's name is no secret. Errors: configuration.
Result<std::optional<Secret>> parse_secret(SettingsTable& table, const std::string& name, bool may_be_literal = false);

// Its value, without the newline at the end of a file. Errors: configuration (no such file or variable, empty, longer
// than 64 KiB, with control characters in it), permission. None holds the value.
Result<std::string> read_secret(const Secret& secret);

}  // namespace leat::pipe
