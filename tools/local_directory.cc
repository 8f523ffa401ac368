#include "tools/local_directory.h"

#include <fmt/format.h>

namespace leat::tools {

Result<DataDir> open_local_directory(const Context& context, std::string_view command) {
  const std::string& location = context.globals().data_dir;
  if (location.find("://") != std::string::npos)
    return fail(Code::usage, fmt::format("{} works on data directories, and {} is none", command, location));
  TRY(context.open_backend());  // for its checks of the location
  DataDirOptions options;
  options.lock_timeout = context.globals().lock_timeout;
  options.allow_any_file_system = context.globals().allow_any_file_system;
  return DataDir::open(location, options);
}

}  // namespace leat::tools
