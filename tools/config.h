// Settings: what each one is called, where its value comes from, and the Globals that follow.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "leat/base/error.h"
#include "leat/base/toml.h"
#include "tools/command.h"

namespace leat::tools {

// The global flags as they were given; absent ones are looked for elsewhere.
struct GlobalFlags {
  std::optional<std::string> data_dir = {};
  std::optional<std::string> color = {};
  std::optional<std::string> lock_timeout = {};
  bool quiet = false;
  bool verbose = false;
  bool yes = false;
};

// Settings resolved, and the value and origin of each ("--color", "LEAT_COLOR", "/path/config.toml:3:9" or "built-in").
struct Settings {
  Globals globals;
  std::vector<SettingOrigin> origins;
  std::vector<std::pair<std::string, std::string>> kafka = {};  // properties in the table [kafka]
  std::vector<SettingOrigin> store = {};                        // what the table [store] says
};

// The environment: a variable's value, or nothing where it is unset or empty.
using Environment = std::function<std::optional<std::string>(const char* name)>;
std::optional<std::string> process_environment(const char* name);

// Where the settings file is looked for: $LEAT_CONFIG, $XDG_CONFIG_HOME/leat/config.toml, ~/.config/leat/config.toml;
// empty when there is no home either.
std::string settings_path(const Environment& environment);

// The entries of the settings file; none when it is not there, unless LEAT_CONFIG names it. Errors: configuration.
Result<std::vector<TomlEntry>> read_settings_file(const Environment& environment);

// Each setting from the flag, else the environment, else [defaults] in the file, else built in. Pure. Errors: usage for
// a bad flag, configuration for a bad variable, a bad value in the file or a key that is not known.
Result<Settings> resolve_settings(const GlobalFlags& flags, const Environment& environment,
                                  std::span<const TomlEntry> file, std::string_view file_path);

// All of the above for this process. Without `use_file`, the file is not looked at and bad variables are ignored: for
// commands that must work when the settings are broken.
Result<Settings> load_settings(const GlobalFlags& flags, bool use_file);

}  // namespace leat::tools
