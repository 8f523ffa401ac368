// The parts of a request's target. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace leat::tools {

// "/stores/a%2Fb?x=1&y" taken apart; nothing is decoded in the path, and "+" is a plus everywhere.
struct UrlTarget {
  std::string_view path;
  std::vector<std::pair<std::string, std::string>> query;  // decoded
};
// nullopt where the query's encoding is bad.
std::optional<UrlTarget> parse_target(std::string_view target);

// The value of the first parameter of that name.
std::optional<std::string> query_value(const UrlTarget& target, std::string_view name);

}  // namespace leat::tools
