// Producing into a data directory: records are collected into batches per partition, batches are appended in groups,
// and one commit per partition acknowledges them all.
#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "leat/backend/local.h"
#include "leat/log/compaction.h"
#include "leat/log/maintenance.h"
#include "leat/log/partition.h"

namespace leat {

namespace {

// Finished batches are appended in groups of about this size: one hold of the append lock, one write.
constexpr std::size_t kAppendBytes = 1 << 20;

// A run of offsets given to consecutive records of one partition.
struct OffsetRun {
  Offset next;
  std::int64_t left;
};

// The producer's side of one partition.
struct Lane {
  explicit Lane(Partition opened, Codec codec) : partition(std::move(opened)), builder(codec) {}

  Partition partition;
  BatchBuilder builder;
  std::vector<EncodedBatch> finished;
  std::size_t finished_bytes = 0;
  std::optional<Appended> uncommitted;
  bool has_appended = false;   // an append has succeeded
  std::deque<OffsetRun> runs;  // offsets of records not yet acknowledged; kept only when receipts are wanted
};

class LocalProducer final : public Producer {
 public:
  LocalProducer(std::unique_ptr<Topic> topic, const ProducerOptions& options)
      : topic_(std::move(topic)),
        options_(options),
        chooser_(topic_->settings().partitions),
        lanes_(static_cast<std::size_t>(topic_->settings().partitions)) {}

  ~LocalProducer() override {
    for (const auto& lane : lanes_) {
      if (!lane) continue;
      maintain(*lane);
      sync_far_behind(*lane);
    }
  }

  Result<void> send(const RecordInput& record) override {
    TRY(check_usable());
    TRY(check_size(record));
    if (!record.key && topic_->settings().cleanup == Cleanup::compact) {
      return fail(
          Code::bad_data,
          fmt::format("a record without a key cannot go to topic \"{}\", whose cleanup is compact", topic_->name()));
    }
    const PartitionId partition = options_.partition ? *options_.partition : chooser_.choose(record);
    Lane& lane = *TRY(lane_of(partition));
    const TimestampMs timestamp = record.timestamp ? *record.timestamp : now_ms();
    auto added = lane.builder.add(record, timestamp);
    if (!added && !lane.builder.empty()) {
      // What does not fit behind the others may do so alone.
      TRY(remember_failure(close_batch(lane)));
      added = lane.builder.add(record, timestamp);
    }
    TRY(std::move(added));
    ++unacknowledged_;
    if (callback_) order_.push_back(partition);
    if (lane.builder.plain_bytes() < options_.batch_bytes) return {};
    return remember_failure(close_batch(lane));
  }

  Result<void> flush() override {
    TRY(check_usable());
    return remember_failure(flush_all());
  }

  void on_acknowledged(std::function<void(std::span<const Receipt>)> callback) override {
    ASSERT(unacknowledged_ == 0);
    callback_ = std::move(callback);
  }

  std::int64_t acknowledged() const override { return acknowledged_; }

  std::vector<std::string> take_notices() override {
    std::vector<std::string> notices;
    for (const auto& lane : lanes_) {
      if (!lane) continue;
      for (std::string& notice : lane->partition.take_notices()) notices.push_back(std::move(notice));
    }
    return notices;
  }

 private:
  Result<void> check_usable() const {
    if (failure_) return std::unexpected(*failure_);
    return {};
  }

  Result<void> remember_failure(Result<void> result) {
    if (!result) failure_ = result.error();
    return result;
  }

  Result<void> check_size(const RecordInput& record) const {
    std::int64_t bytes =
        static_cast<std::int64_t>((record.key ? record.key->size() : 0) + (record.value ? record.value->size() : 0));
    for (const HeaderView& header : record.headers) {
      bytes += static_cast<std::int64_t>(header.key.size() + (header.value ? header.value->size() : 0));
    }
    if (bytes > options_.record_bytes_max) {
      return fail(Code::bad_data, fmt::format("a record of {} bytes is larger than {} (--max-request-size)", bytes,
                                              options_.record_bytes_max));
    }
    if (bytes > topic_->settings().max_record_bytes) {
      return fail(Code::bad_data,
                  fmt::format("a record of {} bytes is larger than {} (max-record-size of topic \"{}\")", bytes,
                              topic_->settings().max_record_bytes, topic_->name()));
    }
    return {};
  }

