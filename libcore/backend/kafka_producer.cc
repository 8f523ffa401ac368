// Appending to a topic of a cluster. librdkafka makes the batches and sends them, idempotently and to all in-sync
// replicas; the partition is chosen here, so that a key goes where it goes in a data directory. flush() is where
// records become acknowledged.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>

#include "leat/backend/kafka_client.h"
#include "leat/log/topic.h"

namespace leat::kafka {

namespace {

// How long one call may wait for reports before the next look.
constexpr int kReportWaitMs = 100;
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

std::int64_t bytes_of(const RecordInput& record) {
  std::size_t bytes = (record.key ? record.key->size() : 0) + (record.value ? record.value->size() : 0);
  for (const HeaderView& header : record.headers)
    bytes += header.key.size() + (header.value ? header.value->size() : 0);
  return static_cast<std::int64_t>(bytes);
}

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
    // What was not flushed is not acknowledged: there is nothing to wait for.
    if (handle_) rd_kafka_purge(handle_->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    topic_handle_.reset();
  }

  Result<void> open(const Config& config) {
    const std::int64_t batch = std::min<std::int64_t>(static_cast<std::int64_t>(options_.batch_bytes),
                                                      std::max<std::int64_t>(settings_.max_record_bytes, 1));
    const std::int64_t largest =
        std::clamp(std::max(options_.record_bytes_max, batch) + kBatchOverhead, kMessageBytesMin, kMessageBytesMax);
    const Codec codec = options_.compression.value_or(settings_.compression);
    const std::string timeout = fmt::format("{}", std::max<std::int64_t>(config.timeout.count(), 1000));
    const KafkaProperties ours = {{"enable.idempotence", "true"},
                                  {"acks", "all"},
                                  {"compression.codec", std::string(to_string(codec))},
                                  {"batch.size", fmt::format("{}", std::max<std::int64_t>(batch, 1))},
                                  {"message.max.bytes", fmt::format("{}", largest)}};
    // A cluster that is away for longer than a lock is waited for is away.
    const KafkaProperties defaults = {
        {"message.timeout.ms", timeout}, {"topic.metadata.propagation.max.ms", "2000"}, {"linger.ms", "5"}};
    handle_ = TRY(Handle::open(config, RD_KAFKA_PRODUCER, ours, defaults,
                               {.delivered = [this](const rd_kafka_message_t& message) { note_delivery(message); }}));
    topic_handle_.reset(rd_kafka_topic_new(handle_->get(), topic_.c_str(), nullptr));
    if (!topic_handle_) return std::unexpected(handle_->error(rd_kafka_last_error(), topic_));
    return {};
  }

  Result<void> send(const RecordInput& record) override {
    TRY(check_usable());
    TRY(check_record(record));
    const PartitionId partition = options_.partition ? *options_.partition : chooser_.choose(record);
    wait_for_first(partition);
    TRY(enqueue(record, partition));
    auto& first = first_[static_cast<std::size_t>(partition.value)];
    if (!first) first = sent_count_;
    sent_.push_back({partition});
    ++sent_count_;
    if (!options_.partition && !record.key) advance_when_full(bytes_of(record));
    return {};
  }

  Result<void> flush() override {
    TRY(check_usable());
    if (keyless_bytes_ > 0) advance_when_full(static_cast<std::int64_t>(options_.batch_bytes));
    // Every record is reported at last, delivered or given up.
    while (rd_kafka_flush(handle_->get(), kReportWaitMs) == RD_KAFKA_RESP_ERR__TIMED_OUT) {
    }
    return settle();
  }

  void on_acknowledged(std::function<void(std::span<const Receipt>)> callback) override {
    ASSERT(sent_.empty());
    callback_ = std::move(callback);
  }

  std::int64_t acknowledged() const override { return acknowledged_; }

 private:
  Result<void> check_usable() const {
    if (failure_) return std::unexpected(*failure_);
    return {};
  }

