// Doing the same to several named things, and what the command's result is when some of them fail.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "leat/base/error.h"

namespace leat::tools {

// Calls `act` for every name. The first failure ends it, unless `continue_on_error`: then each is printed, and the
// result is partial when there were several names. `what` is their plural ("topics").
Result<void> for_each_name(const std::vector<std::string>& names, const std::string& what, bool continue_on_error,
                           const std::function<Result<void>(const std::string&)>& act);

// Errors: usage when a name is not allowed or stands there twice. `what` is the singular.
Result<void> check_names(const std::string& what, const std::vector<std::string>& names);

}  // namespace leat::tools
