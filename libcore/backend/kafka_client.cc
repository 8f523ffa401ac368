#include "leat/backend/kafka_client.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <thread>

#include "leat/base/units.h"

namespace leat::kafka {

namespace {

using ConfHandle = std::unique_ptr<rd_kafka_conf_t, Destroy<rd_kafka_conf_destroy>>;

// The first attempt at a request; between two of them it is seen whether the cluster has refused us. Each may take
// twice as long as the one before: an answer that comes slowly is waited for in the end.
constexpr Milliseconds kFirstAttempt(250);
constexpr Milliseconds kLongAttempt(1000);
constexpr Milliseconds kBetweenAttempts(50);
// A partition that was just made is heard of by all, and served by its leader, within this.
constexpr Milliseconds kSettleTime(3000);

Result<void> set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
  std::array<char, 512> reason{};
  const rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name.c_str(), value.c_str(), reason.data(), reason.size());
  if (result == RD_KAFKA_CONF_OK) return {};
  return fail(Code::configuration, fmt::format("kafka: {}", reason.data()),
              result == RD_KAFKA_CONF_UNKNOWN ? "man leat-kafka says where the properties are listed" : "");
}

struct FreeText {
  void operator()(char* text) const { std::free(text); }
};

// Of a file that is named to librdkafka, this says more than OpenSSL does.
Result<void> check_file(const std::string& property, const std::string& path) {
  const bool is_file = property.starts_with("ssl.") && property.ends_with(".location") && path != "probe";
  if (!is_file || ::access(path.c_str(), R_OK) == 0) return {};
  const std::string why = fail_errno(errno, path).error().message;
  return fail(Code::configuration, fmt::format("kafka: {}: {}", property, why));
}

// Without where librdkafka was when it happened.
std::string without_state(std::string reason) {
  if (const std::size_t at = reason.rfind(" (after "); at != std::string::npos && reason.ends_with(')'))
    reason.resize(at);
  return reason;
}

bool may_pass(rd_kafka_resp_err_t error) {
  return code_of(error) == Code::unavailable;
}

// What a partition that was just made is met with.
bool is_unheard_of(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
         error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

}  // namespace

// ---- A handle ----

Result<std::unique_ptr<Handle>> Handle::open(const Config& config, rd_kafka_type_t type, const KafkaProperties& ours,
                                             const KafkaProperties& defaults, Hooks hooks) {
  std::unique_ptr<Handle> handle(new Handle(config, std::move(hooks)));
  ConfHandle conf(rd_kafka_conf_new());
  handle->install_callbacks(conf.get(), type);
  TRY(set(conf.get(), "bootstrap.servers", config.servers));
  TRY(set(conf.get(), "client.id", "leat"));
  TRY(set(conf.get(), "allow.auto.create.topics", "false"));
  for (const auto& [name, value] : defaults) TRY(set(conf.get(), name, value));
  for (const auto& [name, value] : config.properties) {
    const bool fixed = name == "bootstrap.servers" ||
                       std::ranges::find(ours, name, [](const auto& pair) { return pair.first; }) != ours.end();
    if (fixed) return fail(Code::configuration, fmt::format("kafka: {} is leat's own to set", name));
    TRY(set(conf.get(), name, value));
    TRY(check_file(name, value));
  }
  for (const auto& [name, value] : ours) TRY(set(conf.get(), name, value));
  std::array<char, 512> reason{};
  handle->rk_ = rd_kafka_new(type, conf.get(), reason.data(), reason.size());
  if (handle->rk_ == nullptr) return fail(Code::configuration, fmt::format("kafka: {}", reason.data()));
  (void)conf.release();  // the handle's now
  return handle;
}

Handle::~Handle() {
  if (rk_ != nullptr) rd_kafka_destroy(rk_);
}

void Handle::retire_member(std::unique_ptr<Handle> member) {
  constexpr int kDestroysMembers = 0x020300ff;
  if (!member) return;
  if (rd_kafka_version() >= kDestroysMembers && rd_kafka_consumer_closed(member->get()) != 0) return;
  member->hooks_ = {};
  static std::mutex mutex;
  static auto& retired = *new std::vector<std::unique_ptr<Handle>>;  // never destroyed either
  const std::lock_guard lock(mutex);
  retired.push_back(std::move(member));
}

