// The record batch: Kafka's message format v2, byte for byte (KIP-98;
// https://kafka.apache.org/documentation/#messageformat). The grammar, encoding and decoding of one batch; never files.
//
//   offset  width  field                      covered by the CRC
//        0      8  base offset                no   so that a batch is finished before it is given its offset
//        8      4  batch length               no   bytes that follow this field
//       12      4  partition leader epoch     no   what a leader would make of it; here: how many offsets before this
//       one
//                                                were not known to be durable when it was appended, at most 2^31 - 1
//       16      1  magic                      no   2
//       17      4  CRC-32C                    -    of everything from byte 21 to the end of the batch
//       21      2  attributes                 yes  bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control
//       23      4  last offset delta          yes
//       27      8  base timestamp             yes  of the first record
//       35      8  maximum timestamp          yes
//       43      8  producer id                yes  -1 when none
//       51      2  producer epoch             yes  -1 when none
//       53      4  base sequence              yes  -1 when none
//       57      4  record count               yes
//       61      -  records, compressed together by the codec
//
//   record: length varint, attributes i8 (0), timestamp delta varint, offset delta varint,
//           key length varint (-1 null), key, value length varint (-1 null), value,
//           header count varint, { key length varint, key, value length varint (-1 null), value }*
//
// All integers are big-endian, varints are zigzag. A batch with record count 0 is a filler: it stands for the offsets
// from base offset to base offset + last offset delta, of which nothing is left.
#pragma once

#include <cstdint>
#include <vector>

#include "leat/base/bytes.h"
#include "leat/base/error.h"
#include "leat/log/codec.h"
#include "leat/log/limits.h"
#include "leat/log/record.h"

namespace leat {

inline constexpr std::size_t kBatchHeaderBytes = 61;
// Base offset and batch length: stand before the length counts.
inline constexpr std::size_t kBatchLengthPrefixBytes = 12;

// A batch header as values.
struct BatchHeader {
  Offset base_offset;
  std::int32_t batch_length;
  std::int32_t leader_epoch;
  std::int8_t magic;
  std::uint32_t crc;
  std::int16_t attributes;
  std::int32_t last_offset_delta;
  TimestampMs base_timestamp;
  TimestampMs max_timestamp;
  std::int64_t producer_id;
  std::int16_t producer_epoch;
  std::int32_t base_sequence;
  std::int32_t record_count;

  std::size_t total_bytes() const { return kBatchLengthPrefixBytes + static_cast<std::size_t>(batch_length); }
  Offset end_offset() const { return base_offset + (std::int64_t{last_offset_delta} + 1); }
  // Everything before this offset was durable when the batch was appended.
  Offset durable_before() const {
    // Both stand outside the checksum and may be anything.
    std::int64_t before = 0;
    const bool overflows = __builtin_sub_overflow(base_offset.value, std::int64_t{leader_epoch}, &before);
    return overflows ? base_offset : Offset{before};
  }
  Codec codec() const { return static_cast<Codec>(attributes & 7); }
  bool is_control() const { return (attributes & 0x20) != 0; }
};

// The header fields at `bytes`, which holds at least kBatchHeaderBytes. Nothing is checked.
BatchHeader load_batch_header(const std::byte* bytes);

// Why a header cannot be the start of a batch leat would have written, or nullptr when it can: magic 2, a length within
// [49, kBatchBytesMax - 12], a known codec, non-negative delta and count, count at most delta + 1, base offset >= 0.
// The CRC is not looked at.
const char* header_fault(const BatchHeader& header);

// Whether the CRC of the whole batch in `batch` (exactly header.total_bytes() bytes) is right.
bool batch_crc_matches(Bytes batch);

// Writes a filler that spans [base, end) to a fixed-size array; timestamp is both base and maximum.
std::vector<std::byte> make_filler(Offset base, Offset end, TimestampMs timestamp);

// A finished batch: everything but base offset and leader epoch is final; those two stand outside the CRC and are set
// under the append lock by place_batch().
struct EncodedBatch {
  std::vector<std::byte> bytes;
  std::int32_t record_count = 0;
  TimestampMs max_timestamp{};
};

// Sets the two fields outside the CRC.
void place_batch(std::span<std::byte> batch, Offset base_offset, std::int32_t leader_epoch);

// Idempotence fields of a batch; the defaults mean none.
struct BatchProducer {
  std::int64_t id = -1;
  std::int16_t epoch = -1;
  std::int32_t base_sequence = -1;
};

// A batch of which nothing is missing but its header, and its compression if it is to have any.
struct PlainBatch {
  std::vector<std::byte> bytes;  // room for the header, and the records
  std::int32_t record_count = 0;
  std::int32_t last_offset_delta = 0;
  TimestampMs base_timestamp{};
  TimestampMs max_timestamp{};
  BatchProducer producer{};
};

// Finishes a batch, with base offset 0 and leader epoch 0. One whose compressed form is larger than its plain one is
// stored plain, in the memory it lies in; a compressed one lies in `memory`, whose content is lost, and what `plain`
// was made of is left there. Errors: internal (compression).
Result<EncodedBatch> encode_batch(PlainBatch& plain, Codec codec, std::vector<std::byte> memory = {});

// Collects records into one batch. Reusable: take() and finish() leave it empty.
class BatchBuilder {
 public:
  explicit BatchBuilder(Codec codec = Codec::none) : codec_(codec) {}

