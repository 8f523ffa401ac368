// Compaction of `cleanup = compact` topics: of each key only the last record stays. Sealed segments are rewritten one
// at a time; a batch keeps its offsets, and where nothing is left of one or more, a filler spans them, so batch headers
// stay dense.
#pragma once

#include "leat/base/clock.h"
#include "leat/log/partition.h"

namespace leat {

// How long a tombstone (a null value) stays when the topic has no retention time.
inline constexpr Milliseconds kTombstoneRetention = std::chrono::hours(24);

// Rewrites the sealed segments of which a tenth or more is superseded, unless another process is doing so. Only durable
// records supersede others. The rewritten segment is synced, then takes its place under the append lock; readers inside
// the old one finish it. Memory is bounded: keys are looked at in slices. Errors: damaged, io, and those of
// Partition::append().
Result<void> compact_partition(Partition& partition, TimestampMs now);

// Puts the segment that lies written and synced under compacting_file_name(base) in the place of the one of that base,
// if there is any, under the append lock, and lets its indexes be built anew; what lies beside is gone after an error.
// Never for the active segment. Lock required: maintenance. Durable on return. Errors: as Partition::append().
Result<void> take_place(Partition& partition, Offset base);

}  // namespace leat
