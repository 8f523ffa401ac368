// Producing into a data directory: records are collected into batches per partition, batches are appended in groups,
// and one commit per partition acknowledges them all; of much input, most has become durable in the background by then.
// With a producer name, records that an earlier run has appended are counted off instead.
#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "leat/backend/local.h"
#include "leat/backend/local_lane.h"
#include "leat/backend/record_check.h"
#include "leat/log/file_names.h"
#include "leat/log/named_producer.h"
#include "leat/log/producer_state.h"

namespace leat {

namespace {

// A run of offsets given to consecutive records of one partition.
struct OffsetRun {
  Offset next;
  std::int64_t left;
};

// The producer's side of one partition.
struct Lane : LocalLane {
  using LocalLane::LocalLane;

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
        background_(*topic_, syncs()) {
    // Whatever size of batch is asked for must fit.
    share_.held_bytes_max = std::max(share_.held_bytes_max, 2 * options_.batch_bytes);
  }

  // Takes the producer's name and finds out what earlier runs have appended.
  Result<void> resume() {
    std::vector<Offset> ends;
    for (PartitionId p{0}; p.value < topic_->settings().partitions; p += 1) {
      Lane& lane = *TRY(lane_of(p));
      const LogEnd end = TRY(lane.partition().end());
      // What is counted off is acknowledged by that: it must be as durable as what is appended.
      TRY(lane.commit(end));
      ends.push_back(end.end);
    }
    named_ = TRY(NamedProducer::open(*topic_, options_.producer_name,
                                     {topic_->settings().partitions, options_.partition}, ends));
    for (const auto& lane : lanes_) TRY(resume(*lane));
    return {};
  }

  // Takes the name that makes this producer the only writer of its partition, and acknowledges what others have left
  // there.
  Result<void> claim() {
    if (!options_.partition || !options_.producer_name.empty())
      return fail(Code::usage, "a sole writer needs a partition, and has no other name");
    Lane& lane = *TRY(lane_of(*options_.partition));
    const Offset first{0};
    // One of one: the name goes on when the topic is given more partitions.
    sole_ = TRY(NamedProducer::open(*topic_, options_.sole_writer, {1, options_.partition}, {&first, 1}));
    return lane.commit(TRY(lane.partition().end()));
  }

