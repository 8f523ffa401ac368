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
//
// An id below -1 is that of a copy of another log. What its batches say is not how many records came before but from
// where they are: the source offset of a batch's first record is epoch * 2^31 + base sequence, the others follow it
// without a gap, and the next batch may begin anywhere behind. Whoever reads them as Kafka does sees batches of no
// idempotent producer (its ids are not negative).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "leat/base/disk.h"
#include "leat/log/batch.h"
#include "leat/log/partition_state.h"

namespace leat {

// What one producer id has in a partition.
struct ProducerProgress {
  std::int64_t epoch = 0;  // of its last batch
  // Appended so far; the sequence of the next one is this modulo 2^31. Of a copy: the source offset behind the last.
  std::int64_t records = 0;
  Offset last_offset{-1};       // of the last one
  std::uint64_t last_hash = 0;  // hash_of_record() of the last one, 0 when compaction has removed it
};

struct ProducerTable {
  Offset complete_from{};  // says nothing of producers that were registered before
  std::map<std::int64_t, ProducerProgress> producers;
};

// The sequence that follows `records` records.
std::int32_t sequence_behind(std::int64_t records);

// Whether an id is that of a copy.
constexpr bool is_copy_id(std::int64_t producer_id) {
  return producer_id < -1;
}
// Source offsets of a copy lie below this: what a batch header has room for.
inline constexpr Offset kCopiedOffsetMax{std::int64_t{1} << 46};
// The header fields of a copy's batch whose first record has this source offset, and the reverse.
BatchProducer copied_from(std::int64_t producer_id, Offset source);
Offset source_of(const BatchHeader& header);

// Tells records apart well enough to notice another input: 32 bits of the key, 32 of the value; null is not empty.
std::uint64_t hash_of_record(std::optional<std::string_view> key, std::optional<std::string_view> value);

// The table of everything before `end`. Cost: the batch headers behind the last snapshot. Errors: damaged (a sequence
// with a gap or an older epoch, a batch that does not read), io.
Result<ProducerTable> read_producers(const Directory& partition, const LogEnd& end);

// Writes the snapshot at the base of a segment, unless it is there: everything before it must be synced. Durable on
// return. Errors: as read_producers().
Result<void> snapshot_producers(const Directory& partition, Offset base);

}  // namespace leat
