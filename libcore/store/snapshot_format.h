// A partition of a store as it was at a place in its changelog, in a file: what makes starting independent of history.
//
//   file     = header block* end
//   header   = "leatss01"                      8
//              CRC-32C of the rest of it       4
//              its size, all of it             4
//              incarnation of the changelog   16
//              next offset of the changelog    8    everything before is in the file, and perhaps some behind
//              next offset of the source       8
//              when that was, ms since 1970    8
//              keys, about                     8    room to make for them before they are read
//              partition                       4
//              id of the store                 -    as long as the size says
//   block    = records, not 0                  4
//              bytes of the records            4
//              CRC-32C of the two and these    4
//              record*
//   record   = source offset, key bytes, value bytes     zigzag varints
//              key, value
//   end      = 0                               4
//              records in the file             8
//              CRC-32C of the two              4
//
// Integers are big-endian. Keys come in the order of the table's scan, each once. Put in that order into a table that
// has to grow, they would crowd at the front of its shards, each behind all before. The table may be changed while it
// is written: what is newer than the header says is found in the changelog again, and comes to the same.
//
// DIR/stores/<id>/<partition>.snapshot, replaced by rename; DIR/stores/<id>/lock, byte p of which is held by whoever
// writes that of partition p. Disposable: without it, or with one that is damaged or too old, the changelog is read
// from its beginning. Too old is half of the time for which compaction keeps tombstones: a deletion behind the snapshot
// could be missing.
//
// Version history: 01 is the first.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "leat/base/bytes.h"
#include "leat/store/table.h"

namespace leat {

struct SnapshotHeader {
  HashKey incarnation{};
  Offset changelog_next{};
  Offset source_next{};
  TimestampMs written_at{};
  std::int64_t keys = 0;  // about
  PartitionId partition{};
  std::string store;
};

inline constexpr std::size_t kSnapshotHeaderBytes = 68;  // without the id
inline constexpr std::size_t kSnapshotBlockHeaderBytes = 12;
inline constexpr std::size_t kSnapshotEndBytes = 16;
inline constexpr std::size_t kSnapshotStoreBytesMax = 255;
inline constexpr std::size_t kSnapshotBlockBytesMax = 160 << 20;  // a record of the largest size, and more

std::string encode_snapshot_header(const SnapshotHeader& header);
// Of bytes that begin with it; nullopt for what is none.
std::optional<SnapshotHeader> decode_snapshot_header(Bytes bytes);

// Calls `use` for each record of a block. False when it is not one; `use` may have been called then.
bool decode_snapshot_block(std::uint32_t records, Bytes payload, const std::function<void(const StoredValue&)>& use);

void append_snapshot_record(std::string& to, const StoredValue& record);
// What stands before the records of a block.
std::string encode_snapshot_block_header(std::uint32_t records, std::string_view payload);
struct SnapshotBlockHeader {
  std::uint32_t records;
  std::uint32_t bytes;
  std::uint32_t crc;  // of the two and the payload
};
// Precondition: kSnapshotBlockHeaderBytes are there. `records` is 0 for what is no block but the end.
SnapshotBlockHeader decode_snapshot_block_header(const std::byte* bytes);

// The end of a file of so many records.
std::string encode_snapshot_end(std::int64_t records);
bool is_snapshot_end(Bytes bytes, std::int64_t records);

}  // namespace leat
