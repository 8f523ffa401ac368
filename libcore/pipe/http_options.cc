#include "leat/pipe/http_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "leat/base/ascii.h"

namespace leat::pipe {
namespace {

constexpr std::array<std::pair<std::string_view, HttpSend>, 3> kSends = {
    {{"record", HttpSend::record}, {"json_array", HttpSend::json_array}, {"json_lines", HttpSend::json_lines}}};
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kMethods = {
    {{"POST", "POST"}, {"PUT", "PUT"}, {"PATCH", "PATCH"}, {"DELETE", "DELETE"}, {"GET", "GET"}}};
// What the connection needs for itself.
constexpr std::array<std::string_view, 6> kOwnHeaders = {"Host",       "Content-Length", "Transfer-Encoding",
                                                         "Connection", "Expect",         "Upgrade"};
constexpr std::int64_t kConcurrencyMax = 256;
constexpr std::string_view kTokenPunctuation = "!#$%&'*+-.^_`|~";

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return letter || kTokenPunctuation.find(c) != std::string_view::npos;
  });
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text,
                             [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F; });
}

// A template in the value of `key`. One of a batch has no single record to take something from.
Result<HttpTemplate> parse_template(const SettingsTable& table, const HttpOptions& options, std::string_view key,
                                    const std::string& text) {
  const bool has_places = text.find("{{") != std::string::npos;
  if (has_places && options.send != HttpSend::record && key != "body")
    return table.refuse(key, "{{...}} names one record, but a request has a batch of them");
  auto parsed = RecordTemplate::parse(key, text, false);
  if (!parsed) return table.refuse(key, parsed.error().message, parsed.error().hint);
  return HttpTemplate{*std::move(parsed), has_places};
}

Result<void> parse_url(SettingsTable& table, HttpOptions& options) {
  const std::string url = TRY(table.text("url"));
  // Spaces may stand within the braces of a place; what comes of it is looked at again.
  std::string without_places;
  for (std::size_t at = 0; at < url.size();) {
    const std::size_t open = std::min(url.find("{{", at), url.size());
    without_places += url.substr(at, open - at);
    if (open == url.size()) break;
    without_places += '{';
    at = url.find("}}", open);
    if (at == std::string::npos) break;
    at += 2;
  }
  TRY(check_url(table, without_places));
  if (url_authority(without_places).find('{') != std::string_view::npos)
    return table.refuse("url", "a record must not say which host is asked");
  options.shown_url = shown_url(url);
  options.url = TRY(parse_template(table, options, "url", url));
  return {};
}

Result<void> parse_headers(SettingsTable& table, HttpOptions& options) {
  bool has_type = false;
  for (const auto& [name, value] : TRY(table.named_texts("headers"))) {
    if (!is_token(name)) return table.refuse("headers", fmt::format("\"{}\" is not the name of a header", name));
    if (std::ranges::any_of(kOwnHeaders, [&](std::string_view own) { return equal_ignoring_case(own, name); }))
      return table.refuse("headers", fmt::format("{} is set by the connection itself", name));
    if (equal_ignoring_case(name, "Authorization"))
      return table.refuse("headers", "a secret must not stand here: use token_file, or user and password_file");
    if (has_control(value)) return table.refuse("headers", fmt::format("{} has a control character in it", name));
    has_type |= equal_ignoring_case(name, "Content-Type");
    options.headers.emplace_back(name, TRY(parse_template(table, options, "headers", value)));
  }
  if (has_type || options.method == "GET") return {};
  const std::string_view type = options.send == HttpSend::json_array   ? "application/json"
                                : options.send == HttpSend::json_lines ? "application/x-ndjson"
                                                                       : "application/octet-stream";
  options.headers.emplace_back("Content-Type", TRY(parse_template(table, options, "headers", std::string(type))));
  return {};
}

Result<StatusSet> parse_statuses(SettingsTable& table, std::string_view key, std::string_view built_in) {
  auto set = StatusSet::parse(TRY(table.text_or(key, built_in)));
  if (!set) return table.refuse(key, set.error().message);
  return *std::move(set);
}

Result<void> parse_signature(SettingsTable& table, HttpOptions& options) {
  const auto key = TRY(parse_secret(table, "signature_key"));
  const auto header = TRY(table.optional_text("signature_header"));
  const auto prefix = TRY(table.optional_text("signature_prefix"));
  if (!key) {
    for (const std::string_view name : {"signature_header", "signature_prefix"})
      if (table.has(name)) return table.refuse(name, "needs signature_key_file or signature_key_env");
    return {};
  }
  options.signature = HttpSignature{header.value_or("X-Signature-256"), prefix.value_or("sha256="), *key};
  if (!is_token(options.signature->header)) return table.refuse("signature_header", "is not the name of a header");
  if (has_control(options.signature->prefix)) return table.refuse("signature_prefix", "has a control character in it");
  return {};
}

}  // namespace

Result<StatusSet> StatusSet::parse(std::string_view text) {
  StatusSet set;
  const auto number = [](std::string_view digits) -> std::optional<int> {
    int value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    const bool good = error == std::errc() && end == digits.data() + digits.size() && value >= 100 && value <= 599;
    return good ? std::optional(value) : std::nullopt;
  };
  while (!text.empty()) {
    std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    const std::size_t dash = part.find('-');
    const auto first = number(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number(part.substr(dash + 1));
    if (!first || !last || *last < *first)
      return fail(Code::usage, fmt::format("\"{}\" is not a status or a range of them, like 200-299", part));
    set.ranges_.emplace_back(*first, *last);
  }
  return set;
}

bool StatusSet::contains(int status) const {
  return std::ranges::any_of(ranges_, [&](const auto& r) { return status >= r.first && status <= r.second; });
}

Result<HttpOptions> parse_http_options(SettingsTable& table) {
  HttpOptions options;
  options.send = TRY(table.choice_or("send", HttpSend::record, kSends));
  options.method = TRY(table.choice_or("method", std::string_view("POST"), kMethods));
  options.concurrency = static_cast<std::size_t>(TRY(table.count_or("concurrency", 1, 1, kConcurrencyMax)));
  if (options.concurrency > 1 && options.send != HttpSend::record)
    return table.refuse("concurrency", "is for send = \"record\": a batch is one request");
  TRY(parse_url(table, options));
  TRY(parse_headers(table, options));
  if (const auto body = TRY(table.optional_text("body"))) {
    if (options.method == "GET") return table.refuse("body", "a GET has none");
    options.body = TRY(parse_template(table, options, "body", *body));
  }
  if (options.method == "GET" && options.send != HttpSend::record)
    return table.refuse("method", "a GET has no body for a batch");
  options.success = TRY(parse_statuses(table, "success_codes", "200-299"));
  options.retry = TRY(parse_statuses(table, "retry_codes", "408,429,500-599"));
  options.stop = TRY(parse_statuses(table, "stop_codes", "300-399,401,403,407"));
  options.target = TRY(parse_http_target(table));
  options.token = TRY(parse_secret(table, "token"));
  if (options.token && options.target.user) return table.refuse("user", "there is a token, too");
  TRY(parse_signature(table, options));
  options.retry_after_max =
      TRY(duration_within(table, "retry_after_max", std::chrono::minutes(5), Milliseconds(0), std::chrono::hours(24)));
  return options;
}

}  // namespace leat::pipe
