#include "tools/config.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>

using namespace leat;
using namespace leat::tools;

namespace {

Environment environment_of(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

Result<Settings> resolve(const GlobalFlags& flags, std::map<std::string, std::string> variables,
                         const std::string& file = "") {
  const auto entries = parse_toml(file, "c.toml");
  REQUIRE(entries);
  return resolve_settings(flags, environment_of(std::move(variables)), *entries, "c.toml");
}

std::string origin_of(const Settings& settings, const std::string& key) {
  for (const SettingOrigin& setting : settings.origins) {
    if (setting.key == key) return setting.value + " from " + setting.origin;
  }
  return "absent";
}

}  // namespace

TEST_CASE("a flag beats a variable, a variable the file, the file what is built in") {
  const std::string file = "[defaults]\ndata_dir = \"/file\"\ncolor = \"never\"\nlock_timeout = \"3s\"\nquiet = true\n";
  GlobalFlags flags;
  flags.data_dir = "/flag";
  const auto settings =
      resolve(flags, {{"LEAT_DATA_DIR", "/variable"}, {"LEAT_COLOR", "always"}, {"HOME", "/h"}}, file);
  REQUIRE(settings);
  CHECK(settings->globals.data_dir == "/flag");
  CHECK(settings->globals.color == ColorMode::always);
  CHECK(settings->globals.lock_timeout == std::chrono::seconds(3));
  CHECK(settings->globals.quiet);
  CHECK_FALSE(settings->globals.verbose);
  CHECK(origin_of(*settings, "data_dir") == "/flag from --data-dir");
  CHECK(origin_of(*settings, "color") == "always from LEAT_COLOR");
  CHECK(origin_of(*settings, "lock_timeout") == "3s from c.toml:4:16");
  CHECK(origin_of(*settings, "quiet") == "true from c.toml:5:9");
  CHECK(origin_of(*settings, "verbose") == "false from built-in");
}

TEST_CASE("the data directory follows XDG's rules") {
  CHECK(resolve({}, {{"HOME", "/h"}})->globals.data_dir == "/h/.local/share/leat");
  CHECK(resolve({}, {{"HOME", "/h"}, {"XDG_DATA_HOME", "/x"}})->globals.data_dir == "/x/leat");
  CHECK(resolve({}, {{"HOME", "/h"}, {"XDG_DATA_HOME", "relative"}})->globals.data_dir == "/h/.local/share/leat");
  CHECK(resolve({}, {})->globals.data_dir.empty());
}

TEST_CASE("the settings file may name the home directory as the shell does") {
  const auto settings = resolve({}, {{"HOME", "/h"}}, "[defaults]\ndata_dir = \"~/records\"\n");
  CHECK(settings->globals.data_dir == "/h/records");
}

TEST_CASE("any file system is allowed only when asked for") {
  CHECK_FALSE(resolve({}, {})->globals.allow_any_file_system);
  CHECK(resolve({}, {{"LEAT_ALLOW_FILESYSTEM", "any"}})->globals.allow_any_file_system);
  CHECK(resolve({}, {}, "[defaults]\nallow_filesystem = \"any\"\n")->globals.allow_any_file_system);
}

TEST_CASE("a bad flag is a usage error, a bad variable or file a configuration error") {
  GlobalFlags flags;
  flags.color = "pink";
  CHECK(resolve(flags, {}).error().code == Code::usage);
  CHECK(resolve(flags, {}).error().message == "--color: \"pink\" is not allowed: expected auto, always or never");
  flags.color = {};
  flags.lock_timeout = "5";
  CHECK(resolve(flags, {}).error().code == Code::usage);

  const auto variable = resolve({}, {{"LEAT_QUIET", "perhaps"}});
  CHECK(variable.error().code == Code::configuration);
  CHECK(variable.error().message.starts_with("LEAT_QUIET: "));

  const auto file = resolve({}, {}, "[defaults]\n\nlock_timeout = 5\n");
  CHECK(file.error().code == Code::configuration);
  CHECK(file.error().message.starts_with("c.toml:3:16: lock_timeout: "));
}

TEST_CASE("an unknown key is refused with its place and the nearest one") {
  const auto result = resolve({}, {}, "[defaults]\ncolour = \"never\"\n");
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Code::configuration);
  CHECK(result.error().message == "c.toml:2:1: unknown key \"colour\"");
  CHECK(result.error().hint == "did you mean \"color\"?");
  CHECK(resolve({}, {}, "color = \"never\"\n").error().message.find("[defaults]") != std::string::npos);
  CHECK(resolve({}, {}, "colour = \"never\"\n").error().message == "c.toml:1:1: unknown key \"colour\"");
  CHECK(resolve({}, {}, "[other]\nx = 1\n").error().message == "c.toml:2:1: unknown table \"other\"");
  CHECK(resolve({}, {}, "[default]\n").error().message.find("unknown table \"default\"") != std::string::npos);
  CHECK(resolve({}, {}, "[default]\n").error().hint == "did you mean \"defaults\"?");
  CHECK(resolve({}, {}, "[defaults]\n"));
}

