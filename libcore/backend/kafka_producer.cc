// Appending to a topic of a cluster. librdkafka makes the batches and sends them, idempotently and to all in-sync
// replicas; the partition is chosen here, so that a key goes where it goes in a data directory. flush() is where
// records become acknowledged. A sole writer's become so as one
// transaction: its name is the transactional id, by which the cluster refuses whoever had it before.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>

#include "leat/backend/kafka_client.h"
#include "leat/backend/record_check.h"
#include "leat/log/topic.h"

namespace leat::kafka {

namespace {

// How long one call may wait for reports before the next look.
constexpr int kReportWaitMs = 100;
// How long a producer that is given up may take to end its transaction.
constexpr int kAbortWaitMs = 2000;
// How much larger than its records a batch may be.
constexpr std::int64_t kBatchOverhead = 64 << 10;
// Limits of librdkafka's message.max.bytes.
constexpr std::int64_t kMessageBytesMin = 1'000'000;
constexpr std::int64_t kMessageBytesMax = 1'000'000'000;

using Headers = std::unique_ptr<rd_kafka_headers_t, Destroy<rd_kafka_headers_destroy>>;

// A record sent and not yet acknowledged to the caller.
struct Sent {
  PartitionId partition;
  std::optional<Offset> offset = {};
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
  bool reported = false;
};

rd_kafka_vu_t bytes_field(rd_kafka_vtype_t type, std::optional<std::string_view> bytes) {
  rd_kafka_vu_t field{};
  field.vtype = type;
  // An empty one is not a null one, which has no address.
  if (bytes) field.u.mem = {const_cast<char*>(bytes->data() == nullptr ? "" : bytes->data()), bytes->size()};
  return field;
}

class KafkaProducer final : public Producer {
 public:
  KafkaProducer(std::string topic, const ProducerOptions& options, const TopicSettings& settings)
      : topic_(std::move(topic)),
        options_(options),
        settings_(settings),
        chooser_(settings.partitions),
        first_(static_cast<std::size_t>(settings.partitions)) {}

