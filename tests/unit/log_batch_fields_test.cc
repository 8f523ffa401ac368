#include "leat/log/batch_fields.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string_view>

#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

std::vector<std::byte> batch_at(Offset base, Codec codec = Codec::none) {
  BatchBuilder builder(codec);
  const std::vector<HeaderView> headers = {{"h", "1"}, {"n", std::nullopt}};
  must(builder.add({.key = "key", .value = std::string(200, 'v'), .headers = headers}, {1'700'000'000'000}));
  must(builder.add({.value = std::nullopt}, {1'700'000'000'250}));
  EncodedBatch batch = must(builder.finish({7, 3, 40}));
  place_batch(batch.bytes, base, 0);
  return batch.bytes;
}

const BatchField& field(const std::vector<BatchField>& fields, std::string_view name) {
  const auto found = std::ranges::find(fields, name, &BatchField::name);
  REQUIRE(found != fields.end());
  return *found;
}

std::vector<BatchField> all_records(RecordFields& records) {
  std::vector<BatchField> all;
  for (auto next = records.next(); !next.empty(); next = records.next())
    all.insert(all.end(), next.begin(), next.end());
  return all;
}

}  // namespace

TEST_CASE("a header's fields are told one behind the other, with what they mean") {
  const auto batch = batch_at({17}, Codec::zstd);
  const auto fields = header_fields(batch, {17});
  REQUIRE(fields.size() == 13);
  std::int64_t at = 0;
  for (const BatchField& f : fields) {
    CAPTURE(f.name);
    CHECK(f.at == at);
    CHECK(f.meaning.find("WRONG") == std::string::npos);
    at += std::ssize(f.bytes);
  }
  CHECK(at == std::int64_t{kBatchHeaderBytes});
  CHECK(field(fields, "base offset").value == "17");
  CHECK(field(fields, "crc").meaning == "right");
  CHECK(field(fields, "attributes").meaning == "zstd, times of the producer");
  CHECK(field(fields, "last offset delta").meaning == "the batch spans offsets 17 to 18");
  CHECK(field(fields, "base timestamp").meaning == "2023-11-14T22:13:20.000Z, of the first record");
  CHECK(field(fields, "producer id").value == "7");
  CHECK(field(fields, "base sequence").value == "40");
  CHECK(field(fields, "record count").meaning == "one for every offset");
}

TEST_CASE("what is wrong in a header is said where it is") {
  const auto whole = batch_at({17});
  const auto meaning = [&](std::size_t at, std::byte value, std::string_view name) {
    auto batch = whole;
    batch[at] = value;
    return field(header_fields(batch, {17}), name).meaning;
  };
  CHECK(meaning(7, std::byte{18}, "base offset") == "WRONG: offset 17 is due here");
  CHECK(meaning(8, std::byte{0x7f}, "batch length").starts_with("WRONG"));
  CHECK(meaning(10, std::byte{0}, "crc").starts_with("cannot be checked"));
  CHECK(meaning(16, std::byte{1}, "magic").starts_with("WRONG"));
  CHECK(meaning(whole.size() - 1, std::byte{9}, "crc").starts_with("WRONG: the bytes behind it give "));
  CHECK(meaning(22, std::byte{0x3b}, "attributes") == "lz4, times of the append, of a transaction, a control batch");
  CHECK(meaning(22, std::byte{7}, "attributes").starts_with("UNKNOWN codec"));
  CHECK(meaning(60, std::byte{9}, "record count") == "WRONG: more than it has offsets");
  CHECK(meaning(23, std::byte{0xff}, "last offset delta") == "WRONG: negative");
}

TEST_CASE("of a header that is cut off, and of any bytes at all, the fields that are there are told") {
  const auto batch = batch_at({17});
  for (std::size_t bytes = 0; bytes < kBatchHeaderBytes; ++bytes) {
    CAPTURE(bytes);
    const auto fields = header_fields(Bytes(batch).first(bytes), {17});
    const auto whole = std::ranges::count_if(header_fields(batch, {17}), [&](const BatchField& f) {
      return *f.at + std::ssize(f.bytes) <= static_cast<std::int64_t>(bytes);
    });
    CHECK(std::ssize(fields) == whole);
  }
  for (const int value : {0x00, 0x7f, 0x80, 0xff}) {
    const std::vector<std::byte> same(100, static_cast<std::byte>(value));
    CHECK(header_fields(same, {17}).size() == 13);
  }
}

TEST_CASE("records are told field by field, with their place in the file where they are not compressed") {
  for (const Codec codec : {Codec::none, Codec::lz4, Codec::zstd}) {
    CAPTURE(to_string(codec));
    const auto batch = batch_at({17}, codec);
    RecordFields records(batch);
    const auto fields = all_records(records);
    CHECK(records.fault().empty());
    CHECK(field(fields, "record 0 key").value == "key");
    CHECK(field(fields, "record 0 value").value == std::string(200, 'v'));
    CHECK(field(fields, "record 0 offset delta").meaning == "offset 17");
    CHECK(field(fields, "record 0 header key").value == "h");
    CHECK(field(fields, "record 1 value length").meaning == "null");
    CHECK(field(fields, "record 1 timestamp delta").meaning == "2023-11-14T22:13:20.250Z");
    CHECK(field(fields, "record 0 key").at.has_value() == (codec == Codec::none));
    if (codec != Codec::none) continue;
    std::int64_t at = kBatchHeaderBytes;
    for (const BatchField& f : fields) {
      CHECK(f.at == at);
      at += std::ssize(f.bytes);
    }
    CHECK(at == std::ssize(batch));
  }
}

TEST_CASE("damaged records are told as far as they go") {
  const auto whole = batch_at({17});
  for (std::size_t bytes = kBatchHeaderBytes; bytes < whole.size(); ++bytes) {
    CAPTURE(bytes);
    RecordFields records(Bytes(whole).first(bytes));
    all_records(records);
    CHECK(!records.fault().empty());
  }
  for (std::size_t at = kBatchHeaderBytes; at < whole.size(); ++at) {
    for (const int value : {0x00, 0x01, 0x7f, 0xff}) {
      auto batch = whole;
      batch[at] = static_cast<std::byte>(value);
      RecordFields records(batch);
      CHECK(all_records(records).size() < 100);
    }
  }
  for (const Codec codec : {Codec::lz4, Codec::zstd}) {
    auto batch = batch_at({17}, codec);
    batch.resize(batch.size() - 5);
    RecordFields records(batch);
    CHECK(records.next().empty());
    CHECK(!records.fault().empty());
  }
}
