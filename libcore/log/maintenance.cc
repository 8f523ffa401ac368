#include "leat/log/maintenance.h"

#include <algorithm>
#include <limits>

#include "leat/log/file_names.h"
#include "leat/log/producer_state.h"
#include "leat/log/proof_tree.h"
#include "leat/log/retention.h"
#include "leat/log/segment_index.h"

namespace leat {

namespace {

// The largest timestamp of a segment's batches, as far as it can be read.
struct MaxTimestamp {
  TimestampMs value{std::numeric_limits<std::int64_t>::min()};
  bool whole = false;  // the segment was read to its end
};

// From the batch headers alone, from a place on.
Result<MaxTimestamp> walk_max_timestamp(const File& log, IndexHint from, TimestampMs before) {
  MaxTimestamp maximum{before};
  SegmentWalk walk(log, from.position, from.base, WalkDepth::headers);
  const std::int64_t bytes = TRY(log.size());
  for (;;) {
    const WalkStep step = TRY(walk.next(bytes));
    maximum.whole = step.kind == WalkStep::Kind::end;
    if (step.kind != WalkStep::Kind::batch) return maximum;
    maximum.value = std::max(maximum.value, step.batch.header.max_timestamp);
  }
}

Result<MaxTimestamp> find_max_timestamp(const Directory& partition, Offset base) {
  const File log = TRY(partition.open_file(log_file_name(base), OpenMode::read));
  MaxTimestamp maximum;
  const std::vector<TimeIndexEntry> times = TRY(read_time_index(partition, base));
  const IndexHint hint = find_by_offset(partition, base, log, Offset{std::numeric_limits<std::int64_t>::max()});
  // The time index speaks for what lies before the last indexed batch, the walk for the rest.
  if (hint.position > 0 && !times.empty()) maximum.value = times.back().timestamp;
  return walk_max_timestamp(log, times.empty() ? IndexHint{0, base} : hint, maximum.value);
}

// Of the segment that is being written what counts is what was written, not the room made ahead.
Result<std::vector<SegmentFacts>> segment_facts(const Directory& directory, const LogEnd& end,
                                                std::optional<TimestampMs> expired_before) {
  std::vector<SegmentFacts> facts;
  for (const Offset base : TRY(list_segments(directory))) {
    const File log = TRY(directory.open_file(log_file_name(base), OpenMode::read));
    const std::int64_t bytes = base == end.segment_base ? end.position : TRY(log.size());
    SegmentFacts fact{base, bytes, {}};
    if (expired_before) {
      MaxTimestamp maximum = TRY(find_max_timestamp(directory, base));
      // Before anything is let go because of its age, the log itself is asked: an index may be wrong.
      if (maximum.value < *expired_before) maximum = TRY(walk_max_timestamp(log, {0, base}, MaxTimestamp{}.value));
      // A segment whose age cannot be read is kept, and with it all that follow.
      fact.max_timestamp = maximum.whole ? maximum.value : TimestampMs{std::numeric_limits<std::int64_t>::max()};
    }
    facts.push_back(fact);
  }
  return facts;
}

// Closes the active segment when the settings want its space back.
Result<void> roll_if_due(Partition& partition, const LogEnd& end, TimestampMs now) {
  const TopicSettings& settings = partition.topic().settings();
  if (end.position == 0 || (!settings.retention_records && !settings.retention_ms)) return {};
  const Directory& directory = partition.directory();
  const File log = TRY(directory.open_file(log_file_name(end.segment_base), OpenMode::read));
  SegmentWalk walk(log, 0, end.segment_base, WalkDepth::headers);
  const WalkStep first = TRY(walk.next(end.position));
  if (first.kind != WalkStep::Kind::batch) return {};
  const Offset start = start_by_records(settings, end.log_start, end.end);
  const std::int64_t dead_bytes =
      start <= end.segment_base ? 0 : find_by_offset(directory, end.segment_base, log, start).position;
  if (!should_roll_early(settings, dead_bytes, end.position - dead_bytes, first.batch.header.base_timestamp, now))
    return {};
  return partition.roll();
}

}  // namespace

Result<TimestampMs> segment_max_timestamp(const Directory& partition, Offset base) {
  return TRY(find_max_timestamp(partition, base)).value;
}

Result<void> keep_producers(const Partition& partition, Offset base) {
  const auto producers = partition.topic().directory().open_directory(kProducersDirectory);
  if (!producers && producers.error().code == Code::not_found) return {};
  if (!producers) return std::unexpected(producers.error());
  return snapshot_producers(partition.directory(), base);
}

Result<void> unlink_retired(const Partition& partition, Offset log_start) {
  const Directory& directory = partition.directory();
  const std::vector<Offset> bases = TRY(list_segments(directory));
  std::size_t retired = 0;
  while (retired + 1 < bases.size() && bases[retired + 1] <= log_start) ++retired;
  if (retired == 0) return {};
  // What is derived goes first: a segment without its index is slow, an index without its segment is litter; and what
  // must be kept of the segments finds room on a full disk.
  for (std::size_t i = 0; i < retired; ++i) {
    TRY(directory.unlink(index_file_name(bases[i])));
    TRY(directory.unlink(time_index_file_name(bases[i])));
    TRY(directory.unlink(compacting_file_name(bases[i])));
  }
  TRY(keep_producers(partition, bases[retired]));
  // Freeing space must not need any: on a full disk the oldest segment goes first.
  TRY(keep_tree_of(partition, bases[retired], [&] { return directory.unlink(log_file_name(bases[0])); }));
  for (std::size_t i = 0; i < retired; ++i) {
    TRY(directory.unlink(producers_file_name(bases[i])));
    TRY(directory.unlink(log_file_name(bases[i])));
  }
  return directory.sync();
}

Result<void> apply_retention(Partition& partition, TimestampMs now) {
  const TopicSettings& settings = partition.topic().settings();
  const bool retains = settings.retention_records || settings.retention_ms || settings.retention_bytes;
  LogEnd end = TRY(partition.end());
  const RangeLock lock = TRY(partition.take_lock(StateLocks::maintenance(partition.id())));
  if (!lock) return {};
  if (retains && settings.cleanup == Cleanup::remove) {
    TRY(roll_if_due(partition, end, now));
    end = TRY(partition.end());
    std::optional<TimestampMs> expired_before;
    if (settings.retention_ms) expired_before.emplace(now - *settings.retention_ms);
    const auto facts = TRY(segment_facts(partition.directory(), end, expired_before));
    const Offset start =
        std::max(start_by_records(settings, end.log_start, end.end), start_by_age_and_bytes(settings, facts, now));
    // Persisting the start costs a sync: only when a segment goes with it.
    if (facts.size() < 2 || facts[1].base > start) return {};
    // What it was counted from must not be lost, or less would be left than was to be retained.
    if (settings.durability == Durability::sync) TRY(partition.commit({end.end, end.end, end.epoch}));
    TRY(partition.raise_log_start(start));
    end.log_start = std::max(end.log_start, start);
  }
  return unlink_retired(partition, end.log_start);
}

Result<void> trim_partition(Partition& partition, Offset start) {
  const RangeLock lock =
      TRY(partition.take_lock(StateLocks::maintenance(partition.id()), partition.topic().data_dir().lock_timeout()));
  if (!lock) return fail(Code::busy, partition.directory().path() + " is being maintained by another process");
  TRY(partition.raise_log_start(start));
  const LogEnd end = TRY(partition.end());
  if (end.log_start >= end.end) TRY(partition.roll());
  return unlink_retired(partition, end.log_start);
}

}  // namespace leat
