// Encoding and decoding of one record batch. Encoding writes each byte once into memory that is kept; decoding of plain
// batches copies nothing. Every length read is compared with the bytes that are left before it is used.
#include "leat/log/batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "leat/base/crc32c.h"
#include "leat/base/seeded_bug.h"

namespace leat {
namespace {

constexpr std::size_t kBaseOffsetAt = 0;
constexpr std::size_t kBatchLengthAt = 8;
constexpr std::size_t kLeaderEpochAt = 12;
constexpr std::size_t kMagicAt = 16;
constexpr std::size_t kCrcAt = 17;
constexpr std::size_t kAttributesAt = 21;  // where the CRC's span begins
constexpr std::size_t kLastOffsetDeltaAt = 23;
constexpr std::size_t kBaseTimestampAt = 27;
constexpr std::size_t kMaxTimestampAt = 35;
constexpr std::size_t kProducerIdAt = 43;
constexpr std::size_t kProducerEpochAt = 51;
constexpr std::size_t kBaseSequenceAt = 53;
constexpr std::size_t kRecordCountAt = 57;
static_assert(kRecordCountAt + sizeof(std::int32_t) == kBatchHeaderBytes);

constexpr std::int8_t kMagic = 2;
constexpr std::int16_t kCodecBits = 7;
constexpr std::int16_t kLogAppendTimeBit = 8;

// The least bytes of a record: its length, attributes, two deltas, two lengths and the header count.
constexpr std::size_t kRecordBytesMin = 7;
constexpr std::size_t kHeaderBytesMin = 2;
// Of a builder at first. Doubled four times, it holds a batch of 64 KiB and the record that made it so many.
constexpr std::size_t kFirstBytes = 9 << 9;
// Records there is room for before the first one is read; a batch of 64 KiB seldom has more.
constexpr std::size_t kRecordsGuess = 1024;

// Fills in the header of a batch whose records lie in `batch` already, with base offset 0, leader epoch 0, and the CRC.
void write_header(std::span<std::byte> batch, Codec codec, const PlainBatch& of) {
  std::byte* const header = batch.data();
  store_be(header + kBaseOffsetAt, std::int64_t{0});
  store_be(header + kBatchLengthAt, static_cast<std::int32_t>(batch.size() - kBatchLengthPrefixBytes));
  store_be(header + kLeaderEpochAt, std::int32_t{0});
  store_be(header + kMagicAt, kMagic);
  store_be(header + kAttributesAt, static_cast<std::int16_t>(codec));
  store_be(header + kLastOffsetDeltaAt, of.last_offset_delta);
  store_be(header + kBaseTimestampAt, of.base_timestamp.value);
  store_be(header + kMaxTimestampAt, of.max_timestamp.value);
  store_be(header + kProducerIdAt, of.producer.id);
  store_be(header + kProducerEpochAt, of.producer.epoch);
  store_be(header + kBaseSequenceAt, of.producer.base_sequence);
  store_be(header + kRecordCountAt, of.record_count);
  store_be(header + kCrcAt, crc32c(batch.subspan(kAttributesAt)));
}

std::int64_t length_of(const std::optional<std::string_view>& bytes) {
  return bytes ? static_cast<std::int64_t>(bytes->size()) : -1;
}

std::size_t stored_size(const std::optional<std::string_view>& bytes) {
  return varint_size(length_of(bytes)) + (bytes ? bytes->size() : 0);
}

std::byte* put_field(std::byte* to, const std::optional<std::string_view>& bytes) {
  to = put_varint(to, length_of(bytes));
  if (!bytes || bytes->empty()) return to;
  std::memcpy(to, bytes->data(), bytes->size());
  return to + bytes->size();
}

// A varint of one or two bytes, before zigzag; false when it is longer. Precondition: two bytes are there.
[[gnu::always_inline]] inline bool read_short(ByteReader& in, std::uint64_t& raw) {
  raw = in.peek(0);
  if (raw < 0x80) {
    in.skip(1);
    return true;
  }
  const std::uint64_t second = in.peek(1);
  if (second >= 0x80) return false;
  raw = (raw & 0x7f) | second << 7;
  in.skip(2);
  return true;
}

// A varint of any length. The reader's address is given away for the long ones only, so that it stays in registers.
[[gnu::always_inline]] inline bool read_varint(ByteReader& in, std::int64_t& value) {
  if (std::uint64_t raw = 0; in.remaining() > 1 && read_short(in, raw)) {
    value = unzigzag(raw);
    return true;
  }
  ByteReader longer = in;
  const std::optional<std::int64_t> read = longer.varint();
  if (!read) return false;
  value = *read;
  in = longer;
  return true;
}

// A length and that many bytes; -1 is null.
[[gnu::always_inline]] inline bool read_field(ByteReader& in, std::optional<std::string_view>& field) {
  std::int64_t length = 0;
  if (!read_varint(in, length)) return false;
  if (length < 0) {
    field.reset();
    return length == -1;
  }
  const std::optional<Bytes> bytes = in.take(static_cast<std::size_t>(length));
  if (!bytes) return false;
  field = as_text(*bytes);
  return true;
}

// Appends the headers of one record. Returns what is wrong, or nullptr.
const char* read_headers(ByteReader& in, std::size_t count, std::vector<HeaderView>& headers) {
  std::optional<std::string_view> key;
  for (; count > 0; --count) {
    if (!read_field(in, key)) return "a header's key runs past the record";
    if (!key) return "a header's key is null";
    HeaderView& header = headers.emplace_back(*key);
    if (!read_field(in, header.value)) return "a header's value runs past the record";
  }
  return nullptr;
}

// Takes the records of one batch in turn.
class RecordReader {
 public:
  RecordReader(const BatchHeader& header, Bytes records, const BatchOrigin& origin, std::vector<HeaderView>& headers)
      : header_(header), in_(records), origin_(origin), headers_(headers) {}

