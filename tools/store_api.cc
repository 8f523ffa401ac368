#include "tools/store_api.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <memory>

#include "leat/base/ascii.h"
#include "leat/base/base64.h"
#include "leat/base/crc32c.h"
#include "leat/base/percent.h"
#include "leat/base/units.h"
#include "leat/pipe/envelope.h"
#include "tools/json_keys.h"
#include "tools/json_text.h"
#include "tools/output.h"
#include "tools/prometheus.h"
#include "tools/store_texts.h"
#include "tools/url_text.h"

namespace leat::tools {
namespace {

constexpr std::size_t kKeysMax = 1000;
constexpr std::int64_t kPageDefault = 100;
constexpr std::int64_t kPageMax = 1000;
// A page ends before its limit when it has come to so much, or so many keys were looked at for it.
constexpr std::size_t kPageBytesMax = 8 << 20;
constexpr std::int64_t kPageLooksMax = 200'000;
constexpr std::size_t kManyBytesMax = 64 << 20;
constexpr std::size_t kKeyInNextMax = 4 << 10;
constexpr Milliseconds kTimeout(10'000);
constexpr Milliseconds kTimeoutMax(60'000);

constexpr std::string_view kStores = "/stores/";
constexpr std::string_view kFlushStore = "/flush-store/";

HttpResponse problem(unsigned status, std::string_view what) {
  return {.status = status,
          .body = fmt::format("{{\"error\":{}}}\n", json_string(what)),
          .headers = {{"Cache-Control", "no-store"}}};
}

HttpResponse not_ready() {
  HttpResponse response = problem(503, "the store is being restored");
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

HttpResponse not_allowed(std::string allowed) {
  HttpResponse response = problem(405, fmt::format("only {} is allowed here", allowed));
  response.headers.emplace_back("Allow", std::move(allowed));
  return response;
}

bool reads(const HttpRequest& request) {
  return request.method == "GET" || request.method == "HEAD";
}

HttpResponse text_page(std::string_view content_type, std::string_view body) {
  return {.content_type = std::string(content_type), .body = std::string(body), .headers = {}};
}

std::string place_text(PartitionId partition, Offset offset) {
  return fmt::format("{}:{}", partition.value, offset.value);
}

// "3:1234".
std::optional<std::pair<PartitionId, Offset>> parse_place(std::string_view text) {
  PartitionId partition;
  Offset offset;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto first = std::from_chars(begin, end, partition.value);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != ':') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, offset.value);
  if (second.ec != std::errc() || second.ptr != end || partition.value < 0 || offset.value < 0) return std::nullopt;
  return std::pair(partition, offset);
}

// Whether a header that lists entity tags (If-None-Match) names this one.
bool names_tag(std::string_view list, std::string_view tag) {
  while (!list.empty()) {
    std::string_view one = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), one.size() + 1));
    while (!one.empty() && (one.front() == ' ' || one.front() == '\t')) one.remove_prefix(1);
    while (!one.empty() && (one.back() == ' ' || one.back() == '\t')) one.remove_suffix(1);
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == tag || one == "*") return true;
  }
  return false;
}

void append_member(std::string& to, std::string_view name, std::string_view bytes) {
  to += fmt::format("\"{}\":", name);
  const std::size_t before = to.size();
  if (append_if_utf8(to, bytes)) return;
  to.resize(before - name.size() - 3);
  to += fmt::format("\"{}_b64\":\"", name);
  append_base64(to, bytes);
  to += '"';
}

// Bytes of memory that this process has in use.
std::int64_t resident_bytes() {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/proc/self/statm", "re"), std::fclose);
  long long total = 0;
  long long resident = 0;
  if (!file || std::fscanf(file.get(), "%lld %lld", &total, &resident) != 2) return 0;
  return resident * ::sysconf(_SC_PAGESIZE);
}

std::string_view role_name(const StoreStatus& status) {
  return status.role == StoreRole::primary ? "primary" : "replica";
}

// What a page ends with, to go on there: "PARTITION:KEY", or "PARTITION#HASH" where the key would not fit into the
// header of a request.
std::string next_of(const StorePartition& partition, std::string_view key) {
  if (key.size() <= kKeyInNextMax) return encode_base64url(fmt::format("{}:{}", partition.id().value, key));
  return encode_base64url(fmt::format("{}#{:016x}", partition.id().value, partition.table().hash(key)));
}

