#include "tools/listen_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "leat/base/ascii.h"
#include "leat/base/units.h"

namespace leat::tools {

Result<ListenAddress> parse_listen_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return fail(Code::usage, fmt::format("\"{}\" is not allowed: expected HOST:PORT", text));
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return fail(Code::usage, fmt::format("\"{}\" is not allowed: an IPv6 address stands in brackets", text));
  }
  const auto number = parse_count("the port", port);
  if (host.empty() || !number || *number < 0 || *number > 65535)
    return fail(Code::usage, fmt::format("\"{}\" is not allowed: expected HOST:PORT", text));
  return ListenAddress{std::string(host), std::string(port)};
}

bool is_host_of_this_machine(std::string_view header, std::string_view listens_as) {
  if (header.empty() || header.starts_with('[')) return true;  // HTTP/1.0, or an IPv6 address
  std::string host(header.substr(0, header.find(':')));
  std::ranges::transform(host, host.begin(), ascii_lower);
  if (host.ends_with('.')) host.pop_back();
  in_addr address{};
  return host == listens_as || host == "localhost" || host.ends_with(".localhost") ||
         ::inet_pton(AF_INET, host.c_str(), &address) == 1;
}

}  // namespace leat::tools
