#include "tools/url_text.h"

#include <algorithm>

#include "leat/base/percent.h"

namespace leat::tools {

std::optional<UrlTarget> parse_target(std::string_view target) {
  UrlTarget parsed;
  const std::size_t mark = target.find('?');
  parsed.path = target.substr(0, mark);
  std::string_view left = mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
  while (!left.empty()) {
    const std::string_view one = left.substr(0, left.find('&'));
    left.remove_prefix(std::min(left.size(), one.size() + 1));
    if (one.empty()) continue;
    const std::size_t equals = one.find('=');
    auto name = percent_decode(one.substr(0, equals));
    auto value = percent_decode(equals == std::string_view::npos ? std::string_view() : one.substr(equals + 1));
    if (!name || !value) return std::nullopt;
    parsed.query.emplace_back(*std::move(name), *std::move(value));
  }
  return parsed;
}

std::optional<std::string> query_value(const UrlTarget& target, std::string_view name) {
  for (const auto& [key, value] : target.query)
    if (key == name) return value;
  return std::nullopt;
}

}  // namespace leat::tools
