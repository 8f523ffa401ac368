#include "leat/pipe/settings_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "leat/base/units.h"

namespace leat::pipe {
namespace {

// "a.b", "a[0]", "a": the part that is a key of its own.
std::string_view first_part(std::string_view name) {
  return name.substr(0, name.find_first_of(".["));
}

// One letter more, less or another, or the same ones in another order.
bool is_slip(std::string_view found, std::string_view meant) {
  return edit_distance(found, meant) == 1 || (found != meant && std::ranges::is_permutation(found, meant));
}

// "[source]"; "[[stage]] 2", as people count them.
std::string shown_table(std::string_view prefix) {
  const std::size_t bracket = prefix.find('[');
  std::size_t number = 0;
  if (bracket == std::string_view::npos) return fmt::format("[{}]", prefix);
  std::from_chars(prefix.data() + bracket + 1, prefix.data() + prefix.size(), number);
  return fmt::format("[[{}]] {}", prefix.substr(0, bracket), number + 1);
}

std::string_view type_of(const TomlEntry& entry) {
  if (std::holds_alternative<std::string>(entry.value)) return "text";
  if (std::holds_alternative<std::int64_t>(entry.value)) return "a number";
  if (std::holds_alternative<bool>(entry.value)) return "true or false";
  return "nothing";
}

}  // namespace

SettingsTable::SettingsTable(std::string_view path, std::string prefix, std::span<const TomlEntry> entries)
    : path_(path), prefix_(std::move(prefix)) {
  for (const TomlEntry& entry : entries) {
    const bool inside =
        entry.key.starts_with(prefix_) && (entry.key.size() == prefix_.size() || entry.key[prefix_.size()] == '.');
    if (inside) entries_.push_back(&entry);
  }
}

std::string_view SettingsTable::name_in_table(const TomlEntry& entry) const {
  const std::string_view name = entry.key;
  return name.size() == prefix_.size() ? std::string_view() : name.substr(prefix_.size() + 1);
}

const TomlEntry* SettingsTable::find(std::string_view key) const {
  for (const TomlEntry* entry : entries_)
    if (first_part(name_in_table(*entry)) == key) return entry;
  return nullptr;
}

const TomlEntry* SettingsTable::ask(std::string_view key) {
  asked_.emplace(key);
  return find(key);
}

bool SettingsTable::has(std::string_view key) const {
  return find(key) != nullptr;
}

std::unexpected<Error> SettingsTable::refuse_at(std::uint32_t line, std::uint32_t column, std::string_view what,
                                                std::string hint) const {
  return fail(Code::configuration, fmt::format("{}:{}:{}: {}", path_, line, column, what), std::move(hint));
}

std::unexpected<Error> SettingsTable::refuse_type(const TomlEntry& entry, std::string_view expected) const {
  return refuse_at(entry.line, entry.column,
                   fmt::format("{}: expected {}, found {}", name_in_table(entry), expected, type_of(entry)));
}

std::unexpected<Error> SettingsTable::refuse(std::string_view key, std::string_view what, std::string hint) const {
  const TomlEntry* entry = find(key);
  if (entry == nullptr) return refuse_table(fmt::format("{}: {}", key, what));
  return refuse_at(entry->line, entry->column, fmt::format("{}: {}", key, what), std::move(hint));
}

std::unexpected<Error> SettingsTable::refuse_table(std::string_view what) const {
  if (entries_.empty()) return fail(Code::configuration, fmt::format("{}: {}", path_, what));
  return refuse_at(entries_.front()->key_line, entries_.front()->key_column, what);
}

std::unexpected<Error> SettingsTable::refuse_missing(std::string_view key) const {
  for (const TomlEntry* entry : entries_) {
    const std::string_view name = first_part(name_in_table(*entry));
    if (!asked_.contains(name) && is_slip(name, key)) return refuse_unknown(*entry, key);
  }
  return refuse_table(fmt::format("\"{}\" is missing", key));
}

std::unexpected<Error> SettingsTable::refuse_unknown(const TomlEntry& entry, std::string_view meant) const {
  return refuse_at(entry.key_line, entry.key_column,
                   fmt::format("unknown key \"{}\" in {}", first_part(name_in_table(entry)), shown_table(prefix_)),
                   meant.empty() ? std::string() : fmt::format("did you mean \"{}\"?", meant));
}

std::unexpected<Error> SettingsTable::refuse_word(std::string_view key, std::string_view word,
                                                  std::span<const std::string_view> words) const {
  std::string all;
  for (const std::string_view one : words) all += fmt::format("{}\"{}\"", all.empty() ? "" : ", ", one);
  const std::string_view near = nearest(word, words);
  return refuse(key, fmt::format("\"{}\" is not allowed: expected one of {}", word, all),
                near.empty() ? std::string() : fmt::format("did you mean \"{}\"?", near));
}

Result<std::optional<std::string>> SettingsTable::optional_text(std::string_view key) {
  const TomlEntry* entry = ask(key);
  if (entry == nullptr) return std::nullopt;
  const auto* text = std::get_if<std::string>(&entry->value);
  if (text == nullptr || name_in_table(*entry) != key) return refuse_type(*entry, "text");
  return *text;
}

Result<std::string> SettingsTable::text(std::string_view key) {
  const auto text = TRY(optional_text(key));
  if (!text) return refuse_missing(key);
  return *text;
}

Result<std::string> SettingsTable::text_or(std::string_view key, std::string_view fallback) {
  return TRY(optional_text(key)).value_or(std::string(fallback));
}

Result<bool> SettingsTable::truth_or(std::string_view key, bool fallback) {
  const TomlEntry* entry = ask(key);
  if (entry == nullptr) return fallback;
  const auto* truth = std::get_if<bool>(&entry->value);
  if (truth == nullptr || name_in_table(*entry) != key) return refuse_type(*entry, "true or false");
  return *truth;
}

Result<std::int64_t> SettingsTable::count_or(std::string_view key, std::int64_t fallback, std::int64_t least,
                                             std::int64_t most) {
  const TomlEntry* entry = ask(key);
  if (entry == nullptr) return fallback;
  const auto* count = std::get_if<std::int64_t>(&entry->value);
  if (count == nullptr || name_in_table(*entry) != key) return refuse_type(*entry, "a whole number");
  if (*count < least || *count > most)
    return refuse(key, fmt::format("{} is not allowed: expected {} to {}", *count, least, most));
  return *count;
}

Result<std::int64_t> SettingsTable::size_or(std::string_view key, std::int64_t fallback, std::int64_t least,
                                            std::int64_t most) {
  const TomlEntry* entry = ask(key);
  if (entry == nullptr) return fallback;
  if (std::holds_alternative<std::int64_t>(entry->value)) return count_or(key, fallback, least, most);
  const auto* text = std::get_if<std::string>(&entry->value);
  if (text == nullptr || name_in_table(*entry) != key) return refuse_type(*entry, "a size like \"1MiB\"");
  const auto size = parse_size(*text);
  if (!size) return refuse(key, size.error().message);
  if (*size < least || *size > most)
    return refuse(key,
                  fmt::format("{} is not allowed: expected {} to {}", *text, format_size(least), format_size(most)));
  return *size;
}

Result<std::optional<Milliseconds>> SettingsTable::optional_duration(std::string_view key) {
  const TomlEntry* entry = ask(key);
  if (entry == nullptr) return std::nullopt;
  const auto* text = std::get_if<std::string>(&entry->value);
  if (text == nullptr || name_in_table(*entry) != key) return refuse_type(*entry, "a duration like \"4s\"");
  const auto duration = parse_duration(*text);
  if (!duration) return refuse(key, duration.error().message);
  return *duration;
}

Result<Milliseconds> SettingsTable::duration_or(std::string_view key, Milliseconds fallback) {
  return TRY(optional_duration(key)).value_or(fallback);
}

Result<std::vector<const TomlEntry*>> SettingsTable::elements(std::string_view key) {
  std::vector<const TomlEntry*> elements;
  if (ask(key) == nullptr) return elements;
  for (const TomlEntry* entry : entries_) {
    const std::string_view name = name_in_table(*entry);
    if (first_part(name) != key) continue;
    if (name == key && std::holds_alternative<std::monostate>(entry->value)) return refuse(key, "must not be empty");
    if (name.size() == key.size() || name[key.size()] != '[' || name.find(']') != name.size() - 1)
      return refuse_type(*entry, "an array");
    elements.push_back(entry);
  }
  return elements;
}

Result<std::vector<std::string>> SettingsTable::texts(std::string_view key) {
  std::vector<std::string> texts;
  for (const TomlEntry* entry : TRY(elements(key))) {
    const auto* text = std::get_if<std::string>(&entry->value);
    if (text == nullptr) return refuse_type(*entry, "text");
    texts.push_back(*text);
  }
  return texts;
}

Result<std::vector<std::int64_t>> SettingsTable::counts(std::string_view key, std::int64_t least, std::int64_t most) {
  std::vector<std::int64_t> counts;
  for (const TomlEntry* entry : TRY(elements(key))) {
    const auto* count = std::get_if<std::int64_t>(&entry->value);
    if (count == nullptr) return refuse_type(*entry, "a whole number");
    if (*count < least || *count > most) {
      return refuse_at(
          entry->line, entry->column,
          fmt::format("{}: {} is not allowed: expected {} to {}", name_in_table(*entry), *count, least, most));
    }
    counts.push_back(*count);
  }
  return counts;
}

Result<std::vector<std::pair<std::string, std::string>>> SettingsTable::named_texts(std::string_view key) {
  std::vector<std::pair<std::string, std::string>> texts;
  if (ask(key) == nullptr) return texts;
  for (const TomlEntry* entry : entries_) {
    const std::string_view name = name_in_table(*entry);
    if (first_part(name) != key) continue;
    if (name.size() <= key.size() + 1 || name[key.size()] != '.') return refuse_type(*entry, "a table of texts");
    const auto* text = std::get_if<std::string>(&entry->value);
    if (text == nullptr) return refuse_type(*entry, "text");
    texts.emplace_back(name.substr(key.size() + 1), *text);
  }
  return texts;
}

Result<void> SettingsTable::finish() const {
  for (const TomlEntry* entry : entries_) {
    const std::string_view key = first_part(name_in_table(*entry));
    if (key.empty() && std::holds_alternative<std::monostate>(entry->value)) continue;
    if (asked_.contains(key)) continue;
    return refuse_unknown(*entry, nearest(key, asked_));
  }
  return {};
}

}  // namespace leat::pipe
