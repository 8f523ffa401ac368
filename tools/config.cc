#include "tools/config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include "leat/base/units.h"
#include "tools/store_setting_rows.h"

namespace leat::tools {
namespace {

// The file is small; anything larger is a mistake in LEAT_CONFIG.
constexpr std::size_t kFileBytesMax = 1 << 20;

struct SettingRow {
  std::string_view key;       // in [defaults]
  const char* variable;       // in the environment
  std::string_view flag;      // on the command line, or empty
  std::string_view built_in;  // text form
  std::string_view allowed;
};

constexpr std::array<SettingRow, 6> kSettings = {
    {{"data_dir", "LEAT_DATA_DIR", "--data-dir", "", "a directory or a URL"},
     {"quiet", "LEAT_QUIET", "--quiet", "false", "true or false"},
     {"verbose", "LEAT_VERBOSE", "--verbose", "false", "true or false"},
     {"color", "LEAT_COLOR", "--color", "auto", "auto, always or never"},
     {"lock_timeout", "LEAT_LOCK_TIMEOUT", "--lock-timeout", "10s", "a duration like 10s"},
     {"allow_filesystem", "LEAT_ALLOW_FILESYSTEM", "", "known", "known or any"}}};

std::optional<bool> parse_bool(std::string_view text) {
  if (text == "true" || text == "1" || text == "yes" || text == "on") return true;
  if (text == "false" || text == "0" || text == "no" || text == "off") return false;
  return std::nullopt;
}

// Puts the text form of a setting into `globals`; false when it is not allowed. `value` becomes the form that is shown.
bool apply(Globals& globals, std::string_view key, std::string& value) {
  if (key == "data_dir") {
    globals.data_dir = value;
    return true;
  }
  if (key == "quiet" || key == "verbose") {
    const auto on = parse_bool(value);
    if (!on) return false;
    (key == "quiet" ? globals.quiet : globals.verbose) = *on;
    value = *on ? "true" : "false";
    return true;
  }
  if (key == "color") {
    constexpr std::array<std::string_view, 3> kModes = {"auto", "always", "never"};
    const auto* mode = std::find(kModes.begin(), kModes.end(), value);
    if (mode == kModes.end()) return false;
    globals.color = static_cast<ColorMode>(mode - kModes.begin());
    return true;
  }
  if (key == "lock_timeout") {
    const auto timeout = parse_duration(value);
    if (!timeout) return false;
    globals.lock_timeout = *timeout;
    value = format_duration(*timeout);
    return true;
  }
  ASSERT(key == "allow_filesystem");
  if (value != "any" && value != "known") return false;
  globals.allow_any_file_system = value == "any";
  return true;
}

std::optional<std::string> flag_text(const GlobalFlags& flags, std::string_view key) {
  if (key == "data_dir") return flags.data_dir;
  if (key == "color") return flags.color;
  if (key == "lock_timeout") return flags.lock_timeout;
  if ((key == "quiet" && flags.quiet) || (key == "verbose" && flags.verbose)) return "true";
  return std::nullopt;
}

std::string value_text(const TomlEntry& entry) {
  if (const auto* text = std::get_if<std::string>(&entry.value)) return *text;
  if (const auto* number = std::get_if<std::int64_t>(&entry.value)) return std::to_string(*number);
  return std::get<bool>(entry.value) ? "true" : "false";
}

// Partitions are listed: [0, 1] is as good as "0,1". Arrays stand nowhere else.
Result<std::vector<TomlEntry>> join_lists(std::vector<TomlEntry> entries, std::string_view path) {
  std::vector<TomlEntry> joined;
  for (TomlEntry& entry : entries) {
    const std::string name = entry.key.substr(0, entry.key.find('['));
    if (name != entry.key) {
      if (name != "store.partitions" && name != "store.replica_partitions") {
        return fail(Code::configuration, fmt::format("{}:{}:{}: {}: an array is not expected here", path,
                                                     entry.key_line, entry.key_column, name));
      }
      entry.value = value_text(entry);
      if (!joined.empty() && joined.back().key == name) {
        std::get<std::string>(joined.back().value) += "," + std::get<std::string>(entry.value);
        continue;
      }
      entry.key = name;
    }
    joined.push_back(std::move(entry));
  }
  return joined;
}

// A directory that XDG's rules name: the variable when it is absolute, else below the home directory; empty without
// either.
std::string xdg_dir(const Environment& environment, const char* variable, std::string_view below_home) {
  const auto dir = environment(variable);
  if (dir && dir->starts_with('/')) return *dir;
  const auto home = environment("HOME");
  return home ? fmt::format("{}/{}", *home, below_home) : "";
}

std::unexpected<Error> refuse_at(std::string_view path, const TomlEntry& entry, std::string_view what,
                                 std::string_view near) {
  return fail(Code::configuration, fmt::format("{}:{}:{}: {}", path, entry.key_line, entry.key_column, what),
              near.empty() ? "" : fmt::format("did you mean \"{}\"?", near));
}

// Every key of the file must be a known one in [defaults] or [store], or in [kafka], whose keys librdkafka knows.
Result<void> check_keys(std::span<const TomlEntry> file, std::string_view path) {
  constexpr std::array<std::string_view, 3> kTables = {"defaults", "kafka", "store"};
  std::vector<std::string_view> known;
  std::vector<std::string_view> known_of_store;
  for (const StoreSettingRow& row : kStoreSettings) known_of_store.push_back(row.key);
  for (const SettingRow& row : kSettings) known.push_back(row.key);
  for (const TomlEntry& entry : file) {
    const std::string_view full = entry.key;
    const bool empty_table = std::holds_alternative<std::monostate>(entry.value);
    const std::size_t dot = empty_table ? full.size() : full.find('.');
    if (dot == std::string_view::npos) {  // before any table
      if (std::find(known.begin(), known.end(), full) == known.end()) {
        return refuse_at(path, entry, fmt::format("unknown key \"{}\"", full), nearest(full, known));
      }
      return refuse_at(path, entry, fmt::format("the key \"{}\" must stand in the table [defaults]", full), "");
    }
    const std::string_view table = full.substr(0, dot);
    if (table == kTables[1]) continue;
    const bool of_store = table == kTables[2];
    if (table != kTables[0] && !of_store) {
      return refuse_at(path, entry, fmt::format("unknown table \"{}\"", table), nearest(table, kTables));
    }
    const std::string_view key = full.substr(std::min(dot + 1, full.size()));
    const auto& here = of_store ? known_of_store : known;
    if (empty_table || std::find(here.begin(), here.end(), key) != here.end()) continue;
    return refuse_at(path, entry, fmt::format("unknown key \"{}\"", key), nearest(key, here));
  }
  return {};
}

}  // namespace

std::optional<std::string> process_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

std::string settings_path(const Environment& environment) {
  if (auto named = environment("LEAT_CONFIG")) return *named;
  const std::string dir = xdg_dir(environment, "XDG_CONFIG_HOME", ".config");
  return dir.empty() ? "" : dir + "/leat/config.toml";
}

Result<std::vector<TomlEntry>> read_settings_file(const Environment& environment) {
  const std::string path = settings_path(environment);
  if (path.empty()) return std::vector<TomlEntry>{};
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    if ((errno == ENOENT || errno == ENOTDIR) && !environment("LEAT_CONFIG")) return std::vector<TomlEntry>{};
    auto error = fail_errno(errno, fmt::format("cannot open the settings file {}", path)).error();
    return fail(Code::configuration, std::move(error.message), "unset LEAT_CONFIG, or make the file readable");
  }
  std::string text;
  std::array<char, 16384> block = {};
  ssize_t count = 0;
  while ((count = ::read(descriptor, block.data(), block.size())) > 0 && text.size() <= kFileBytesMax) {
    text.append(block.data(), static_cast<std::size_t>(count));
  }
  const int error_number = errno;
  ::close(descriptor);
  if (count < 0) {
    auto error = fail_errno(error_number, fmt::format("cannot read the settings file {}", path)).error();
    return fail(Code::configuration, std::move(error.message));
  }
  if (text.size() > kFileBytesMax) {
    return fail(Code::configuration, fmt::format("the settings file {} is larger than 1 MiB", path));
  }
  return join_lists(TRY(parse_toml(text, path, TomlArrays::flattened)), path);
}

