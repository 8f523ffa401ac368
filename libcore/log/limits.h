// The fixed maxima of the format: what every reader accepts, whatever a topic's settings say now. What can be accepted
// by a writer can be read back by any later reader.
#pragma once

#include <cstdint>

namespace leat {

inline constexpr std::int64_t kRecordBytesMax = 64 << 20;                      // key + value + headers of one record
inline constexpr std::int64_t kBatchBytesMax = 128 << 20;                      // a whole batch as stored
inline constexpr std::int64_t kPlainRecordsBytesMax = 128 << 20;               // a batch's records, decompressed
inline constexpr std::int64_t kSegmentBytesMax = (std::int64_t{1} << 31) - 1;  // Kafka's index is signed 32-bit
inline constexpr std::int64_t kSegmentBytesMin = 64 << 10;
inline constexpr std::int32_t kPartitionsMax = 1024;

}  // namespace leat
