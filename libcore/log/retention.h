// Which part of a log the settings let go. Decides purely: never opens, moves or deletes anything.
#pragma once

#include <cstdint>
#include <span>

#include "leat/base/types.h"
#include "leat/log/topic_settings.h"

namespace leat {

// What retention needs to know of a segment; the last one of a log is the active one.
struct SegmentFacts {
  Offset base{};
  std::int64_t bytes = 0;
  TimestampMs max_timestamp{};  // of its batches
};

// The first offset that retention by records leaves readable in a log that ends at `end`: exact, a matter of
// arithmetic.
Offset start_by_records(const TopicSettings& settings, Offset log_start, Offset end);

// The base of the first segment to keep, judged by age and bytes: from the oldest on, a sealed segment goes when all
// its batches are older than the retention time, or when what stays is still at least the retention bytes. Never the
// active one.
Offset start_by_age_and_bytes(const TopicSettings& settings, std::span<const SegmentFacts> segments, TimestampMs now);

// How large a segment may grow: smaller than the setting when retention by bytes asks for it, since only whole segments
// are unlinked. At most a quarter of the retention bytes, at least 64 KiB.
std::int64_t effective_segment_bytes(const TopicSettings& settings);

// Whether the active segment should be closed early so that its space can be freed: when retention by records has left
// more dead bytes in it than live ones (and 1 MiB at least), or its oldest batch is older than a quarter more than the
// retention time.
bool should_roll_early(const TopicSettings& settings, std::int64_t dead_bytes, std::int64_t live_bytes,
                       TimestampMs oldest, TimestampMs now);

}  // namespace leat
