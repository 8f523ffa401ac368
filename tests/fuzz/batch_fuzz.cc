// Fuzzes the record batch: any bytes as a batch must give an error or records that lie within their bytes, and what was
// decoded must survive being encoded again. Length, magic and checksum are made right first (a fuzzer would not find
// them), unless the first byte of the input says no.
//
// Build, with the include directory that `meson setup` makes in the build directory:
//   clang++-19 -std=c++2b -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -DFMT_HEADER_ONLY=1
//     -Ibuild/include tests/fuzz/batch_fuzz.cc libcore/log/{batch,codec}.cc libcore/base/{crc32c,error}.cc
//     -llz4 -lzstd -o batch_fuzz
#include <algorithm>
#include <cstdint>
#include <vector>

#include "leat/base/crc32c.h"
#include "leat/log/batch.h"

namespace leat {
namespace {

// Reads every byte that was handed out, so that the sanitizer sees those that are not ours.
std::uint32_t touch(const RecordView& record) {
  std::uint32_t sum = crc32c(as_bytes(record.key.value_or("")), crc32c(as_bytes(record.value.value_or(""))));
  for (const HeaderView& header : record.headers)
    sum += crc32c(as_bytes(header.key), crc32c(as_bytes(header.value.value_or(""))));
  return sum;
}

bool same(const RecordView& a, const RecordView& b) {
  const auto same_header = [](const HeaderView& x, const HeaderView& y) {
    return x.key == y.key && x.value == y.value;
  };
  return a.offset == b.offset && a.timestamp == b.timestamp && a.key == b.key && a.value == b.value &&
         std::ranges::equal(a.headers, b.headers, same_header);
}

// Encodes records that were decoded from a batch and decodes them again.
void check_round_trip(std::span<const RecordView> records, const BatchHeader& header, Codec codec) {
  BatchBuilder builder(codec);
  for (const RecordView& record : records) {
    const auto added =
        builder.add_at(static_cast<std::int32_t>(record.offset - header.base_offset),
                       {.key = record.key, .value = record.value, .headers = record.headers}, record.timestamp);
    // Two timestamps can each be near a base between them and too far from each other.
    if (!added) return;
  }
  auto batch = builder.finish({}, header.last_offset_delta);
  ASSERT(batch);
  place_batch(batch->bytes, header.base_offset, header.leader_epoch);
  ASSERT(batch_crc_matches(batch->bytes));
  BatchDecoder decoder;
  const auto again = decoder.decode(batch->bytes);
  ASSERT(again && std::ranges::equal(*again, records, same));
}

void decode_any(std::vector<std::byte> batch, std::uint8_t choice) {
  if (batch.size() >= kBatchHeaderBytes && (choice & 1) == 0) {
    store_be(batch.data() + 8, static_cast<std::int32_t>(batch.size() - kBatchLengthPrefixBytes));
    batch[16] = std::byte{2};
    store_be(batch.data() + 17, crc32c(Bytes(batch).subspan(21)));
    ASSERT(batch_crc_matches(batch));
  }
  BatchDecoder decoder;
  const auto records = decoder.decode(batch);
  if (!records) {
    ASSERT(records.error().code == Code::damaged);
    return;
  }
  const BatchHeader header = load_batch_header(batch.data());
  ASSERT(header_fault(header) == nullptr);
  ASSERT(records->empty() || records->size() == static_cast<std::size_t>(header.record_count));
  std::uint32_t sum = 0;
  for (const RecordView& record : *records) {
    ASSERT(record.offset >= header.base_offset && record.offset < header.end_offset());
    sum += touch(record);
  }
  if (records->empty() || sum == 0xffffffff) return;
  check_round_trip(*records, header, (choice & 2) != 0 ? Codec::lz4 : Codec::none);
}

}  // namespace
}  // namespace leat

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  leat::decode_any({bytes.begin(), bytes.end()}, data[0]);
  return 0;
}
