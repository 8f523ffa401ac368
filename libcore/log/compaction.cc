#include "leat/log/compaction.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "leat/log/file_names.h"
#include "leat/log/maintenance.h"
#include "leat/log/partitioner.h"
#include "leat/log/recovery.h"
#include "leat/log/segment_index.h"

namespace leat {

namespace {

// Keys and their bookkeeping held in memory at once.
constexpr std::size_t kKeyBytesMax = 16 << 20;
constexpr std::size_t kBytesPerKey = 80;

// Calls `use` for every record of the segment up to `limit`. Stops with damaged at a bad place.
template <class Use>
Result<void> for_each_batch(const Directory& directory, Offset base, std::int64_t limit, Use use) {
  const File log = TRY(directory.open_file(log_file_name(base), OpenMode::read));
  if (limit < 0) limit = TRY(log.size());
  SegmentWalk walk(log, 0, base);
  for (;;) {
    const WalkStep step = TRY(walk.next(limit));
    if (step.kind == WalkStep::Kind::end) return {};
    if (step.kind == WalkStep::Kind::bad) {
      return std::unexpected(
          damage_error(log.path(), walk.position(), step.fault, walk.expected(), base, std::nullopt));
    }
    TRY(use(step.batch));
  }
}

// One bit per offset from `first` on: whether the record there is the last of its key.
class Survivors {
 public:
  Survivors(Offset first, Offset end) : first_(first), bits_(static_cast<std::size_t>(end - first)) {}
  void set(Offset offset, bool stays) { bits_[static_cast<std::size_t>(offset - first_)] = stays; }
  bool stays(Offset offset) const { return bits_[static_cast<std::size_t>(offset - first_)]; }

 private:
  Offset first_;
  std::vector<bool> bits_;
};

// What is compacted: the segments, and where the durable log ends.
struct Scope {
  std::vector<Offset> bases;
  LogEnd end;
  Offset start;
};

// Marks the last record of every key whose hash falls into the slice. False when the keys did not fit and nothing may
// be concluded.
Result<bool> mark_slice(const Directory& directory, const Scope& scope, std::uint32_t slice, std::uint32_t slices,
                        Survivors& survivors) {
  std::unordered_map<std::string, Offset> last;
  std::size_t bytes = 0;
  bool fits = true;
  BatchDecoder decoder;
  for (const Offset base : scope.bases) {
    TRY(for_each_batch(directory, base, base == scope.end.segment_base ? scope.end.position : -1,
                       [&](const BatchAt& batch) -> Result<void> {
                         if (!fits) return {};
                         for (const RecordView& record : TRY(decoder.decode(batch.bytes))) {
                           if (record.offset < scope.start || record.offset >= scope.end.end) continue;
                           if (!record.key) {
                             survivors.set(record.offset, true);
                             continue;
                           }
                           if (slices > 1 && murmur2(as_bytes(*record.key)) % slices != slice) continue;
                           const auto [entry, is_new] = last.try_emplace(std::string(*record.key), record.offset);
                           if (!is_new) {
                             survivors.set(entry->second, false);
                             entry->second = record.offset;
                           } else {
                             bytes += record.key->size() + kBytesPerKey;
                             fits = bytes <= kKeyBytesMax || slices >= 4096;
                           }
                           survivors.set(record.offset, true);
                         }
                         return {};
                       }));
    if (!fits) return false;
  }
  return true;
}

Result<Survivors> mark_survivors(const Directory& directory, const Scope& scope) {
  for (std::uint32_t slices = 1;; slices *= 8) {
    Survivors survivors(scope.bases.front(), scope.end.end);
    bool fits = true;
    for (std::uint32_t slice = 0; slice < slices && fits; ++slice)
      fits = TRY(mark_slice(directory, scope, slice, slices, survivors));
    if (fits) return survivors;
  }
}

// Writes one segment again with only what stays.
class Rewriter {
 public:
  // Tombstones older than `tombstones_before` go; none does when it is absent.
  Rewriter(const Directory& directory, Offset base, const Survivors& survivors,
           std::optional<TimestampMs> tombstones_before)
      : directory_(directory), base_(base), survivors_(survivors), tombstones_before_(tombstones_before) {}

  // How many records the segment holds, and how many of them would go.
  struct Counts {
    std::int64_t records = 0;
    std::int64_t dead = 0;

    bool worth_rewriting() const { return dead > 0 && dead * 10 >= records; }
  };
  Result<Counts> count() {
    Counts counts;
    TRY(for_each_batch(directory_, base_, -1, [&](const BatchAt& batch) -> Result<void> {
      for (const RecordView& record : TRY(decoder_.decode(batch.bytes))) {
        ++counts.records;
        counts.dead += !stays(record);
      }
      return {};
    }));
    return counts;
  }

  // The rewritten segment lies beside the old one, synced, on return; after an error nothing does.
  Result<void> write() {
    auto written = write_file();
    // What a full disk leaves half-made takes up the space that is missing.
    if (!written) (void)directory_.unlink(compacting_file_name(base_));
    return written;
  }