  std::size_t remaining() const { return in_.remaining(); }

  // Reads records while they are as most are: without headers, and numbers of one or two bytes. Returns how many; the
  // next one is next()'s. Here the place in the batch stays in registers and what is left of the record is looked at
  // three times only: records of 100 bytes take half the time.
  [[gnu::noinline]] std::size_t next_plain(std::span<RecordView> records) {
    // Length, attributes, two deltas and the key's length.
    constexpr std::size_t kPrefixBytesMax = 2 + 1 + 2 + 2 + 2;
    if ((header_.attributes & kLogAppendTimeBit) != 0) return 0;
    ByteReader plain = in_;
    std::int64_t last_delta = last_delta_;
    RecordView* next = records.data();
    for (RecordView* const end = next + records.size(); next != end && plain.remaining() >= kPrefixBytesMax; ++next) {
      ByteReader in = plain;
      std::uint64_t length = 0;
      std::uint64_t timestamp = 0;
      std::uint64_t offset = 0;
      std::uint64_t key = 0;
      std::uint64_t value = 0;
      if (!read_short(in, length) || length % 2 != 0 || length / 2 > in.remaining()) break;
      const std::size_t behind = in.remaining() - length / 2;
      in.skip(1);
      if (!read_short(in, timestamp) || !read_short(in, offset) || !read_short(in, key)) break;
      const std::int64_t delta = unzigzag(offset);
      if (delta <= last_delta || delta > header_.last_offset_delta) break;
      // Behind the key there are a length and the number of headers at least.
      const std::size_t key_bytes = key / 2;
      if (in.remaining() < behind + key_bytes + 2 || (key % 2 != 0 && key != kNullLength)) break;
      const Bytes key_at = in.first(key == kNullLength ? 0 : key_bytes);
      in.skip(key_at.size());
      if (!read_short(in, value) || (value % 2 != 0 && value != kNullLength)) break;
      const Bytes value_at = in.first(value == kNullLength ? 0 : value / 2);
      if (in.remaining() != behind + value_at.size() + 1 || in.peek(value_at.size()) != 0) break;
      RecordView& record = *next;
      if (__builtin_add_overflow(header_.base_timestamp.value, unzigzag(timestamp), &record.timestamp.value)) break;
      record.topic = origin_.topic;
      record.partition = origin_.partition;
      record.offset = header_.base_offset + delta;
      record.key.emplace(as_text(key_at));
      if (key == kNullLength) record.key.reset();
      record.value.emplace(as_text(value_at));
      if (value == kNullLength) record.value.reset();
      record.headers = {};
      in.skip(value_at.size() + 1);
      plain = in;
      last_delta = delta;
    }
    in_ = plain;
    last_delta_ = last_delta;
    return static_cast<std::size_t>(next - records.data());
  }