Result<Settings> resolve_settings(const GlobalFlags& flags, const Environment& environment,
                                  std::span<const TomlEntry> file, std::string_view file_path) {
  TRY(check_keys(file, file_path));
  Settings settings;
  settings.globals.yes = flags.yes;
  constexpr std::string_view kKafkaTable = "kafka.";
  constexpr std::string_view kStoreTable = "store.";
  for (const TomlEntry& entry : file) {
    if (std::holds_alternative<std::monostate>(entry.value)) continue;
    if (entry.key.starts_with(kKafkaTable))
      settings.kafka.emplace_back(entry.key.substr(kKafkaTable.size()), value_text(entry));
    if (entry.key.starts_with(kStoreTable)) {
      settings.store.push_back({entry.key.substr(kStoreTable.size()), value_text(entry),
                                fmt::format("{}:{}:{}", file_path, entry.line, entry.column)});
    }
  }
  for (const SettingRow& row : kSettings) {
    SettingOrigin setting{std::string(row.key), std::string(row.built_in), "built-in"};
    Code code = Code::internal;
    if (auto text = flag_text(flags, row.key)) {
      setting = {std::string(row.key), *text, std::string(row.flag)};
      code = Code::usage;
    } else if (auto variable = environment(row.variable)) {
      setting = {std::string(row.key), *variable, row.variable};
      code = Code::configuration;
    } else {
      for (const TomlEntry& entry : file) {
        if (entry.key != fmt::format("defaults.{}", row.key)) continue;
        setting = {std::string(row.key), value_text(entry),
                   fmt::format("{}:{}:{}", file_path, entry.line, entry.column)};
        code = Code::configuration;
        // The shell does not see the file, so its way of naming the home directory is understood here.
        const auto home = environment("HOME");
        if (row.key == "data_dir" && setting.value.starts_with("~/") && home) setting.value.replace(0, 1, *home);
      }
    }
    if (row.key == "data_dir" && code == Code::internal) {
      const std::string dir = xdg_dir(environment, "XDG_DATA_HOME", ".local/share");
      setting.value = dir.empty() ? "" : dir + "/leat";
    } else if (row.key == "data_dir" && setting.value.empty()) {
      return fail(code, fmt::format("{}: the data directory is empty", setting.origin));
    }
    if (!apply(settings.globals, row.key, setting.value)) {
      return fail(
          code,
          fmt::format("{}: {}\"{}\" is not allowed: expected {}", setting.origin,
                      setting.origin == row.flag || setting.origin == row.variable ? "" : fmt::format("{}: ", row.key),
                      setting.value, row.allowed));
    }
    settings.origins.push_back(std::move(setting));
  }
  return settings;
}

Result<Settings> load_settings(const GlobalFlags& flags, bool use_file) {
  if (!use_file) {
    return resolve_settings(flags, [](const char*) -> std::optional<std::string> { return std::nullopt; }, {}, "");
  }
  const auto file = TRY(read_settings_file(process_environment));
  return resolve_settings(flags, process_environment, file, settings_path(process_environment));
}

}  // namespace leat::tools
