// What may stand next on a command line: the candidates that the shells' completion files show. One implementation for
// all shells, made from the command table and the flags that commands declare, so that none of them can lag behind.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/command.h"

namespace leat::tools {

// Names in the data directory that the command line speaks of (`-D`, when it was given), or in the usual one.
struct NameSources {
  using Names = std::function<std::vector<std::string>(const std::optional<std::string>& data_dir)>;
  Names topics;
  Names consumers;
};

// The candidates for `current`, the word that is being typed, behind `before`: each as "WORD", or "WORD\tDESCRIPTION",
// and only those that begin with `current`. Directives for the shell begin with a colon: ":files" (also offer file
// names), ":dirs", ":nospace".
std::vector<std::string> complete_line(std::span<const std::string> before, const std::string& current,
                                       std::span<const CommandRow> table, const NameSources& sources);

}  // namespace leat::tools
