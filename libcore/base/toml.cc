#include "leat/base/toml.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
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

// The entries of a document, as they are found.
class Flattener {
 public:
  Flattener(std::string_view path, TomlArrays arrays, std::vector<TomlEntry>& entries)
      : path_(path), arrays_(arrays), entries_(&entries) {}

  // Appends what `table` holds, with `prefix` before each key.
  Result<void> table(const toml::table& table, const std::string& prefix) {
    for (const auto& [key, node] : table) {
      if (key.str().find_first_of(arrays_ == TomlArrays::flattened ? ".[]" : ".") != std::string_view::npos) {
        return fail_at(path_, key.source().begin,
                       fmt::format("key \"{}\" must not contain a dot{}", key.str(),
                                   arrays_ == TomlArrays::flattened ? " or a bracket" : ""));
      }
      const std::string name = prefix.empty() ? std::string(key.str()) : fmt::format("{}.{}", prefix, key.str());
      TRY(value(node, name, key.source().begin));
    }
    return {};
  }

 private:
  Result<void> array(const toml::array& array, const std::string& name, toml::source_position key_at) {
    std::size_t index = 0;
    for (const toml::node& node : array) TRY(value(node, fmt::format("{}[{}]", name, index++), key_at));
    return {};
  }

  Result<void> value(const toml::node& node, const std::string& name, toml::source_position key_at) {
    const toml::source_position at = node.source().begin;
    const auto* table_node = node.as_table();
    const auto* array_node = arrays_ == TomlArrays::flattened ? node.as_array() : nullptr;
    if (table_node != nullptr && !table_node->empty()) return table(*table_node, name);
    if (array_node != nullptr && !array_node->empty()) return array(*array_node, name, key_at);
    TomlEntry entry{name, {}, at.line, at.column, key_at.line, key_at.column};
    if (table_node != nullptr || array_node != nullptr) {
      entry.value = std::monostate();
    } else if (const auto* text = node.as_string()) {
      entry.value = text->get();
    } else if (const auto* number = node.as_integer()) {
      entry.value = number->get();
    } else if (const auto* boolean = node.as_boolean()) {
      entry.value = boolean->get();
    } else {
      return fail_at(
          path_, at,
          fmt::format("{}: expected text, a whole number, true or false, found {}", name, type_name(node.type())));
    }
    entries_->push_back(std::move(entry));
    return {};
  }

  std::string_view path_;
  TomlArrays arrays_;
  std::vector<TomlEntry>* entries_;
};

// What a string that starts at the front of `text` takes up, with its quotes. One without an end takes up its line, or
// all there is when it may have several lines: there the parser stops, too.
std::size_t string_bytes(std::string_view text) {
  const char quote = text[0];
  const bool has_lines = text.size() >= 3 && text[1] == quote && text[2] == quote;
  for (std::size_t i = has_lines ? 3 : 1; i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"') {
      ++i;
    } else if (text[i] == '\n' && !has_lines) {
      return i;
    } else if (text[i] == quote && !has_lines) {
      return i + 1;
    } else if (text[i] == quote && text.substr(i, 3) == text.substr(0, 3)) {
      // One or two more quotes are the last letters of the text.
      return std::min({text.find_first_not_of(quote, i), i + 5, text.size()});
    }
  }
  return text.size();
}

// In characters, from 1, as toml++ counts.
std::ptrdiff_t column_behind(std::string_view text) {
  const std::size_t newline = text.rfind('\n');
  if (newline != std::string_view::npos) text.remove_prefix(newline + 1);
  return std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }) + 1;
}

// toml++ limits how deep values are nested, but not how many parts a dotted key has: each is a table in a table, and it
// goes down by recursion. So many points in a line, outside of strings and comments, are no settings.
Result<void> check_depth(std::string_view text, std::string_view path) {
  constexpr int kPointsMax = 100;
  const std::string_view whole = text;
  std::ptrdiff_t line = 1;
  int points = 0;
  while (!text.empty()) {
    std::size_t bytes = 1;
    if (text[0] == '"' || text[0] == '\'') {
      bytes = string_bytes(text);
      line += std::ranges::count(text.substr(0, bytes), '\n');
    } else if (text[0] == '#') {
      bytes = std::min(text.find('\n'), text.size());
    } else if (text[0] == '\n') {
      ++line;
      points = 0;
    } else if (text[0] == '.' && ++points > kPointsMax) {
      const std::string_view before = whole.substr(0, whole.size() - text.size());
      return fail(Code::configuration, fmt::format("{}:{}:{}: more than {} points in a line", path, line,
                                                   column_behind(before), kPointsMax));
    }
    text.remove_prefix(bytes);
  }
  return {};
}

