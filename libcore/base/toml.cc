#include "leat/base/toml.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

// Errors come back as values; nothing of toml++ leaves this file. Debian's pkg-config file asks for its shared library,
// which a static binary cannot use.
#undef TOML_SHARED_LIB
#undef TOML_HEADER_ONLY
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_WINDOWS_COMPAT 0
#include <toml++/toml.h>

namespace leat {
namespace {

std::unexpected<Error> fail_at(std::string_view path, toml::source_position at, std::string_view what) {
  return fail(Code::configuration, fmt::format("{}:{}:{}: {}", path, at.line, at.column, what));
}

std::string_view type_name(toml::node_type type) {
  switch (type) {
    case toml::node_type::array:
      return "an array";
    case toml::node_type::floating_point:
      return "a fraction";
    default:
      return "a date or time";
  }
}

// Appends what `table` holds, with `prefix` before each key.
Result<void> flatten(const toml::table& table, const std::string& prefix, std::string_view path,
                     std::vector<TomlEntry>& entries) {
  for (const auto& [key, node] : table) {
    const toml::source_position at = node.source().begin;
    if (key.str().find('.') != std::string_view::npos) {
      return fail_at(path, key.source().begin, fmt::format("key \"{}\" must not contain a dot", key.str()));
    }
    const std::string name = prefix.empty() ? std::string(key.str()) : fmt::format("{}.{}", prefix, key.str());
    const toml::source_position key_at = key.source().begin;
    TomlEntry entry{name, {}, at.line, at.column, key_at.line, key_at.column};
    if (const auto* child = node.as_table(); child != nullptr && child->empty()) {
      entry.value = std::monostate();
    } else if (child != nullptr) {
      TRY(flatten(*child, name, path, entries));
      continue;
    } else if (const auto* text = node.as_string()) {
      entry.value = text->get();
    } else if (const auto* number = node.as_integer()) {
      entry.value = number->get();
    } else if (const auto* boolean = node.as_boolean()) {
      entry.value = boolean->get();
    } else {
      return fail_at(
          path, at,
          fmt::format("{}: expected text, a whole number, true or false, found {}", name, type_name(node.type())));
    }
    entries.push_back(std::move(entry));
  }
  return {};
}

// toml++ limits how deep values are nested, but not how many parts a dotted key has: each is a table in a table, and it
// goes down by recursion. So many points in a line are no settings.
Result<void> check_depth(std::string_view text, std::string_view path) {
  constexpr std::ptrdiff_t kPointsMax = 100;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (std::count(line.begin(), line.end(), '.') > kPointsMax)
      return fail(Code::configuration, fmt::format("{}:{}: more than {} points in a line", path, number, kPointsMax));
  }
  return {};
}

}  // namespace

Result<std::vector<TomlEntry>> parse_toml(std::string_view text, std::string_view path) {
  TRY(check_depth(text, path));
  const toml::parse_result parsed = toml::parse(text, path);
  if (!parsed) return fail_at(path, parsed.error().source().begin, parsed.error().description());
  std::vector<TomlEntry> entries;
  TRY(flatten(parsed.table(), "", path, entries));
  std::sort(entries.begin(), entries.end(), [](const TomlEntry& a, const TomlEntry& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
  return entries;
}

std::string toml_quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      quoted += fmt::format("\\u{:04X}", byte);
    } else {
      quoted += c;
    }
  }
  quoted += '"';
  return quoted;
}

}  // namespace leat
