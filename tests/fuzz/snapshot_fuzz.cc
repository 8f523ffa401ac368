// Fuzzes what a store reads back: headers, blocks and ends of snapshots, whose checksums are right or not, reservations
// and changes of a changelog, bodies and targets of requests. What is taken for whole is written again as it was read.
#include <vector>

#include "leat/base/base64.h"
#include "leat/base/crc32c.h"
#include "leat/store/changelog.h"
#include "leat/store/snapshot_format.h"
#include "tests/fuzz/fuzz.h"
#include "tools/json_keys.h"
#include "tools/output.h"
#include "tools/url_text.h"

namespace leat::fuzz {
namespace {

// A right header, a right one with a byte changed and perhaps the checksum mended, or anything.
void check_header(Source input) {
  const std::uint8_t choice = input.byte();
  std::string bytes(input.rest());
  if (choice % 4 != 0) {
    Source fields(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    SnapshotHeader header;
    std::ranges::copy(fields.text(header.incarnation.size()), header.incarnation.begin());
    header.changelog_next = {fields.number<std::int64_t>()};
    header.source_next = {fields.number<std::int64_t>()};
    header.keys = fields.number<std::int32_t>();
    header.partition = {fields.number<std::int32_t>()};
    const std::size_t at = fields.byte();
    const char changed = static_cast<char>(fields.byte());
    header.store = fields.text(kSnapshotStoreBytesMax);
    bytes = encode_snapshot_header(header);
    ASSERT(decode_snapshot_header(as_bytes(bytes))->store == header.store);
    if (choice % 4 > 1) bytes[at % bytes.size()] = changed;
    if (choice % 4 == 3) {
      std::array<std::byte, 4> crc;
      store_be(crc.data(), crc32c(as_bytes(bytes).subspan(12)));
      bytes.replace(8, 4, as_text(crc));
    }
  }
  if (const auto header = decode_snapshot_header(as_bytes(bytes))) {
    const std::string again = encode_snapshot_header(*header);
    ASSERT(bytes.starts_with(again));
  }
}

void check_block(Source input) {
  const std::uint32_t records = input.byte();
  const std::string_view payload = input.rest();
  std::string again;
  const bool whole = decode_snapshot_block(records, as_bytes(payload),
                                           [&](const StoredValue& value) { append_snapshot_record(again, value); });
  // A varint may be longer than it need be; what is written is no longer.
  ASSERT(!whole || again.size() <= payload.size());
  if (!whole) return;
  std::string third;
  ASSERT(decode_snapshot_block(records, as_bytes(again),
                               [&](const StoredValue& value) { append_snapshot_record(third, value); }));
  ASSERT(third == again);
}

void check_changelog(Source input) {
  const std::string text(input.rest());
  if (const auto reservation = decode_reservation(text, "fuzz")) {
    const auto again = must(decode_reservation(encode_reservation(*reservation), "again"));
    ASSERT(again.store == reservation->store && again.incarnation == reservation->incarnation);
  }
  const HeaderView header{kSourceHeader, text};
  const RecordView record{.key = "k", .headers = {&header, 1}};
  if (const auto change = decode_change(record)) {
    ASSERT(change->source.value >= 0);
    ASSERT(decode_change({.key = "k", .headers = {&header, 1}})->source == change->source);
  }
}

void check_request(Source input) {
  const std::string text(input.rest());
  (void)tools::parse_target(text);
  if (const auto decoded = decode_any_base64(text)) {
    ASSERT(decode_any_base64(encode_base64url(*decoded)) == decoded);
  }
  ASSERT(decode_any_base64(encode_base64url(text)) == text);
  constexpr std::size_t kKeysMax = 5;
  if (const auto keys = tools::parse_json_keys(text, kKeysMax)) ASSERT(keys->size() <= kKeysMax);
}

void check(Source input) {
  switch (input.byte() % 4) {
    case 0:
      return check_header(input);
    case 1:
      return check_block(input);
    case 2:
      return check_changelog(input);
    default:
      return check_request(input);
  }
}

}  // namespace
}  // namespace leat::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leat::fuzz::check(leat::fuzz::Source(data, size));
  return 0;
}