  Result<void> check_record(const RecordInput& record) const {
    const std::int64_t bytes = bytes_of(record);
    if (bytes > options_.record_bytes_max) {
      return fail(Code::bad_data, fmt::format("a record of {} bytes is larger than {} (--max-request-size)", bytes,
                                              options_.record_bytes_max));
    }
    if (bytes > settings_.max_record_bytes) {
      return fail(Code::bad_data,
                  fmt::format("a record of {} bytes is larger than {} (max-record-size of topic \"{}\")", bytes,
                              settings_.max_record_bytes, topic_));
    }
    if (!record.key && settings_.cleanup == Cleanup::compact) {
      return fail(Code::bad_data,
                  fmt::format("a record without a key cannot go to topic \"{}\", whose cleanup is compact", topic_));
    }
    // librdkafka takes it for no time at all, and would send the present one.
    if (record.timestamp && record.timestamp->value == 0)
      return fail(Code::bad_data, "a record of exactly 1970-01-01T00:00:00.000Z cannot be sent to Kafka");
    return {};
  }

  Result<void> enqueue(const RecordInput& record, PartitionId partition) {
    Headers headers(record.headers.empty() ? nullptr : rd_kafka_headers_new(record.headers.size()));
    for (const HeaderView& header : record.headers) {
      const rd_kafka_resp_err_t added = rd_kafka_header_add(
          headers.get(), header.key.data() == nullptr ? "" : header.key.data(), static_cast<ssize_t>(header.key.size()),
          header.value ? (header.value->data() == nullptr ? "" : header.value->data()) : nullptr,
          header.value ? static_cast<ssize_t>(header.value->size()) : 0);
      if (added != RD_KAFKA_RESP_ERR_NO_ERROR) return std::unexpected(handle_->error(added, topic_));
    }
    std::array<rd_kafka_vu_t, 8> fields{};
    fields[0].vtype = RD_KAFKA_VTYPE_RKT;
    fields[0].u.rkt = topic_handle_.get();
    fields[1].vtype = RD_KAFKA_VTYPE_PARTITION;
    fields[1].u.i32 = partition.value;
    fields[2].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    fields[2].u.i = RD_KAFKA_MSG_F_COPY;
    fields[3] = bytes_field(RD_KAFKA_VTYPE_KEY, record.key);
    fields[4] = bytes_field(RD_KAFKA_VTYPE_VALUE, record.value);
    fields[5].vtype = RD_KAFKA_VTYPE_TIMESTAMP;
    fields[5].u.i64 = record.timestamp ? record.timestamp->value : now_ms().value;
    fields[6].vtype = RD_KAFKA_VTYPE_OPAQUE;
    fields[6].u.ptr = reinterpret_cast<void*>(sent_count_);  // its number, for the report
    fields[7].vtype = RD_KAFKA_VTYPE_HEADERS;
    fields[7].u.headers = headers.get();
    for (;;) {
      const ErrorHandle error(
          rd_kafka_produceva(handle_->get(), fields.data(), headers ? fields.size() : fields.size() - 1));
      if (!error) break;
      const rd_kafka_resp_err_t code = rd_kafka_error_code(error.get());
      if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rd_kafka_poll(handle_->get(), kReportWaitMs);
        continue;
      }
      Error failed = handle_->error(code, fmt::format("topic \"{}\"", topic_), rd_kafka_error_string(error.get()));
      if (failed.code != Code::bad_data) failure_ = failed;
      return std::unexpected(std::move(failed));
    }
    (void)headers.release();  // librdkafka's now
    return {};
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
  std::unique_ptr<Handle> handle_;
  TopicHandle topic_handle_;
};

}  // namespace

Result<std::unique_ptr<Producer>> open_producer(const Config& config, Handle& admin, std::string_view topic,
                                                const ProducerOptions& options) {
  if (!options.producer_name.empty()) {
    return fail(
        Code::usage,
        "--producer-id works on data directories: a cluster does not remember which records of an input it has");
  }
  const std::int32_t partitions = TRY(admin.partition_count(topic));
  if (options.partition) TRY(check_partition(topic, *options.partition, partitions));
  // Whoever may write need not be allowed to see the settings; the brokers know them anyway.
  TopicSettings settings = topic_settings(admin, topic, partitions).value_or(TopicSettings{.partitions = partitions});
  auto producer = std::make_unique<KafkaProducer>(std::string(topic), options, settings);
  TRY(producer->open(config));
  return producer;
}

}  // namespace leat::kafka
