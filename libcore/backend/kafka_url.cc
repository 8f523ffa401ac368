// Where a cluster is and how to talk to it, as text. Pure.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "leat/backend/kafka.h"
#include "leat/base/percent.h"

namespace leat {

namespace {

constexpr std::string_view kScheme = "kafka://";
constexpr std::string_view kVariablePrefix = "LEAT_KAFKA_";

constexpr std::array<std::string_view, 6> kSecrets = {
    "sasl.password", "sasl.oauthbearer.client.secret", "sasl.oauthbearer.config", "ssl.key.password",
    "ssl.key.pem",   "ssl.keystore.password"};

Result<std::string> decode_part(std::string_view text) {
  auto plain = percent_decode(text);
  if (!plain) return fail(Code::usage, fmt::format("\"{}\": a % is not followed by two digits", text));
  if (plain->find('\0') != std::string::npos) return fail(Code::usage, fmt::format("\"{}\" has a NUL in it", text));
  return *std::move(plain);
}

Result<void> add_property(KafkaUrl& url, std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == 0 || equals == std::string_view::npos)
    return fail(Code::usage, fmt::format("\"{}\" in a Kafka URL is not PROPERTY=VALUE", text));
  const std::string name = TRY(decode_part(text.substr(0, equals)));
  if (std::ranges::find(kSecrets, name) != kSecrets.end()) {
    return fail(Code::usage, fmt::format("{} must not stand in a URL, where others can see it", name),
                fmt::format("put it in the table [kafka] of the settings file, or in LEAT_KAFKA_{}", [&] {
                  std::string variable = name;
                  for (char& c : variable) c = c == '.' ? '_' : static_cast<char>(std::toupper(c));
                  return variable;
                }()));
  }
  url.properties.emplace_back(name, TRY(decode_part(text.substr(equals + 1))));
  return {};
}

Result<void> check_server(std::string_view server) {
  // An IPv6 address stands in brackets.
  const std::size_t colon = server.find(':', server.starts_with('[') ? server.find(']') : 0);
  const std::string_view host = server.substr(0, colon);
  bool good = !host.empty() && host.find_first_of("/ @#") == std::string_view::npos;
  if (colon != std::string_view::npos) {
    const std::string_view port = server.substr(colon + 1);
    good &= !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string_view::npos;
  }
  if (good) return {};
  return fail(Code::usage, fmt::format("\"{}\" is not HOST[:PORT], as a Kafka URL has it", server),
              "leat -D kafka://localhost:9092 topic list");
}

}  // namespace

Result<KafkaUrl> parse_kafka_url(std::string_view text) {
  ASSERT(text.starts_with(kScheme));
  text.remove_prefix(kScheme.size());
  KafkaUrl url;
  const std::size_t question = text.find('?');
  std::string_view servers = text.substr(0, question);
  if (servers.ends_with('/')) servers.remove_suffix(1);
  url.servers = servers;
  for (std::string_view rest = servers;;) {
    const std::size_t comma = rest.find(',');
    TRY(check_server(rest.substr(0, comma)));
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  if (question == std::string_view::npos) return url;
  for (std::string_view rest = text.substr(question + 1); !rest.empty();) {
    const std::size_t ampersand = rest.find('&');
    TRY(add_property(url, rest.substr(0, ampersand)));
    if (ampersand == std::string_view::npos) break;
    rest.remove_prefix(ampersand + 1);
  }
  return url;
}

KafkaProperties kafka_environment(const char* const* environment) {
  KafkaProperties properties;
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const std::string_view variable = *environment;
    const std::size_t equals = variable.find('=');
    if (!variable.starts_with(kVariablePrefix) || equals == std::string_view::npos) continue;
    std::string name(variable.substr(kVariablePrefix.size(), equals - kVariablePrefix.size()));
    for (char& c : name) c = c == '_' ? '.' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (!name.empty() && equals + 1 < variable.size()) properties.emplace_back(name, variable.substr(equals + 1));
  }
  std::ranges::sort(properties);
  return properties;
}

}  // namespace leat
