// From the words of a command line to a command: which row of the table is meant. What is left of them is its arguments
// (arguments.h).
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/error.h"
#include "tools/command.h"

namespace leat::tools {

// What the words ask for.
struct Selection {
  enum class Kind {
    command,   // `row` with `arguments`
    group,     // `leat topic`: a group without its command
    overview,  // no command at all
    version,   // -V without a command
  } kind = Kind::overview;
  const CommandRow* row = nullptr;
  std::string group = {};
  bool help = false;                        // -h or --help stood before a command was found
  std::vector<std::string> arguments = {};  // all words but the command's own, global flags before it included
};

// Finds the command among global flags. `words` are those after the program's name. Errors: usage, with the nearest
// command as hint.
Result<Selection> select_command(std::span<const std::string> words, std::span<const CommandRow> table);

// The first two words that are neither flags nor values of global flags: what select_command() looks for, also where it
// fails. Empty where there are fewer.
std::array<std::string_view, 2> command_words(std::span<const std::string> words);

// "leat topic create", "leat produce".
std::string full_name(const CommandRow& row);

}  // namespace leat::tools