void Handle::install_callbacks(rd_kafka_conf_t* conf, rd_kafka_type_t type) {
  rd_kafka_conf_set_opaque(conf, this);
  rd_kafka_conf_set_log_cb(conf, [](const rd_kafka_t* rk, int, const char* facility, const char* text) {
    const Handle* self = of(rd_kafka_opaque(rk));
    if (self->config_.log) self->config_.log(fmt::format("{}: {}", facility, text));
  });
  rd_kafka_conf_set_error_cb(conf, [](rd_kafka_t*, int code, const char* reason, void* opaque) {
    of(opaque)->note_trouble(static_cast<rd_kafka_resp_err_t>(code), reason);
  });
  if (type == RD_KAFKA_PRODUCER) {
    rd_kafka_conf_set_dr_msg_cb(conf, [](rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
      if (of(opaque)->hooks_.delivered) of(opaque)->hooks_.delivered(*message);
    });
  } else if (hooks_.rebalance) {
    rd_kafka_conf_set_rebalance_cb(
        conf, [](rd_kafka_t*, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list, void* opaque) {
          of(opaque)->hooks_.rebalance(code, list);
        });
  }
}

void Handle::note_trouble(rd_kafka_resp_err_t code, std::string reason) {
  // That all are down says less than why the last one is.
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) return;
  const std::lock_guard lock(mutex_);
  if (code_of(trouble_) == Code::permission && code_of(code) != Code::permission) return;
  trouble_ = code;
  reason_ = without_state(std::move(reason));
}

bool Handle::locked_out() const {
  const std::lock_guard lock(mutex_);
  const Code code = code_of(trouble_);
  return trouble_ != RD_KAFKA_RESP_ERR_NO_ERROR && (code == Code::permission || code == Code::configuration);
}

Error Handle::unreachable() const {
  const std::lock_guard lock(mutex_);
  const Code code = trouble_ == RD_KAFKA_RESP_ERR_NO_ERROR ? Code::unavailable : code_of(trouble_);
  std::string message = fmt::format("kafka://{}: ", config_.servers);
  if (code == Code::permission) {
    message += "refused: ";
  } else if (code == Code::configuration) {
    message += "cannot be talked to: ";
  } else {
    message += fmt::format("no answer within {}", format_duration(config_.timeout));
    if (!reason_.empty()) message += ": ";
  }
  return {code == Code::permission || code == Code::configuration ? code : Code::unavailable, message + reason_};
}

Error Handle::error(rd_kafka_resp_err_t code, std::string_view what, std::string_view detail) const {
  if (code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
      code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR__RESOLVE ||
      code == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT) {
    return unreachable();
  }
  return {code_of(code), fmt::format("kafka://{}: {}: {}", config_.servers, what,
                                     detail.empty() ? std::string_view(rd_kafka_err2str(code)) : detail)};
}

// ---- Asking ----

// Tries until there is an answer or the time is over.
Result<void> Handle::attempt(std::string_view what, const std::function<rd_kafka_resp_err_t(int timeout_ms)>& request) {
  const SteadyTime end = deadline();
  const Milliseconds longest_of_all = std::max(kLongAttempt, config_.timeout / 8);
  for (Milliseconds longest = kFirstAttempt;; longest = std::min(2 * longest, longest_of_all)) {
    const auto left = std::chrono::ceil<Milliseconds>(end - std::chrono::steady_clock::now());
    const auto timeout = std::clamp(left, Milliseconds(1), longest);
    const rd_kafka_resp_err_t code = request(static_cast<int>(timeout.count()));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
    // Where a member of a group polls for itself, its callbacks come there.
    if (!hooks_.rebalance) rd_kafka_poll(rk_, 0);
    if (!may_pass(code)) return std::unexpected(error(code, what));
    if (locked_out() || left <= timeout) return std::unexpected(error(code, what));
    std::this_thread::sleep_for(kBetweenAttempts);
  }
}

Result<std::string> Handle::cluster_id() {
  TRY(topics());  // waits as long as an answer may take, and has the reason where there is none
  const int timeout_ms = static_cast<int>(std::clamp<std::int64_t>(config_.timeout.count(), 1, 3'600'000));
  const std::unique_ptr<char, FreeText> id(rd_kafka_clusterid(rk_, timeout_ms));
  if (!id) return std::unexpected(unreachable());
  return std::string(id.get());
}

