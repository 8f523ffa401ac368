#include "leat/log/inspection.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "leat/log/file_names.h"
#include "leat/log/recovery.h"
#include "leat/log/segment_index.h"

namespace leat {
namespace {

// The header at `position`, when a batch of base offset `base` seems to start there.
Result<std::optional<BatchHeader>> header_at(const File& log, std::int64_t position, Offset base) {
  std::array<std::byte, kBatchHeaderBytes> bytes = {};
  if (position < 0 || TRY(log.read_at(bytes, position)) < bytes.size()) return std::nullopt;
  const BatchHeader header = load_batch_header(bytes.data());
  if (header_fault(header) != nullptr || header.base_offset != base) return std::nullopt;
  return header;
}

// Whether a batch of base offset `base` has `time` as its largest timestamp.
Result<bool> has_max_time(const Directory& partition, Offset segment, const File& log, Offset base, TimestampMs time) {
  const IndexHint hint = find_by_offset(partition, segment, log, base);
  SegmentWalk walk(log, hint.position, hint.base, WalkDepth::headers);
  const std::int64_t file_bytes = TRY(log.size());
  for (;;) {
    const WalkStep step = TRY(walk.next(file_bytes));
    if (step.kind != WalkStep::Kind::batch || step.batch.header.base_offset > base) return false;
    if (step.batch.header.base_offset == base) return step.batch.header.max_timestamp == time;
  }
}

}  // namespace

Result<PartitionInspection> PartitionInspection::open(const Topic& topic, PartitionId id) {
  Directory directory = TRY(topic.open_partition(id));
  std::vector<Offset> bases = TRY(list_segments(directory));
  Offset durable_end{};
  if (topic.state() != nullptr && id.value < topic.state()->partitions()) {
    if (const auto durable = topic.state()->page(id).durable.load()) durable_end = durable->value.end;
  }
  return PartitionInspection(std::move(directory), std::move(bases), durable_end);
}

std::pair<std::size_t, std::size_t> PartitionInspection::segments_of(OffsetRange range) const {
  if (bases_.empty() || range.from >= range.end) return {0, 0};
  const auto last = std::lower_bound(bases_.begin(), bases_.end(), range.end);
  return {segment_of(bases_, range.from), static_cast<std::size_t>(last - bases_.begin())};
}

Result<std::vector<SegmentSummary>> PartitionInspection::segments(OffsetRange range,
                                                                  InspectionFindings& findings) const {
  std::vector<SegmentSummary> summaries;
  const auto [first, last] = segments_of(range);
  for (std::size_t i = first; i < last; ++i) {
    const File log = TRY(directory_.open_file(log_file_name(bases_[i]), OpenMode::read));
    SegmentSummary summary;
    summary.base = bases_[i];
    summary.bytes = TRY(log.size());
    summary.active = i + 1 == bases_.size();
    summary.offset_entries = static_cast<std::int64_t>(TRY(read_offset_index(directory_, bases_[i])).size());
    summary.time_entries = static_cast<std::int64_t>(TRY(read_time_index(directory_, bases_[i])).size());
    // Only the part behind the last index entry is walked.
    const IndexHint hint = find_by_offset(directory_, bases_[i], log, Offset{std::numeric_limits<std::int64_t>::max()});
    SegmentWalk walk(log, hint.position, hint.base);
    for (bool more = true; more;) {
      const WalkStep step = TRY(walk.next(summary.bytes));
      if (step.kind == WalkStep::Kind::bad)
        more = TRY(pass_bad_place(i, log, summary.bytes, step.fault, walk, findings));
      if (step.kind == WalkStep::Kind::end) more = false;
    }
    summary.next = walk.expected();
    summaries.push_back(summary);
  }
  return summaries;
}

Result<void> PartitionInspection::visit_batches(OffsetRange range, bool decode, InspectionFindings& findings,
                                                const BatchVisitor& visit) const {
  const auto [first, last] = segments_of(range);
  for (std::size_t i = first; i < last; ++i) {
    if (!TRY(visit_segment(i, range, decode, findings, visit))) break;
  }
  return {};
}

// False when the range ends in this segment.
Result<bool> PartitionInspection::visit_segment(std::size_t index, OffsetRange range, bool decode,
                                                InspectionFindings& findings, const BatchVisitor& visit) const {
  const Offset base = bases_[index];
  const File log = TRY(directory_.open_file(log_file_name(base), OpenMode::read));
  const std::int64_t file_bytes = TRY(log.size());
  const IndexHint hint = range.from > base ? find_by_offset(directory_, base, log, range.from) : IndexHint{0, base};
  SegmentWalk walk(log, hint.position, hint.base);
  BatchDecoder decoder;
  for (;;) {
    const WalkStep step = TRY(walk.next(file_bytes));
    if (step.kind == WalkStep::Kind::bad) {
      if (!TRY(pass_bad_place(index, log, file_bytes, step.fault, walk, findings))) return true;
      continue;
    }
    if (step.kind == WalkStep::Kind::end) {
      const bool sealed = index + 1 < bases_.size();
      if (sealed && walk.expected() != bases_[index + 1]) {
        const std::string fault =
            fmt::format("the segment ends here, but the next one begins at offset {}", bases_[index + 1].value);
        findings.damage.push_back(
            damage_error(log.path(), walk.position(), fault, walk.expected(), bases_.front(), bases_[index + 1]));
      }
      return true;
    }
    if (step.batch.header.end_offset() <= range.from) continue;
    if (step.batch.header.base_offset >= range.end) return false;
    TRY(visit(base, step.batch));
    if (!decode) continue;
    if (const auto records = decoder.decode(step.batch.bytes); !records) {
      findings.damage.push_back(damage_error(log.path(), step.batch.position, records.error().message,
                                             step.batch.header.base_offset, bases_.front(), walk.expected()));
    }
  }
}

// Notes what is wrong where `walk` stands and steps behind it. False when nothing of this segment is readable behind
// it.
Result<bool> PartitionInspection::pass_bad_place(std::size_t index, const File& log, std::int64_t file_bytes,
                                                 const char* fault, SegmentWalk& walk,
                                                 InspectionFindings& findings) const {
  const auto next = TRY(find_batch_behind(log, walk.position() + 1, file_bytes, walk.expected() - 1));
  const bool active = index + 1 == bases_.size();
  if (active && walk.expected() >= durable_end_) {
    const TailVerdict::Kind kind = TRY(examine_tail(log, walk.position(), walk.expected())).kind;
    if (kind == TailVerdict::Kind::torn) {
      findings.notices.push_back(fmt::format("{}: {} bytes behind the last whole batch, an unfinished write",
                                             log.path(), file_bytes - walk.position()));
    }
    if (kind != TailVerdict::Kind::damaged) return false;  // zeros: room that a writer has made
  }
  std::optional<Offset> readable;
  if (next) readable = next->base;
  if (!next && !active) readable = bases_[index + 1];
  findings.damage.push_back(
      damage_error(log.path(), walk.position(), fault, walk.expected(), bases_.front(), readable));
  if (!next) return false;
  walk.jump(next->position, next->base);
  return true;
}

Result<std::vector<IndexEntryReport>> PartitionInspection::index_entries(OffsetRange range,
                                                                         InspectionFindings& findings) const {
  std::vector<IndexEntryReport> reports;
  const auto within = [&](Offset offset) { return offset >= range.from && offset < range.end; };
  const auto [first, last] = segments_of(range);
  for (std::size_t i = first; i < last; ++i) {
    const Offset base = bases_[i];
    const File log = TRY(directory_.open_file(log_file_name(base), OpenMode::read));
    std::int64_t wrong = 0;
    for (const OffsetIndexEntry& entry : TRY(read_offset_index(directory_, base))) {
      const bool good = TRY(header_at(log, entry.position, entry.offset)).has_value();
      if (!good) ++wrong;
      if (within(entry.offset)) reports.push_back({base, false, entry.offset, entry.position, {}, good});
    }
    for (const TimeIndexEntry& entry : TRY(read_time_index(directory_, base))) {
      const bool good = TRY(has_max_time(directory_, base, log, entry.offset, entry.timestamp));
      if (!good) ++wrong;
      if (within(entry.offset)) reports.push_back({base, true, entry.offset, -1, entry.timestamp, good});
    }
    if (wrong > 0) {
      findings.notices.push_back(
          fmt::format("{}: {} of the index entries beside it point at no batch; no record is lost by it, "
                      "a writer makes the index anew",
                      log.path(), wrong));
    }
  }
  return reports;
}

}  // namespace leat
