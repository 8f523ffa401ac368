// What the files of a partition hold, for people who look into them. Changes nothing, takes no lock, believes nothing
// that the log itself does not say, and goes on behind damage.
#pragma once

#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "leat/log/segment.h"
#include "leat/log/topic.h"

namespace leat {

// A half-open range of offsets.
struct OffsetRange {
  Offset from{0};
  Offset end{std::numeric_limits<std::int64_t>::max()};
};

// One segment and the indexes beside it.
struct SegmentSummary {
  Offset base{};
  Offset next{};                    // behind its last whole batch
  std::int64_t bytes = 0;           // of the .log file
  bool active = false;              // the last one, which is written to
  std::int64_t offset_entries = 0;  // in the .index file
  std::int64_t time_entries = 0;    // in the .timeindex file
};

// An entry of one of the two indexes.
struct IndexEntryReport {
  Offset segment{};
  bool by_time = false;  // from .timeindex, else .index
  Offset offset{};
  std::int64_t position = -1;    // .index only
  TimestampMs timestamp{};       // .timeindex only
  bool points_at_batch = false;  // a batch with this base offset is there (and has this timestamp as its largest)
};

// What was noticed on the way.
struct InspectionFindings {
  std::vector<Error> damage;         // each with path, byte, last good and next readable offset
  std::vector<std::string> notices;  // sentences: an unfinished write at the end, an index entry that is wrong
};

// One open partition. `topic` must outlive it.
class PartitionInspection {
 public:
  // Errors: not_found, io.
  static Result<PartitionInspection> open(const Topic& topic, PartitionId id);

  // The segments that hold offsets of `range`. Errors: io.
  Result<std::vector<SegmentSummary>> segments(OffsetRange range, InspectionFindings& findings) const;

  // Calls `visit` for every whole batch that holds offsets of `range`, in order, with the base offset of its segment.
  // With `decode`, its records are decoded too. Errors: io, and those of `visit`.
  using BatchVisitor = std::function<Result<void>(Offset segment, const BatchAt& batch)>;
  Result<void> visit_batches(OffsetRange range, bool decode, InspectionFindings& findings,
                             const BatchVisitor& visit) const;

  // The entries of both indexes for offsets of `range`, segment by segment. Errors: io.
  Result<std::vector<IndexEntryReport>> index_entries(OffsetRange range, InspectionFindings& findings) const;

 private:
  PartitionInspection(Directory directory, std::vector<Offset> bases, Offset durable_end)
      : directory_(std::move(directory)), bases_(std::move(bases)), durable_end_(durable_end) {}

  // The segments [first, last) that hold offsets of `range`.
  std::pair<std::size_t, std::size_t> segments_of(OffsetRange range) const;
  Result<bool> visit_segment(std::size_t index, OffsetRange range, bool decode, InspectionFindings& findings,
                             const BatchVisitor& visit) const;
  Result<bool> pass_bad_place(std::size_t index, const File& log, std::int64_t file_bytes, const char* fault,
                              SegmentWalk& walk, InspectionFindings& findings) const;

  Directory directory_;
  std::vector<Offset> bases_;
  Offset durable_end_;  // as the state page says, 0 where there is none
};

}  // namespace leat
