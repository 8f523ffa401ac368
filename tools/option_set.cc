#include "tools/option_set.h"

#include <algorithm>

namespace leat::tools {

std::string_view take_name(std::string_view& names) {
  const std::string_view name = names.substr(0, names.find(','));
  names.remove_prefix(std::min(names.size(), name.size() + 1));
  return name;
}

// ---- Declaring ----

Option* Option::group(std::string_view heading) {
  heading_ = heading;
  return this;
}

Option* Option::type_name(std::string_view placeholder) {
  placeholder_ = placeholder;
  return this;
}

Option* Option::required() {
  required_ = true;
  return this;
}

Option* Option::expected(int words_min, int words_max) {
  words_min_ = words_min;
  words_max_ = words_max;
  return this;
}

Option* Option::repeatable() {
  repeatable_ = true;
  return this;
}

Option* Option::take_last() {
  take_last_ = true;
  return this;
}

Option* Option::excludes(const Option* other) {
  excluded_.push_back(other);
  return this;
}

Option* Option::needs(const Option* other) {
  needed_.push_back(other);
  return this;
}

Option& OptionSet::add(Option::Kind kind, std::string_view names, std::string_view help) {
  Option& option = options_.emplace_back();
  option.kind_ = kind;
  option.names_ = names;
  option.help_ = help;
  if (kind != Option::Kind::value) option.words_min_ = option.words_max_ = 0;
  return option;
}

Option* OptionSet::add_flag(std::string_view names, bool& value, std::string_view help) {
  Option& option = add(Option::Kind::flag, names, help);
  option.flag_ = &value;
  return &option;
}

Option* OptionSet::add_option(std::string_view names, Option::Read read, std::string_view help) {
  Option& option = add(Option::Kind::value, names, help);
  option.read_ = std::move(read);
  return &option;
}

Option* OptionSet::add_option(std::string_view names, std::string& value, std::string_view help) {
  return add_option(
      names,
      [&value](const std::vector<std::string>& words) -> Result<void> {
        value = words.front();
        return {};
      },
      help);
}

Option* OptionSet::add_option(std::string_view names, std::vector<std::string>& values, std::string_view help) {
  return add_option(
             names,
             [&values](const std::vector<std::string>& words) -> Result<void> {
               values = words;
               return {};
             },
             help)
      ->expected(1, kMany);
}

Option* OptionSet::add_help(Option::Kind kind, std::string_view names, std::string_view help) {
  return &add(kind, names, help);
}

// ---- Looking ----

std::vector<std::string> Option::names_after(std::string_view dashes) const {
  std::vector<std::string> found;
  for (std::string_view left = names_; !left.empty();) {
    const std::string_view name = take_name(left);
    const bool is_long = name.starts_with("--");
    if (name.starts_with(dashes) && is_long == (dashes.size() == 2)) found.emplace_back(name.substr(dashes.size()));
  }
  return found;
}

bool Option::has_name(std::string_view with_dashes) const {
  for (std::string_view left = names_; !left.empty();)
    if (take_name(left) == with_dashes) return true;
  return false;
}

}  // namespace leat::tools
