#include "leat/pipe/http_sink.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <thread>

#include "leat/pipe/http_client.h"
#include "leat/pipe/json_check.h"

namespace leat::pipe {
namespace {

class HttpSink : public Sink {
 public:
  explicit HttpSink(HttpOptions options) : options_(std::move(options)) {}

  Result<void> connect(const HttpSecrets& secrets) {
    for (std::size_t i = 0; i < options_.concurrency; ++i)
      couriers_.push_back(TRY(HttpCourier::make(options_, secrets, patience_)));
    return {};
  }

  Result<Delivery> deliver(std::span<const Message> batch, const std::atomic<bool>& stop) override {
    return options_.send == HttpSend::record ? deliver_each(batch, stop) : deliver_joined(batch, stop);
  }

 private:
  // What became of a message of a batch that was not finished.
  struct Done {
    std::vector<SourceRange> sources;
    std::optional<std::string> refused;
  };
  using Load = std::vector<std::size_t>;  // messages of a batch, in their order

  Result<Delivery> deliver_each(std::span<const Message> batch, const std::atomic<bool>& stop);
  std::vector<Load> share_out(std::span<const Message> batch) const;
  Result<void> carry(HttpCourier& courier, std::span<const Message> batch, const Load& load,
                     const std::atomic<bool>& stop);
  Result<Delivery> deliver_joined(std::span<const Message> batch, const std::atomic<bool>& stop);

  HttpOptions options_;
  Patience patience_;
  std::vector<HttpCourier> couriers_;
  std::vector<std::optional<Done>> done_;  // each written by the one courier that has the message
  std::atomic<bool> failed_ = false;       // one of them has: the others begin nothing more
};

}  // namespace

Result<Delivery> HttpSink::deliver_each(std::span<const Message> batch, const std::atomic<bool>& stop) {
  // The same batch again, or another one?
  const auto differs = [&](std::size_t i) { return done_[i] && done_[i]->sources != batch[i].sources; };
  bool is_new = done_.size() != batch.size();
  for (std::size_t i = 0; i < done_.size() && !is_new; ++i) is_new = differs(i);
  if (is_new) done_.assign(batch.size(), std::nullopt);
  const std::vector<Load> loads = share_out(batch);
  std::vector<Result<void>> ends(loads.size());
  failed_ = false;
  std::vector<std::jthread> threads;
  for (std::size_t i = 1; i < loads.size(); ++i) {
    if (loads[i].empty()) continue;
    threads.emplace_back([&, i] { ends[i] = carry(couriers_[i], batch, loads[i], stop); });
  }
  ends[0] = carry(couriers_[0], batch, loads[0], stop);
  threads.clear();
  // What ends the pipeline comes before what may pass.
  const auto may_pass = [](const Result<void>& end) { return !end && end.error().code == Code::unavailable; };
  for (const bool passing : {false, true})
    for (const Result<void>& end : ends)
      if (!end && may_pass(end) == passing) return std::unexpected(end.error());
  Delivery delivery;
  for (std::size_t i = 0; i < done_.size(); ++i)
    if (done_[i]->refused) delivery.refused.push_back({i, *done_[i]->refused});
  done_.clear();
  return delivery;
}

// Messages of the same key go over the same connection, one behind the other's answer: the last one to arrive is the
// last one there is.
std::vector<HttpSink::Load> HttpSink::share_out(std::span<const Message> batch) const {
  std::vector<Load> loads(couriers_.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (done_[i]) continue;
    loads[(batch[i].key ? std::hash<std::string>()(*batch[i].key) : i) % loads.size()].push_back(i);
  }
  return loads;
}

// Errors: those of the first message that is neither delivered nor refused.
Result<void> HttpSink::carry(HttpCourier& courier, std::span<const Message> batch, const Load& load,
                             const std::atomic<bool>& stop) {
  for (const std::size_t i : load) {
    if (failed_) return {};
    const auto sent = courier.deliver(batch[i], stop);
    if (!sent && sent.error().code != Code::bad_data) {
      failed_ = true;
      return std::unexpected(sent.error());
    }
    done_[i] = Done{batch[i].sources, sent ? std::nullopt : std::optional(sent.error().message)};
  }
  return {};
}

Result<Delivery> HttpSink::deliver_joined(std::span<const Message> batch, const std::atomic<bool>& stop) {
  HttpCourier& first = couriers_.front();
  Delivery delivery;
  const bool is_array = options_.send == HttpSend::json_array;
  std::string joined = is_array ? "[" : "";
  std::size_t count = 0;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    auto body = first.body_of(batch[i]);
    if (!body && body.error().code != Code::bad_data) return std::unexpected(body.error());
    if (!body || !is_json(*body)) {
      delivery.refused.push_back({i, body ? "it is not JSON" : body.error().message});
      continue;
    }
    // In JSON a line break is white space between tokens.
    std::ranges::replace(*body, '\n', ' ');
    if (is_array && count > 0) joined += ',';
    joined += *body;
    if (!is_array) joined += '\n';
    ++count;
  }
  if (is_array) joined += ']';
  if (count > 0) TRY(first.send(batch.front(), joined, stop));
  return delivery;
}

Result<std::unique_ptr<Sink>> open_http_sink(HttpOptions options) {
  HttpSecrets secrets;
  if (options.token) secrets.authorization = "Bearer " + TRY(read_secret(*options.token));
  if (options.target.user) {
    const std::string user = TRY(read_secret(*options.target.user));
    const std::string password = options.target.password ? TRY(read_secret(*options.target.password)) : "";
    secrets.authorization = basic_credentials(user, password);
  }
  if (options.signature) secrets.signature_key = TRY(read_secret(options.signature->key));
  auto sink = std::make_unique<HttpSink>(std::move(options));
  TRY(sink->connect(secrets));
  return sink;
}

Result<SinkPlan> plan_http_sink(SettingsTable& table) {
  const HttpOptions options = TRY(parse_http_options(table));
  const std::string at_once = options.concurrency > 1 ? fmt::format(", {} at once", options.concurrency) : "";
  return SinkPlan{fmt::format("http {} {}{}", options.method, options.shown_url, at_once),
                  [options](const SinkSurroundings&) { return open_http_sink(options); }};
}

}  // namespace leat::pipe
