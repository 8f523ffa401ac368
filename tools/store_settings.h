// The settings of `leat store serve`: what each is called as a flag, in the environment (and .env), and in the table
// [store] of the settings file; where its value comes from, and what it means.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/pipe/framing.h"
#include "leat/store/store.h"
#include "tools/config.h"
#include "tools/http_server.h"
#include "tools/store_api.h"
#include "tools/store_setting_rows.h"

namespace leat::tools {

// A setting, its text, and where that came from: "--listen", "LEAT_STORE_LISTEN", ".env:3", "/path/config.toml:3:9".
struct StoreSetting {
  std::string text;
  std::string origin;
  Code blame = Code::configuration;  // of a bad value: usage for a flag
};

using StoreTexts = std::map<std::string_view, StoreSetting>;

// What the settings come to.
struct ServeSettings {
  StoreOptions store;
  StoredAs stored_as = StoredAs::bytes;
  ListenAddress listen;
  HttpLimits limits;
  std::string transform;                                   // a shell command, or empty
  pipe::Framing transform_framing = pipe::Framing::lines;  // or u32be
  std::string token_file;                                  // or empty
  std::string snapshot_dir;                                // or empty: the usual one
  bool snapshots = true;
  std::string brokers;  // of a cluster, or empty
  std::string consumer_properties;
  std::string producer_properties;
  std::string changelog_properties;
};

// A .env file: NAME=VALUE lines, "#" comments, an optional "export ", single or double quotes around a value. Its
// variables with their lines. Errors: configuration, with the line.
struct EnvLine {
  std::string name;
  std::string value;
  std::size_t line;
};
Result<std::vector<EnvLine>> parse_env_file(std::string_view text, std::string_view path);

// Puts the values of `lines`, and then of the environment, where `texts` has none. Pure but for `environment`.
void add_environment(StoreTexts& texts, const Environment& environment, std::span<const EnvLine> lines,
                     std::string_view path);
// Puts what [store] says where `texts` has none.
void add_file(StoreTexts& texts, std::span<const SettingOrigin> file);

// Errors: usage or configuration, naming where a bad value came from.
Result<ServeSettings> resolve_store(const StoreTexts& texts);

}  // namespace leat::tools
