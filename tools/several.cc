#include "tools/several.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/log/topic_settings.h"
#include "tools/output.h"

namespace leat::tools {

Result<void> for_each_name(const std::vector<std::string>& names, const std::string& what, bool continue_on_error,
                           const std::function<Result<void>(const std::string&)>& act) {
  std::size_t failed = 0;
  for (const std::string& name : names) {
    Result<void> done = act(name);
    if (done) continue;
    if (!continue_on_error || names.size() == 1 || done.error().code == Code::interrupted) return done;
    print_error(done.error());
    ++failed;
  }
  if (failed > 0) return fail(Code::partial, fmt::format("{} of {} {} failed", failed, names.size(), what));
  return {};
}

Result<void> check_names(const std::string& what, const std::vector<std::string>& names) {
  for (auto name = names.begin(); name != names.end(); ++name) {
    TRY(check_name(what, *name));
    if (std::find(names.begin(), name, *name) != name) {
      return fail(Code::usage, fmt::format("{} \"{}\" is named twice", what, *name));
    }
  }
  return {};
}

}  // namespace leat::tools