std::optional<Store::Place> parse_next(std::string_view text) {
  const auto bytes = decode_any_base64(text);
  const std::size_t mark = bytes ? bytes->find_first_of(":#") : std::string::npos;
  if (mark == std::string::npos) return std::nullopt;
  const auto partition = parse_count("after", std::string_view(*bytes).substr(0, mark));
  if (!partition || *partition < 0 || *partition > kPartitionsMax) return std::nullopt;
  Store::Place place{PartitionId{static_cast<std::int32_t>(*partition)}, bytes->substr(mark + 1)};
  if ((*bytes)[mark] == ':') return place;
  std::uint64_t hash = 0;
  const char* const end = bytes->data() + bytes->size();
  const auto [parsed, error] = std::from_chars(bytes->data() + mark + 1, end, hash, 16);
  if (error != std::errc() || parsed != end) return std::nullopt;
  place.key = hash;
  return place;
}

// Of a request that is_fresh() refuses.
unsigned status_of(Code code) {
  if (code == Code::not_found) return 421;
  return code == Code::busy ? 504 : 400;
}

// What a waiting request remembers.
struct Waiting {
  SteadyTime until;
  std::uint64_t ticket = 0;
};

}  // namespace

StoreApi::StoreApi(Store& store, StoredAs stored_as, std::string token, std::function<HttpFigures()> figures)
    : store_(store), stored_as_(stored_as), token_(std::move(token)), figures_(std::move(figures)) {}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const char other = a.empty() ? '\0' : a[i % a.size()];
    difference |= static_cast<unsigned char>(other ^ b[i]);
  }
  return difference == 0;
}

bool StoreApi::admits(const HttpRequest& request) const {
  if (token_.empty()) return true;
  std::string_view given = request.header("Authorization");
  constexpr std::string_view kScheme = "bearer ";
  if (given.size() < kScheme.size()) return false;
  const bool bearer = equal_ignoring_case(given.substr(0, kScheme.size()), kScheme);
  given.remove_prefix(kScheme.size());
  return bearer && equal_in_constant_time(given, token_);
}

