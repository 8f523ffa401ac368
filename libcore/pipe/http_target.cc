#include "leat/pipe/http_target.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/base/units.h"

namespace leat::pipe {

Result<Milliseconds> duration_within(SettingsTable& table, std::string_view key, Milliseconds built_in,
                                     Milliseconds least, Milliseconds most) {
  const Milliseconds duration = TRY(table.duration_or(key, built_in));
  if (duration < least || duration > most)
    return table.refuse(
        key, fmt::format("expected a duration from {} to {}", format_duration(least), format_duration(most)));
  return duration;
}

Result<HttpTarget> parse_http_target(SettingsTable& table) {
  using std::chrono::hours;
  HttpTarget target;
  HttpClientOptions& client = target.client;
  client.timeout = TRY(duration_within(table, "timeout", client.timeout, Milliseconds(10), hours(24)));
  client.connect_timeout =
      TRY(duration_within(table, "connect_timeout", client.connect_timeout, Milliseconds(10), hours(1)));
  client.ca_file = TRY(table.text_or("ca_file", ""));
  target.user = TRY(parse_secret(table, "user", true));
  target.password = TRY(parse_secret(table, "password"));
  if (target.password && !target.user) return table.refuse("user", "is missing: there is a password");
  return target;
}

std::string_view url_authority(std::string_view url) {
  const std::size_t start = std::min(url.find("://"), url.size() - 3) + 3;
  return url.substr(start, url.find_first_of("/?#", start) - start);
}

Result<void> check_url(const SettingsTable& table, std::string_view url) {
  if (!url.starts_with("http://") && !url.starts_with("https://"))
    return table.refuse("url", "expected a URL that begins with http:// or https://");
  const std::string_view authority = url_authority(url);
  if (authority.find('@') != std::string_view::npos)
    return table.refuse("url", "credentials must not stand in a URL: use user, and password_file or password_env");
  if (authority.empty() || authority.front() == ':') return table.refuse("url", "has no host");
  if (url.find('#') != std::string_view::npos) return table.refuse("url", "must not have a fragment");
  if (std::ranges::any_of(url, [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7F; }))
    return table.refuse("url", "must not hold white space");
  return {};
}

std::string shown_url(std::string_view url) {
  return std::string(url.substr(0, url.find_first_of("?#")));
}

std::string one_line(std::string_view text) {
  constexpr std::size_t kBytesMax = 300;
  std::string line;
  for (const char c : text.substr(0, kBytesMax)) {
    const bool is_control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    if (is_control && !line.ends_with(' ')) line += ' ';
    if (!is_control) line += c;
  }
  while (line.ends_with(' ')) line.pop_back();
  if (text.size() > kBytesMax) line += "...";
  return line;
}

}  // namespace leat::pipe
