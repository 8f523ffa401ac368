#include "tools/options.h"

#include <fmt/format.h>

#include "leat/base/units.h"

namespace leat::tools {

std::unexpected<Error> refusal(const std::string& option, Error error) {
  // Some messages name the flag already.
  if (!error.message.starts_with(option + ":")) error.message.insert(0, option + ": ");
  return std::unexpected(std::move(error));
}

void add_global_options(OptionSet& options, GlobalFlags& flags) {
  // -D may stand in an alias and be given again: the last one counts.
  add_text(options, "-D,--data-dir", flags.data_dir,
           "where the records are (default: $LEAT_DATA_DIR, $XDG_DATA_HOME/leat)", "DIR|URL")
      ->take_last()
      ->group(kGlobalGroup);
  options.add_flag("-q,--quiet", flags.quiet, "no notes on stderr, only warnings and errors")->group(kGlobalGroup);
  options.add_flag("-v,--verbose", flags.verbose, "say more on stderr")->group(kGlobalGroup);
  options.add_flag("-y,--yes", flags.yes, "do not ask before destroying something")->group(kGlobalGroup);
  add_text(options, "--color", flags.color, "colour on stderr (default: auto)", "auto|always|never")
      ->take_last()
      ->group(kGlobalGroup);
  add_text(options, "--lock-timeout", flags.lock_timeout, "how long to wait for a lock (default: 10s)", "DUR")
      ->take_last()
      ->group(kGlobalGroup);
}

Option* add_list_format(OptionSet& options, ListFormat& format) {
  constexpr std::array<std::pair<std::string_view, ListFormat>, 2> kFormats = {
      {{"table", ListFormat::table}, {"json", ListFormat::json}}};
  return add_choice(options, "-O,--output", format, kFormats, "print a table (default) or JSON");
}

Option* add_topic(OptionSet& options, std::string& topic) {
  return options.add_option("TOPIC", topic, "name of the topic")->required()->type_name("");
}

Option* add_name(OptionSet& options, std::string& name, const std::string& help) {
  return options.add_option("NAME", name, help)->required()->type_name("");
}

Option* add_names(OptionSet& options, const std::string& placeholder, std::vector<std::string>& names,
                  const std::string& help) {
  return options.add_option(placeholder, names, help)->type_name("");
}

Option* add_partitions(OptionSet& options, std::vector<PartitionId>& partitions, const std::string& help) {
  const auto read = [&partitions](const std::vector<std::string>& words) -> Result<void> {
    partitions.clear();
    for (const std::string& word : words) {
      const auto number = parse_count("--partition", word);
      if (!number) return refusal("--partition", number.error());
      if (*number < 0 || *number > INT32_MAX)
        return refusal("--partition", {Code::usage, fmt::format("\"{}\" is not a partition", word)});
      partitions.push_back(PartitionId{static_cast<std::int32_t>(*number)});
    }
    return {};
  };
  return options.add_option("-p,--partition", read, help)->type_name("N")->repeatable();
}

Option* add_text(OptionSet& options, const std::string& names, std::optional<std::string>& value,
                 const std::string& help, const std::string& placeholder) {
  return add_parsed(options, names, value, help, placeholder,
                    [](std::string_view, const std::string& text) -> Result<std::string> { return text; });
}

Option* add_texts(OptionSet& options, const std::string& names, std::vector<std::string>& values,
                  const std::string& help, const std::string& placeholder) {
  return options.add_option(names, values, help)->expected(1, 1)->type_name(placeholder)->repeatable();
}

Option* add_count(OptionSet& options, const std::string& names, std::optional<std::int64_t>& value,
                  const std::string& help, std::int64_t minimum) {
  return add_parsed(options, names, value, help, "N",
                    [minimum](std::string_view name, const std::string& text) -> Result<std::int64_t> {
                      const std::int64_t number = TRY(parse_count(name, text));
                      if (number < minimum) {
                        return fail(Code::usage,
                                    fmt::format("{} is too small: at least {} is needed", number, minimum));
                      }
                      return number;
                    });
}

Option* add_size(OptionSet& options, const std::string& names, std::optional<std::int64_t>& value,
                 const std::string& help) {
  return add_parsed(options, names, value, help, "SIZE",
                    [](std::string_view, const std::string& text) { return parse_size(text); });
}

Option* add_duration(OptionSet& options, const std::string& names, std::optional<Milliseconds>& value,
                     const std::string& help) {
  return add_parsed(options, names, value, help, "DUR",
                    [](std::string_view, const std::string& text) { return parse_duration(text); });
}

Option* add_time(OptionSet& options, const std::string& names, std::optional<TimestampMs>& value,
                 const std::string& help) {
  return add_parsed(options, names, value, help, "TIME",
                    [now = now_ms()](std::string_view, const std::string& text) { return parse_time(text, now); });
}

Result<OffsetOrTime> parse_offset_or_time(std::string_view name, std::string_view text, std::string_view also) {
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  if (digits) return Offset{TRY(parse_count(name, text))};
  const auto time = parse_time(text.substr(text.starts_with('@') ? 1 : 0), now_ms());
  if (time) return *time;
  return fail(Code::usage, fmt::format("\"{}\" is neither an offset nor a time: expected {}500, 2026-11-21T03:37:22Z, "
                                       "@1732150000, now, or -1h",
                                       text, also));
}

}  // namespace leat::tools
