#include "leat/log/batch.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>

#include "leat/base/crc32c.h"

namespace leat {
namespace {

using Buffer = std::vector<std::byte>;

// A record that owns its bytes.
struct Kept {
  std::int64_t offset = 0;
  std::int64_t timestamp = 0;
  std::optional<std::string> key = {};
  std::optional<std::string> value = {};
  std::vector<std::pair<std::string, std::optional<std::string>>> headers = {};

  friend bool operator==(const Kept&, const Kept&) = default;
};

std::optional<std::string> kept(const std::optional<std::string_view>& text) {
  return text ? std::optional(std::string(*text)) : std::nullopt;
}

Kept kept(const RecordView& record) {
  Kept copy{record.offset.value, record.timestamp.value, kept(record.key), kept(record.value)};
  for (const HeaderView& header : record.headers) copy.headers.emplace_back(header.key, kept(header.value));
  return copy;
}

std::vector<Kept> kept(std::span<const RecordView> records) {
  std::vector<Kept> copies;
  for (const RecordView& record : records) copies.push_back(kept(record));
  return copies;
}

Result<void> add(BatchBuilder& builder, const Kept& record) {
  std::vector<HeaderView> headers;
  headers.reserve(record.headers.size());
  for (const auto& [key, value] : record.headers) headers.push_back({key, value});
  return builder.add_at(static_cast<std::int32_t>(record.offset),
                        {.key = record.key, .value = record.value, .headers = headers}, {record.timestamp});
}

Buffer encoded(const std::vector<Kept>& records, Codec codec = Codec::none) {
  BatchBuilder builder(codec);
  for (const Kept& record : records) REQUIRE(add(builder, record));
  auto batch = builder.finish();
  REQUIRE(batch);
  CHECK(builder.empty());
  return std::move(batch->bytes);
}

std::vector<Kept> decoded(Bytes batch) {
  BatchDecoder decoder;
  const auto records = decoder.decode(batch);
  REQUIRE_MESSAGE(records, records.error().message);
  return kept(*records);
}

// The message with which a batch is refused as damaged, or "".
std::string fault_of(Bytes batch) {
  BatchDecoder decoder;
  const auto records = decoder.decode(batch);
  if (records) return "";
  CHECK(records.error().code == Code::damaged);
  return records.error().message;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string to_hex(Bytes bytes) {
  std::string hex;
  for (const std::byte byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[std::to_integer<int>(byte >> 4)];
    hex += kDigits[std::to_integer<int>(byte & std::byte{15})];
  }
  return hex;
}

// A batch around any record bytes, with a right CRC.
Buffer wrapped(std::string_view records, std::int32_t count, std::int32_t last_offset_delta,
               std::int16_t attributes = 0) {
  Buffer batch = make_filler({0}, {last_offset_delta + std::int64_t{1}}, {1000});
  batch.insert(batch.end(), as_bytes(records).begin(), as_bytes(records).end());
  store_be(batch.data() + 8, static_cast<std::int32_t>(batch.size() - 12));
  store_be(batch.data() + 21, attributes);
  store_be(batch.data() + 57, count);
  store_be(batch.data() + 17, crc32c(Bytes(batch).subspan(21)));
  return batch;
}

std::vector<Kept> sample_records() {
  return {{0, 1732150000123, "key", "value", {{"h", "v"}, {"n", std::nullopt}}},
          {1, 1732150000100, std::nullopt, "", {}},
          {2, 1732150001123, "", std::nullopt, {}}};
}

// The batch python3-kafka 2.0.2 makes of sample_records().
constexpr std::string_view kSampleHex =
    "0000000000000000000000560000000002438c2ddd000000000002000001934c2f79fb000001934c2f7de3ffffffffffffffffffff"
    "ffffffff000000032a000000066b65790a76616c75650402680276026e010c002d020100000e00d00f04000100";

TEST_CASE("a batch has the bytes Kafka's clients give it") {
  CHECK(to_hex(encoded(sample_records())) == kSampleHex);
}

TEST_CASE("a header reads as it was written") {
  BatchBuilder builder;
  for (const Kept& record : sample_records()) REQUIRE(add(builder, record));
  auto batch = builder.finish({.id = 77, .epoch = 3, .base_sequence = 900});
  REQUIRE(batch);
  CHECK(batch->record_count == 3);
  CHECK(batch->max_timestamp.value == 1732150001123);
  place_batch(batch->bytes, {1'000'000}, 5);
  const BatchHeader header = load_batch_header(batch->bytes.data());
  CHECK(header.base_offset.value == 1'000'000);
  CHECK(header.end_offset().value == 1'000'003);
  CHECK(header.total_bytes() == batch->bytes.size());
  CHECK(header.leader_epoch == 5);
  CHECK(header.magic == 2);
  CHECK(header.crc == crc32c(Bytes(batch->bytes).subspan(21)));
  CHECK(header.attributes == 0);
  CHECK(header.last_offset_delta == 2);
  CHECK(header.base_timestamp.value == 1732150000123);
  CHECK(header.max_timestamp.value == 1732150001123);
  CHECK(header.producer_id == 77);
  CHECK(header.producer_epoch == 3);
  CHECK(header.base_sequence == 900);
  CHECK(header.record_count == 3);
  CHECK(header_fault(header) == nullptr);
}

TEST_CASE("placing a batch changes its offsets and nothing under the checksum") {
  Buffer batch = encoded(sample_records());
  const Buffer before = batch;
  place_batch(batch, {41}, 7);
  CHECK(batch_crc_matches(batch));
  CHECK(std::ranges::equal(Bytes(batch).subspan(16), Bytes(before).subspan(16)));
  const std::vector<Kept> records = decoded(batch);
  REQUIRE(records.size() == 3);
  CHECK(records[0].offset == 41);
  CHECK(records[2].offset == 43);
}

TEST_CASE("records come back as they went in, with every codec") {
  std::string every_byte(256, '\0');
  for (std::size_t i = 0; i < 256; ++i) every_byte[i] = static_cast<char>(i);
  std::vector<Kept> records = {
      {0, 1000, std::nullopt, std::nullopt},
      {1, 1000, "", ""},
      {2, 1000, std::nullopt, ""},
      {3, 1000, "", std::nullopt},
      {4, 1000, every_byte, every_byte},
      {5, -1, "before 1970", "x"},
      {6, 500, "a timestamp that went back", std::string(100'000, 'a')},
      {7, 4'102'444'800'000, "far ahead", "x"},
      {8, 1000, "k", "v", {{"", std::nullopt}, {"", ""}, {"same", "1"}, {"same", "2"}, {every_byte, every_byte}}},
      {9, 1000, "k", "v", {}},
      {10, 1000, "k", "v", std::vector(300, std::pair(std::string("h"), std::optional(std::string("v"))))},
  };
  for (std::int64_t i = 0; i < 500; ++i) records.push_back({11 + i, 1000 + i, std::to_string(i % 7), "reading"});
  for (const Codec codec : {Codec::none, Codec::lz4, Codec::zstd}) {
    const Buffer batch = encoded(records, codec);
    CHECK(batch_crc_matches(batch));
    CHECK(load_batch_header(batch.data()).codec() == codec);
    CHECK(decoded(batch) == records);
  }
}

TEST_CASE("random records come back as they went in") {
  std::mt19937 random(11);
  const auto text = [&random]() -> std::optional<std::string> {
    if (random() % 5 == 0) return std::nullopt;
    std::string bytes(random() % (random() % 10 == 0 ? 5000 : 40), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    return bytes;
  };
  for (int round = 0; round < 100; ++round) {
    std::vector<Kept> records(1 + random() % 50);
    std::int64_t offset = -1;
    for (Kept& record : records) {
      record = {offset += 1 + random() % 3, static_cast<std::int64_t>(random()) - 1'000'000'000, text(), text()};
      for (auto count = random() % 4; count > 0; --count) record.headers.emplace_back(text().value_or("h"), text());
    }
    for (const Codec codec : {Codec::none, Codec::lz4, Codec::zstd})
      REQUIRE(decoded(encoded(records, codec)) == records);
  }
}

TEST_CASE("a record of the largest size fits a batch and one byte more is refused") {
  const std::string largest(static_cast<std::size_t>(kRecordBytesMax) - 3, 'x');
  BatchBuilder builder(Codec::lz4);
  REQUIRE(add(builder, {0, 5, "key", largest}));
  const auto over = add(builder, {1, 5, "key!", largest});
  REQUIRE_FALSE(over);
  CHECK(over.error().code == Code::bad_data);
  CHECK(contains(over.error().message, "67108865"));
  CHECK(contains(over.error().message, "67108864"));
  const auto full = add(builder, {1, 5, "key", largest});
  REQUIRE_FALSE(full);
  CHECK(full.error().code == Code::bad_data);
  CHECK(contains(full.error().message, "a batch"));

  CHECK(builder.record_count() == 1);
  const auto batch = builder.finish();
  REQUIRE(batch);
  BatchDecoder decoder;
  const auto records = decoder.decode(batch->bytes);
  REQUIRE(records);
  REQUIRE(records->size() == 1);
  CHECK(records->front().value == largest);
}

TEST_CASE("the size of headers counts towards a record's limit") {
  const std::string half(static_cast<std::size_t>(kRecordBytesMax) / 2, 'x');
  BatchBuilder builder;
  CHECK_FALSE(add(builder, {0, 5, std::nullopt, "v", {{"h", half}, {"i", half}}}));
  CHECK(builder.empty());
}

TEST_CASE("timestamps too far apart for a delta are refused and leave the builder as it was") {
  BatchBuilder builder;
  REQUIRE(add(builder, {0, std::numeric_limits<std::int64_t>::max(), "k", "v"}));
  const auto refused = add(builder, {1, -2, "k", "v"});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::bad_data);
  REQUIRE(add(builder, {1, 0, "k", "v"}));
  const auto batch = builder.finish();
  REQUIRE(batch);
  CHECK(decoded(batch->bytes).at(1).timestamp == 0);
}

TEST_CASE("gaps in the offsets stay, and a batch may span further than its last record") {
  BatchBuilder builder;
  REQUIRE(add(builder, {3, 1000, "a", "1"}));
  REQUIRE(add(builder, {7, 1000, "b", "2"}));
  REQUIRE(builder.add({.key = "c", .value = "3"}, {1000}));
  auto batch = builder.finish({}, 20);
  REQUIRE(batch);
  place_batch(batch->bytes, {100}, 0);
  const BatchHeader header = load_batch_header(batch->bytes.data());
  CHECK(header.end_offset().value == 121);
  CHECK(header.record_count == 3);
  CHECK(decoded(batch->bytes) ==
        std::vector<Kept>{{103, 1000, "a", "1"}, {107, 1000, "b", "2"}, {108, 1000, "c", "3"}});
}

TEST_CASE("a builder starts afresh after each batch") {
  BatchBuilder builder;
  REQUIRE(add(builder, {0, 99, "other", "record"}));
  REQUIRE(builder.finish());
  CHECK(builder.plain_bytes() == 0);
  for (const Kept& record : sample_records()) REQUIRE(add(builder, record));
  CHECK(builder.record_count() == 3);
  CHECK(builder.plain_bytes() == 37);
  const auto batch = builder.finish();
  REQUIRE(batch);
  CHECK(to_hex(batch->bytes) == kSampleHex);
}

TEST_CASE("a batch that does not shrink is stored plain") {
  std::mt19937 random(3);
  std::string noise(1000, '\0');
  for (char& byte : noise) byte = static_cast<char>(random());
  for (const Codec codec : {Codec::lz4, Codec::zstd}) {
    const std::vector<Kept> records = {{0, 1, std::nullopt, noise}};
    const Buffer batch = encoded(records, codec);
    CHECK(load_batch_header(batch.data()).codec() == Codec::none);
    CHECK(batch == encoded(records));
  }
}

TEST_CASE("a filler spans offsets and holds no records") {
  const Buffer filler = make_filler({50}, {60}, {1234});
  CHECK(filler.size() == kBatchHeaderBytes);
  CHECK(batch_crc_matches(filler));
  const BatchHeader header = load_batch_header(filler.data());
  CHECK(header_fault(header) == nullptr);
  CHECK(header.base_offset.value == 50);
  CHECK(header.end_offset().value == 60);
  CHECK(header.record_count == 0);
  CHECK(header.base_timestamp.value == 1234);
  CHECK(header.max_timestamp.value == 1234);
  CHECK(header.producer_id == -1);
  CHECK(decoded(filler).empty());
  CHECK(load_batch_header(make_filler({0}, {std::int64_t{1} << 31}, {}).data()).end_offset().value == std::int64_t{1}
                                                                                                          << 31);
}

TEST_CASE("plain records are views of the batch, not copies") {
  const Buffer batch = encoded(sample_records());
  BatchDecoder decoder;
  const auto records = decoder.decode(batch);
  REQUIRE(records);
  const auto* const from = reinterpret_cast<const char*>(batch.data());
  CHECK((*records)[0].value->data() > from);
  CHECK((*records)[0].value->data() < from + batch.size());
}

TEST_CASE("a decoder forgets the batch before") {
  BatchDecoder decoder;
  REQUIRE(decoder.decode(encoded({{0, 1, "k", "v", {{"h", "v"}}}, {1, 1, "k", "v", {{"h", "v"}}}}, Codec::none)));
  const Buffer second = encoded({{0, 2, std::nullopt, std::nullopt}});
  const auto records = decoder.decode(second);
  REQUIRE(records);
  CHECK(kept(*records) == std::vector<Kept>{{0, 2, std::nullopt, std::nullopt}});
}

TEST_CASE("with log append time every record has the batch's maximum timestamp") {
  Buffer batch = encoded(sample_records());
  store_be(batch.data() + 21, std::int16_t{8});
  for (const Kept& record : decoded(batch)) CHECK(record.timestamp == 1732150001123);
}

TEST_CASE("a control batch gives no records") {
  Buffer batch = encoded(sample_records());
  store_be(batch.data() + 21, std::int16_t{0x20});
  CHECK(load_batch_header(batch.data()).is_control());
  CHECK(decoded(batch).empty());
}

TEST_CASE("a header no leat would write is refused, with the reason") {
  struct Case {
    std::size_t at;
    std::int64_t value;
    std::size_t width;
    std::string_view reason;
  };
  for (const auto& [at, value, width, reason] :
       {Case{16, 1, 1, "magic"}, Case{16, 3, 1, "magic"}, Case{8, 48, 4, "less than a header"},
        Case{8, -1, 4, "less than a header"}, Case{8, kBatchBytesMax - 11, 4, "over the format's limit"},
        Case{21, 1, 2, "gzip"}, Case{21, 2, 2, "snappy"}, Case{21, 5, 2, "unknown codec"},
        Case{21, 7, 2, "unknown codec"}, Case{23, -1, 4, "last offset delta is negative"},
        Case{57, -1, 4, "record count is negative"}, Case{57, 4, 4, "more records than offsets"},
        Case{0, -1, 8, "base offset is negative"},
        Case{0, std::numeric_limits<std::int64_t>::max() - 2, 8, "63 bits"}}) {
    Buffer batch = encoded(sample_records());
    for (std::size_t i = 0; i < width; ++i) batch[at + i] = static_cast<std::byte>(value >> (8 * (width - 1 - i)));
    const char* const fault = header_fault(load_batch_header(batch.data()));
    REQUIRE_MESSAGE(fault != nullptr, std::string(reason));
    CHECK_MESSAGE(contains(fault, reason), std::string(fault));
    CHECK(contains(fault_of(batch), reason));
  }
}

TEST_CASE("a batch cut at any byte is damaged, whether or not its length says so") {
  for (const Codec codec : {Codec::none, Codec::lz4, Codec::zstd}) {
    std::vector<Kept> records = sample_records();
    for (std::int64_t i = 3; i < 20; ++i) records.push_back({i, 1, "key", "a value that repeats", {{"h", "v"}}});
    const Buffer whole = encoded(records, codec);
    REQUIRE(load_batch_header(whole.data()).codec() == codec);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      Buffer batch(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      REQUIRE(fault_of(batch) != "");
      REQUIRE_FALSE(batch_crc_matches(batch));
      if (size < kBatchHeaderBytes) continue;
      store_be(batch.data() + 8, static_cast<std::int32_t>(size - 12));
      REQUIRE(fault_of(batch) != "");
    }
  }
}

TEST_CASE("a flipped bit fails the checksum, unless it is in the base offset, the length or the epoch") {
  const Buffer whole = encoded(sample_records());
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Buffer batch = whole;
    batch[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    const BatchHeader header = load_batch_header(batch.data());
    const std::size_t at = bit / 8;
    if (at >= 17) {
      REQUIRE_MESSAGE(!batch_crc_matches(batch), bit);
    } else if (at == 16) {
      REQUIRE_MESSAGE(header_fault(header) != nullptr, bit);
    } else if (at >= 8 && at < 12) {
      // A wrong length is known by its checksum over more or fewer bytes; here by the bytes that are there.
      REQUIRE_MESSAGE(fault_of(batch) != "", bit);
    } else if (header_fault(header) == nullptr) {
      // Base offset and epoch: known by their neighbours, and no record is changed.
      std::vector<Kept> records = decoded(batch);
      for (Kept& record : records) record.offset -= header.base_offset.value;
      REQUIRE(records == sample_records());
    }
  }
}

TEST_CASE("any flipped bit behind a right checksum leaves the decoder within its bytes") {
  for (const Codec codec : {Codec::none, Codec::lz4, Codec::zstd}) {
    std::vector<Kept> records = sample_records();
    for (std::int64_t i = 3; i < 20; ++i) records.push_back({i, 1, "key", "a value that repeats", {{"h", "v"}}});
    const Buffer whole = encoded(records, codec);
    std::size_t refused = 0;
    for (std::size_t bit = 21 * 8; bit < whole.size() * 8; ++bit) {
      Buffer batch = whole;
      batch[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
      BatchDecoder decoder;
      const auto result = decoder.decode(batch);
      if (!result) {
        ++refused;
        continue;
      }
      for (const RecordView& record : *result) kept(record);  // reads every byte that was handed out
    }
    CHECK(refused > whole.size());
  }
}

// What a decoder makes of a batch: its records, or what is wrong with it.
std::string outcome(Bytes batch) {
  BatchDecoder decoder;
  const auto records = decoder.decode(batch);
  if (!records) return records.error().message;
  std::string text;
  for (const Kept& record : kept(*records)) {
    text +=
        fmt::format("{} key {} value {} headers {}\n", record.offset, record.key ? "\"" + *record.key + "\"" : "null",
                    record.value ? "\"" + *record.value + "\"" : "null", record.headers.size());
  }
  return text;
}

TEST_CASE("numbers of one, two and three bytes come back, beside records with headers and without") {
  std::vector<Kept> records;
  std::int64_t offset = 0;
  for (const std::size_t key : {0, 1, 63, 64, 8191, 8192}) {
    for (const std::size_t value : {0, 1, 40, 63, 64, 8191, 8192}) {
      for (const std::int64_t ms : {0, 63, 64, -64, -65, 8191, 8192, -8192, -8193}) {
        records.push_back({offset, 1'000'000 + ms, std::string(key, 'k'), std::string(value, 'v')});
        offset += offset % 3 == 0 ? 1 : 70;
      }
    }
    records.push_back({offset++, 1, std::nullopt, std::nullopt});
    if (key == 64) records.push_back({offset++, 1, "k", "v", {{"h", "v"}}});
  }
  CHECK(decoded(encoded(records)) == records);
}

TEST_CASE("records without headers, which are decoded in one go, are held against the same rules as others") {
  // With log append time each record is decoded by itself.
  const std::vector<Kept> records = {{0, 1, std::nullopt, "value"},
                                     {1, 2, "key", std::nullopt},
                                     {2, 100, "", ""},
                                     {70, 3, std::string(64, 'k'), std::string(70, 'v')},
                                     {71, 3, std::nullopt, ""},
                                     {72, 4, std::nullopt, std::nullopt}};
  const Buffer whole = encoded(records);
  std::size_t refused = 0;
  for (std::size_t i = kBatchHeaderBytes; i < whole.size(); ++i) {
    for (int byte = 0; byte < 256; ++byte) {
      Buffer batch = whole;
      batch[i] = static_cast<std::byte>(byte);
      const std::string together = outcome(batch);
      store_be(batch.data() + 21, std::int16_t{8});
      REQUIRE(together == outcome(batch));
      if (together.starts_with("batch at offset")) ++refused;
    }
  }
  CHECK(refused > 0);
}

TEST_CASE("record bytes that contradict themselves are refused, with the record and the reason") {
  using namespace std::string_view_literals;
  // length, attributes, timestamp delta, offset delta, key length, value length, header count; lengths are zigzag.
  CHECK(decoded(wrapped("\x0c\0\0\0\1\1\0"sv, 1, 0)) == std::vector<Kept>{{0, 1000, std::nullopt, std::nullopt}});
  struct Case {
    std::string_view records;
    std::int32_t count;
    std::string_view reason;
  };
  for (const auto& [records, count, reason] : {
           Case{"\x0b\0\0\0\1\1\0"sv, 1, "length is negative"},
           Case{"\x0e\0\0\0\1\1\0"sv, 1, "runs past the end of the batch"},
           Case{"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"sv, 1, "length is cut off"},
           Case{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01zzzz"sv, 1, "length is negative"},
           Case{"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01zzzz"sv, 1, "runs past the end of the batch"},
           Case{"\0zzzzzz"sv, 1, "attributes are missing"},
           Case{"\2\0zzzzz"sv, 1, "timestamp is cut off"},
           Case{"\4\0\0zzzz"sv, 1, "offset is cut off"},
           Case{"\x0c\0\0\1\1\1\0"sv, 1, "does not follow"},
           Case{"\x0c\0\0\x0a\1\1\0"sv, 1, "behind the batch's last one"},
           Case{"\x0c\0\0\0\1\1\0\x0c\0\0\0\1\1\0"sv, 2, "record 2 of 2: its offset does not follow"},
           Case{"\x0c\0\0\0\2\1\0"sv, 1, "header count is cut off"},
           Case{"\x0c\0\0\0\3\1\0"sv, 1, "its key runs past"},
           Case{"\x0c\0\0\0\x08\1\0"sv, 1, "its key runs past"},
           Case{"\x0c\0\0\0\1\3\0"sv, 1, "its value runs past"},
           Case{"\x0c\0\0\0\1\x04\0"sv, 1, "its value runs past"},
           Case{"\x0a\0\0\0\1\1\0"sv, 1, "header count is cut off"},
           Case{"\x0c\0\0\0\1\1\1"sv, 1, "header count is negative"},
           Case{"\x0c\0\0\0\1\1\2"sv, 1, "more headers than"},
           Case{"\x10\0\0\0\1\1\2\1\1"sv, 1, "header's key is null"},
           Case{"\x10\0\0\0\1\1\2\4a"sv, 1, "runs past"},
           Case{"\x10\0\0\0\1\1\2\0\4"sv, 1, "header's value runs past"},
           Case{"\x10\0\0\0\1\1\2\6a"sv, 1, "header's key runs past"},
           Case{"\x0e\0\0\0\1\1\0z"sv, 1, "bytes are left over in it"},
           Case{"\x0c\0\0\0\1\1\0z"sv, 1, "1 bytes follow its 1 records"},
           Case{"\x0c\0\0\0\1\1\0"sv, 2, "2 records cannot be in 7 bytes"},
           Case{"\x1e\0\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1\0\1\1\0"sv, 1, "does not fit 64 bits"},
       }) {
    const std::string fault = fault_of(wrapped(records, count, 3));
    CHECK_MESSAGE(contains(fault, reason), to_hex(as_bytes(records)), ": ", fault);
    CHECK(contains(fault, "batch at offset 0"));
  }
}

TEST_CASE("a count of records that the bytes cannot hold takes no memory") {
  const Buffer batch =
      wrapped("0123456789", std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int32_t>::max());
  CHECK(contains(fault_of(batch), "2147483647 records cannot be in 10 bytes"));
}

TEST_CASE("a frame that unpacks to room for millions of records and holds none is refused at the first one") {
  Buffer frame;
  REQUIRE(compress(Codec::zstd, Buffer(64 << 20), frame));
  CHECK(frame.size() < 10'000);
  const std::int32_t count = (64 << 20) / 7;
  const Buffer batch = wrapped(as_text(frame), count, count, 4);
  CHECK(contains(fault_of(batch), "record 1 of 9586980: its attributes are missing"));
}

TEST_CASE("a batch of many small records comes back whole") {
  std::vector<Kept> records;
  records.reserve(10'000);
  for (std::int64_t i = 0; i < 10'000; ++i) records.push_back({i, 1000, std::nullopt, std::to_string(i), {}});
  records[7777].headers = {{"h", "v"}};
  CHECK(decoded(encoded(records, Codec::lz4)) == records);
}

TEST_CASE("records under a codec that cannot be read are damage that names the codec") {
  CHECK(contains(fault_of(wrapped("whatever", 1, 0, 1)), "gzip"));
  CHECK(contains(fault_of(wrapped("whatever", 1, 0, 2)), "snappy"));
  CHECK(contains(fault_of(wrapped("whatever", 1, 0, 3)), "batch at offset 0: lz4 frame: "));
  CHECK(contains(fault_of(wrapped("whatever", 1, 0, 4)), "batch at offset 0: zstd frame: "));
}

}  // namespace
}  // namespace leat
