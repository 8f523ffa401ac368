// Copying into a data directory: batches of consecutive source offsets, whose headers say which these are. See
// copy_writer.h for why.
#include <fmt/format.h>

#include <algorithm>

#include "leat/backend/local.h"
#include "leat/backend/local_lane.h"
#include "leat/backend/record_check.h"
#include "leat/log/file_names.h"
#include "leat/log/named_producer.h"
#include "leat/log/partition_reader.h"
#include "leat/log/producer_state.h"

namespace leat {

namespace {

constexpr std::size_t kBatchBytes = 64 << 10;

// Another source's copy that is registered in the topic, if there is one.
bool has_other_copy(const Topic& topic, std::string_view name) {
  const auto producers = topic.directory().open_directory(kProducersDirectory);
  const auto names = producers ? producers->list() : fail(Code::not_found, {});
  return names && std::ranges::any_of(*names, [&](const std::string& other) {
           return other.starts_with(kCopyPrefix) && other != name;
         });
}

// One partition of the copy.
struct Lane : LocalLane {
  using LocalLane::LocalLane;

  std::optional<CopyProgress> progress;
  Offset batch_source{};   // of the first record of the open batch
  Offset behind_last{};    // the copy's last record appended is directly before this; 0 when there is none
  std::int64_t epoch = 0;  // of the log when that was read
};

class LocalCopy final : public CopyWriter {
 public:
  LocalCopy(Topic topic, const CopySource& source)
      : topic_(std::move(topic)),
        source_(source),
        background_(topic_, topic_.settings().durability == Durability::sync) {}

  // Takes the source's name and finds out what earlier runs have copied.
  Result<void> open() {
    const bool syncs = topic_.settings().durability == Durability::sync;
    std::vector<Offset> ends;
    for (PartitionId p{0}; p.value < topic_.settings().partitions; p += 1) {
      lanes_.push_back(std::make_unique<Lane>(TRY(Partition::open(topic_, p)), topic_.settings().compression, syncs,
                                              share_, background_));
      const LogEnd end = TRY(lanes_.back()->partition().end());
      // What is not copied again must be as durable as what is appended.
      TRY(lanes_.back()->commit(end));
      ends.push_back(end.end);
    }
    if (!source_.merge && !is_registered()) TRY(check_empty(ends));
    named_ = TRY(NamedProducer::open(topic_, source_.name, {topic_.settings().partitions, {}, true}, ends));
    for (const auto& lane : lanes_) TRY(resume(*lane));
    return {};
  }

  std::int32_t partitions() const override { return static_cast<std::int32_t>(lanes_.size()); }
  std::optional<CopyProgress> progress(PartitionId partition) const override { return lane_of(partition).progress; }

  Result<void> write(PartitionId partition, std::span<const RecordView> records) override {
    if (failure_) return std::unexpected(*failure_);
    auto written = take(lane_of(partition), records);
    if (!written) failure_ = written.error();
    return written;
  }

  Result<void> flush() override {
    if (failure_) return std::unexpected(*failure_);
    auto flushed = flush_all();
    if (!flushed) failure_ = flushed.error();
    return flushed;
  }

  Result<std::vector<Result<Offset>>> translate(PartitionId partition, std::span<const Offset> offsets,
                                                const SourceTailOf&) override {
    const Lane& lane = lane_of(partition);
    std::vector<Result<Offset>> found;
    if (offsets.empty() || !lane.progress) {
      found.assign(offsets.size(), lane.behind_last);
      return found;
    }
    PartitionReader reader = TRY(PartitionReader::open(topic_, partition, true));
    const VisibleRange range = TRY(reader.visible());
    // As many records lie behind the first one wanted as there are offsets between, unless there are others' too.
    const Offset near = lane.behind_last - std::max<std::int64_t>(lane.progress->next - offsets.front(), 0);
    TRY(reader.seek(std::clamp(near, range.start, range.end)));
    bool from_start = near <= range.start;
    while (found.size() < offsets.size()) {
      const auto batch = TRY(reader.next(range));
      if (!batch) break;
      if (batch->header.producer_id != named_->id() || batch->header.record_count == 0) continue;
      const Offset source = source_of(batch->header);
      if (!from_start && source > offsets[found.size()]) {
        TRY(reader.seek(range.start));
        found.clear();
        from_start = true;
        continue;
      }
      from_start = true;
      const Offset behind = source + (std::int64_t{batch->header.last_offset_delta} + 1);
      while (found.size() < offsets.size() && offsets[found.size()] < behind) {
        const Offset wanted = std::max(offsets[found.size()], source);
        found.emplace_back(std::max(range.start, batch->header.base_offset + (wanted - source)));
      }
    }
    found.resize(offsets.size(), lane.behind_last);
    return found;
  }

  std::vector<std::string> take_notices() override {
    std::vector<std::string> notices;
    for (const auto& lane : lanes_)
      for (std::string& notice : lane->partition().take_notices()) notices.push_back(std::move(notice));
    return notices;
  }

 private:
  Lane& lane_of(PartitionId partition) const { return *lanes_[static_cast<std::size_t>(partition.value)]; }

  bool is_registered() const {
    const auto producers = topic_.directory().open_directory(kProducersDirectory);
    return producers && producers->exists(source_.name);
  }

