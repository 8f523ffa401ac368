// Copying into a cluster. Records go in transactions, and each transaction also commits where the copy is to go on at
// the source: as the offset of a group that is the copy's own, on the destination's topic. So a killed copy has either
// done both or neither; what was begun is aborted by the next run, or by the cluster. See copy_writer.h.
//
// A marker of the cluster's takes an offset at the end of each transaction: that is why offsets differ from those of
// the source. Where one has gone is found by counting records back from the last one on both sides, and by comparing
// the record found.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <thread>

#include "leat/backend/kafka_reader.h"
#include "leat/log/producer_state.h"

namespace leat::kafka {

namespace {

// A transaction is committed when its records come to this much.
constexpr std::int64_t kTransactionBytes = 4 << 20;
constexpr std::int64_t kTransactionRecords = 50'000;
// The least and the most that a transaction may take: the cluster aborts one whose producer is gone after that.
constexpr Milliseconds kTransactionMin(10'000);
constexpr Milliseconds kTransactionMax(900'000);
constexpr int kReportWaitMs = 100;
constexpr Milliseconds kShownPoll(10);

using GroupMetadata =
    std::unique_ptr<rd_kafka_consumer_group_metadata_t, Destroy<rd_kafka_consumer_group_metadata_destroy>>;

// What is known of one partition of the copy.
struct Lane {
  PartitionId id{};
  std::optional<CopyProgress> committed;
  std::optional<Offset> last;       // here, of the last record committed, where that is known
  std::optional<CopyProgress> now;  // with what the open transaction holds
  std::optional<Offset> sent_last;  // here, of the last record reported in it
  std::int64_t sent = 0;            // records in the open transaction
  std::int64_t reported = 0;
  bool was_sent_to = false;    // by this producer
  bool committed_now = false;  // by this run
  bool is_new = false;         // since it was last seen that readers are shown it
};

class KafkaCopy final : public CopyWriter {
 public:
  KafkaCopy(const Config& config, Handle& admin, std::string topic, const CopySource& source, TopicSettings settings)
      : config_(config), admin_(admin), topic_(std::move(topic)), source_(source), settings_(settings) {
    for (PartitionId p{0}; p.value < settings.partitions; p += 1) lanes_.emplace_back().id = p;
  }

  ~KafkaCopy() override {
    if (in_transaction_) {
      rd_kafka_purge(handle_->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
      // Failing that, the next run does it, or the cluster after a while.
      const ErrorHandle aborted(rd_kafka_abort_transaction(handle_->get(), static_cast<int>(kTransactionMin.count())));
    }
    topic_handle_.reset();
  }

  Result<void> open() {
    TRY(open_producer());
    TRY(read_positions());
    return source_.merge ? Result<void>{} : check_alone();
  }

  std::int32_t partitions() const override { return settings_.partitions; }
  std::optional<CopyProgress> progress(PartitionId partition) const override {
    return lanes_[static_cast<std::size_t>(partition.value)].now;
  }

  Result<void> write(PartitionId partition, std::span<const RecordView> records) override {
    if (failure_) return std::unexpected(*failure_);
    auto written = take(partition, records);
    if (!written) failure_ = written.error();
    return written;
  }

  Result<void> flush() override {
    if (failure_) return std::unexpected(*failure_);
    auto committed = commit();
    if (committed) committed = wait_until_visible();
    if (!committed) failure_ = committed.error();
    return committed;
  }

  Result<std::vector<Result<Offset>>> translate(PartitionId partition, std::span<const Offset> offsets,
                                                const SourceTailOf& source_tail) override {
    std::vector<Result<Offset>> found;
    for (const Offset offset : offsets) found.push_back(TRY(translate(partition, offset, source_tail)));
    return found;
  }

 private:
  // ---- Beginning ----

  Result<void> open_producer() {
    const Milliseconds patience = std::clamp(config_.timeout, kTransactionMin, kTransactionMax);
    const std::string patience_ms = fmt::format("{}", patience.count());
    const KafkaProperties ours = {{"transactional.id", source_.name},
                                  {"enable.idempotence", "true"},
                                  {"acks", "all"},
                                  {"transaction.timeout.ms", patience_ms},
                                  {"message.max.bytes", message_bytes_max(settings_.max_record_bytes)}};
    const KafkaProperties defaults = {{"message.timeout.ms", patience_ms},
                                      {"topic.metadata.propagation.max.ms", "2000"},
                                      {"compression.codec", std::string(to_string(settings_.compression))},
                                      {"linger.ms", "5"}};
    handle_ = TRY(Handle::open(config_, RD_KAFKA_PRODUCER, ours, defaults,
                               {.delivered = [this](const rd_kafka_message_t& message) { note_delivery(message); }}));
    topic_handle_.reset(rd_kafka_topic_new(handle_->get(), topic_.c_str(), nullptr));
    if (!topic_handle_) return std::unexpected(handle_->error(rd_kafka_last_error(), topic_));
    // From here on an older producer of this name can commit nothing more.
    const SteadyTime deadline = handle_->deadline();
    for (;;) {
      const ErrorHandle error(rd_kafka_init_transactions(handle_->get(), 1000));
      rd_kafka_poll(handle_->get(), 0);
      if (!error) return {};
      const bool again = rd_kafka_error_is_retriable(error.get()) != 0 ||
                         rd_kafka_error_code(error.get()) == RD_KAFKA_RESP_ERR__TIMED_OUT;
      if (!again || std::chrono::steady_clock::now() >= deadline) return std::unexpected(error_of(error));
    }
  }

  Result<void> read_positions() {
    const auto positions = TRY(copy_positions(config_, source_.name, topic_, settings_.partitions));
    for (Lane& lane : lanes_) {
      const auto& position = positions[static_cast<std::size_t>(lane.id.value)];
      if (!position) continue;
      lane.committed = lane.now = position->progress;
      lane.last = position->last;
    }
    return {};
  }

  // That no records of others stand behind the copy's last one, or at all where it has none.
  Result<void> check_alone() {
    const auto reader = TRY(KafkaReader::open_topics(
        config_, {.topics = {{topic_}}, .start = {StartAt::Kind::beginning}, .follow = false}));
    std::vector<KafkaReader::Add> all;
    for (PartitionId p{0}; p.value < settings_.partitions; p += 1) {
      const Lane& lane = lanes_[static_cast<std::size_t>(p.value)];
      if (lane.committed && !lane.last) continue;  // set by hand
      all.push_back({.topic = topic_, .partition = p, .stored = lane.last ? *lane.last + 1 : Offset{0}});
    }
    TRY(reader->add(all));
    for (;;) {
      const Fetch fetch = TRY(reader->next(Milliseconds(1000)));
      if (fetch.state == Fetch::State::ended) return {};
      if (fetch.state == Fetch::State::records) return not_alone(fetch.position.partition, fetch.records[0].offset);
    }
  }

  std::unexpected<Error> not_alone(PartitionId partition, Offset offset) const {
    return fail(
        Code::exists,
        fmt::format("partition {} of \"{}\" at the destination has a record at offset {} that this copy has not "
                    "put there, or no longer knows of",
                    partition.value, topic_, offset.value),
        "copy into an empty topic, or add --merge to have both");
  }

  // ---- Copying ----

  Result<void> take(PartitionId partition, std::span<const RecordView> records) {
    Lane& lane = lanes_[static_cast<std::size_t>(partition.value)];
    for (const RecordView& record : records) {
      ASSERT(!lane.now || record.offset >= lane.now->next);
      const RecordInput input{record.key, record.value, record.headers, record.timestamp};
      TRY(check_sendable(input, settings_, topic_));
      if (!in_transaction_) TRY(begin());
      TRY(enqueue(*handle_, topic_handle_.get(), topic_, input, partition, &lane));
      ++lane.sent;
      ++pending_records_;
      pending_bytes_ += payload_bytes(input);
      lane.now = {record.offset + 1, hash_of_record(record.key, record.value)};
      // See KafkaProducer::wait_for_first().
      if (!std::exchange(lane.was_sent_to, true)) TRY(settle());
      if (pending_bytes_ >= kTransactionBytes || pending_records_ >= kTransactionRecords) TRY(commit());
    }
    return {};
  }

  Result<void> begin() {
    const ErrorHandle error(rd_kafka_begin_transaction(handle_->get()));
    if (error) return std::unexpected(error_of(error));
    in_transaction_ = true;
    return {};
  }

  void note_delivery(const rd_kafka_message_t& message) {
    Lane& lane = *static_cast<Lane*>(message._private);
    ++lane.reported;
    if (trouble_) return;
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      trouble_ = failure_of(message.err);
      return;
    }
    if (message.offset < 0) {
      trouble_ =
          Error{Code::io, fmt::format("topic \"{}\": a broker took a record for one that it had already, and does "
                                      "not say where",
                                      topic_)};
      return;
    }
    // The marker of the transaction before takes one offset; what is more is somebody else's.
    const Offset offset{message.offset};
    const std::optional<Offset> before = lane.sent_last ? lane.sent_last : marked_last(lane);
    const std::int64_t markers = lane.sent_last ? 0 : 1;
    if (!source_.merge && before && offset - *before > 1 + markers) trouble_ = not_alone(lane.id, *before + 1).error();
    lane.sent_last = offset;
  }

  // Only of this run it is known that nothing but a marker follows.
  static std::optional<Offset> marked_last(const Lane& lane) { return lane.committed_now ? lane.last : std::nullopt; }

  // Waits until everything sent is reported.
  Result<void> settle() {
    while (rd_kafka_flush(handle_->get(), kReportWaitMs) == RD_KAFKA_RESP_ERR__TIMED_OUT) {
    }
    if (trouble_) return std::unexpected(*trouble_);
    for (const Lane& lane : lanes_)
      if (lane.sent != lane.reported)
        return fail(Code::io, fmt::format("topic \"{}\": records were not reported on", topic_));
    return {};
  }

  Result<void> commit() {
    if (!in_transaction_) return {};
    TRY(settle());
    const PartitionList positions = make_list(lanes_.size());
    for (const Lane& lane : lanes_)
      if (lane.sent > 0) add_position(positions.get(), topic_, lane.id, {*lane.now, lane.sent_last});
    const GroupMetadata group(rd_kafka_consumer_group_metadata_new(source_.name.c_str()));
    TRY(until_done(
        [&] { return rd_kafka_send_offsets_to_transaction(handle_->get(), positions.get(), group.get(), -1); }));
    TRY(until_done([&] { return rd_kafka_commit_transaction(handle_->get(), -1); }));
    in_transaction_ = false;
    pending_bytes_ = pending_records_ = 0;
    for (Lane& lane : lanes_) {
      if (lane.sent == 0) continue;
      lane.committed = lane.now;
      lane.last = std::exchange(lane.sent_last, std::nullopt);
      lane.committed_now = lane.is_new = true;
      lane.sent = lane.reported = 0;
    }
    return {};
  }

  // A commit is certain once the coordinator has noted it; the partitions hear of it a moment later, and show the
  // records then. Whoever reads after a copy is to find them.
  Result<void> wait_until_visible() {
    const SteadyTime deadline = handle_->deadline();
    for (;;) {
      std::vector<OffsetQuery> queries;
      for (const Lane& lane : lanes_)
        if (lane.last && lane.is_new) queries.push_back({topic_, lane.id, kAtEnd});
      if (queries.empty()) return {};
      if (!reader_) reader_ = TRY(Handle::open(config_, RD_KAFKA_CONSUMER, {{"isolation.level", "read_committed"}}));
      const auto ends = TRY(reader_->offsets(queries));
      for (std::size_t i = 0; i < queries.size(); ++i) {
        Lane& lane = lanes_[static_cast<std::size_t>(queries[i].partition.value)];
        lane.is_new = ends[i].value_or(Offset{0}) <= *lane.last;
      }
      if (std::ranges::none_of(lanes_, &Lane::is_new)) return {};
      if (std::chrono::steady_clock::now() >= deadline)
        return fail(Code::unavailable,
                    fmt::format("{}: what was committed to topic \"{}\" is not shown yet", config_.servers, topic_));
      std::this_thread::sleep_for(kShownPoll);
    }
  }

  // A step of a transaction, which librdkafka goes on with when it is asked again.
  template <class Step>
  Result<void> until_done(Step step) {
    const SteadyTime deadline = handle_->deadline();
    for (;;) {
      const ErrorHandle error(step());
      rd_kafka_poll(handle_->get(), 0);
      if (!error) return {};
      if (rd_kafka_error_is_retriable(error.get()) == 0 || std::chrono::steady_clock::now() >= deadline)
        return std::unexpected(error_of(error));
    }
  }

  Error error_of(const ErrorHandle& error) const {
    return failure_of(rd_kafka_error_code(error.get()), rd_kafka_error_string(error.get()));
  }

  Error failure_of(rd_kafka_resp_err_t code, std::string reason = {}) const {
    // What ends the producer says more than what became of one record then.
    std::array<char, 512> text{};
    const rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(handle_->get(), text.data(), text.size());
    if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
      code = fatal;
      reason = text.data();
    }
    if (is_fenced(code)) {
      return {Code::busy, fmt::format("topic \"{}\": another run of this copy has taken over", topic_)};
    }
    if (code_of(code) == Code::not_found) return {Code::not_found, fmt::format("topic \"{}\" not found", topic_)};
    return handle_->error(code, fmt::format("topic \"{}\"", topic_), reason);
  }

  // ---- Where a source offset has gone ----

  Result<Result<Offset>> translate(PartitionId partition, Offset offset, const SourceTailOf& source_tail) {
    const Lane& lane = lanes_[static_cast<std::size_t>(partition.value)];
    if (!lane.committed) return Result<Offset>(Offset{0});
    const auto untold = [&](std::string_view why) {
      return Result<Offset>(
          fail(Code::bad_data, fmt::format("where it is at the destination cannot be told: {}", why)));
    };
    if (source_.merge) return untold("the topic may hold other records, too");
    if (!lane.last) return untold("the copy's position was set by hand");
    const SourceTail tail = TRY(source_tail(partition, offset));
    if (tail.records == 0) return Result<Offset>(*lane.last + 1);
    const auto found = TRY(nth_back(config_, admin_, topic_, partition, *lane.last + 1, tail.records));
    if (!found) {
      if (settings_.cleanup == Cleanup::compact) return untold("the cluster has removed records in between");
      return Result<Offset>(TRY(start_of(admin_, topic_, partition)));  // it has been trimmed away
    }
    if (found->hash != tail.first_hash) return untold("records in between are missing on one of the two sides");
    return Result<Offset>(found->offset);
  }

  Config config_;
  Handle& admin_;
  std::string topic_;
  CopySource source_;
  TopicSettings settings_;
  std::vector<Lane> lanes_;
  bool in_transaction_ = false;
  std::int64_t pending_bytes_ = 0;
  std::int64_t pending_records_ = 0;
  std::optional<Error> trouble_;  // of a record that was reported
  std::optional<Error> failure_;
  std::unique_ptr<Handle> handle_;
  TopicHandle topic_handle_;
  std::unique_ptr<Handle> reader_;  // who asks what is shown
};

}  // namespace

Result<std::unique_ptr<CopyWriter>> open_copy(const Config& config, Handle& admin, std::string_view topic,
                                              const CopySource& source) {
  const std::int32_t partitions = TRY(admin.partition_count(topic));
  const TopicSettings settings =
      topic_settings(admin, topic, partitions).value_or(TopicSettings{.partitions = partitions});
  auto copy = std::make_unique<KafkaCopy>(config, admin, std::string(topic), source, settings);
  TRY(copy->open());
  return copy;
}

}  // namespace leat::kafka
