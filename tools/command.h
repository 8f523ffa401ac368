// What a subcommand is, and what it is given to run with. One row of the table in commands.cc per command, one file per
// command.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/backend/backend.h"
#include "leat/base/clock.h"
#include "leat/base/error.h"
#include "tools/option_set.h"

namespace leat::tools {

enum class ColorMode { automatic, always, never };

// The global options, resolved: flag, then environment, then settings file, then built-in.
struct Globals {
  std::string data_dir;
  bool quiet = false;
  bool verbose = false;
  bool yes = false;
  ColorMode color = ColorMode::automatic;
  Milliseconds lock_timeout = std::chrono::seconds(10);
  bool allow_any_file_system = false;
};

// A setting, its value as text, and where the value came from.
struct SettingOrigin {
  std::string key;
  std::string value;
  std::string origin;
};

// Handed to a running command.
class Context {
 public:
  explicit Context(Globals globals, std::vector<SettingOrigin> settings = {}, std::vector<SettingOrigin> store = {})
      : globals_(std::move(globals)), settings_(std::move(settings)), store_settings_(std::move(store)) {}

  const Globals& globals() const { return globals_; }
  const std::vector<SettingOrigin>& settings() const { return settings_; }
  // What the table [store] of the settings file says.
  const std::vector<SettingOrigin>& store_settings() const { return store_settings_; }

  // The backend named by --data-dir; `create` makes a missing directory.
  Result<std::unique_ptr<Backend>> open_backend(bool create = false) const;
  // The same for another location.
  Result<std::unique_ptr<Backend>> open_backend_at(const std::string& location, bool create = false) const;

  // Asks `question` with the default No. Success is consent: --yes, or the answer. Errors: usage when it is refused, or
  // when it cannot be asked because stdin or stderr is not a terminal; interrupted.
  Result<void> confirm(std::string_view question) const;

 private:
  Globals globals_;
  std::vector<SettingOrigin> settings_;
  std::vector<SettingOrigin> store_settings_;
};

// A subcommand. add_options() only declares flags and binds them to members: it opens and reads nothing. run() does the
// work; what it returns becomes the exit status and, when it is an error, the last line on stderr.
class Command {
 public:
  virtual ~Command() = default;
  virtual void add_options(OptionSet& options) = 0;
  virtual Result<void> run(Context& context) = 0;
  // The exit status after a run() without an error.
  virtual int exit_status() const { return 0; }
};

// A row of the command table.
struct CommandRow {
  std::string_view group;     // "topic" for `leat topic create`; empty for `leat produce`
  std::string_view name;      // "create"
  std::string_view summary;   // one line, no full stop
  std::string_view examples;  // copy-paste lines, shown first by --help
  std::unique_ptr<Command> (*make)();
  bool needs_settings = true;  // false: works even where the settings file is broken
};

// Every command, in the order of `leat help`.
std::span<const CommandRow> command_table();

}  // namespace leat::tools
