// Flag groups that several commands share, and flags whose text libcore parses. A value that does not parse is a usage
// error that names the flag. Never touches files.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "leat/base/clock.h"
#include "leat/base/error.h"
#include "leat/base/types.h"
#include "tools/config.h"
#include "tools/output.h"

namespace leat::tools {

// The heading of the global flags in a command's help.
inline constexpr const char* kGlobalGroup = "Global options";

void add_global_options(OptionSet& options, GlobalFlags& flags);

// `-O/--output table|json`.
Option* add_list_format(OptionSet& options, ListFormat& format);

// The positional TOPIC, the positional NAME, and several of it.
Option* add_topic(OptionSet& options, std::string& topic);
Option* add_name(OptionSet& options, std::string& name, const std::string& help);
Option* add_names(OptionSet& options, const std::string& placeholder, std::vector<std::string>& names,
                  const std::string& help);

// `-p/--partition N`, repeatable.
Option* add_partitions(OptionSet& options, std::vector<PartitionId>& partitions, const std::string& help);

// An option whose value is bytes as they are given. `placeholder` stands for the value in the help.
Option* add_text(OptionSet& options, const std::string& names, std::optional<std::string>& value,
                 const std::string& help, const std::string& placeholder);
// The same, given any number of times with one value each time.
Option* add_texts(OptionSet& options, const std::string& names, std::vector<std::string>& values,
                  const std::string& help, const std::string& placeholder);
// A whole number of at least `minimum`.
Option* add_count(OptionSet& options, const std::string& names, std::optional<std::int64_t>& value,
                  const std::string& help, std::int64_t minimum = 0);
Option* add_size(OptionSet& options, const std::string& names, std::optional<std::int64_t>& value,
                 const std::string& help);
Option* add_duration(OptionSet& options, const std::string& names, std::optional<Milliseconds>& value,
                     const std::string& help);
// A time as cli.md writes them; "now" and "-1h" are seen from the moment the command line is read.
Option* add_time(OptionSet& options, const std::string& names, std::optional<TimestampMs>& value,
                 const std::string& help);

// A place in a log: a plain number is an offset, however many digits it has; anything else is a time, and one since
// 1970 has an at sign before it. `also` is what the flag takes besides, for the message ("start, end, "). Errors:
// usage.
using OffsetOrTime = std::variant<Offset, TimestampMs>;
Result<OffsetOrTime> parse_offset_or_time(std::string_view name, std::string_view text, std::string_view also = "");

// `error` as the usage error of `option`.
std::unexpected<Error> refusal(const std::string& option, Error error);

// The longest name is the one people search the manual for.
inline std::string longest_name(const std::string& names) {
  return names.substr(names.rfind(',') + 1);
}

// An option whose text `parse` turns into a T (Result<T>(std::string_view name, const std::string& text)).
template <class T, class Parse>
Option* add_parsed(OptionSet& options, const std::string& names, std::optional<T>& value, const std::string& help,
                   const std::string& placeholder, Parse parse) {
  const auto read = [&value, name = longest_name(names), parse](const std::vector<std::string>& words) -> Result<void> {
    Result<T> parsed = parse(std::string_view(name), words.front());
    if (!parsed) return refusal(name, std::move(parsed).error());
    value = std::move(*parsed);
    return {};
  };
  return options.add_option(names, read, help)->type_name(placeholder);
}

// One of a few words, each standing for a value: `{{"table", ListFormat::table}, ...}`.
template <class T, std::size_t N>
Option* add_choice(OptionSet& options, const std::string& names, T& value,
                   const std::array<std::pair<std::string_view, T>, N>& choices, const std::string& help) {
  std::string placeholder;
  for (const auto& choice : choices) placeholder += (placeholder.empty() ? "" : "|") + std::string(choice.first);
  const auto read = [&value, name = longest_name(names), choices,
                     placeholder](const std::vector<std::string>& words) -> Result<void> {
    for (const auto& choice : choices) {
      if (choice.first != words.front()) continue;
      value = choice.second;
      return {};
    }
    return refusal(name, {Code::usage, "\"" + words.front() + "\" is not allowed: expected one of " + placeholder});
  };
  return options.add_option(names, read, help)->type_name(placeholder);
}

}  // namespace leat::tools
