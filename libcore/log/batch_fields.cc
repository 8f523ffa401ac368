#include "leat/log/batch_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "leat/base/crc32c.h"
#include "leat/base/units.h"
#include "leat/log/producer_state.h"

namespace leat {

namespace {

// The fields of the header in order; the table of batch.h in figures.
enum class Field {
  base_offset,
  batch_length,
  leader_epoch,
  magic,
  crc,
  attributes,
  last_offset_delta,
  base_timestamp,
  max_timestamp,
  producer_id,
  producer_epoch,
  base_sequence,
  record_count,
};
struct FieldPlace {
  Field field;
  std::size_t at;
  std::size_t width;
  const char* name;
};
constexpr std::array<FieldPlace, 13> kFields = {{
    {Field::base_offset, 0, 8, "base offset"},
    {Field::batch_length, 8, 4, "batch length"},
    {Field::leader_epoch, 12, 4, "leader epoch"},
    {Field::magic, 16, 1, "magic"},
    {Field::crc, 17, 4, "crc"},
    {Field::attributes, 21, 2, "attributes"},
    {Field::last_offset_delta, 23, 4, "last offset delta"},
    {Field::base_timestamp, 27, 8, "base timestamp"},
    {Field::max_timestamp, 35, 8, "maximum timestamp"},
    {Field::producer_id, 43, 8, "producer id"},
    {Field::producer_epoch, 51, 2, "producer epoch"},
    {Field::base_sequence, 53, 4, "base sequence"},
    {Field::record_count, 57, 4, "record count"},
}};
static_assert(kFields.back().at + kFields.back().width == kBatchHeaderBytes);

// Damaged numbers may be of any size: what does not fit wraps around.
std::int64_t sum(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

// Whether the checksum is right, and what it should be when it is not.
std::string judge_crc(Bytes bytes, const BatchHeader& header) {
  if (header.batch_length < static_cast<std::int32_t>(kBatchHeaderBytes - kBatchLengthPrefixBytes))
    return "cannot be checked: the length is wrong";
  if (bytes.size() < header.total_bytes()) return "cannot be checked: the batch does not end where its length says";
  const Bytes batch = bytes.first(header.total_bytes());
  if (batch_crc_matches(batch)) return "right";
  constexpr std::size_t kCheckedAt = kFields[static_cast<std::size_t>(Field::attributes)].at;
  return fmt::format("WRONG: the bytes behind it give {:08x}", crc32c(batch.subspan(kCheckedAt)));
}

// The bits spelled out.
std::string describe_attributes(std::int16_t attributes) {
  constexpr int kKnownBits = 0x7f;
  const auto has = [&](int bit) { return (attributes & bit) != 0; };
  std::string text;
  switch (attributes & 7) {
    case 0:
      text = "not compressed";
      break;
    case 1:
      text = "gzip, which leat does not read";
      break;
    case 2:
      text = "snappy, which leat does not read";
      break;
    case 3:
      text = "lz4";
      break;
    case 4:
      text = "zstd";
      break;
    default:
      text = "UNKNOWN codec";
      break;
  }
  text += has(0x08) ? ", times of the append" : ", times of the producer";
  if (has(0x10)) text += ", of a transaction";
  if (has(0x20)) text += ", a control batch";
  if (has(0x40)) text += ", with a delete horizon";
  if ((attributes & ~kKnownBits) != 0) text += ", UNKNOWN bits";
  return text;
}

std::string describe_length(Bytes bytes, const BatchHeader& header) {
  const char* fault = header_fault(header);
  if (fault != nullptr && header.magic == 2 && std::string_view(fault).find("length") != std::string_view::npos)
    return fmt::format("WRONG: {}", fault);
  if (header.batch_length < 0) return "WRONG: negative";
  const std::string text = fmt::format("bytes behind this field: {} in all", header.total_bytes());
  return bytes.size() < header.total_bytes() ? fmt::format("WRONG or cut off: {}, {} are there", text, bytes.size())
                                             : text;
}

std::string value_of(Field field, const BatchHeader& header) {
  switch (field) {
    case Field::base_offset:
      return fmt::format("{}", header.base_offset.value);
    case Field::batch_length:
      return fmt::format("{}", header.batch_length);
    case Field::leader_epoch:
      return fmt::format("{}", header.leader_epoch);
    case Field::magic:
      return fmt::format("{}", header.magic);
    case Field::crc:
      return fmt::format("{:08x}", header.crc);
    case Field::attributes:
      return fmt::format("{:#06x}", static_cast<std::uint16_t>(header.attributes));
    case Field::last_offset_delta:
      return fmt::format("{}", header.last_offset_delta);
    case Field::base_timestamp:
      return fmt::format("{}", header.base_timestamp.value);
    case Field::max_timestamp:
      return fmt::format("{}", header.max_timestamp.value);
    case Field::producer_id:
      return fmt::format("{}", header.producer_id);
    case Field::producer_epoch:
      return fmt::format("{}", header.producer_epoch);
    case Field::base_sequence:
      return fmt::format("{}", header.base_sequence);
    case Field::record_count:
      return fmt::format("{}", header.record_count);
  }
  return {};
}

std::string meaning_of(Field field, const BatchHeader& header, Bytes bytes, Offset due) {
  switch (field) {
    case Field::base_offset:
      if (header.base_offset == due) return "offset of the first record";
      return fmt::format("WRONG: offset {} is due here", due.value);
    case Field::batch_length:
      return describe_length(bytes, header);
    case Field::leader_epoch:
      return header.leader_epoch == 0
                 ? "all before it was durable when this was appended"
                 : fmt::format("offsets from {} on were not known to be durable when this was appended",
                               header.durable_before().value);
    case Field::magic:
      return header.magic == 2 ? "the format's version" : "WRONG: 2 is the format's version";
    case Field::crc:
      return judge_crc(bytes, header);
    case Field::attributes:
      return describe_attributes(header.attributes);
    case Field::last_offset_delta:
      if (header.last_offset_delta < 0) return "WRONG: negative";
      return fmt::format("the batch spans offsets {} to {}", header.base_offset.value,
                         sum(header.base_offset.value, header.last_offset_delta));
    case Field::base_timestamp:
      return fmt::format("{}, of the first record", format_time(header.base_timestamp));
    case Field::max_timestamp:
      return fmt::format("{}, the latest of its records", format_time(header.max_timestamp));
    case Field::producer_id:
      if (is_copy_id(header.producer_id)) return "of a copy";
      return header.producer_id < 0 ? "no idempotent producer" : "of an idempotent producer";
    case Field::producer_epoch:
      if (is_copy_id(header.producer_id)) return "bits 31 and up of the source offset";
      return header.producer_epoch < 0 ? "none" : "number of the producer's run, modulo 2^15";
    case Field::base_sequence:
      if (is_copy_id(header.producer_id)) return fmt::format("copied from offset {} on", source_of(header).value);
      return header.base_sequence < 0 ? "none" : "records the producer had in this partition before, modulo 2^31";
    case Field::record_count:
      if (header.record_count < 0) return "WRONG: negative";
      if (header.record_count == 0) return "a filler: nothing is left of the offsets it spans";
      if (header.record_count > std::int64_t{header.last_offset_delta} + 1) return "WRONG: more than it has offsets";
      return header.record_count == std::int64_t{header.last_offset_delta} + 1 ? "one for every offset"
                                                                               : "of some offsets nothing is left";
  }
  return {};
}

// Takes the fields of one record from its bytes.
class RecordParser {
 public:
  // `at` is where `bytes` begin in the batch; none when they were decompressed.
  RecordParser(Bytes bytes, std::optional<std::int64_t> at, std::string prefix)
      : bytes_(bytes), reader_(bytes), at_(at), prefix_(std::move(prefix)) {}

  std::size_t used() const { return bytes_.size() - reader_.remaining(); }
  std::vector<BatchField>& fields() { return fields_; }

  std::optional<std::int64_t> varint(const char* name) {
    const std::size_t from = used();
    const auto value = reader_.varint();
    if (value) add(name, from, fmt::format("{}", *value), "");
    return value;
  }

  bool byte(const char* name) {
    const std::size_t from = used();
    const auto value = reader_.be<std::int8_t>();
    if (value) add(name, from, fmt::format("{}", *value), *value == 0 ? "unused" : "UNKNOWN: 0 is written");
    return value.has_value();
  }

  // A length and so many bytes. What is missing, or nullptr.
  const char* text(const std::string& name) {
    const auto length = varint((name + " length").c_str());
    if (!length) return "a length is cut off or malformed";
    if (*length < 0) {
      explain("null");
      return *length == -1 ? nullptr : "a length is negative";
    }
    const std::size_t from = used();
    const auto bytes = reader_.take(static_cast<std::size_t>(*length));
    if (!bytes) return "it runs past its end";
    if (!bytes->empty()) add(name.c_str(), from, std::string(as_text(*bytes)), "");
    return nullptr;
  }

  void explain(std::string meaning) { fields_.back().meaning = std::move(meaning); }

 private:
  void add(const char* name, std::size_t from, std::string value, std::string meaning) {
    BatchField& field = fields_.emplace_back();
    if (at_) field.at = *at_ + static_cast<std::int64_t>(from);
    field.bytes = bytes_.subspan(from, used() - from);
    field.name = prefix_ + name;
    field.value = std::move(value);
    field.meaning = std::move(meaning);
  }

  Bytes bytes_;
  ByteReader reader_;
  std::optional<std::int64_t> at_;
  std::string prefix_;
  std::vector<BatchField> fields_;
};

// All fields of a record. Why they end too early, or nullptr.
const char* parse_record(RecordParser& parser, const BatchHeader& header) {
  const auto length = parser.varint("length");
  if (!length) return "its length is cut off or malformed";
  parser.explain("bytes behind this field");
  const std::size_t body = parser.used();
  if (!parser.byte("attributes")) return "its attributes are missing";
  const auto timestamp = parser.varint("timestamp delta");
  if (!timestamp) return "its timestamp is cut off or malformed";
  std::int64_t time = 0;
  if (!__builtin_add_overflow(header.base_timestamp.value, *timestamp, &time)) parser.explain(format_time({time}));
  const auto offset = parser.varint("offset delta");
  if (!offset) return "its offset is cut off or malformed";
  parser.explain(fmt::format("offset {}", sum(header.base_offset.value, *offset)));
  if (const char* fault = parser.text("key")) return fault;
  if (const char* fault = parser.text("value")) return fault;
  const auto headers = parser.varint("header count");
  if (!headers) return "its header count is cut off or malformed";
  for (std::int64_t i = 0; i < *headers; ++i) {
    if (const char* fault = parser.text("header key")) return fault;
    if (const char* fault = parser.text("header value")) return fault;
  }
  if (static_cast<std::int64_t>(parser.used() - body) != *length) return "its length is not that of its fields";
  return nullptr;
}

}  // namespace

std::vector<BatchField> header_fields(Bytes bytes, Offset due) {
  std::array<std::byte, kBatchHeaderBytes> raw{};
  std::copy_n(bytes.begin(), std::min(bytes.size(), raw.size()), raw.begin());
  const BatchHeader header = load_batch_header(raw.data());
  std::vector<BatchField> fields;
  for (const FieldPlace& place : kFields) {
    if (place.at + place.width > bytes.size()) break;
    fields.push_back({static_cast<std::int64_t>(place.at), bytes.subspan(place.at, place.width), place.name,
                      value_of(place.field, header), meaning_of(place.field, header, bytes, due)});
  }
  return fields;
}

RecordFields::RecordFields(Bytes batch) : batch_(batch), header_(load_batch_header(batch.data())) {
  const Bytes stored = batch.subspan(kBatchHeaderBytes);
  if (header_.codec() == Codec::none) {
    records_ = stored;
  } else if (header_.codec() != Codec::lz4 && header_.codec() != Codec::zstd) {
    fault_ = "they are compressed with an unknown codec";
  } else if (const auto done = decompress(header_.codec(), stored, kPlainRecordsBytesMax, plain_); done) {
    records_ = plain_;
  } else {
    fault_ = done.error().message;
  }
}

std::vector<BatchField> RecordFields::next() {
  if (!fault_.empty() || number_ >= header_.record_count || header_.is_control()) return {};
  std::optional<std::int64_t> at;
  if (header_.codec() == Codec::none) at = static_cast<std::int64_t>(kBatchHeaderBytes + at_);
  RecordParser parser(records_.subspan(at_), at, fmt::format("record {} ", number_));
  if (const char* fault = parse_record(parser, header_)) fault_ = fmt::format("record {}: {}", number_, fault);
  at_ += parser.used();
  ++number_;
  return std::move(parser.fields());
}

}  // namespace leat