  // Reads the next record. Returns what is wrong, or nullptr. The record's headers have their count only: where they
  // lie is known when the last one is read.
  const char* next(RecordView& record) {
    std::int64_t length = 0;
    if (!read_varint(in_, length)) return "its length is cut off or malformed";
    if (length < 0) return "its length is negative";
    const std::optional<Bytes> body = in_.take(static_cast<std::size_t>(length));
    if (!body) return "it runs past the end of the batch";

    ByteReader in(*body);
    std::int64_t timestamp_delta = 0;
    std::int64_t offset_delta = 0;
    std::int64_t header_count = 0;
    if (!in.be<std::int8_t>()) return "its attributes are missing";
    if (!read_varint(in, timestamp_delta)) return "its timestamp is cut off or malformed";
    if (!read_varint(in, offset_delta)) return "its offset is cut off or malformed";
    if (offset_delta <= last_delta_) return "its offset does not follow that of the record before";
    if (offset_delta > header_.last_offset_delta) return "its offset is behind the batch's last one";
    last_delta_ = offset_delta;
    record.topic = origin_.topic;
    record.partition = origin_.partition;
    record.headers = {};
    record.offset = header_.base_offset + offset_delta;
    if ((header_.attributes & kLogAppendTimeBit) != 0) {
      record.timestamp = header_.max_timestamp;
    } else if (__builtin_add_overflow(header_.base_timestamp.value, timestamp_delta, &record.timestamp.value)) {
      return "its timestamp does not fit 64 bits";
    }
    if (!read_field(in, record.key)) return "its key runs past the record";
    if (!read_field(in, record.value)) return "its value runs past the record";
    if (!read_varint(in, header_count)) return "its header count is cut off or malformed";
    if (header_count != 0) {
      if (header_count < 0) return "its header count is negative";
      const auto count = static_cast<std::size_t>(header_count);
      if (count > in.remaining() / kHeaderBytesMin) return "it has more headers than its bytes can hold";
      if (const char* fault = read_headers(in, count, headers_)) return fault;
      record.headers = {headers_.data(), count};
    }
    return in.remaining() == 0 ? nullptr : "bytes are left over in it";
  }

 private:
  static constexpr std::uint64_t kNullLength = 1;  // -1 in zigzag

