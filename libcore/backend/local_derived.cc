// Derived records in a data directory: batches whose headers say up to which source offset they go. See
// derived_writer.h.
#include <fmt/format.h>

#include <map>

#include "leat/backend/local.h"
#include "leat/backend/local_lane.h"
#include "leat/backend/record_check.h"
#include "leat/log/file_names.h"
#include "leat/log/named_producer.h"
#include "leat/log/producer_state.h"

namespace leat {

namespace {

constexpr std::size_t kBatchBytes = 64 << 10;

struct Source {
  NamedProducer named;
  std::vector<std::optional<Offset>> progress;  // by partition, where it has been asked for
};

// One partition that is appended to.
struct Lane : LocalLane {
  using LocalLane::LocalLane;

  const std::string* source = nullptr;  // of the open batch
  Offset behind{};                      // the source offset behind its last record
  std::int64_t epoch = 0;               // of the log when progress was read
};

class LocalDerived final : public DerivedWriter {
 public:
  explicit LocalDerived(Topic topic)
      : topic_(std::move(topic)),
        lanes_(static_cast<std::size_t>(topic_.settings().partitions)),
        background_(topic_, topic_.settings().durability == Durability::sync) {}

  std::int32_t partitions() const override { return static_cast<std::int32_t>(lanes_.size()); }

  Result<void> claim(std::string_view source) override {
    if (sources_.contains(source)) return {};
    // Only what is made from now on is looked for, where the topic already had other records.
    std::vector<Offset> ends;
    for (PartitionId p{0}; p.value < partitions(); p += 1) ends.push_back(TRY(TRY(lane_of(p))->partition().end()).end);
    // The partitions of the source are by themselves: the topic here may be given more.
    auto named = NamedProducer::open(topic_, source, {partitions(), {}, true}, ends);
    if (!named && named.error().code == Code::busy) {
      return fail(Code::busy,
                  fmt::format("another process still makes records of topic \"{}\" from the same partition: {}",
                              topic_.name(), named.error().message));
    }
    if (!named) return std::unexpected(std::move(named).error());
    sources_.emplace(source, Source{*std::move(named), std::vector<std::optional<Offset>>(lanes_.size())});
    return {};
  }

  void release(std::string_view source) override {
    const auto found = sources_.find(source);
    if (found == sources_.end()) return;
    for (const auto& lane : lanes_) ASSERT(!lane || lane->source != &found->first || lane->open_batch().empty());
    for (const auto& lane : lanes_)
      if (lane && lane->source == &found->first) lane->source = nullptr;
    sources_.erase(found);
  }

  Result<Offset> progress(std::string_view source, PartitionId partition) override {
    const auto found = sources_.find(source);
    ASSERT(found != sources_.end());
    const auto& known = found->second.progress[static_cast<std::size_t>(partition.value)];
    if (!known) TRY(find_progress(*TRY(lane_of(partition))));
    return *known;
  }

  Result<void> write(std::string_view source, PartitionId partition, Offset last, const RecordInput& record) override {
    if (failure_) return std::unexpected(*failure_);
    TRY(check_record(last, record));
    const auto found = sources_.find(source);
    ASSERT(found != sources_.end());
    ASSERT(last >= TRY(progress(source, partition)));
    Lane& lane = *TRY(lane_of(partition));
    const bool other = lane.source != nullptr && lane.source != &found->first;
    if (!lane.open_batch().empty() && (other || lane.open_batch().plain_bytes() >= kBatchBytes))
      TRY(kept(finish(lane)));
    const TimestampMs timestamp = record.timestamp.value_or(now_ms());
    auto added = lane.add(record, timestamp);
    if (!added && !lane.open_batch().empty()) {
      // What does not fit behind the others may do so alone.
      TRY(kept(finish(lane)));
      added = lane.add(record, timestamp);
    }
    TRY(std::move(added));
    lane.source = &found->first;
    lane.behind = last + 1;
    found->second.progress[static_cast<std::size_t>(partition.value)] = last + 1;
    return {};
  }

