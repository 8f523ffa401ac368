// What the sinks that speak HTTP have in common in a pipeline file: time limits, certificates, credentials. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "leat/pipe/http_client.h"
#include "leat/pipe/secret.h"
#include "leat/pipe/settings_table.h"

namespace leat::pipe {

struct HttpTarget {
  HttpClientOptions client;
  std::optional<Secret> user;
  std::optional<Secret> password;  // only with a user
};

// Takes timeout, connect_timeout, ca_file, and user and password in the forms of secret.h. Errors:
// configuration.
Result<HttpTarget> parse_http_target(SettingsTable& table);

// The duration under `key`, from `least` to `most`. Errors: configuration.
Result<Milliseconds> duration_within(SettingsTable& table, std::string_view key, Milliseconds built_in,
                                     Milliseconds least, Milliseconds most);

// Whether `url`, the value of the key "url", is one of http or https with a host, and without a user, a password, a
// fragment, or white space. Errors: configuration; the text is not repeated, as it may hold a password.
Result<void> check_url(const SettingsTable& table, std::string_view url);

// Host and port, "example.org:80", of a URL that has been checked.
std::string_view url_authority(std::string_view url);

// `url` as messages show it: without what stands behind a question mark, which may be secret.
std::string shown_url(std::string_view url);

// What a server said on one line, at most 300 bytes, without control characters.
std::string one_line(std::string_view text);

}  // namespace leat::pipe