  const BatchHeader& header_;
  ByteReader in_;
  const BatchOrigin origin_;
  std::vector<HeaderView>& headers_;
  std::int64_t last_delta_ = -1;
};

std::unexpected<Error> damaged_batch(const BatchHeader& header, std::string_view what) {
  return fail(Code::damaged, fmt::format("batch at offset {}: {}", header.base_offset.value, what));
}

}  // namespace

BatchHeader load_batch_header(const std::byte* bytes) {
  return {.base_offset = {load_be<std::int64_t>(bytes + kBaseOffsetAt)},
          .batch_length = load_be<std::int32_t>(bytes + kBatchLengthAt),
          .leader_epoch = load_be<std::int32_t>(bytes + kLeaderEpochAt),
          .magic = load_be<std::int8_t>(bytes + kMagicAt),
          .crc = load_be<std::uint32_t>(bytes + kCrcAt),
          .attributes = load_be<std::int16_t>(bytes + kAttributesAt),
          .last_offset_delta = load_be<std::int32_t>(bytes + kLastOffsetDeltaAt),
          .base_timestamp = {load_be<std::int64_t>(bytes + kBaseTimestampAt)},
          .max_timestamp = {load_be<std::int64_t>(bytes + kMaxTimestampAt)},
          .producer_id = load_be<std::int64_t>(bytes + kProducerIdAt),
          .producer_epoch = load_be<std::int16_t>(bytes + kProducerEpochAt),
          .base_sequence = load_be<std::int32_t>(bytes + kBaseSequenceAt),
          .record_count = load_be<std::int32_t>(bytes + kRecordCountAt)};
}

const char* header_fault(const BatchHeader& header) {
  constexpr auto kLengthMin = static_cast<std::int64_t>(kBatchHeaderBytes - kBatchLengthPrefixBytes);
  constexpr auto kLengthMax = kBatchBytesMax - static_cast<std::int64_t>(kBatchLengthPrefixBytes);
  if (header.magic != kMagic) return "the format's magic number is not 2";
  if (header.batch_length < kLengthMin) return "the length is less than a header";
  if (header.batch_length > kLengthMax) return "the length is over the format's limit";
  switch (header.attributes & kCodecBits) {
    case static_cast<int>(Codec::none):
    case static_cast<int>(Codec::lz4):
    case static_cast<int>(Codec::zstd):
      break;
    case 1:
      return "it is compressed with gzip, which leat does not read";
    case 2:
      return "it is compressed with snappy, which leat does not read";
    default:
      return "it is compressed with an unknown codec";
  }
  if (header.last_offset_delta < 0) return "the last offset delta is negative";
  if (header.record_count < 0) return "the record count is negative";
  if (header.record_count > std::int64_t{header.last_offset_delta} + 1) return "it has more records than offsets";
  if (header.base_offset.value < 0) return "the base offset is negative";
  if (header.base_offset.value > std::numeric_limits<std::int64_t>::max() - header.last_offset_delta - 1) {
    return "its offsets do not fit 63 bits";
  }
  return nullptr;
}

bool batch_crc_matches(Bytes batch) {
  if (seeded(SeededBug::no_crc_check)) return true;
  if (batch.size() < kBatchHeaderBytes) return false;
  return crc32c(batch.subspan(kAttributesAt)) == load_be<std::uint32_t>(batch.data() + kCrcAt);
}

std::vector<std::byte> make_filler(Offset base, Offset end, TimestampMs timestamp) {
  const std::int64_t span = end - base;
  ASSERT(base.value >= 0 && span > 0 && span <= std::int64_t{1} << 31);
  PlainBatch filler{.bytes = std::vector<std::byte>(kBatchHeaderBytes),
                    .last_offset_delta = static_cast<std::int32_t>(span - 1),
                    .base_timestamp = timestamp,
                    .max_timestamp = timestamp};
  write_header(filler.bytes, Codec::none, filler);
  place_batch(filler.bytes, base, 0);
  return std::move(filler.bytes);
}

void place_batch(std::span<std::byte> batch, Offset base_offset, std::int32_t leader_epoch) {
  ASSERT(batch.size() >= kBatchHeaderBytes && base_offset.value >= 0);
  store_be(batch.data() + kBaseOffsetAt, base_offset.value);
  store_be(batch.data() + kLeaderEpochAt, leader_epoch);
}

Result<void> BatchBuilder::add(const RecordInput& record, TimestampMs timestamp) {
  if (last_offset_delta_ >= std::numeric_limits<std::int32_t>::max() - 1) {
    return fail(Code::bad_data, "a batch cannot hold more than 2^31 - 1 records");
  }
  return add_at(last_offset_delta_ + 1, record, timestamp);
}

Result<void> BatchBuilder::add_at(std::int32_t offset_delta, const RecordInput& record, TimestampMs timestamp) {
  ASSERT(offset_delta > last_offset_delta_);
  const std::int64_t payload = payload_bytes(record);
  if (payload > kRecordBytesMax) {
    return fail(Code::bad_data,
                fmt::format("a record of {} bytes (key, value and headers) is over the format's limit of {}", payload,
                            kRecordBytesMax));
  }
  std::int64_t timestamp_delta = 0;
  if (record_count_ > 0 && __builtin_sub_overflow(timestamp.value, base_timestamp_.value, &timestamp_delta)) {
    return fail(Code::bad_data, fmt::format("timestamps {} and {} are too far apart for one batch",
                                            base_timestamp_.value, timestamp.value));
  }
  std::size_t body = 1 + varint_size(timestamp_delta) + varint_size(offset_delta) + stored_size(record.key) +
                     stored_size(record.value) + varint_size(static_cast<std::int64_t>(record.headers.size()));
  for (const HeaderView& header : record.headers) body += stored_size(header.key) + stored_size(header.value);
  const std::size_t end = end_ + varint_size(static_cast<std::int64_t>(body)) + body;
  constexpr auto kPlainMax = static_cast<std::size_t>(
      std::min<std::int64_t>(kPlainRecordsBytesMax, kBatchBytesMax - std::int64_t{kBatchHeaderBytes}));
  if (end - kBatchHeaderBytes > kPlainMax) {
    return fail(Code::bad_data, fmt::format("a batch of {} bytes is over the format's limit of {}",
                                            end - kBatchHeaderBytes, kPlainMax));
  }

  if (end > bytes_.size())
    bytes_.resize(end <= bytes_.capacity() ? bytes_.capacity() : std::max({end, bytes_.size() * 2, kFirstBytes}));
  std::byte* to = bytes_.data() + end_;
  to = put_varint(to, static_cast<std::int64_t>(body));
  *to++ = std::byte{0};
  to = put_varint(to, timestamp_delta);
  to = put_varint(to, offset_delta);
  to = put_field(to, record.key);
  to = put_field(to, record.value);
  to = put_varint(to, static_cast<std::int64_t>(record.headers.size()));
  for (const HeaderView& header : record.headers) {
    to = put_field(to, header.key);
    to = put_field(to, header.value);
  }
  ASSERT(to == bytes_.data() + end);

  end_ = end;
  last_offset_delta_ = offset_delta;
  if (record_count_++ == 0) base_timestamp_ = max_timestamp_ = timestamp;
  max_timestamp_ = std::max(max_timestamp_, timestamp);
  return {};
}

void BatchBuilder::use(std::vector<std::byte> memory) {
  ASSERT(empty());
  bytes_ = std::move(memory);
}

PlainBatch BatchBuilder::take(const BatchProducer& producer, std::optional<std::int32_t> last_offset_delta) {
  ASSERT(record_count_ > 0);
  ASSERT(!last_offset_delta || *last_offset_delta >= last_offset_delta_);
  bytes_.resize(end_);
  PlainBatch batch{.bytes = std::exchange(bytes_, {}),
                   .record_count = std::exchange(record_count_, 0),
                   .last_offset_delta = last_offset_delta.value_or(last_offset_delta_),
                   .base_timestamp = base_timestamp_,
                   .max_timestamp = max_timestamp_,
                   .producer = producer};
  end_ = kBatchHeaderBytes;
  last_offset_delta_ = -1;
  return batch;
}

Result<EncodedBatch> BatchBuilder::finish(const BatchProducer& producer,
                                          std::optional<std::int32_t> last_offset_delta) {
  PlainBatch batch = take(producer, last_offset_delta);
  return encode_batch(batch, codec_);
}

Result<EncodedBatch> encode_batch(PlainBatch& plain, Codec codec, std::vector<std::byte> memory) {
  ASSERT(plain.bytes.size() > kBatchHeaderBytes);
  if (codec != Codec::none) {
    memory.reserve(plain.bytes.capacity());  // so that a batch of the same size can be collected in it later
    memory.resize(kBatchHeaderBytes);
    TRY(compress(codec, Bytes(plain.bytes).subspan(kBatchHeaderBytes), memory));
    if (memory.size() >= plain.bytes.size()) codec = Codec::none;
  }
  EncodedBatch batch{.bytes = std::move(codec == Codec::none ? plain.bytes : memory),
                     .record_count = plain.record_count,
                     .max_timestamp = plain.max_timestamp};
  write_header(batch.bytes, codec, plain);
  return batch;
}

std::vector<std::byte> BatchMemory::take(std::size_t bytes) {
  constexpr std::size_t kSmallBytes = 16 << 10;  // that is not much, however little of it is used
  std::vector<std::byte> memory;
  if (!spare_.empty() && spare_.back().capacity() <= std::max(2 * bytes, kSmallBytes)) {
    memory = std::move(spare_.back());
    spare_.pop_back();
  } else if (bytes > kSmallBytes) {
    memory.reserve(bytes + bytes / 8);
  }
  return memory;
}

void BatchMemory::give_back(std::vector<std::byte> bytes) {
  // Usual batches, as many as are appended together; a huge one is not kept for good.
  constexpr std::size_t kSpareMax = 40;
  constexpr std::size_t kSpareBytesMax = 256 << 10;
  if (bytes.capacity() != 0 && spare_.size() < kSpareMax && bytes.capacity() <= kSpareBytesMax)
    spare_.push_back(std::move(bytes));
}

Result<std::span<RecordView>> BatchDecoder::decode(Bytes batch, const BatchOrigin& origin) {
  headers_.clear();
  if (batch.size() < kBatchHeaderBytes) {
    return fail(Code::damaged,
                fmt::format("a batch of {} bytes is shorter than its header of {}", batch.size(), kBatchHeaderBytes));
  }
  const BatchHeader header = load_batch_header(batch.data());
  if (const char* fault = header_fault(header)) return damaged_batch(header, fault);
  if (header.total_bytes() != batch.size()) {
    return damaged_batch(header,
                         fmt::format("its length says {} bytes, there are {}", header.total_bytes(), batch.size()));
  }
  if (header.is_control() || header.record_count == 0) return std::span<RecordView>{};

  Bytes records = batch.subspan(kBatchHeaderBytes);
  if (header.codec() != Codec::none) {
    if (const auto done = decompress(header.codec(), records, kPlainRecordsBytesMax, plain_); !done) {
      return damaged_batch(header, done.error().message);
    }
    records = plain_;
  }
  const auto count = static_cast<std::size_t>(header.record_count);
  if (count > records.size() / kRecordBytesMin) {
    return damaged_batch(header, fmt::format("{} records cannot be in {} bytes", count, records.size()));
  }
  RecordReader reader(header, records, origin, headers_);
  bool plain = true;
  for (std::size_t i = 0; i < count;) {
    // Not all at once: a frame of a few kilobytes can unpack to room for millions of records and hold not one.
    if (i == records_.size()) records_.resize(std::min(count, std::max(kRecordsGuess, 2 * i)));
    if (plain) i += reader.next_plain(std::span(records_).first(std::min(count, records_.size())).subspan(i));
    if (i == count || i == records_.size()) continue;
    if (const char* fault = reader.next(records_[i])) {
      return damaged_batch(header, fmt::format("record {} of {}: {}", i + 1, count, fault));
    }
    // Where one record has headers, others have as well.
    plain = records_[i].headers.empty();
    ++i;
  }
  if (reader.remaining() != 0) {
    return damaged_batch(header, fmt::format("{} bytes follow its {} records", reader.remaining(), count));
  }
  if (!headers_.empty()) {
    const HeaderView* at = headers_.data();
    for (RecordView& record : std::span(records_).first(count)) {
      record.headers = {at, record.headers.size()};
      at += record.headers.size();
    }
  }
  return std::span(records_).first(count);
}

}  // namespace leat
