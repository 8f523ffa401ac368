// The durable log start offset of a partition: records below it are trimmed away.
//
//   start    two checksummed slots (base/checked_slots.h) of one value: offset i64. Never written is offset 0
//
// Written out in zeros when the partition is made, so that trimming a log on a full disk, which frees space, needs
// none.
#pragma once

#include "leat/base/disk.h"
#include "leat/base/error.h"
#include "leat/base/types.h"

namespace leat {

// Makes the file. The name is durable once the caller has synced the directory.
Result<void> create_log_start_file(const Directory& partition);

// A missing file is offset 0. Errors: damaged (both slots), io.
Result<Offset> read_log_start(const Directory& partition);

// Lock required: append. Durable on return. Errors: damaged, io.
Result<void> store_log_start(const Directory& partition, Offset start);

}  // namespace leat