bool is_key_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}
bool is_printable(char c) {
  return c >= ' ' && c <= '~';
}

// A value as we write it ourselves; nothing for any other.
std::optional<decltype(TomlEntry::value)> plain_value(std::string_view text) {
  if (text == "true" || text == "false") return text == "true";
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
    const std::string_view inside = text.substr(1, text.size() - 2);
    const auto stands_for_itself = [](char c) { return is_printable(c) && c != '"' && c != '\\'; };
    if (!std::ranges::all_of(inside, stands_for_itself)) return std::nullopt;
    return std::string(inside);
  }
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  if (!is_number || text.front() == '-' || (text.front() == '0' && text.size() > 1)) return std::nullopt;
  return number;
}

// Takes a document in the form in which our own files are written line by line: `key = value`, [table], comments and
// empty lines, without escapes, and no table without a key. Each command that opens a topic reads two of these, and
// with toml++ that was a third of all instructions of one that appends a record.
class PlainDocument {
 public:
  // Its entries; nothing for any other document, whether it is right or wrong.
  static std::optional<std::vector<TomlEntry>> parse(std::string_view text) {
    PlainDocument document;
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      if (end == std::string_view::npos || !document.take(text.substr(0, end))) return std::nullopt;
      text.remove_prefix(end + 1);
    }
    if (document.awaits_key_) return std::nullopt;
    return std::move(document.entries_);
  }

 private:
  bool take(std::string_view line) {
    ++line_;
    if (line.empty() || line.front() == '#') return std::ranges::all_of(line, is_printable);
    return line.front() == '[' ? take_table(line.substr(1)) : take_entry(line);
  }

  bool take_table(std::string_view line) {
    if (awaits_key_ || !line.ends_with(']')) return false;
    const std::string_view name = line.substr(0, line.size() - 1);
    if (name.empty() || !std::ranges::all_of(name, is_key_letter)) return false;
    table_ = fmt::format("{}.", name);
    awaits_key_ = true;
    return std::ranges::none_of(entries_,
                                [&](const TomlEntry& e) { return e.key == name || e.key.starts_with(table_); });
  }

  bool take_entry(std::string_view line) {
    constexpr std::string_view kEquals = " = ";
    const auto key_end = std::ranges::find_if_not(line, is_key_letter);
    const std::string_view behind(key_end, line.end());
    const auto key_bytes = static_cast<std::uint32_t>(key_end - line.begin());
    if (key_bytes == 0 || !behind.starts_with(kEquals)) return false;
    auto value = plain_value(behind.substr(kEquals.size()));
    std::string key = table_;
    key += line.substr(0, key_bytes);
    const bool is_known = std::ranges::find(entries_, key, &TomlEntry::key) != entries_.end();
    if (!value || is_known) return false;
    const auto column = static_cast<std::uint32_t>(key_bytes + kEquals.size() + 1);
    entries_.push_back({std::move(key), std::move(*value), line_, column, line_, 1});
    awaits_key_ = false;
    return true;
  }

  std::vector<TomlEntry> entries_;
  std::uint32_t line_ = 0;
  std::string table_;  // with its point; empty before the first
  bool awaits_key_ = false;
};

}  // namespace

Result<std::vector<TomlEntry>> parse_toml(std::string_view text, std::string_view path, TomlArrays arrays) {
  if (auto entries = PlainDocument::parse(text)) return std::move(*entries);
  TRY(check_depth(text, path));
  const toml::parse_result parsed = toml::parse(text, path);
  if (!parsed) return fail_at(path, parsed.error().source().begin, parsed.error().description());
  std::vector<TomlEntry> entries;
  TRY(Flattener(path, arrays, entries).table(parsed.table(), ""));
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
