#include "tools/listen_address.h"

#include <fmt/format.h>

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

}  // namespace leat::tools
