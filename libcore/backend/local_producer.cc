// Producing into a data directory: records are collected into batches per partition, batches are appended in groups,
// and one commit per partition acknowledges them all; of much input, most has become durable in the background by then.
// With a producer name, records that an earlier run has appended are counted off instead.
#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "leat/backend/background_sync.h"
#include "leat/backend/local.h"
#include "leat/log/compaction.h"
#include "leat/log/file_names.h"
#include "leat/log/maintenance.h"
#include "leat/log/named_producer.h"
#include "leat/log/partition.h"
#include "leat/log/producer_state.h"

namespace leat {

namespace {

// Finished batches are appended in groups of about this size: one hold of the append lock, one write.
constexpr std::size_t kAppendBytes = 1 << 20;

// What is appended to a partition without a flush is made durable in the background when it has come to this much.
constexpr std::int64_t kBackgroundBytes = 8 << 20;

// Closed segments whose indexes are looked after at each roll, so that lost ones come back in time.
constexpr std::size_t kIndexesPerRoll = 8;

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
  std::int64_t behind = 0;     // bytes appended since the latest commit or request of one
  bool tree_due = false;       // enough was appended since the tree was extended
  std::int64_t given = 0;      // records sent to this partition by a named producer, those counted off included
  ProducerProgress before{};   // what earlier runs of it have there
  std::int64_t epoch = 0;      // of the log when that was read
  std::deque<OffsetRun> runs;  // offsets of records not yet acknowledged; kept only when receipts are wanted
};

class LocalProducer final : public Producer {
 public:
  LocalProducer(std::unique_ptr<Topic> topic, const ProducerOptions& options)
      : topic_(std::move(topic)),
        options_(options),
        chooser_(topic_->settings().partitions),
        lanes_(static_cast<std::size_t>(topic_->settings().partitions)),
        background_(*topic_, syncs()) {}

  // Takes the producer's name and finds out what earlier runs have appended.
  Result<void> resume() {
    std::vector<Offset> ends;
    for (PartitionId p{0}; p.value < topic_->settings().partitions; p += 1) {
      Partition& partition = TRY(lane_of(p))->partition;
      const LogEnd end = TRY(partition.end());
      // What is counted off is acknowledged by that: it must be as durable as what is appended.
      TRY(commit(partition, {end.end, end.end, end.epoch}));
      ends.push_back(end.end);
    }
    named_ = TRY(NamedProducer::open(*topic_, options_.producer_name,
                                     {topic_->settings().partitions, options_.partition}, ends));
    for (const auto& lane : lanes_) TRY(resume(*lane));
    return {};
  }

