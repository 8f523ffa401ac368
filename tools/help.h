// Help texts, made from the command table and the flags a command declares.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tools/command.h"

namespace leat::tools {

struct GlobalFlags;

// All commands, under headings.
std::string overview_text(std::span<const CommandRow> table);

// The commands of one group.
std::string group_text(std::span<const CommandRow> table, std::string_view group);

// One command: usage and flags; with `examples`, what it is and how it is used first.
std::string command_text(const CommandRow& row, const OptionSet& options, bool examples);

// Names `options` after the command and declares its flags, -h, --help, -V and the global ones. They are bound to
// `command` and `flags`, which must outlive it.
void declare_options(OptionSet& options, Command& command, GlobalFlags& flags);

}  // namespace leat::tools
