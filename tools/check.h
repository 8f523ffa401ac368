// `leat check`, seen by main(): monitoring systems know the statuses 0 to 3 alone, so whatever keeps a check from an
// answer, be it the command line, is one of them.
#pragma once

#include <string_view>

#include "leat/base/error.h"

namespace leat::tools {

// The group of these commands on the command line.
inline constexpr std::string_view kCheckGroup = "check";

// Says on standard output that the check `name` ("consumer"; anything else where there is no such check) could not be
// made because of `error`. The exit status, which is never one of leat(1)'s.
int refuse_check(std::string_view name, const Error& error);

}  // namespace leat::tools