Result<View> Handle::view() {
  const rd_kafka_metadata_t* raw = nullptr;
  TRY(attempt("topics", [&](int timeout_ms) { return rd_kafka_metadata(rk_, 1, nullptr, &raw, timeout_ms); }));
  const std::unique_ptr<const rd_kafka_metadata_t, Destroy<rd_kafka_metadata_destroy>> metadata(raw);
  View view{metadata->orig_broker_id, {}, {}};
  for (const auto& broker : std::span(metadata->brokers, static_cast<std::size_t>(metadata->broker_cnt))) {
    const bool ipv6 = std::string_view(broker.host).find(':') != std::string_view::npos;
    const std::string host = ipv6 ? fmt::format("[{}]", broker.host) : broker.host;
    const Broker& one = view.brokers.emplace_back(Broker{broker.id, fmt::format("{}:{}", host, broker.port)});
    // The one that has answered is alive.
    const bool answered = broker.id == view.from ||
                          std::string_view(metadata->orig_broker_name).find(one.address) != std::string_view::npos;
    if (answered || view.brokers.size() == 1) some_broker_.store(broker.id, std::memory_order_relaxed);
  }
  for (const auto& topic : std::span(metadata->topics, static_cast<std::size_t>(metadata->topic_cnt))) {
    if (topic.err == RD_KAFKA_RESP_ERR_NO_ERROR || topic.err == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
      view.topics[topic.topic] = topic.partition_cnt;
  }
  return view;
}

Result<Topics> Handle::topics() {
  return std::move(TRY(view()).topics);
}

Result<std::int32_t> Handle::partition_count(std::string_view topic) {
  return kafka::partition_count(TRY(topics()), topic);
}

Result<std::vector<std::optional<Offset>>> Handle::offsets(std::span<const OffsetQuery> queries) {
  std::vector<std::optional<Offset>> found(queries.size());
  std::vector<std::size_t> open(queries.size());
  for (std::size_t i = 0; i < open.size(); ++i) open[i] = i;
  if (queries.empty()) return found;
  const SteadyTime settled = std::chrono::steady_clock::now() + std::min(config_.timeout, kSettleTime);
  TRY(attempt("offsets", [&](int timeout_ms) {
    const PartitionList list = make_list(open.size());
    for (const std::size_t i : open) {
      rd_kafka_topic_partition_list_add(list.get(), queries[i].topic.c_str(), queries[i].partition.value)->offset =
          queries[i].time;
    }
    rd_kafka_resp_err_t failure = rd_kafka_offsets_for_times(rk_, list.get(), timeout_ms);
    if (failure == RD_KAFKA_RESP_ERR_NO_ERROR) {
      std::vector<std::size_t> again;
      for (std::size_t n = 0; n < open.size(); ++n) {
        const rd_kafka_topic_partition_t& answer = elements(list.get())[n];
        if (answer.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
          again.push_back(open[n]);
          failure = answer.err;
        } else if (answer.offset >= 0) {
          found[open[n]] = Offset{answer.offset};
        }
      }
      open = std::move(again);
    }
    // The cluster has told of the partition, else nobody would ask: this client and the leader will hear of it, too.
    const bool unheard_of = is_unheard_of(failure) && std::chrono::steady_clock::now() < settled;
    if (!unheard_of && !may_pass(failure)) return failure;
    // Another may lead it by now, and librdkafka would go on asking the one it knows.
    const rd_kafka_metadata_t* fresh = nullptr;
    if (rd_kafka_metadata(rk_, 1, nullptr, &fresh, timeout_ms) == RD_KAFKA_RESP_ERR_NO_ERROR)
      rd_kafka_metadata_destroy(fresh);
    return unheard_of ? RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE : failure;
  }));
  return found;
}

// ---- Names ----

Error unknown_topic(std::string_view name, const Topics& known) {
  std::vector<std::string> names;
  for (const auto& [topic, partitions] : known) names.push_back(topic);
  const std::string_view near = nearest(name, names);
  const std::string otherwise = fmt::format("leat topic create {}", name);
  return {Code::not_found, fmt::format("topic \"{}\" not found", name),
          near.empty() ? otherwise : fmt::format("did you mean \"{}\"? else: {}", near, otherwise)};
}

Result<std::int32_t> partition_count(const Topics& topics, std::string_view name) {
  const auto found = topics.find(name);
  if (found == topics.end()) return std::unexpected(unknown_topic(name, topics));
  return found->second;
}

Result<void> check_partition(std::string_view topic, PartitionId partition, std::int32_t count) {
  if (partition.value >= 0 && partition.value < count) return {};
  return fail(Code::not_found,
              fmt::format("topic \"{}\" has no partition {} (it has {})", topic, partition.value, count),
              fmt::format("leat topic describe {}", topic));
}

}  // namespace leat::kafka
