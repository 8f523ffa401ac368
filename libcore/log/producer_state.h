// What idempotent producers have written to a partition (after KIP-98): for each producer id how many records, and
// which was the last. The log itself says so, in its batch headers; a snapshot at the base of a segment spares the walk
// over what lies before it, and outlives it.
//
//   <base>.producers
//      0   8  magic "leatps01"
//      8   8  base: the snapshot covers what lies before this offset
//     16   8  complete from: every producer registered at or behind this offset is in it
//     24   8  number of entries, which follow:
//             id i64, epoch i64, records i64, offset of the last i64, hash of its key and value u64
//      -   4  CRC-32C of all before
//
// Byte order of the machine. Derived while the segments before it are there, and made before they go.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "leat/base/disk.h"
#include "leat/log/partition_state.h"

namespace leat {

// What one producer id has in a partition.
struct ProducerProgress {
  std::int64_t epoch = 0;       // of its last batch
  std::int64_t records = 0;     // appended so far; the sequence of the next one is this modulo 2^31
  Offset last_offset{-1};       // of the last one
  std::uint64_t last_hash = 0;  // hash_of_record() of the last one
};

struct ProducerTable {
  Offset complete_from{};  // says nothing of producers that were registered before
  std::map<std::int64_t, ProducerProgress> producers;
};

// The sequence that follows `records` records.
std::int32_t sequence_behind(std::int64_t records);

// Tells records apart well enough to notice another input: 32 bits of the key, 32 of the value; null is not empty.
std::uint64_t hash_of_record(std::optional<std::string_view> key, std::optional<std::string_view> value);

// The table of everything before `end`. Cost: the batch headers behind the last snapshot. Errors: damaged (a sequence
// with a gap or an older epoch, a batch that does not read), io.
Result<ProducerTable> read_producers(const Directory& partition, const LogEnd& end);

// Writes the snapshot at the base of a segment, unless it is there: everything before it must be synced. Durable on
// return. Errors: as read_producers().
Result<void> snapshot_producers(const Directory& partition, Offset base);

}  // namespace leat
