// Where a server listens, as people write it. Pure.
#pragma once

#include <string>
#include <string_view>

#include "leat/base/error.h"

namespace leat::tools {

// "127.0.0.1:8080", "[::1]:8080", "localhost:0".
struct ListenAddress {
  std::string host;
  std::string port;
};
// Errors: usage.
Result<ListenAddress> parse_listen_address(std::string_view text);

}  // namespace leat::tools