  ~KafkaProducer() override {
    // Readers wait for the end of a transaction that is left open.
    if (in_transaction_) {
      rd_kafka_purge(handle_->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
      const ErrorHandle ignored(rd_kafka_abort_transaction(handle_->get(), kAbortWaitMs));
    }
    // What was not flushed is not acknowledged: there is nothing to wait for.
    if (handle_) rd_kafka_purge(handle_->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    topic_handle_.reset();
  }

  Result<void> open(const Config& config) {
    const std::int64_t batch = std::min<std::int64_t>(static_cast<std::int64_t>(options_.batch_bytes),
                                                      std::max<std::int64_t>(settings_.max_record_bytes, 1));
    const Codec codec = options_.compression.value_or(settings_.compression);
    const std::string timeout = fmt::format("{}", std::max<std::int64_t>(config.timeout.count(), 1000));
    KafkaProperties ours = {{"enable.idempotence", "true"},
                            {"acks", "all"},
                            {"compression.codec", std::string(to_string(codec))},
                            {"batch.size", fmt::format("{}", std::max<std::int64_t>(batch, 1))},
                            {"message.max.bytes", message_bytes_max(std::max(options_.record_bytes_max, batch))}};
    if (sole()) ours.emplace_back("transactional.id", options_.sole_writer);
    // A cluster that is away for longer than a lock is waited for is away.
    KafkaProperties defaults = {
        {"message.timeout.ms", timeout}, {"topic.metadata.propagation.max.ms", "2000"}, {"linger.ms", "5"}};
    // A transaction must be allowed to last as long as its slowest record.
    if (sole()) {
      defaults.emplace_back("transaction.timeout.ms",
                            fmt::format("{}", std::max<std::int64_t>(config.timeout.count(), 60'000)));
    }
    handle_ = TRY(Handle::open(config, RD_KAFKA_PRODUCER, ours, defaults,
                               {.delivered = [this](const rd_kafka_message_t& message) { note_delivery(message); }}));
    topic_handle_.reset(rd_kafka_topic_new(handle_->get(), topic_.c_str(), nullptr));
    if (!topic_handle_) return std::unexpected(handle_->error(rd_kafka_last_error(), topic_));
    return sole() ? take_name() : Result<void>{};
  }

  Result<void> send(const RecordInput& record) override {
    TRY(check_usable());
    TRY(check_record(record));
    const PartitionId partition = options_.partition ? *options_.partition : chooser_.choose(record);
    TRY(begin_transaction());
    wait_for_first(partition);
    // The opaque word is its number, for the report.
    auto queued =
        enqueue(*handle_, topic_handle_.get(), topic_, record, partition, reinterpret_cast<void*>(sent_count_));
    if (!queued && queued.error().code != Code::bad_data) failure_ = queued.error();
    TRY(std::move(queued));
    auto& first = first_[static_cast<std::size_t>(partition.value)];
    if (!first) first = sent_count_;
    sent_.push_back({partition});
    ++sent_count_;
    if (!options_.partition && !record.key) advance_when_full(payload_bytes(record));
    return {};
  }

  Result<void> flush() override {
    TRY(check_usable());
    if (keyless_bytes_ > 0) advance_when_full(static_cast<std::int64_t>(options_.batch_bytes));
    // Every record is reported at last, delivered or given up.
    while (rd_kafka_flush(handle_->get(), kReportWaitMs) == RD_KAFKA_RESP_ERR__TIMED_OUT) {
    }
    TRY(commit_transaction());
    return settle();
  }

  void on_acknowledged(std::function<void(std::span<const Receipt>)> callback) override {
    ASSERT(sent_.empty());
    callback_ = std::move(callback);
  }

  std::int64_t acknowledged() const override { return acknowledged_; }

 private:
  bool sole() const { return !options_.sole_writer.empty(); }

  // ---- Of a sole writer ----

  // From here on nobody else's records under this name become visible; those that were being committed are by now.
  Result<void> take_name() {
    return transact([this](int timeout_ms) { return rd_kafka_init_transactions(handle_->get(), timeout_ms); });
  }

  Result<void> begin_transaction() {
    if (!sole() || in_transaction_) return {};
    TRY(transact([this](int) { return rd_kafka_begin_transaction(handle_->get()); }));
    in_transaction_ = true;
    return {};
  }

  Result<void> commit_transaction() {
    // What could not be delivered fails it, and settle() knows more of that.
    if (!in_transaction_ || !all_delivered()) return {};
    TRY(transact([this](int timeout_ms) { return rd_kafka_commit_transaction(handle_->get(), timeout_ms); }));
    in_transaction_ = false;
    return {};
  }

  bool all_delivered() const {
    return std::ranges::all_of(
        sent_, [](const Sent& sent) { return sent.reported && sent.error == RD_KAFKA_RESP_ERR_NO_ERROR; });
  }

  Result<void> transact(const std::function<rd_kafka_error_t*(int timeout_ms)>& step) {
    const SteadyTime deadline = handle_->deadline();
    for (;;) {
      const auto left = std::chrono::ceil<Milliseconds>(deadline - std::chrono::steady_clock::now()).count();
      const ErrorHandle error(step(static_cast<int>(std::max<std::int64_t>(left, 1000))));
      if (!error) return {};
      if (rd_kafka_error_is_retriable(error.get()) != 0 && left > 0) continue;
      const rd_kafka_resp_err_t code = rd_kafka_error_code(error.get());
      if (is_fenced(code) || is_fenced(rd_kafka_fatal_error(handle_->get(), nullptr, 0))) {
        failure_ = Error{Code::busy, fmt::format("topic \"{}\": another process writes as \"{}\" now", topic_,
                                                 options_.sole_writer)};
      } else {
        failure_ = handle_->error(code, fmt::format("transaction of \"{}\"", options_.sole_writer),
                                  rd_kafka_error_string(error.get()));
      }
      return std::unexpected(*failure_);
    }
  }

  // ---- Of all ----

  Result<void> check_usable() const {
    if (failure_) return std::unexpected(*failure_);
    return {};
  }

  Result<void> check_record(const RecordInput& record) const {
    const std::int64_t bytes = payload_bytes(record);
    TRY(check_request_size(bytes, options_.record_bytes_max));
    TRY(check_record_size(bytes, settings_, topic_));
    return check_sendable(record, settings_, topic_);
  }

  // Keyless records go on in the next partition when one's batch is full.
  void advance_when_full(std::int64_t more) {
    keyless_bytes_ += more;
    if (keyless_bytes_ < static_cast<std::int64_t>(options_.batch_bytes)) return;
    keyless_bytes_ = 0;
    chooser_.advance();
  }

  // Of a producer that a partition has not heard of yet, a broker takes any batch for the first. If the true first one
  // had to be sent again meanwhile, because the topic was just made or moved, it would be dropped as if it were there
  // already. So nothing follows a partition's first record before that has been reported.
  void wait_for_first(PartitionId partition) {
    const auto& first = first_[static_cast<std::size_t>(partition.value)];
    if (!first) return;
    const auto reported = [&] {
      const std::uintptr_t settled = sent_count_ - sent_.size();
      return *first < settled || sent_[*first - settled].reported;
    };
    while (!reported()) rd_kafka_poll(handle_->get(), kReportWaitMs);
  }

  void note_delivery(const rd_kafka_message_t& message) {
    const auto number = reinterpret_cast<std::uintptr_t>(message._private);
    Sent& sent = sent_[number - (sent_count_ - sent_.size())];
    sent.reported = true;
    sent.error = message.err;
    sent.offset = Offset{message.offset};
    // Said to be there, and nobody knows where: a broker has taken it for one that it had, and may be wrong.
    if (sent.error == RD_KAFKA_RESP_ERR_NO_ERROR && message.offset < 0)
      sent.error = RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER;
  }

  // Acknowledges what was delivered, in the order of send(), up to the first that was not.
  Result<void> settle() {
    std::vector<Receipt> receipts;
    while (!sent_.empty() && sent_.front().reported && sent_.front().error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      ++acknowledged_;
      if (callback_) receipts.push_back({sent_.front().partition, *sent_.front().offset});
      sent_.pop_front();
    }
    if (callback_ && !receipts.empty()) callback_(receipts);
    if (sent_.empty()) return {};
    failure_ = failure_of(sent_.front().error);
    return std::unexpected(*failure_);
  }

  Error failure_of(rd_kafka_resp_err_t code) const {
    std::array<char, 512> reason{};
    if (code == RD_KAFKA_RESP_ERR__FATAL) code = rd_kafka_fatal_error(handle_->get(), reason.data(), reason.size());
    if (is_fenced(code) || (sole() && is_fenced(rd_kafka_fatal_error(handle_->get(), nullptr, 0)))) {
      return {Code::busy,
              fmt::format("topic \"{}\": another process writes as \"{}\" now", topic_, options_.sole_writer)};
    }
    if (code_of(code) == Code::not_found) return {Code::not_found, fmt::format("topic \"{}\" not found", topic_)};
    if (code == RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER) {
      return {Code::io,
              fmt::format("topic \"{}\": a broker took a record for one that it had already, and does not say "
                          "where: it may be missing",
                          topic_)};
    }
    return handle_->error(code, fmt::format("topic \"{}\"", topic_), reason.data());
  }

  std::string topic_;
  ProducerOptions options_;
  TopicSettings settings_;
  PartitionChooser chooser_;
  std::int64_t keyless_bytes_ = 0;                    // sent to the chooser's keyless partition since it was chosen
  std::vector<std::optional<std::uintptr_t>> first_;  // the number of each partition's first record
  std::deque<Sent> sent_;
  std::uintptr_t sent_count_ = 0;  // of all, acknowledged ones included
  std::int64_t acknowledged_ = 0;
  std::function<void(std::span<const Receipt>)> callback_;
  std::optional<Error> failure_;
  bool in_transaction_ = false;
  std::unique_ptr<Handle> handle_;
  TopicHandle topic_handle_;
};

}  // namespace

std::string message_bytes_max(std::int64_t record_bytes_max) {
  return fmt::format("{}", std::clamp(record_bytes_max + kBatchOverhead, kMessageBytesMin, kMessageBytesMax));
}

Result<void> check_sendable(const RecordInput& record, const TopicSettings& settings, std::string_view topic) {
  TRY(check_key(record, settings, topic));
  // librdkafka takes it for no time at all, and would send the present one.
  if (record.timestamp && record.timestamp->value == 0)
    return fail(Code::bad_data, "a record of exactly 1970-01-01T00:00:00.000Z cannot be sent to Kafka");
  return {};
}

Result<void> enqueue(Handle& handle, rd_kafka_topic_t* topic_handle, std::string_view topic, const RecordInput& record,
                     PartitionId partition, void* opaque) {
  Headers headers(record.headers.empty() ? nullptr : rd_kafka_headers_new(record.headers.size()));
  for (const HeaderView& header : record.headers) {
    const rd_kafka_resp_err_t added = rd_kafka_header_add(
        headers.get(), header.key.data() == nullptr ? "" : header.key.data(), static_cast<ssize_t>(header.key.size()),
        header.value ? (header.value->data() == nullptr ? "" : header.value->data()) : nullptr,
        header.value ? static_cast<ssize_t>(header.value->size()) : 0);
    if (added != RD_KAFKA_RESP_ERR_NO_ERROR) return std::unexpected(handle.error(added, topic));
  }
  std::array<rd_kafka_vu_t, 8> fields{};
  fields[0].vtype = RD_KAFKA_VTYPE_RKT;
  fields[0].u.rkt = topic_handle;
  fields[1].vtype = RD_KAFKA_VTYPE_PARTITION;
  fields[1].u.i32 = partition.value;
  fields[2].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  fields[2].u.i = RD_KAFKA_MSG_F_COPY;
  fields[3] = bytes_field(RD_KAFKA_VTYPE_KEY, record.key);
  fields[4] = bytes_field(RD_KAFKA_VTYPE_VALUE, record.value);
  fields[5].vtype = RD_KAFKA_VTYPE_TIMESTAMP;
  fields[5].u.i64 = record.timestamp ? record.timestamp->value : now_ms().value;
  fields[6].vtype = RD_KAFKA_VTYPE_OPAQUE;
  fields[6].u.ptr = opaque;
  fields[7].vtype = RD_KAFKA_VTYPE_HEADERS;
  fields[7].u.headers = headers.get();
  for (;;) {
    const ErrorHandle error(
        rd_kafka_produceva(handle.get(), fields.data(), headers ? fields.size() : fields.size() - 1));
    if (!error) break;
    const rd_kafka_resp_err_t code = rd_kafka_error_code(error.get());
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      rd_kafka_poll(handle.get(), kReportWaitMs);
      continue;
    }
    return std::unexpected(handle.error(code, fmt::format("topic \"{}\"", topic), rd_kafka_error_string(error.get())));
  }
  (void)headers.release();  // librdkafka's now
  return {};
}

Result<std::unique_ptr<Producer>> open_producer(const Config& config, Handle& admin, std::string_view topic,
                                                const ProducerOptions& options) {
  if (!options.producer_name.empty()) {
    return fail(
        Code::usage,
        "--producer-id works on data directories: a cluster does not remember which records of an input it has");
  }
  if (!options.sole_writer.empty() && !options.partition)
    return fail(Code::usage, "a sole writer needs a partition, and has no other name");
  const std::int32_t partitions = TRY(admin.partition_count(topic));
  if (options.partition) TRY(check_partition(topic, *options.partition, partitions));
  // Whoever may write need not be allowed to see the settings; the brokers know them anyway.
  TopicSettings settings = topic_settings(admin, topic, partitions).value_or(TopicSettings{.partitions = partitions});
  auto producer = std::make_unique<KafkaProducer>(std::string(topic), options, settings);
  TRY(producer->open(config));
  return producer;
}

}  // namespace leat::kafka