  ~LocalProducer() override {
    for (const auto& lane : lanes_) {
      if (!lane) continue;
      maintain(*lane);
      sync_far_behind(*lane);
      lane->partition.release_reserved();
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
    const PartitionId partition = route(record);
    Lane& lane = *TRY(lane_of(partition));
    if (named_ && lane.given < lane.before.records) return count_off(lane, record);
    const TimestampMs timestamp = record.timestamp ? *record.timestamp : now_ms();
    auto added = lane.builder.add(record, timestamp);
    if (!added && !lane.builder.empty()) {
      // What does not fit behind the others may do so alone.
      TRY(remember_failure(close_batch(lane)));
      added = lane.builder.add(record, timestamp);
    }
    TRY(std::move(added));
    ++lane.given;
    ++sent_;
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
  std::int64_t skipped() const override { return skipped_; }

  Result<void> end_of_input() override {
    TRY(check_usable());
    if (!named_) return {};
    for (const auto& lane : lanes_) {
      if (lane->given >= lane->before.records) continue;
      return other_input(fmt::format("has written {} records to partition {} of \"{}\", and the input has {}",
                                     lane->before.records, lane->partition.id().value, topic_->name(), lane->given));
    }
    return {};
  }

  std::vector<std::string> take_notices() override {
    std::vector<std::string> notices;
    for (const auto& lane : lanes_) {
      if (!lane) continue;
      for (std::string& notice : lane->partition.take_notices()) notices.push_back(std::move(notice));
    }
    return notices;
  }

 private:
  Result<void> resume(Lane& lane) {
    const LogEnd end = TRY(lane.partition.end());
    const PartitionId id = lane.partition.id();
    const ProducerTable table = TRY(read_producers(lane.partition.directory(), end));
    if (table.complete_from > named_->since(id)) {
      return fail(Code::damaged, fmt::format("{}: what producer \"{}\" has written is known from offset {} on only; "
                                             "{} may be missing",
                                             lane.partition.directory().path(), options_.producer_name,
                                             table.complete_from.value, producers_file_name(table.complete_from)));
    }
    if (const auto found = table.producers.find(named_->id()); found != table.producers.end())
      lane.before = found->second;
    lane.epoch = end.epoch;
    return {};
  }

  PartitionId route(const RecordInput& record) {
    if (options_.partition) return *options_.partition;
    if (!named_ || record.key) return chooser_.choose(record);
    return partition_for_number(sent_, static_cast<std::int32_t>(lanes_.size()));
  }

  // An earlier run has appended this one.
  Result<void> count_off(Lane& lane, const RecordInput& record) {
    ++lane.given;
    ++sent_;
    ++skipped_;
    if (lane.given < lane.before.records || hash_of_record(record.key, record.value) == lane.before.last_hash)
      return {};
    return other_input(fmt::format("has written another record to partition {} of \"{}\" at offset {}",
                                   lane.partition.id().value, topic_->name(), lane.before.last_offset.value));
  }

  Result<void> other_input(const std::string& what) {
    return remember_failure(fail(Code::other_input, fmt::format("not the input that producer \"{}\" began with: it {}",
                                                                options_.producer_name, what)));
  }

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
    const std::int32_t count = lane.builder.record_count();
    lane.finished.push_back(
        TRY(lane.builder.finish(named_ ? named_->batch_fields(lane.given - count) : BatchProducer{})));
    lane.finished_bytes += lane.finished.back().bytes.size();
    return lane.finished_bytes < kAppendBytes ? Result<void>{} : append(lane);
  }

  Result<void> append(Lane& lane) {
    if (lane.finished.empty()) return {};
    TRY(topic_->refresh_settings());
    const Appended appended = TRY(lane.partition.append(lane.finished, admission(lane)));
    // A batch of an earlier epoch was cut: the commit of the later one must not speak for it.
    if (!lane.uncommitted || lane.uncommitted->epoch == appended.epoch) lane.uncommitted = appended;
    lane.has_appended = true;
    if (callback_) lane.runs.push_back({appended.base, appended.end - appended.base});
    lane.behind += static_cast<std::int64_t>(lane.finished_bytes);
    lane.finished.clear();
    lane.finished_bytes = 0;
    maintain(lane);
    if (lane.behind >= kBackgroundBytes) {
      lane.behind = 0;
      background_.request(lane.partition.id(), *lane.uncommitted);
    }
    return {};
  }

  // What is asked before a named producer's batches go to the log: that they follow what it has there.
  Partition::Admit admission(const Lane& lane) const {
    if (!named_) return {};
    return [this, &lane](const LogEnd& end) -> Result<void> {
      TRY(named_->check_current());
      if (end.epoch == lane.epoch) return {};
      return fail(Code::io, fmt::format("{}: the log was cut while producer \"{}\" was writing: its next record is not "
                                        "the one that follows; run it again",
                                        lane.partition.directory().path(), options_.producer_name));
    };
  }

  // Acknowledges what was appended.
  Result<void> commit(Partition& partition, const Appended& appended) const {
    return syncs() ? partition.commit(appended) : Result<void>{};
  }

  bool syncs() const { return options_.force_sync || topic_->settings().durability == Durability::sync; }

  Result<void> flush_all() {
    for (const auto& lane : lanes_) {
      if (!lane) continue;
      TRY(close_batch(*lane));
      TRY(append(*lane));
    }
    for (const auto& lane : lanes_) {
      if (!lane || !lane->uncommitted) continue;
      TRY(commit(lane->partition, *lane->uncommitted));
      lane->behind = 0;
      // Over what is durable by now.
      if (std::exchange(lane->tree_due, false)) background_.request(lane->partition.id(), *lane->uncommitted);
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
    if (lane.partition.take_index_due()) {
      lane.partition.index_to_end();
      lane.tree_due = true;
    }
    const bool rolled = lane.partition.take_rolled();
    lane.tree_due |= rolled;
    if (rolled) {
      lane.partition.index_closed_segments(kIndexesPerRoll);
      if (const auto end = lane.partition.durable_end()) (void)keep_producers(lane.partition, end->segment_base);
    }
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
  std::optional<NamedProducer> named_;
  std::int64_t sent_ = 0;     // records accepted or counted off
  std::int64_t skipped_ = 0;  // counted off
  std::optional<Error> failure_;
  BackgroundSync background_;  // the last, so that it ends first
};

}  // namespace

Result<std::unique_ptr<Producer>> open_local_producer(const DataDir& data_dir, std::string_view topic,
                                                      const ProducerOptions& options) {
  auto opened = std::make_unique<Topic>(TRY(Topic::open(data_dir, topic, Topic::Access::write)));
  if (options.partition) TRY(opened->open_partition(*options.partition));  // refused now, not at the first record
  auto producer = std::make_unique<LocalProducer>(std::move(opened), options);
  if (!options.producer_name.empty()) TRY(producer->resume());
  return producer;
}

}  // namespace leat
