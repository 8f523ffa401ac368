// Small inputs that are read as a whole: keys, checkpoints, proofs.
#pragma once

#include <string>

#include "leat/base/error.h"

namespace leat::tools {

// All of a file, or of stdin for "-". Errors: not_found, permission, io; bad_data when there are more than `bytes_max`
// bytes, of which no more are read; interrupted.
Result<std::string> read_whole_file(const std::string& path, std::size_t bytes_max);

// How messages call it: the path, or "stdin".
std::string shown_path(const std::string& path);

}  // namespace leat::tools
