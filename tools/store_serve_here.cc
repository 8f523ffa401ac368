// In place of store_serve_away.cc, in leat-net: the store, and the HTTP server over it.
#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/store_api.h"
#include "tools/store_place.h"
#include "tools/store_serve.h"
#include "tools/transform.h"
#include "tools/whole_file.h"

namespace leat::tools {
namespace {

constexpr Milliseconds kLook(50);
constexpr Milliseconds kGrace(5000);
constexpr std::size_t kTokenBytesMax = 4096;

Result<std::string> read_token(const std::string& path) {
  if (path.empty()) return std::string();
  std::string token = TRY(read_whole_file(path, kTokenBytesMax));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  if (token.empty() || token.find_first_of("\n\r\t ") != std::string::npos)
    return fail(Code::configuration, fmt::format("--token-file: {} must hold one token, on one line", path));
  return token;
}

// "a=b,c=d" as the query of a URL.
std::string as_query(std::string_view properties) {
  std::string query;
  for (const char c : properties) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                       c == '-' || c == '_' || c == '=';
    if (c == ',') {
      query += '&';
    } else if (plain) {
      query += c;
    } else {
      query += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return query;
}

// The places of a store, opened once each where they are the same.
class Backends {
 public:
  static Result<Backends> open(const Context& context, const std::string& location, const ServeSettings& settings) {
    Backends backends;
    const OpenOptions options{.lock_timeout = context.globals().lock_timeout,
                              .allow_any_file_system = context.globals().allow_any_file_system};
    const auto one = [&](const std::string& properties) -> Result<std::unique_ptr<Backend>> {
      const bool is_url = location.find("://") != std::string::npos;
      if (!properties.empty() && !is_url)
        return fail(Code::configuration, fmt::format("{}: properties of librdkafka are for clusters", location));
      if (properties.empty()) return open_backend(location, options);
      const char joint = location.find('?') == std::string::npos ? '?' : '&';
      return open_backend(location + joint + as_query(properties), options);
    };
    backends.source_ = TRY(one(settings.consumer_properties));
    backends.producer_ = TRY(one(settings.producer_properties));
    backends.changelog_ = TRY(one(settings.changelog_properties));
    return backends;
  }

  StoreBackends get() const { return {source_.get(), producer_.get(), changelog_.get()}; }

 private:
  std::unique_ptr<Backend> source_;
  std::unique_ptr<Backend> producer_;
  std::unique_ptr<Backend> changelog_;
};

void say_where(const HttpServer& server, const ServeSettings& settings) {
  print_note(fmt::format("store \"{}\" answers at {}", settings.store.id, server.url()));
  if (server.loopback()) return;
  print_warning(settings.token_file.empty()
                    ? "other machines can reach this, and anybody may read: --token-file asks for a token"
                    : "other machines can reach this, and the token travels unencrypted: put a TLS proxy in front");
}

}  // namespace

Result<void> serve_store(Context& context, const ServeSettings& settings) {
  const std::string location = store_location(context, settings.brokers);
  if (location.empty()) return fail(Code::configuration, "no data directory", "leat --data-dir DIR ...");
  std::string token = TRY(read_token(settings.token_file));
  const Backends backends = TRY(Backends::open(context, location, settings));
  StoreOptions options = settings.store;
  if (settings.snapshots) options.snapshot_base = TRY(snapshot_base(location, settings.snapshot_dir, true));
  options.description = fmt::format("leat store serve {}", options.id);
  std::mutex notices;
  options.notice = [&notices](const std::string& sentence) {
    const std::lock_guard lock(notices);
    print_warning(sentence);
  };
  if (!settings.transform.empty()) {
    options.make_transform = [&settings] {
      return start_transform(settings.transform, settings.transform_framing, stop_requested());
    };
  }
  const auto store = TRY(Store::open(backends.get(), std::move(options)));
  HttpServer* listening = nullptr;
  StoreApi api(*store, settings.stored_as, std::move(token), [&listening] {
    return listening == nullptr ? HttpFigures{} : HttpFigures{listening->connections(), listening->answered()};
  });
  const auto server = TRY(HttpServer::start(settings.listen, settings.limits,
                                            [&api](const HttpRequest& request) { return api.answer(request); }));
  listening = server.get();
  store->on_change([&server] { server->wake(); });
  say_where(*server, settings);
  while (!stop_requested().load() && !store->failure()) std::this_thread::sleep_for(kLook);
  server->stop(store->failure() ? Milliseconds(0) : kGrace);
  store->on_change({});
  return store->stop();
}

}  // namespace leat::tools