  Result<void> send(const RecordInput& record) override {
    TRY(check_usable());
    TRY(check_record(record));
    const PartitionId partition = route(record);
    Lane& lane = *TRY(lane_of(partition));
    if (named_ && lane.given < lane.before.records) return count_off(lane, record);
    const TimestampMs timestamp = record.timestamp ? *record.timestamp : now_ms();
    auto added = lane.add(record, timestamp);
    if (!added && !lane.open_batch().empty()) {
      // What does not fit behind the others may do so alone.
      TRY(remember_failure(finish(lane)));
      added = lane.add(record, timestamp);
    }
    TRY(std::move(added));
    ++lane.given;
    ++sent_;
    ++unacknowledged_;
    if (callback_) order_.push_back(partition);
    if (lane.open_batch().plain_bytes() >= options_.batch_bytes) return remember_failure(finish(lane));
    return share_.is_full() ? remember_failure(append_all()) : Result<void>{};
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
                                     lane->before.records, lane->partition().id().value, topic_->name(), lane->given));
    }
    return {};
  }

  std::vector<std::string> take_notices() override {
    std::vector<std::string> notices;
    for (const auto& lane : lanes_) {
      if (!lane) continue;
      for (std::string& notice : lane->partition().take_notices()) notices.push_back(std::move(notice));
    }
    return notices;
  }

 private:
  Result<void> resume(Lane& lane) {
    const LogEnd end = TRY(lane.partition().end());
    const PartitionId id = lane.partition().id();
    const ProducerTable table = TRY(read_producers(lane.partition().directory(), end));
    if (table.complete_from > named_->since(id)) {
      return fail(Code::damaged, fmt::format("{}: what producer \"{}\" has written is known from offset {} on only; "
                                             "{} may be missing",
                                             lane.partition().directory().path(), options_.producer_name,
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
                                   lane.partition().id().value, topic_->name(), lane.before.last_offset.value));
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

  Result<void> check_record(const RecordInput& record) const {
    const std::int64_t bytes = payload_bytes(record);
    TRY(check_request_size(bytes, options_.record_bytes_max));
    TRY(check_record_size(bytes, topic_->settings(), topic_->name()));
    return check_key(record, topic_->settings(), topic_->name());
  }

  Result<Lane*> lane_of(PartitionId partition) {
    auto& lane = lanes_[static_cast<std::size_t>(partition.value)];
    if (!lane) {
      lane = std::make_unique<Lane>(TRY(Partition::open(*topic_, partition)),
                                    options_.compression.value_or(topic_->settings().compression), syncs(), share_,
                                    background_);
    }
    return lane.get();
  }

  // Closes the lane's open batch; keyless records go on in the next partition.
  Result<void> close(Lane& lane) {
    if (lane.partition().id() == chooser_.keyless()) chooser_.advance();
    const std::int32_t count = lane.open_batch().record_count();
    return lane.close(named_ ? named_->batch_fields(lane.given - count) : BatchProducer{});
  }

  // The same, and appends where enough has come together.
  Result<void> finish(Lane& lane) {
    TRY(close(lane));
    if (lane.is_due()) return append(lane);
    return share_.is_full() ? append_all() : Result<void>{};
  }

  Result<void> append(Lane& lane) {
    const auto appended = TRY(lane.append(admission(lane)));
    if (appended && callback_) lane.runs.push_back({appended->base, appended->end - appended->base});
    return {};
  }

  // What is asked before a named producer's batches go to the log: that they follow what it has there.
  Partition::Admit admission(const Lane& lane) const {
    if (sole_) return [this](const LogEnd&) { return sole_->check_current(); };
    if (!named_) return {};
    return [this, &lane](const LogEnd& end) -> Result<void> {
      TRY(named_->check_current());
      if (end.epoch == lane.epoch) return {};
      return fail(Code::io, fmt::format("{}: the log was cut while producer \"{}\" was writing: its next record is not "
                                        "the one that follows; run it again",
                                        lane.partition().directory().path(), options_.producer_name));
    };
  }

  bool syncs() const { return options_.force_sync || topic_->settings().durability == Durability::sync; }

  Result<void> append_all() {
    for (const auto& lane : lanes_) {
      if (!lane) continue;
      if (!lane->open_batch().empty()) TRY(close(*lane));
      TRY(append(*lane));
    }
    return {};
  }

  Result<void> flush_all() {
    TRY(append_all());
    for (const auto& lane : lanes_)
      if (lane) TRY(lane->commit());
    acknowledged_ += std::exchange(unacknowledged_, 0);
    report_receipts();
    return {};
  }

  void report_receipts() {
    if (!callback_ || order_.empty()) return;
    receipts_.clear();
    for (const PartitionId partition : order_) {
      auto& runs = lanes_[static_cast<std::size_t>(partition.value)]->runs;
      receipts_.push_back({partition, runs.front().next});
      runs.front().next += 1;
      if (--runs.front().left == 0) runs.pop_front();
    }
    order_.clear();
    callback_(receipts_);
  }

  std::unique_ptr<Topic> topic_;
  ProducerOptions options_;
  PartitionChooser chooser_;
  LaneShare share_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<PartitionId> order_;  // of records not yet acknowledged, when receipts are wanted
  std::vector<Receipt> receipts_;   // memory
  std::function<void(std::span<const Receipt>)> callback_;
  std::int64_t unacknowledged_ = 0;
  std::int64_t acknowledged_ = 0;
  std::optional<NamedProducer> named_;
  std::optional<NamedProducer> sole_;
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
  if (!options.sole_writer.empty()) TRY(producer->claim());
  return producer;
}

}  // namespace leat