 private:
  Result<void> write_file() {
    file_ = TRY(directory_.open_file(compacting_file_name(base_), OpenMode::create_or_open));
    TRY(file_.truncate(0));
    TRY(for_each_batch(directory_, base_, -1, [&](const BatchAt& batch) { return rewrite(batch); }));
    TRY(close_gap());
    return file_.sync_data();
  }

  bool stays(const RecordView& record) const {
    return survivors_.stays(record.offset) &&
           (record.value || !tombstones_before_ || record.timestamp >= *tombstones_before_);
  }

  Result<void> rewrite(const BatchAt& batch) {
    const std::span<RecordView> records = TRY(decoder_.decode(batch.bytes));
    const auto staying =
        static_cast<std::size_t>(std::ranges::count_if(records, [this](const RecordView& r) { return stays(r); }));
    const BatchHeader& header = batch.header;
    if (staying == 0) {
      gap_time_ = gap_ ? std::max(gap_time_, header.max_timestamp) : header.max_timestamp;
      if (!gap_) gap_ = header.base_offset;
      gap_end_ = header.end_offset();
      return {};
    }
    TRY(close_gap());
    if (staying == records.size()) return append(batch.bytes);
    BatchBuilder builder(header.codec());
    for (const RecordView& record : records) {
      if (!stays(record)) continue;
      TRY(builder.add_at(static_cast<std::int32_t>(record.offset - header.base_offset),
                         {record.key, record.value, record.headers, {}}, record.timestamp));
    }
    EncodedBatch rewritten = TRY(
        builder.finish({header.producer_id, header.producer_epoch, header.base_sequence}, header.last_offset_delta));
    place_batch(rewritten.bytes, header.base_offset, header.leader_epoch);
    return append(rewritten.bytes);
  }

  Result<void> close_gap() {
    if (!gap_) return {};
    return append(make_filler(*std::exchange(gap_, std::nullopt), gap_end_, gap_time_));
  }

  Result<void> append(Bytes bytes) {
    TRY(file_.write_at(bytes, position_));
    position_ += static_cast<std::int64_t>(bytes.size());
    return {};
  }

  const Directory& directory_;
  Offset base_;
  const Survivors& survivors_;
  std::optional<TimestampMs> tombstones_before_;
  BatchDecoder decoder_;
  File file_;
  std::int64_t position_ = 0;
  std::optional<Offset> gap_;
  Offset gap_end_{};
  TimestampMs gap_time_{};
};

}  // namespace

Result<void> take_place(Partition& partition, Offset base) {
  const Directory& directory = partition.directory();
  auto renamed = partition.with_append_lock([&]() -> Result<void> {
    // The durable end that a power cut leaves in the page must not be one in this segment, whose bytes are about to
    // move.
    TRY(partition.persist_state());
    TRY(directory.rename(compacting_file_name(base), directory, log_file_name(base)));
    return directory.sync();
  });
  if (!renamed) {
    (void)directory.unlink(compacting_file_name(base));
    return renamed;
  }
  // The indexes are derived: until they fit again, their entries are checked against the log and passed over.
  (void)directory.unlink(index_file_name(base));
  (void)directory.unlink(time_index_file_name(base));
  const RangeLock lock = TRY(partition.take_lock(StateLocks::index(partition.id())));
  if (!lock) return {};
  if (const auto log = directory.open_file(log_file_name(base), OpenMode::read)) {
    if (const auto bytes = log->size()) (void)catch_up_index(directory, base, *log, *bytes);
  }
  return {};
}

Result<void> compact_partition(Partition& partition, TimestampMs now) {
  const LogEnd published = TRY(partition.end());
  const RangeLock lock = TRY(partition.take_lock(StateLocks::maintenance(partition.id())));
  if (!lock) return {};
  const Directory& directory = partition.directory();
  std::vector<Offset> bases = TRY(list_segments(directory));
  const LogEnd durable = TRY(partition.durable_end());
  Scope scope{std::move(bases), durable, published.log_start};
  std::erase_if(scope.bases, [&](Offset base) { return base > scope.end.segment_base; });
  if (scope.bases.size() < 2) return {};
  scope.start = std::max(scope.start, scope.bases.front());
  const Survivors survivors = TRY(mark_survivors(directory, scope));
  const std::int64_t tombstone_ms = partition.topic().settings().retention_ms.value_or(kTombstoneRetention.count());
  TRY(keep_producers(partition, scope.bases.back()));
  scope.bases.pop_back();
  // A tombstone may go only once nothing that it superseded is left before it: else the older value would come back.
  bool all_gone_before = true;
  for (const Offset base : scope.bases) {
    const std::optional<TimestampMs> tombstones_before =
        all_gone_before ? std::optional(now - tombstone_ms) : std::nullopt;
    Rewriter rewriter(directory, base, survivors, tombstones_before);
    const Rewriter::Counts counts = TRY(rewriter.count());
    if (counts.worth_rewriting()) {
      TRY(rewriter.write());
      TRY(take_place(partition, base));
    } else if (counts.dead > 0) {
      all_gone_before = false;
    }
  }
  return {};
}

}  // namespace leat
