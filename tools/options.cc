#include "tools/options.h"

#include <fmt/format.h>

#include "leat/base/units.h"

namespace leat::tools {

void refuse_option(const std::string& option, const Error& error) {
  // Some messages name the flag already.
  throw CLI::ValidationError(error.message.starts_with(option + ":") ? error.message : option + ": " + error.message,
                             CLI::ExitCodes::ValidationError);
}

void add_global_options(CLI::App& app, GlobalFlags& flags) {
  // -D may stand in an alias and be given again: the last one counts.
  add_text(app, "-D,--data-dir", flags.data_dir, "where the records are (default: $LEAT_DATA_DIR, $XDG_DATA_HOME/leat)",
           "DIR|URL")
      ->take_last()
      ->group(kGlobalGroup);
  app.add_flag("-q,--quiet", flags.quiet, "no notes on stderr, only warnings and errors")->group(kGlobalGroup);
  app.add_flag("-v,--verbose", flags.verbose, "say more on stderr")->group(kGlobalGroup);
  app.add_flag("-y,--yes", flags.yes, "do not ask before destroying something")->group(kGlobalGroup);
  add_text(app, "--color", flags.color, "colour on stderr (default: auto)", "auto|always|never")
      ->take_last()
      ->group(kGlobalGroup);
  add_text(app, "--lock-timeout", flags.lock_timeout, "how long to wait for a lock (default: 10s)", "DUR")
      ->take_last()
      ->group(kGlobalGroup);
}

CLI::Option* add_list_format(CLI::App& app, ListFormat& format) {
  constexpr std::array<std::pair<std::string_view, ListFormat>, 2> kFormats = {
      {{"table", ListFormat::table}, {"json", ListFormat::json}}};
  return add_choice(app, "-O,--output", format, kFormats, "print a table (default) or JSON");
}

CLI::Option* add_topic(CLI::App& app, std::string& topic) {
  return app.add_option("TOPIC", topic, "name of the topic")->required()->type_name("");
}

CLI::Option* add_name(CLI::App& app, std::string& name, const std::string& help) {
  return app.add_option("NAME", name, help)->required()->type_name("");
}

CLI::Option* add_names(CLI::App& app, const std::string& placeholder, std::vector<std::string>& names,
                       const std::string& help) {
  return app.add_option(placeholder, names, help)->type_name("");
}

CLI::Option* add_partitions(CLI::App& app, std::vector<PartitionId>& partitions, const std::string& help) {
  return app
      .add_option_function<std::vector<std::string>>(
          "-p,--partition",
          [&partitions](const std::vector<std::string>& texts) {
            partitions.clear();
            for (const std::string& text : texts) {
              const auto number = parse_count("--partition", text);
              if (!number) refuse_option("--partition", number.error());
              if (*number < 0 || *number > INT32_MAX) {
                refuse_option("--partition", Error{Code::usage, fmt::format("\"{}\" is not a partition", text)});
              }
              partitions.push_back(PartitionId{static_cast<std::int32_t>(*number)});
            }
          },
          help)
      ->type_name("N")
      ->allow_extra_args(false);
}

CLI::Option* add_text(CLI::App& app, const std::string& names, std::optional<std::string>& value,
                      const std::string& help, const std::string& placeholder) {
  return add_parsed(app, names, value, help, placeholder,
                    [](std::string_view, const std::string& text) -> Result<std::string> { return text; });
}

CLI::Option* add_texts(CLI::App& app, const std::string& names, std::vector<std::string>& values,
                       const std::string& help, const std::string& placeholder) {
  return app
      .add_option_function<std::vector<std::string>>(
          names, [&values](const std::vector<std::string>& texts) { values = texts; }, help)
      ->type_name(placeholder)
      ->allow_extra_args(false);
}

CLI::Option* add_count(CLI::App& app, const std::string& names, std::optional<std::int64_t>& value,
                       const std::string& help, std::int64_t minimum) {
  return add_parsed(
      app, names, value, help, "N", [minimum](std::string_view name, const std::string& text) -> Result<std::int64_t> {
        const std::int64_t number = TRY(parse_count(name, text));
        if (number < minimum) {
          return fail(Code::usage, fmt::format("{} is too small: at least {} is needed", number, minimum));
        }
        return number;
      });
}

CLI::Option* add_size(CLI::App& app, const std::string& names, std::optional<std::int64_t>& value,
                      const std::string& help) {
  return add_parsed(app, names, value, help, "SIZE",
                    [](std::string_view, const std::string& text) { return parse_size(text); });
}

CLI::Option* add_duration(CLI::App& app, const std::string& names, std::optional<Milliseconds>& value,
                          const std::string& help) {
  return add_parsed(app, names, value, help, "DUR",
                    [](std::string_view, const std::string& text) { return parse_duration(text); });
}

CLI::Option* add_time(CLI::App& app, const std::string& names, std::optional<TimestampMs>& value,
                      const std::string& help) {
  return add_parsed(app, names, value, help, "TIME",
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
