// Retention carried out: early rolls, raising the log start, unlinking what lies wholly below it. Run by writers now
// and then, outside the append lock, by one process at a time.
#pragma once

#include "leat/base/clock.h"
#include "leat/log/partition.h"

namespace leat {

// Applies the topic's retention to the partition, unless another process is doing so. The new log start is durable
// before anything is unlinked, oldest first. Errors: as Partition::append(); damaged (a segment whose age cannot be
// read is kept).
Result<void> apply_retention(Partition& partition, TimestampMs now);

// Before the segments below `base` are changed or removed: keeps what idempotent producers have in them, if the topic
// has any such producer. Errors: damaged, io.
Result<void> keep_producers(const Partition& partition, Offset base);

// Unlinks the sealed segments that lie wholly below the durable log start. Lock required: maintenance.
Result<void> unlink_retired(const Partition& partition, Offset log_start);

// The largest timestamp of a segment's batches, from its index and what lies behind it.
Result<TimestampMs> segment_max_timestamp(const Directory& partition, Offset base);

// Trims: raises the durable log start to `start`, closing the active segment when nothing readable is left in it, and
// frees what can be freed. Errors: as Partition::append(), busy.
Result<void> trim_partition(Partition& partition, Offset start);

}  // namespace leat