  Result<void> flush() override {
    if (failure_) return std::unexpected(*failure_);
    return kept(flush_all());
  }

 private:
  Result<void> kept(Result<void> result) {
    if (!result) failure_ = result.error();
    return result;
  }

  Result<Lane*> lane_of(PartitionId partition) {
    auto& lane = lanes_[static_cast<std::size_t>(partition.value)];
    if (!lane) {
      const bool syncs = topic_.settings().durability == Durability::sync;
      lane = std::make_unique<Lane>(TRY(Partition::open(topic_, partition)), topic_.settings().compression, syncs,
                                    share_, background_);
      lane->epoch = TRY(lane->partition().end()).epoch;
    }
    return lane.get();
  }

  // For every source that is claimed and not known of here: the headers are walked once for all of them.
  Result<void> find_progress(Lane& lane) {
    const LogEnd end = TRY(lane.partition().end());
    // What is counted as there is acknowledged by that.
    TRY(lane.commit(end));
    if (lane.epoch != end.epoch && !lane.open_batch().empty()) return refuse_cut(lane);
    lane.epoch = end.epoch;
    const ProducerTable table = TRY(read_producers(lane.partition().directory(), end));
    for (auto& [name, source] : sources_) {
      auto& progress = source.progress[static_cast<std::size_t>(lane.id().value)];
      if (progress) continue;
      if (table.complete_from > source.named.since(lane.id())) {
        return fail(Code::damaged,
                    fmt::format("{}: what was made of other records is known from offset {} on only; {} may "
                                "be missing",
                                lane.partition().directory().path(), table.complete_from.value,
                                producers_file_name(table.complete_from)));
      }
      const auto found = table.producers.find(source.named.id());
      progress = Offset{found == table.producers.end() ? 0 : found->second.records};
    }
    return {};
  }

  Result<void> check_record(Offset last, const RecordInput& record) const {
    if (last >= kCopiedOffsetMax)
      return fail(Code::bad_data, fmt::format("offset {} is above what a batch's header can hold", last.value));
    TRY(check_record_size(payload_bytes(record), topic_.settings(), topic_.name()));
    return check_key(record, topic_.settings(), topic_.name());
  }

  std::unexpected<Error> refuse_cut(Lane& lane) const {
    return fail(Code::io,
                fmt::format("{}: the log was cut while it was appended to", lane.partition().directory().path()));
  }

  Result<void> close(Lane& lane) {
    const Source& source = sources_.find(*lane.source)->second;
    const Offset first = lane.behind - lane.open_batch().record_count();
    return lane.close(copied_from(source.named.id(), first));
  }

  // Closes the lane's open batch, and appends where enough has come together.
  Result<void> finish(Lane& lane) {
    TRY(close(lane));
    if (lane.is_due()) return append(lane);
    return share_.is_full() ? append_all() : Result<void>{};
  }

  Result<void> append(Lane& lane) {
    TRY(lane.append([&](const LogEnd& end) -> Result<void> {
      for (const auto& [name, source] : sources_) TRY(source.named.check_current());
      if (end.epoch != lane.epoch) return refuse_cut(lane);
      return {};
    }));
    return {};
  }

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
    return {};
  }

  Topic topic_;
  LaneShare share_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::map<std::string, Source, std::less<>> sources_;
  std::optional<Error> failure_;
  BackgroundSync background_;  // the last, so that it ends first
};

}  // namespace

Result<std::unique_ptr<DerivedWriter>> open_local_derived(const DataDir& data_dir, std::string_view topic) {
  return std::make_unique<LocalDerived>(TRY(Topic::open(data_dir, topic, Topic::Access::write)));
}

Result<std::unique_ptr<DerivedWriter>> Backend::open_derived(std::string_view topic) {
  return fail(Code::usage, fmt::format("records of topic \"{}\" cannot be told from those made again here", topic));
}

}  // namespace leat
