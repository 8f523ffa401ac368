// Where a benchmark writes: what its figures mean nothing without. The one part that knows of local directories.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tools/command.h"

namespace leat::tools {

struct BenchPlace {
  std::string backend;                          // "local", or the scheme of a URL
  std::optional<std::string> file_system = {};  // "ext4"; absent where the backend cannot know
};

// Of the data directory of the command line, which exists. Errors: as DataDir::open().
Result<BenchPlace> bench_place(const Context& context);

// "ext4" for a file system's magic number; "0x1234" for one without a name.
std::string file_system_name(std::int64_t magic);

}  // namespace leat::tools