TEST_CASE("the settings file is looked for where LEAT_CONFIG, XDG and HOME say") {
  CHECK(settings_path(environment_of({{"LEAT_CONFIG", "/c"}, {"HOME", "/h"}})) == "/c");
  CHECK(settings_path(environment_of({{"XDG_CONFIG_HOME", "/x"}, {"HOME", "/h"}})) == "/x/leat/config.toml");
  CHECK(settings_path(environment_of({{"HOME", "/h"}})) == "/h/.config/leat/config.toml");
  CHECK(settings_path(environment_of({})).empty());
}

TEST_CASE("a missing settings file is no error unless LEAT_CONFIG names it") {
  CHECK(read_settings_file(environment_of({{"HOME", "/nonexistent"}}))->empty());
  const auto named = read_settings_file(environment_of({{"LEAT_CONFIG", "/nonexistent/config.toml"}}));
  REQUIRE_FALSE(named);
  CHECK(named.error().code == Code::configuration);
  CHECK(named.error().message.find("/nonexistent/config.toml") != std::string::npos);
  CHECK(read_settings_file(environment_of({{"LEAT_CONFIG", "/tmp"}})).error().code == Code::configuration);
}

namespace {

// The entries of a settings file with this text.
Result<std::vector<TomlEntry>> read_file_with(std::string_view text) {
  char path[] = "/tmp/leat-config-test-XXXXXX";
  const int descriptor = ::mkstemp(path);
  REQUIRE(descriptor >= 0);
  ::close(descriptor);
  std::ofstream(path) << text;
  auto entries = read_settings_file(environment_of({{"LEAT_CONFIG", path}}));
  ::unlink(path);
  return entries;
}

}  // namespace

TEST_CASE("the settings file is read from the disk") {
  const auto entries = read_file_with("[defaults]\ncolor = \"never\"\n");
  REQUIRE(entries);
  REQUIRE(entries->size() == 1);
  CHECK(entries->front().key == "defaults.color");
}

TEST_CASE("partitions may be listed in the settings file, and nothing else") {
  const auto entries = read_file_with("[store]\npartitions = [0, 11,\n 2]\nid = \"s\"\nreplica_partitions = [3]\n");
  REQUIRE(entries);
  REQUIRE(entries->size() == 3);
  CHECK(std::get<std::string>((*entries)[0].value) == "0,11,2");
  CHECK((*entries)[0].key == "store.partitions");
  CHECK(std::get<std::string>((*entries)[2].value) == "3");
  const auto refused = read_file_with("[store]\nid = [\"s\"]\n");
  REQUIRE(!refused);
  CHECK(refused.error().code == Code::configuration);
  CHECK(refused.error().message.ends_with(":2:1: store.id: an array is not expected here"));
}
