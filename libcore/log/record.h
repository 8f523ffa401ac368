// Records as values: what producers hand in and readers hand out. Never bytes on disk.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/types.h"

namespace leat {

// A header of a record; a null value is not the same as an empty one. Does not own its bytes.
struct HeaderView {
  std::string_view key;
  std::optional<std::string_view> value;
};

// A record that is being produced. Owns nothing: the bytes must live until the call it is passed to returns.
struct RecordInput {
  std::optional<std::string_view> key = {};
  std::optional<std::string_view> value = {};
  std::span<const HeaderView> headers = {};
  std::optional<TimestampMs> timestamp = {};  // now, when absent
};

// Bytes of key, value and headers: what every limit on a record's size is held against.
inline std::int64_t payload_bytes(const RecordInput& record) {
  std::size_t bytes = (record.key ? record.key->size() : 0) + (record.value ? record.value->size() : 0);
  for (const HeaderView& header : record.headers)
    bytes += header.key.size() + (header.value ? header.value->size() : 0);
  return static_cast<std::int64_t>(bytes);
}

// A record that has been read. Owns nothing: the bytes live until the next call on the reader that returned it.
struct RecordView {
  std::string_view topic = {};
  PartitionId partition = {};
  Offset offset = {};
  TimestampMs timestamp = {};
  std::optional<std::string_view> key = {};
  std::optional<std::string_view> value = {};
  std::span<const HeaderView> headers = {};
};

}  // namespace leat