std::optional<HttpResponse> StoreApi::answer(const HttpRequest& request) {
  // What is the same for everybody, and says nothing of what is stored, needs no token.
  const std::string_view path = request.target.substr(0, request.target.find('?'));
  const bool open = path == "/" || path == "/openapi.json" || path == "/healthz" || path == "/readyz";
  if (open && !reads(request)) return not_allowed("GET, HEAD");
  if (path == "/") {
    HttpResponse page = text_page("text/html; charset=utf-8", kStorePage);
    page.headers = {{"Content-Security-Policy",
                     "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
                     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
                    {"X-Content-Type-Options", "nosniff"},
                    {"Cache-Control", "no-cache"}};
    return page;
  }
  if (path == "/openapi.json") return text_page("application/json", kStoreOpenApi);
  if (path == "/readyz") return answer_ready();
  if (path == "/healthz") {
    const auto failed = store_.failure();
    return failed ? problem(500, failed->message) : text_page("application/json", "{\"healthy\":true}\n");
  }
  if (admits(request)) return answer_data(request);
  HttpResponse response = problem(401, "a bearer token is needed");
  response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

std::optional<HttpResponse> StoreApi::answer_data(const HttpRequest& request) {
  const std::string_view path = request.target.substr(0, request.target.find('?'));
  const std::string& id = store_.options().id;
  if (path == "/metrics" || path == "/status") {
    if (!reads(request)) return not_allowed("GET, HEAD");
    return path == "/metrics" ? answer_metrics() : answer_status();
  }
  for (const std::string_view prefix : {kStores, kFlushStore}) {
    if (!path.starts_with(prefix)) continue;
    const std::string_view rest = path.substr(prefix.size());
    const auto name = percent_decode(rest.substr(0, rest.find('/')));
    if (!name) return problem(400, "bad percent-encoding");
    if (*name != id) return problem(404, fmt::format("there is no store \"{}\" here: this is \"{}\"", *name, id));
    const std::string_view behind = rest.substr(std::min(rest.find('/'), rest.size()));
    if (prefix == kStores) return answer_store(request, behind);
    if (!behind.empty()) return problem(404, "no such resource");
    return answer_flush(request);
  }
  return problem(404, "no such resource");
}

// `rest` is what stands behind the store's id: nothing, or a slash and a key.
std::optional<HttpResponse> StoreApi::answer_store(const HttpRequest& request, std::string_view rest) {
  const bool many = request.method == "POST" && rest == "/get";
  if (!many && !reads(request)) return not_allowed(rest == "/get" ? "GET, HEAD, POST" : "GET, HEAD");
  const auto target = parse_target(request.target);
  if (!target) return problem(400, "bad percent-encoding");
  const auto fresh = is_fresh(request, *target);
  if (!fresh) return problem(status_of(fresh.error().code), fresh.error().message);
  if (!*fresh) return std::nullopt;
  if (many) return answer_many(request);
  return rest.empty() ? answer_page(*target) : answer_key(request, *target, rest.substr(1));
}

// ---- One key ----

HttpResponse StoreApi::answer_key(const HttpRequest& request, const UrlTarget& target, std::string_view encoded) const {
  auto key = percent_decode(encoded);
  if (!key) return problem(400, "bad percent-encoding");
  if (const auto encoding = query_value(target, "encoding")) {
    if (*encoding != "base64") return problem(400, "encoding: only base64 is known");
    key = decode_any_base64(*key);
    if (!key) return problem(400, "the key is no base64");
  }
  HttpResponse response;
  const Store::Answer answer = store_.find(*key, [&](const StorePartition& partition, const StoredValue& value) {
    // Offsets tell values apart within one changelog only.
    const std::uint32_t changelog = crc32c(std::as_bytes(std::span(partition.incarnation())));
    const std::string tag = fmt::format("\"{:08x}-{}-{}\"", changelog, partition.id().value, value.offset.value);
    response.headers = {{"ETag", tag},
                        {"Leat-Offset", place_text(partition.id(), value.offset)},
                        {"Cache-Control", "no-cache"},
                        {"X-Content-Type-Options", "nosniff"}};
    if (names_tag(request.header("If-None-Match"), tag)) {
      response.status = 304;
      response.content_type.clear();
      return;
    }
    response.content_type = stored_as_ == StoredAs::json ? "application/json" : "application/octet-stream";
    response.body = value.value;
  });
  switch (answer) {
    case Store::Answer::found:
      return response;
    case Store::Answer::absent:
      return problem(404, "no such key");
    case Store::Answer::restoring:
      return not_ready();
    case Store::Answer::elsewhere:
      return problem(421, fmt::format("the key belongs to partition {}, which another process of the store holds",
                                      store_.home_of(*key).value));
  }
  return problem(500, "no answer");
}

// ---- Waiting ----

Result<bool> StoreApi::is_fresh(const HttpRequest& request, const UrlTarget& target) {
  for (const auto& [name, text] : target.query) {
    if (name != "at-least") continue;
    const auto place = parse_place(text);
    if (!place) return fail(Code::usage, "at-least: expected PARTITION:OFFSET");
    const StorePartition* partition = store_.partition(place->first);
    if (partition == nullptr)
      return fail(Code::not_found, fmt::format("partition {} is not held here", place->first.value));
    if (partition->ready() && partition->position().source_next > place->second) continue;
    return await_flush(request, target, text);
  }
  return true;
}

Result<bool> StoreApi::await_flush(const HttpRequest& request, const UrlTarget& target, std::string_view place) {
  auto* waiting = std::any_cast<Waiting>(request.memory);
  if (waiting == nullptr) {
    const auto timeout = query_value(target, "timeout");
    const Milliseconds wait = timeout ? TRY(parse_duration(*timeout)) : kTimeout;
    *request.memory = Waiting{std::chrono::steady_clock::now() + std::clamp(wait, Milliseconds(0), kTimeoutMax)};
    waiting = std::any_cast<Waiting>(request.memory);
  }
  if (std::chrono::steady_clock::now() >= waiting->until)
    return fail(Code::busy, fmt::format("offset {} is not applied yet", place));
  // What was read meanwhile need not wait for others.
  if (store_.flushed(waiting->ticket)) waiting->ticket = store_.request_flush();
  return false;
}

// ---- Many ----

void StoreApi::append_item(std::string& to, const StorePartition& partition, const StoredValue& value) const {
  to += '{';
  append_member(to, "key", value.key);
  to += ',';
  const std::size_t before = to.size();
  to += "\"value\":";
  if (stored_as_ == StoredAs::bytes || !append_compact_json(to, value.value)) {
    to.resize(before);
    append_member(to, "value", value.value);
  }
  to += fmt::format(",\"partition\":{},\"offset\":{}}}", partition.id().value, value.offset.value);
}

HttpResponse StoreApi::answer_page(const UrlTarget& target) const {
  const std::string prefix = query_value(target, "prefix").value_or("");
  std::int64_t limit = kPageDefault;
  if (const auto text = query_value(target, "limit")) {
    const auto count = parse_count("limit", *text);
    if (!count || *count < 1 || *count > kPageMax)
      return problem(400, fmt::format("limit: expected a number from 1 to {}", kPageMax));
    limit = *count;
  }
  std::optional<Store::Place> after;
  if (const auto text = query_value(target, "after")) {
    after = parse_next(*text);
    if (!after) return problem(400, "after: expected what \"next\" of another page says");
  }
  std::string items;
  std::int64_t found = 0;
  std::int64_t looks = 0;
  std::optional<std::string> next;
  const bool ready = store_.scan(after, [&](const StorePartition& partition, const StoredValue& value) {
    if (value.key.starts_with(prefix)) {
      if (found++ > 0) items += ',';
      append_item(items, partition, value);
    }
    if (found < limit && ++looks < kPageLooksMax && items.size() < kPageBytesMax) return true;
    next = next_of(partition, value.key);
    return false;
  });
  if (!ready) return not_ready();
  HttpResponse response;
  response.body = fmt::format("{{\"items\":[{}],\"next\":{}}}\n", items, next ? fmt::format("\"{}\"", *next) : "null");
  response.headers = {{"Cache-Control", "no-cache"}, {"X-Content-Type-Options", "nosniff"}};
  return response;
}

HttpResponse StoreApi::answer_many(const HttpRequest& request) const {
  const auto keys = parse_json_keys(request.body, kKeysMax);
  if (!keys) return problem(400, keys.error().message);
  std::string items;
  for (const std::string& key : *keys) {
    if (!items.empty()) items += ',';
    const Store::Answer answer = store_.find(
        key, [&](const StorePartition& partition, const StoredValue& value) { append_item(items, partition, value); });
    if (answer == Store::Answer::restoring) return not_ready();
    if (items.size() > kManyBytesMax) return problem(413, "the values are more than 64 MiB: ask for fewer keys");
    if (answer == Store::Answer::found) continue;
    items += '{';
    append_member(items, "key", key);
    items += answer == Store::Answer::elsewhere
                 ? fmt::format(",\"missing\":\"elsewhere\",\"partition\":{}}}", store_.home_of(key).value)
                 : ",\"missing\":\"absent\"}";
  }
  return {.body = fmt::format("{{\"items\":[{}]}}\n", items), .headers = {{"X-Content-Type-Options", "nosniff"}}};
}

// ---- The store ----

void StoreApi::append_positions(std::string& to) const {
  to += '[';
  bool first = true;
  for (const StoreStatus& status : store_.status()) {
    if (!std::exchange(first, false)) to += ',';
    to += fmt::format("{{\"partition\":{},\"role\":\"{}\",\"next_offset\":{}}}", status.partition.value,
                      role_name(status), status.position.source_next.value);
  }
  to += ']';
}

std::optional<HttpResponse> StoreApi::answer_flush(const HttpRequest& request) {
  if (request.method != "POST") return not_allowed("POST");
  auto* waiting = std::any_cast<Waiting>(request.memory);
  if (waiting == nullptr) {
    *request.memory = Waiting{std::chrono::steady_clock::now() + kTimeout, store_.request_flush()};
    waiting = std::any_cast<Waiting>(request.memory);
  }
  if (!store_.flushed(waiting->ticket)) {
    if (std::chrono::steady_clock::now() < waiting->until && !store_.failure()) return std::nullopt;
    return store_.is_ready() ? problem(504, "the flush has not ended yet") : not_ready();
  }
  HttpResponse response;
  response.body = "{\"applied\":";
  append_positions(response.body);
  response.body += "}\n";
  return response;
}

HttpResponse StoreApi::answer_ready() const {
  if (store_.is_ready()) return text_page("application/json", "{\"ready\":true}\n");
  HttpResponse response = not_ready();
  response.body = "{\"ready\":false}\n";
  return response;
}

HttpResponse StoreApi::answer_status() const {
  const StoreOptions& options = store_.options();
  std::string body =
      fmt::format("{{\"store\":{},\"source\":{},\"changelog\":{},\"ready\":{},\"value\":\"{}\",\"partitions\":[",
                  json_string(options.id), json_string(options.source), json_string(options.changelog),
                  store_.is_ready(), stored_as_ == StoredAs::json ? "json" : "bytes");
  bool first = true;
  for (const StoreStatus& status : store_.status()) {
    if (!std::exchange(first, false)) body += ',';
    body += fmt::format(
        "{{\"partition\":{},\"role\":\"{}\",\"ready\":{},\"keys\":{},\"bytes\":{},\"applied\":{},\"next_offset\":{},"
        "\"changelog_offset\":{},\"behind\":{},\"current_at\":{},\"restored_from_snapshot\":{},"
        "\"restored_from_changelog\":{}}}",
        status.partition.value, role_name(status), status.ready, status.keys, status.payload_bytes, status.applied,
        status.position.source_next.value, status.position.changelog_next.value, status.behind,
        status.current_at ? json_string(format_time(*status.current_at)) : "null", status.replay.from_snapshot,
        status.replay.from_changelog);
  }
  return {.body = body + "]}\n", .headers = {{"Cache-Control", "no-store"}}};
}

HttpResponse StoreApi::answer_metrics() const {
  PrometheusText text;
  const Label of_store{"store", store_.options().id};
  const std::vector<StoreStatus> all = store_.status();
  const auto each = [&](std::string_view name, std::string_view type, std::string_view help, const auto& value) {
    text.family(name, type, help);
    for (const StoreStatus& status : all) {
      const std::string id = std::to_string(status.partition.value);
      text.sample({of_store, {"partition", id}, {"role", role_name(status)}}, value(status));
    }
  };
  each("leat_store_keys", "gauge", "Keys held.", [](const auto& s) { return s.keys; });
  each("leat_store_payload_bytes", "gauge", "Bytes of keys and values held.",
       [](const auto& s) { return s.payload_bytes; });
  each("leat_store_applied_total", "counter", "Changes applied since the start.",
       [](const auto& s) { return s.applied; });
  each("leat_store_next_offset", "gauge", "Everything of the source before this offset is visible.",
       [](const auto& s) { return s.position.source_next.value; });
  each("leat_store_behind_records", "gauge", "Records there were a moment ago that are not visible yet.",
       [](const auto& s) { return s.behind; });
  each("leat_store_ready", "gauge", "Whether it can be read.", [](const auto& s) { return s.ready ? 1 : 0; });
  each("leat_store_current_timestamp_seconds", "gauge", "When all that there was had been read.",
       [](const auto& s) { return s.current_at ? static_cast<double>(s.current_at->value) / 1000 : 0.0; });
  text.family("leat_store_skipped_total", "counter", "Records passed over, for want of a key.");
  text.sample({of_store}, store_.skipped());
  const HttpFigures figures = figures_();
  text.family("leat_http_connections", "gauge", "Open connections.");
  text.sample({}, figures.connections);
  text.family("leat_http_requests_total", "counter", "Requests answered.");
  for (const auto& [status, count] : figures.answered) text.sample({{"status", std::to_string(status)}}, count);
  text.family("process_resident_memory_bytes", "gauge", "Memory in use.");
  text.sample({}, resident_bytes());
  return text_page(kPrometheusType, text.text());
}

}  // namespace leat::tools
