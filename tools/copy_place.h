// SRC and DST of `leat copy`: a place that holds topics, and perhaps names of topics behind it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/error.h"

namespace leat::tools {

struct CopyPlace {
  std::string location;             // as open_backend() takes it
  std::vector<std::string> topics;  // that were named with it

  bool is_kafka() const;
};

// Takes a place apart. Of a kafka:// URL, what follows the first slash behind the servers are topics, separated by
// commas. A directory that is a data directory (which `is_data_dir` is asked) is one; else, where the directory above
// it is a data directory, its last part are topics. Errors: usage.
Result<CopyPlace> parse_copy_place(std::string_view text, const std::function<bool(const std::string&)>& is_data_dir);

// Whether a data directory is at this path, as far as that can be seen from its outside.
bool looks_like_data_dir(const std::string& path);

}  // namespace leat::tools
