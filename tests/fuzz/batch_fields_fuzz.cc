// Fuzzes the field-by-field view of a batch: any bytes give fields that lie within them, and a batch that the decoder
// takes is told to its end without a fault.
#include <vector>

#include "leat/base/crc32c.h"
#include "leat/log/batch_fields.h"
#include "tests/fuzz/fuzz.h"

namespace leat::fuzz {
namespace {

bool is_inside(Bytes part, Bytes whole) {
  return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

void check_field(const BatchField& field, Bytes batch) {
  ASSERT(!field.name.empty());
  crc32c(field.bytes);  // reads all of them
  if (!field.at) return;
  ASSERT(*field.at >= 0 && is_inside(field.bytes, batch));
  ASSERT(field.bytes.data() == batch.data() + *field.at);
}

void check(Source input) {
  const std::uint8_t choice = input.byte();
  const Offset due{input.number<std::int8_t>()};
  const std::string_view text = input.rest();
  std::vector<std::byte> batch(as_bytes(text).begin(), as_bytes(text).end());
  if (batch.size() >= kBatchHeaderBytes && (choice & 1) == 0) {
    store_be(batch.data() + 8, static_cast<std::int32_t>(batch.size() - kBatchLengthPrefixBytes));
    batch[16] = std::byte{2};
    if ((choice & 2) == 0) batch[21] = batch[22] = std::byte{0};
    store_be(batch.data() + 17, crc32c(Bytes(batch).subspan(21)));
  }
  for (const BatchField& field : header_fields(batch, due)) check_field(field, batch);
  if (batch.size() < kBatchHeaderBytes) return;

  RecordFields fields(batch);
  std::size_t records = 0;
  for (;;) {
    const std::vector<BatchField> record = fields.next();
    if (record.empty()) break;
    for (const BatchField& field : record) check_field(field, batch);
    ASSERT(++records <= batch.size() * 4096);
  }
  const BatchHeader header = load_batch_header(batch.data());
  if (header_fault(header) != nullptr || header.total_bytes() != batch.size() || !batch_crc_matches(batch)) return;
  BatchDecoder decoder;
  const auto decoded = decoder.decode(batch);
  if (!decoded) return;
  // Of fillers and control batches the decoder does not look at the body.
  if (header.record_count > 0 && !header.is_control()) ASSERT(fields.fault().empty() && records == decoded->size());
}

}  // namespace
}  // namespace leat::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leat::fuzz::check(leat::fuzz::Source(data, size));
  return 0;
}
