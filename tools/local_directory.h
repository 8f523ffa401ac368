// The data directory of the command line, opened without a backend: for commands that look at its files.
#pragma once

#include <string_view>

#include "leat/log/data_dir.h"
#include "tools/command.h"

namespace leat::tools {

// Errors: usage when the command line names a server instead of a directory, with `command` in the message; as
// DataDir::open().
Result<DataDir> open_local_directory(const Context& context, std::string_view command);

}  // namespace leat::tools