  // Adds one record with this timestamp; that of `record` is not looked at. Errors, which leave the builder as it was:
  // bad_data when key + value + headers exceed kRecordBytesMax, the batch would exceed what a reader accepts
  // (kPlainRecordsBytesMax, kBatchBytesMax) or 2^31 - 1 records, or the timestamp is 2^63 ms away from the first one.
  Result<void> add(const RecordInput& record, TimestampMs timestamp);

  // Adds one record at a given distance from the base offset, larger than that of any record before it; for rewriting
  // compacted batches, whose offsets have gaps.
  Result<void> add_at(std::int32_t offset_delta, const RecordInput& record, TimestampMs timestamp);

  bool empty() const { return record_count_ == 0; }
  std::int32_t record_count() const { return record_count_; }
  std::size_t plain_bytes() const { return end_ - kBatchHeaderBytes; }  // of the records so far

  // Memory for the batch to come, whose content is lost. Without any, the builder makes its own as it needs it.
  // Precondition: empty.
  void use(std::vector<std::byte> memory);
  bool has_memory() const { return bytes_.capacity() != 0; }

  // Hands over what was added, and the memory it lies in. last_offset_delta, when given, spans further than the last
  // record (compaction). Precondition: not empty.
  PlainBatch take(const BatchProducer& producer = {}, std::optional<std::int32_t> last_offset_delta = {});
  // The same, finished. Errors: those of encode_batch().
  Result<EncodedBatch> finish(const BatchProducer& producer = {}, std::optional<std::int32_t> last_offset_delta = {});

 private:
  Codec codec_;
  std::vector<std::byte> bytes_;  // memory; in its first end_ bytes, room for the header and the records so far
  std::size_t end_ = kBatchHeaderBytes;
  std::int32_t record_count_ = 0;
  std::int32_t last_offset_delta_ = -1;
  TimestampMs base_timestamp_{};
  TimestampMs max_timestamp_{};
};

// The memory of batches that have been written, for those to come: fresh memory costs more than the records that are
// copied into it. Holds a few MiB at most.
class BatchMemory {
 public:
  // For a batch of about `bytes`; not such as would be mostly empty.
  std::vector<std::byte> take(std::size_t bytes);
  void give_back(std::vector<std::byte> bytes);

 private:
  std::vector<std::vector<std::byte>> spare_;
};

// Where a batch was read: what its records say of that.
struct BatchOrigin {
  std::string_view topic = {};
  PartitionId partition = {};
};

// Decodes the records of batches, one batch at a time, into memory it reuses.
class BatchDecoder {
 public:
  // Decodes the records of `batch`, a whole batch whose CRC the caller has checked. The result points into `batch`
  // (when it is not compressed) or into the decoder, and lives until the next call and as long as `batch`. Control
  // batches and fillers give no records. Errors: damaged.
  Result<std::span<RecordView>> decode(Bytes batch, const BatchOrigin& origin = {});

 private:
  std::vector<std::byte> plain_;
  std::vector<RecordView> records_;  // memory; a batch's records are the first of it
  std::vector<HeaderView> headers_;
};

}  // namespace leat
