// Flag groups that several commands share, and flags whose text is parsed by libcore instead of CLI11 (which reads 010
// as eight). A value that does not parse is a usage error that names the flag. Never touches files.
#pragma once

#include <CLI/CLI.hpp>
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

void add_global_options(CLI::App& app, GlobalFlags& flags);

// `-O/--output table|json`.
CLI::Option* add_list_format(CLI::App& app, ListFormat& format);

// The positional TOPIC, the positional NAME, and several of it.
CLI::Option* add_topic(CLI::App& app, std::string& topic);
CLI::Option* add_name(CLI::App& app, std::string& name, const std::string& help);
CLI::Option* add_names(CLI::App& app, const std::string& placeholder, std::vector<std::string>& names,
                       const std::string& help);

// `-p/--partition N`, repeatable.
CLI::Option* add_partitions(CLI::App& app, std::vector<PartitionId>& partitions, const std::string& help);

// An option whose value is bytes as they are given. `placeholder` stands for the value in the help.
CLI::Option* add_text(CLI::App& app, const std::string& names, std::optional<std::string>& value,
                      const std::string& help, const std::string& placeholder);
// The same, given any number of times with one value each time.
CLI::Option* add_texts(CLI::App& app, const std::string& names, std::vector<std::string>& values,
                       const std::string& help, const std::string& placeholder);
// A whole number of at least `minimum`.
CLI::Option* add_count(CLI::App& app, const std::string& names, std::optional<std::int64_t>& value,
                       const std::string& help, std::int64_t minimum = 0);
CLI::Option* add_size(CLI::App& app, const std::string& names, std::optional<std::int64_t>& value,
                      const std::string& help);
CLI::Option* add_duration(CLI::App& app, const std::string& names, std::optional<Milliseconds>& value,
                          const std::string& help);
// A time as cli.md writes them; "now" and "-1h" are seen from the moment the command line is read.
CLI::Option* add_time(CLI::App& app, const std::string& names, std::optional<TimestampMs>& value,
                      const std::string& help);

// A place in a log: a plain number is an offset, however many digits it has; anything else is a time, and one since
// 1970 has an at sign before it. `also` is what the flag takes besides, for the message ("start, end, "). Errors:
// usage.
using OffsetOrTime = std::variant<Offset, TimestampMs>;
Result<OffsetOrTime> parse_offset_or_time(std::string_view name, std::string_view text, std::string_view also = "");

// Reports `error` as the usage error of `option` while the command line is being read.
[[noreturn]] void refuse_option(const std::string& option, const Error& error);

// An option whose text `parse` turns into a T (Result<T>(std::string_view name, const std::string& text)).
template <class T, class Parse>
CLI::Option* add_parsed(CLI::App& app, const std::string& names, std::optional<T>& value, const std::string& help,
                        const std::string& placeholder, Parse parse) {
  // The longest name is the one people search the manual for.
  const std::string name = names.substr(names.rfind(',') == std::string::npos ? 0 : names.rfind(',') + 1);
  const CLI::callback_t read = [&value, name, parse](const CLI::results_t& texts) {
    Result<T> parsed = parse(std::string_view(name), texts.front());
    if (!parsed) refuse_option(name, parsed.error());
    value = std::move(*parsed);
    return true;
  };
  return app.add_option(names, read, help)->type_name(placeholder);
}

// One of a few words, each standing for a value: `{{"table", ListFormat::table}, ...}`.
template <class T, std::size_t N>
CLI::Option* add_choice(CLI::App& app, const std::string& names, T& value,
                        const std::array<std::pair<std::string_view, T>, N>& choices, const std::string& help) {
  std::string placeholder;
  for (const auto& choice : choices) placeholder += (placeholder.empty() ? "" : "|") + std::string(choice.first);
  const std::string name = names.substr(names.rfind(',') == std::string::npos ? 0 : names.rfind(',') + 1);
  const CLI::callback_t read = [&value, name, choices, placeholder](const CLI::results_t& texts) {
    for (const auto& choice : choices) {
      if (choice.first != texts.front()) continue;
      value = choice.second;
      return true;
    }
    refuse_option(name, Error{Code::usage, "\"" + texts.front() + "\" is not allowed: expected one of " + placeholder});
  };
  return app.add_option(names, read, help)->type_name(placeholder);
}

}  // namespace leat::tools
