// The entries of a segment's indexes, held against its batches one by one.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "leat/log/segment_index.h"

namespace leat {

// Follows the entries of both indexes of a segment along with its batches. An entry holds when a batch with what it
// says is there.
class IndexWatch {
 public:
  static Result<IndexWatch> open(const Directory& partition, Offset base) {
    IndexWatch watch;
    for (const OffsetIndexEntry& entry : TRY(read_offset_index(partition, base)))
      watch.offsets_.push_back({entry, std::ssize(watch.offsets_), false});
    for (const TimeIndexEntry& entry : TRY(read_time_index(partition, base)))
      watch.times_.push_back({entry, std::ssize(watch.times_), false});
    std::ranges::stable_sort(watch.offsets_, {}, [](const auto& e) { return e.entry.position; });
    std::ranges::stable_sort(watch.times_, {}, [](const auto& e) { return e.entry.offset; });
    return watch;
  }

  void pass(const BatchAt& batch) {
    const BatchHeader& header = batch.header;
    while (offset_at_ < offsets_.size() && offsets_[offset_at_].entry.position < batch.position) ++offset_at_;
    for (; offset_at_ < offsets_.size() && offsets_[offset_at_].entry.position == batch.position; ++offset_at_)
      offsets_[offset_at_].holds = offsets_[offset_at_].entry.offset == header.base_offset;
    while (time_at_ < times_.size() && times_[time_at_].entry.offset < header.base_offset) ++time_at_;
    for (; time_at_ < times_.size() && times_[time_at_].entry.offset == header.base_offset; ++time_at_) {
      times_[time_at_].holds =
          times_[time_at_].entry.timestamp == header.max_timestamp && header.max_timestamp >= maximum_;
    }
    maximum_ = std::max(maximum_, header.max_timestamp);
  }

  // Where others append: entries of batches behind this end are not judged.
  void excuse_behind(std::int64_t position, Offset end) {
    for (auto& watched : offsets_) watched.holds |= watched.entry.position >= position;
    for (auto& watched : times_) watched.holds |= watched.entry.offset >= end;
  }

  struct Wrong {
    std::int64_t first = -1;  // number of the first entry that does not hold
    std::int64_t count = 0;
    std::int64_t of = 0;
  };
  Wrong wrong_offsets() const { return count_wrong(offsets_); }
  Wrong wrong_times() const { return count_wrong(times_); }

 private:
  template <class Entry>
  struct Watched {
    Entry entry;
    std::int64_t number;
    bool holds;
  };

  template <class Entry>
  static Wrong count_wrong(const std::vector<Watched<Entry>>& entries) {
    Wrong wrong{.of = std::ssize(entries)};
    for (const auto& watched : entries) {
      if (watched.holds) continue;
      wrong.first = wrong.count++ == 0 ? watched.number : std::min(wrong.first, watched.number);
    }
    return wrong;
  }

  std::vector<Watched<OffsetIndexEntry>> offsets_;
  std::vector<Watched<TimeIndexEntry>> times_;
  std::size_t offset_at_ = 0;
  std::size_t time_at_ = 0;
  TimestampMs maximum_{std::numeric_limits<std::int64_t>::min()};
};

}  // namespace leat
