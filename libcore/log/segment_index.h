// The sparse indexes beside a segment: .index (offset -> position) and .timeindex (running maximum time -> offset), in
// Kafka's layout. Derived: they can be deleted, damaged or behind, and only ever shorten a search. Never the truth,
// never synced.
//
//   .index       { relative offset i32, position i32 }*     the batch at `position` has this base offset
//   .timeindex   { timestamp i64, relative offset i32 }*    the batch of this base offset has this maximum timestamp,
//   and no
//                                                           batch before it has a larger one
//
// Big-endian; offsets relative to the segment's base. One .index entry for the first batch that starts 4096 bytes or
// more behind the last entry's; at the same places, one .timeindex entry when the running maximum has grown. Entries
// follow from the log alone, so a rebuilt index equals the lost one.
#pragma once

#include <cstdint>
#include <optional>

#include "leat/base/disk.h"
#include "leat/log/batch.h"
#include "leat/log/segment.h"

namespace leat {

inline constexpr std::int64_t kIndexIntervalBytes = 4096;
inline constexpr std::size_t kIndexEntryBytes = 8;
inline constexpr std::size_t kTimeIndexEntryBytes = 12;

// A place to start a walk at: a whole batch with this base offset begins there.
struct IndexHint {
  std::int64_t position = 0;
  Offset base{};
};

struct OffsetIndexEntry {
  Offset offset{};
  std::int64_t position = 0;
};
struct TimeIndexEntry {
  TimestampMs timestamp{};
  Offset offset{};
};

// The best known place at or before `offset` in the segment `base`, whose log is `log`. An entry counts only if a batch
// of that base offset starts where it points; without one, the segment's start. Never fails for a missing or damaged
// index. `depth` says how much of that batch is looked at: headers is enough for whoever reads on from there and checks
// what he reads.
IndexHint find_by_offset(const Directory& partition, Offset base, const File& log, Offset offset,
                         WalkDepth depth = WalkDepth::checked);

// An offset such that every record of the segment before it is older than `time`: where a search by time may start.
Offset find_by_time(const Directory& partition, Offset base, const File& log, TimestampMs time);

// Extends both indexes of the segment to what lies before `end_position`, whole batches only; entries that do not fit
// the log are cut first. Creates missing files. Lock required: the partition's index lock. Errors: io; the indexes stay
// usable.
Result<void> catch_up_index(const Directory& partition, Offset base, const File& log, std::int64_t end_position);

// All entries, for inspection. Missing files are empty.
Result<std::vector<OffsetIndexEntry>> read_offset_index(const Directory& partition, Offset base);
Result<std::vector<TimeIndexEntry>> read_time_index(const Directory& partition, Offset base);

}  // namespace leat
