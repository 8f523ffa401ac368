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

// Whether the Host of a request to a server on this machine alone is one that it is reached under: an address,
// localhost, `listens_as`, or none. Any other name may be one that a web page's server has given this machine's
// address, so that the page's scripts can ask here (DNS rebinding).
bool is_host_of_this_machine(std::string_view header, std::string_view listens_as);

}  // namespace leat::tools