  Result<void> check_empty(std::span<const Offset> ends) const {
    for (std::size_t p = 0; p < ends.size(); ++p)
      if (ends[p] > Offset{0}) return refuse(PartitionId{static_cast<std::int32_t>(p)}, Offset{0});
    return {};
  }

  // The partition holds what this copy has not put there, from `offset` on.
  std::unexpected<Error> refuse(PartitionId partition, Offset offset) const {
    if (has_other_copy(topic_, source_.name)) {
      return fail(Code::other_input,
                  fmt::format("topic \"{}\" at the destination holds a copy of another topic of that name, which the "
                              "source has no longer",
                              topic_.name()),
                  "copy into an empty topic, or add --merge to have both");
    }
    return fail(
        Code::exists,
        fmt::format("partition {} of \"{}\" at the destination has records from offset {} on that this copy has "
                    "not put there",
                    partition.value, topic_.name(), offset.value),
        "copy into an empty topic, or add --merge to have both");
  }

  Result<void> resume(Lane& lane) {
    const LogEnd end = TRY(lane.partition().end());
    const ProducerTable table = TRY(read_producers(lane.partition().directory(), end));
    if (table.complete_from > named_->since(lane.id())) {
      return fail(Code::damaged, fmt::format("{}: what was copied is known from offset {} on only; {} may be missing",
                                             lane.partition().directory().path(), table.complete_from.value,
                                             producers_file_name(table.complete_from)));
    }
    lane.epoch = end.epoch;
    if (const auto found = table.producers.find(named_->id()); found != table.producers.end()) {
      const ProducerProgress& before = found->second;
      lane.progress = {{before.records}, before.last_hash == 0 ? std::nullopt : std::optional(before.last_hash)};
      lane.behind_last = before.last_offset + 1;
    }
    if (!source_.merge && end.end != lane.behind_last) return refuse(lane.id(), lane.behind_last);
    return {};
  }

  Result<void> take(Lane& lane, std::span<const RecordView> records) {
    for (const RecordView& record : records) {
      ASSERT(!lane.progress || record.offset >= lane.progress->next);
      if (record.offset >= kCopiedOffsetMax) {
        return fail(Code::bad_data, fmt::format("offset {} is above what a copy can hold, which ends at {}",
                                                record.offset.value, kCopiedOffsetMax.value - 1));
      }
      TRY(check_record(record));
      const bool follows = lane.batch_source + lane.open_batch().record_count() == record.offset;
      if (!lane.open_batch().empty() && (!follows || lane.open_batch().plain_bytes() >= kBatchBytes)) TRY(finish(lane));
      const RecordInput input{record.key, record.value, record.headers, {}};
      auto added = lane.add(input, record.timestamp);
      if (!added && !lane.open_batch().empty()) {
        // What does not fit behind the others may do so alone.
        TRY(finish(lane));
        added = lane.add(input, record.timestamp);
      }
      TRY(std::move(added));
      if (lane.open_batch().record_count() == 1) lane.batch_source = record.offset;
      lane.progress = {record.offset + 1, hash_of_record(record.key, record.value)};
    }
    return {};
  }

  Result<void> check_record(const RecordView& record) const {
    if (!lacks_key(record.key, topic_.settings())) return {};
    return fail(Code::bad_data,
                fmt::format("a record without a key, at source offset {} of partition {}, cannot go to topic \"{}\", "
                            "whose cleanup is compact",
                            record.offset.value, record.partition.value, topic_.name()));
  }

  Result<void> close(Lane& lane) { return lane.close(copied_from(named_->id(), lane.batch_source)); }

  // Closes the lane's open batch, and appends where enough has come together.
  Result<void> finish(Lane& lane) {
    TRY(close(lane));
    if (lane.is_due()) return append(lane);
    return share_.is_full() ? append_all() : Result<void>{};
  }

  // The log must be as it was left: else what follows would not be what is expected behind it.
  Result<void> append(Lane& lane) {
    const auto appended = TRY(lane.append([&](const LogEnd& end) -> Result<void> {
      TRY(named_->check_current());
      if (end.epoch != lane.epoch) {
        return fail(Code::io, fmt::format("{}: the log was cut while it was copied to; run the copy again",
                                          lane.partition().directory().path()));
      }
      if (!source_.merge && end.end != lane.behind_last) return refuse(lane.id(), lane.behind_last);
      return {};
    }));
    if (appended) lane.behind_last = appended->end;
    return {};
  }

  Result<void> append_all() {
    for (const auto& lane : lanes_) {
      if (!lane->open_batch().empty()) TRY(close(*lane));
      TRY(append(*lane));
    }
    return {};
  }

  Result<void> flush_all() {
    TRY(append_all());
    for (const auto& lane : lanes_) TRY(lane->commit());
    return {};
  }

  Topic topic_;
  CopySource source_;
  LaneShare share_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::optional<NamedProducer> named_;
  std::optional<Error> failure_;
  BackgroundSync background_;  // the last, so that it ends first
};

}  // namespace

Result<std::unique_ptr<CopyWriter>> open_local_copy(const DataDir& data_dir, std::string_view topic,
                                                    const CopySource& source) {
  auto copy = std::make_unique<LocalCopy>(TRY(Topic::open(data_dir, topic, Topic::Access::write)), source);
  TRY(copy->open());
  return copy;
}

}  // namespace leat
