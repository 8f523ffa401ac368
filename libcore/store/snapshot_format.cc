#include "leat/store/snapshot_format.h"

#include <array>
#include <concepts>
#include <cstring>

#include "leat/base/crc32c.h"
#include "leat/base/error.h"
#include "leat/log/limits.h"

namespace leat {

namespace {

constexpr std::string_view kMagic = "leatss01";
constexpr std::size_t kCrcAt = 8;
constexpr std::size_t kSizeAt = 12;

template <std::integral T>
void append_be(std::string& to, T value) {
  std::array<std::byte, sizeof value> bytes;
  store_be(bytes.data(), value);
  to.append(as_text(bytes));
}

void append_varint(std::string& to, std::int64_t value) {
  std::array<std::byte, 10> bytes;
  to.append(as_text({bytes.data(), put_varint(bytes.data(), value)}));
}

}  // namespace

std::string encode_snapshot_header(const SnapshotHeader& header) {
  ASSERT(header.store.size() <= kSnapshotStoreBytesMax);
  std::string rest;
  append_be(rest, static_cast<std::uint32_t>(kSnapshotHeaderBytes + header.store.size()));
  rest.append(reinterpret_cast<const char*>(header.incarnation.data()), header.incarnation.size());
  append_be(rest, header.changelog_next.value);
  append_be(rest, header.source_next.value);
  append_be(rest, header.written_at.value);
  append_be(rest, header.keys);
  append_be(rest, header.partition.value);
  rest.append(header.store);
  std::string bytes(kMagic);
  append_be(bytes, crc32c(as_bytes(rest)));
  return bytes + rest;
}

std::optional<SnapshotHeader> decode_snapshot_header(Bytes bytes) {
  if (bytes.size() < kSnapshotHeaderBytes || as_text(bytes.first(kMagic.size())) != kMagic) return std::nullopt;
  const auto size = load_be<std::uint32_t>(bytes.data() + kSizeAt);
  if (size < kSnapshotHeaderBytes || size > bytes.size() || size > kSnapshotHeaderBytes + kSnapshotStoreBytesMax)
    return std::nullopt;
  if (load_be<std::uint32_t>(bytes.data() + kCrcAt) != crc32c(bytes.subspan(kSizeAt, size - kSizeAt)))
    return std::nullopt;
  SnapshotHeader header;
  const std::byte* at = bytes.data() + kSizeAt + 4;
  std::memcpy(header.incarnation.data(), at, header.incarnation.size());
  at += header.incarnation.size();
  header.changelog_next = {load_be<std::int64_t>(at)};
  header.source_next = {load_be<std::int64_t>(at + 8)};
  header.written_at = {load_be<std::int64_t>(at + 16)};
  header.keys = load_be<std::int64_t>(at + 24);
  header.partition = {load_be<std::int32_t>(at + 32)};
  header.store = as_text(bytes.subspan(kSnapshotHeaderBytes, size - kSnapshotHeaderBytes));
  return header;
}

bool decode_snapshot_block(std::uint32_t records, Bytes payload, const std::function<void(const StoredValue&)>& use) {
  ByteReader reader(payload);
  for (std::uint32_t i = 0; i < records; ++i) {
    const auto offset = reader.varint();
    const auto key_bytes = reader.varint();
    const auto value_bytes = reader.varint();
    if (!offset || !key_bytes || !value_bytes) return false;
    if (*key_bytes < 0 || *key_bytes > kRecordBytesMax || *value_bytes < 0 || *value_bytes > kRecordBytesMax)
      return false;
    const auto key = reader.take(static_cast<std::size_t>(*key_bytes));
    const auto value = key ? reader.take(static_cast<std::size_t>(*value_bytes)) : std::nullopt;
    if (!value) return false;
    use({as_text(*key), as_text(*value), {*offset}});
  }
  return reader.remaining() == 0;
}

void append_snapshot_record(std::string& to, const StoredValue& record) {
  append_varint(to, record.offset.value);
  append_varint(to, static_cast<std::int64_t>(record.key.size()));
  append_varint(to, static_cast<std::int64_t>(record.value.size()));
  to.append(record.key).append(record.value);
}

std::string encode_snapshot_block_header(std::uint32_t records, std::string_view payload) {
  std::string header;
  append_be(header, records);
  append_be(header, static_cast<std::uint32_t>(payload.size()));
  append_be(header, crc32c(as_bytes(payload), crc32c(as_bytes(header))));
  return header;
}

std::string encode_snapshot_end(std::int64_t records) {
  std::string end;
  append_be(end, std::uint32_t{0});
  append_be(end, records);
  append_be(end, crc32c(as_bytes(end)));
  return end;
}

SnapshotBlockHeader decode_snapshot_block_header(const std::byte* bytes) {
  return {load_be<std::uint32_t>(bytes), load_be<std::uint32_t>(bytes + 4), load_be<std::uint32_t>(bytes + 8)};
}

bool is_snapshot_end(Bytes bytes, std::int64_t records) {
  return as_text(bytes) == encode_snapshot_end(records);
}

}  // namespace leat