  Result<Lane*> lane_of(PartitionId partition) {
    auto& lane = lanes_[static_cast<std::size_t>(partition.value)];
    if (!lane) {
      lane = std::make_unique<Lane>(TRY(Partition::open(*topic_, partition)),
                                    options_.compression.value_or(topic_->settings().compression));
    }
    return lane.get();
  }

  // Closes the lane's open batch; keyless records go on in the next partition.
  Result<void> close_batch(Lane& lane) {
    if (lane.builder.empty()) return {};
    if (lane.partition.id() == chooser_.keyless()) chooser_.advance();
    lane.finished.push_back(TRY(lane.builder.finish()));
    lane.finished_bytes += lane.finished.back().bytes.size();
    return lane.finished_bytes < kAppendBytes ? Result<void>{} : append(lane);
  }

  Result<void> append(Lane& lane) {
    if (lane.finished.empty()) return {};
    TRY(topic_->refresh_settings());
    const Appended appended = TRY(lane.partition.append(lane.finished));
    // A batch of an earlier epoch was cut: the commit of the later one must not speak for it.
    if (!lane.uncommitted || lane.uncommitted->epoch == appended.epoch) lane.uncommitted = appended;
    lane.has_appended = true;
    if (callback_) lane.runs.push_back({appended.base, appended.end - appended.base});
    lane.finished.clear();
    lane.finished_bytes = 0;
    maintain(lane);
    return {};
  }

  Result<void> flush_all() {
    for (const auto& lane : lanes_) {
      if (!lane) continue;
      TRY(close_batch(*lane));
      TRY(append(*lane));
    }
    const bool sync = options_.force_sync || topic_->settings().durability == Durability::sync;
    for (const auto& lane : lanes_) {
      if (!lane || !lane->uncommitted) continue;
      if (sync) TRY(lane->partition.commit(*lane->uncommitted));
      lane->uncommitted.reset();
    }
    acknowledged_ += std::exchange(unacknowledged_, 0);
    report_receipts();
    return {};
  }

  void report_receipts() {
    if (!callback_ || order_.empty()) return;
    std::vector<Receipt> receipts;
    receipts.reserve(order_.size());
    for (const PartitionId partition : order_) {
      auto& runs = lanes_[static_cast<std::size_t>(partition.value)]->runs;
      receipts.push_back({partition, runs.front().next});
      runs.front().next += 1;
      if (--runs.front().left == 0) runs.pop_front();
    }
    order_.clear();
    callback_(receipts);
  }

  // Derived files and retention; what goes wrong here never fails an append.
  void maintain(Lane& lane) {
    if (lane.partition.take_index_due()) lane.partition.index_to_end();
    const bool rolled = lane.partition.take_rolled();
    if (rolled && topic_->settings().cleanup == Cleanup::compact) (void)compact_partition(lane.partition, now_ms());
    if (lane.partition.take_retention_due()) (void)apply_retention(lane.partition, now_ms());
  }

  // Where nobody syncs (durability os), whoever opens the log next would have to walk all of it: a writer that ends in
  // order leaves at most a few MiB to walk.
  void sync_far_behind(Lane& lane) {
    constexpr std::int64_t kWalkBytesMax = 4 << 20;
    if (!lane.has_appended) return;
    const auto durable = lane.partition.durable_end();
    const auto end = lane.partition.end();
    if (!durable || !end ||
        (durable->segment_base == end->segment_base && end->position - durable->position < kWalkBytesMax))
      return;
    (void)lane.partition.commit({end->end, end->end, end->epoch});
  }

  std::unique_ptr<Topic> topic_;
  ProducerOptions options_;
  PartitionChooser chooser_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<PartitionId> order_;  // of records not yet acknowledged, when receipts are wanted
  std::function<void(std::span<const Receipt>)> callback_;
  std::int64_t unacknowledged_ = 0;
  std::int64_t acknowledged_ = 0;
  std::optional<Error> failure_;
};

}  // namespace

Result<std::unique_ptr<Producer>> open_local_producer(const DataDir& data_dir, std::string_view topic,
                                                      const ProducerOptions& options) {
  auto opened = std::make_unique<Topic>(TRY(Topic::open(data_dir, topic, Topic::Access::write)));
  if (options.partition) TRY(opened->open_partition(*options.partition));  // refused now, not at the first record
  return std::make_unique<LocalProducer>(std::move(opened), options);
}

}  // namespace leat
