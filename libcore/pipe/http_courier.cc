#include "leat/pipe/http_courier.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <thread>

#include "leat/base/hex.h"
#include "leat/pipe/packed_body.h"

namespace leat::pipe {
namespace {

constexpr std::string_view kNull = "null";

// A message as templates see it; `key` and `value` stand for its own.
RecordView view_of(const Message& message, std::optional<std::string_view> key, std::optional<std::string_view> value) {
  ASSERT(!message.sources.empty());
  const SourceRange& source = message.sources.front();
  return {source.topic, source.partition, source.first, message.timestamp, key, value, {}};
}

Result<std::string> filled(HttpTemplate& text, const RecordView& record) {
  std::string result;
  TRY(text.text.append(result, record, false));
  return result;
}

// Whether the path of a URL leads out of where it stands: servers decode slashes before they look for "..".
bool leads_elsewhere(std::string_view url) {
  std::string_view path = url.substr(0, url.find('?'));
  path.remove_prefix(path.find("://") + 3);
  while (!path.empty()) {
    std::size_t end = path.find('/');
    for (const std::string_view encoded : {"%2F", "%5C"}) end = std::min(end, path.find(encoded));
    const std::string_view segment = path.substr(0, end);
    if (segment == "." || segment == "..") return true;
    path.remove_prefix(end == std::string_view::npos ? path.size() : end + (path[end] == '%' ? 3 : 1));
  }
  return false;
}

// Fills in a URL. What comes from the record is percent-encoded, so that it stays within its place.
Result<std::string> fill_url(HttpTemplate& url, const Message& message) {
  const auto encode = [](const std::optional<std::string>& text) {
    std::optional<std::string> encoded;
    if (text) append_percent_encoded(encoded.emplace(), *text);
    return encoded;
  };
  const auto key = encode(message.key);
  const auto value = encode(message.value);
  std::string result = TRY(filled(url, view_of(message, key, value)));
  if (!url.has_places) return result;
  if (leads_elsewhere(result)) return fail(Code::bad_data, "\".\" and \"..\" must not stand in the path of a URL");
  if (std::ranges::any_of(result, [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7F; }))
    return fail(Code::bad_data, "there is white space in the URL that the record makes");
  return result;
}

bool fits_header(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

}  // namespace

void Patience::ask(SteadyTime until) {
  SteadyTime before = until_;
  while (before < until && !until_.compare_exchange_weak(before, until)) {
  }
}

Result<void> Patience::wait(const std::atomic<bool>& stop) const {
  while (true) {
    if (stop.load(std::memory_order_relaxed)) return fail(Code::interrupted, "stopped");
    const auto left = until_.load() - std::chrono::steady_clock::now();
    if (left.count() <= 0) return {};
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(left, kHttpStopLatency));
  }
}

Result<HttpCourier> HttpCourier::make(const HttpOptions& options, const HttpSecrets& secrets, Patience& patience) {
  return HttpCourier(options, secrets, TRY(HttpClient::make(options.target.client)), patience);
}

Result<std::string> HttpCourier::body_of(const Message& message) {
  if (!options_.body) return message.value.value_or(options_.send == HttpSend::record ? "" : std::string(kNull));
  return filled(*options_.body, view_of(message, message.key, message.value));
}

// All but the body. Errors: bad_data, when the message does not fit into a URL or a header.
Result<HttpRequest> HttpCourier::request_for(const Message& message) {
  HttpRequest request;
  request.method = options_.method;
  request.url = TRY(fill_url(options_.url, message));
  for (auto& [name, text] : options_.headers) {
    std::string value = TRY(filled(text, view_of(message, message.key, message.value)));
    if (!fits_header(value)) return fail(Code::bad_data, fmt::format("there is a line break in the header {}", name));
    request.headers.emplace_back(name, std::move(value));
  }
  if (!secrets_.authorization.empty()) request.headers.emplace_back("Authorization", secrets_.authorization);
  return request;
}

// What an answer says of what was sent: bad_data refuses it.
Result<void> HttpCourier::judge(const HttpAnswer& answer) {
  if (options_.success.contains(answer.status)) return {};
  const bool may_pass = options_.retry.contains(answer.status);
  if (may_pass && answer.retry_after)
    patience_->ask(std::chrono::steady_clock::now() + std::min(*answer.retry_after, options_.retry_after_max));
  Code code = may_pass ? Code::unavailable : Code::bad_data;
  if (!may_pass && options_.stop.contains(answer.status))
    code = answer.status < 400 ? Code::configuration : Code::permission;
  std::string said = one_line(answer.body);
  if (const auto place = answer.header("Location"); !place.empty() && answer.status < 400)
    said = fmt::format("it has moved to {}", shown_url(one_line(place)));
  return fail(code,
              fmt::format("{}: status {}{}{}", options_.shown_url, answer.status, said.empty() ? "" : ": ", said));
}

Result<void> HttpCourier::send(const Message& message, std::string_view body, const std::atomic<bool>& stop) {
  HttpRequest request = TRY(request_for(message));
  TRY(patience_->wait(stop));
  if (options_.method != "GET") request.body = body;
  if (options_.signature) {
    request.headers.emplace_back(options_.signature->header,
                                 options_.signature->prefix + hmac_sha256_hex(secrets_.signature_key, request.body));
  }
  return judge(TRY(client_.send(request, stop)));
}

Result<void> HttpCourier::deliver(const Message& message, const std::atomic<bool>& stop) {
  return send(message, TRY(body_of(message)), stop);
}

std::string hmac_sha256_hex(std::string_view key, std::string_view body) {
  const auto bytes = [](std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); };
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, bytes(key), key.size());
  crypto_auth_hmacsha256_update(&state, bytes(body), body.size());
  std::array<unsigned char, crypto_auth_hmacsha256_BYTES> code{};
  crypto_auth_hmacsha256_final(&state, code.data());
  return to_hex(std::as_bytes(std::span(code)));
}

}  // namespace leat::pipe
