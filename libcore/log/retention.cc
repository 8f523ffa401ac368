#include "leat/log/retention.h"

#include <algorithm>

namespace leat {

Offset start_by_records(const TopicSettings& settings, Offset log_start, Offset end) {
  if (!settings.retention_records) return log_start;
  return std::max(log_start, end - *settings.retention_records);
}

Offset start_by_age_and_bytes(const TopicSettings& settings, std::span<const SegmentFacts> segments, TimestampMs now) {
  std::int64_t bytes = 0;
  for (const SegmentFacts& segment : segments) bytes += segment.bytes;
  std::size_t first = 0;
  for (; first + 1 < segments.size(); ++first) {
    const SegmentFacts& oldest = segments[first];
    // Timestamps are the producer's: the difference of two may not fit, that of a time and a duration does.
    const bool expired = settings.retention_ms && oldest.max_timestamp < now - *settings.retention_ms;
    const bool over = settings.retention_bytes && bytes - oldest.bytes >= *settings.retention_bytes;
    if (!expired && !over) break;
    bytes -= oldest.bytes;
  }
  return segments.empty() ? Offset{0} : segments[first].base;
}

std::int64_t effective_segment_bytes(const TopicSettings& settings) {
  if (!settings.retention_bytes) return settings.segment_bytes;
  return std::min(settings.segment_bytes, std::max(*settings.retention_bytes / 4, kSegmentBytesMin));
}

bool should_roll_early(const TopicSettings& settings, std::int64_t dead_bytes, std::int64_t live_bytes,
                       TimestampMs oldest, TimestampMs now) {
  constexpr std::int64_t kDeadBytesMin = 1 << 20;
  if (settings.retention_records && dead_bytes >= std::max(live_bytes, kDeadBytesMin)) return true;
  return settings.retention_ms && oldest < now - *settings.retention_ms &&
         oldest + *settings.retention_ms < now - *settings.retention_ms / 4;
}

}  // namespace leat
