// From a command's arguments to what its options bind. The only user of CLI11; messages are ours, and nothing of it
// escapes.
#pragma once

#include <string>
#include <vector>

#include "leat/base/error.h"
#include "tools/option_set.h"

namespace leat::tools {

enum class Parsed { run, short_help, long_help, version };

// Reads `arguments` into what `options` binds. Errors: usage, naming the flag, with the nearest flag or the command's
// help as hint.
Result<Parsed> parse_arguments(OptionSet& options, std::vector<std::string> arguments);

}  // namespace leat::tools
