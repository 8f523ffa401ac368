#include "leat/log/survey.h"

#include <algorithm>

#include "leat/log/file_names.h"
#include "leat/log/recovery.h"

namespace leat {

namespace {

// Offsets of a segment are relative to its base and 31 bits wide.
constexpr std::int64_t kSegmentOffsetsMax = std::int64_t{1} << 31;

// The header of the batch at `position`, when a whole and valid one starts there and ends at or before `limit`.
Result<std::optional<BatchHeader>> whole_batch_at(const File& log, std::int64_t position, std::int64_t limit) {
  std::array<std::byte, kBatchHeaderBytes> raw{};
  if (TRY(log.read_at(raw, position)) != raw.size()) return std::nullopt;
  const BatchHeader header = load_batch_header(raw.data());
  if (header_fault(header) != nullptr) return std::nullopt;
  if (position + static_cast<std::int64_t>(header.total_bytes()) > limit) return std::nullopt;
  std::vector<std::byte> bytes(header.total_bytes());
  if (TRY(log.read_at(bytes, position)) != bytes.size() || !batch_crc_matches(bytes)) return std::nullopt;
  return header;
}

struct StartValue {
  std::int64_t offset;
};

}  // namespace

// ---- One segment ----

SegmentScan::SegmentScan(const File& log, const SegmentBounds& bounds, IndexHint from)
    : log_(&log), bounds_(bounds), walk_(log, from.position, from.base) {}

// No batch of this segment ends behind this offset.
Offset SegmentScan::bound() const {
  const Offset most = bounds_.base + kSegmentOffsetsMax;
  return bounds_.next ? std::min(*bounds_.next, most) : most;
}

Result<SegmentScan::Step> SegmentScan::next() {
  const WalkStep step = TRY(walk_.next(bounds_.limit));
  if (step.kind == WalkStep::Kind::bad) return pass(walk_.position(), walk_.expected(), step.fault);
  if (step.kind == WalkStep::Kind::end) {
    const Offset due = bounds_.next.value_or(std::max(bounds_.known_end, walk_.expected()));
    if (walk_.expected() >= due) return Step{};
    BadPlace place{.from = bounds_.limit, .to = bounds_.limit, .first = walk_.expected(), .end = due};
    place.fault = "the records behind it are missing";
    place.is_tail = true;
    walk_.jump(bounds_.limit, due);
    return Step{.kind = Step::Kind::bad, .place = std::move(place)};
  }
  const BatchAt& batch = step.batch;
  if (batch.header.end_offset() > bound()) {
    return pass(batch.position, batch.header.base_offset,
                "the batch runs past the offset where the next segment begins");
  }
  auto records = decoder_.decode(batch.bytes);
  if (!records) return pass(batch.position, batch.header.base_offset, std::move(records).error().message);
  return Step{.kind = Step::Kind::batch, .batch = batch, .records = *records};
}

// The first whole batch behind the bad place `from` that the log can go on with.
Result<std::optional<FoundBatch>> SegmentScan::find_behind(std::int64_t from, Offset first) const {
  // Base offsets stand outside the checksum: one that leaves a gap reaching behind what was ever durable is not
  // believed.
  const bool is_bounded = !bounds_.next && first < bounds_.known_end;
  const auto can_follow = [&](Offset base) {
    return base >= first && base < bound() && (!is_bounded || base <= bounds_.known_end);
  };
  // A length is believed when a batch starts, or the file ends, where it leads: what looks like a batch before that is
  // part of a record.
  std::array<std::byte, kBatchHeaderBytes> raw{};
  if (TRY(log_->read_at(raw, from)) == raw.size()) {
    const BatchHeader header = load_batch_header(raw.data());
    const std::int64_t behind = from + static_cast<std::int64_t>(header.total_bytes());
    if (header_fault(header) == nullptr && behind <= bounds_.limit) {
      if (behind == bounds_.limit) return std::nullopt;
      const auto follower = TRY(whole_batch_at(*log_, behind, bounds_.limit));
      if (follower && can_follow(follower->base_offset)) return FoundBatch{behind, follower->base_offset};
    }
  }
  for (std::int64_t at = from + 1;;) {
    const auto found = TRY(find_batch_behind(*log_, at, bounds_.limit, first - 1));
    if (!found || can_follow(found->base)) return found;
    at = found->position + 1;
  }
}

// Determines how far the bad place at `from` reaches and goes on behind it.
Result<SegmentScan::Step> SegmentScan::pass(std::int64_t from, Offset first, std::string fault) {
  auto found = TRY(find_behind(from, first));
  const bool open_end = !bounds_.next && first >= bounds_.known_end;
  const bool unfinished = open_end && TRY(examine_tail(*log_, from, first)).kind != TailVerdict::Kind::damaged;
  if (unfinished) found.reset();
  // What comes next behind the place; unknown at the end of the last segment, where the log reached `known_end` at
  // least.
  const std::optional<Offset> due = found ? std::optional(found->base) : bounds_.next;
  BadPlace place{.from = from, .to = found ? found->position : bounds_.limit, .first = first};
  place.fault = std::move(fault);
  place.is_tail = !found;
  place.end = due.value_or(std::max(bounds_.known_end, first));

  // A whole batch that stands too high is not bad itself where what follows begins right behind it: then it is what
  // came before it that is missing.
  const auto here = TRY(whole_batch_at(*log_, from, bounds_.limit));
  const bool fits = here && here->base_offset > first && here->end_offset() == due.value_or(bounds_.known_end);
  if (fits) {
    place.to = from;
    place.end = here->base_offset;
    place.is_tail = false;
    place.fault = "the records before this batch are missing";
  } else {
    place.only_zeros = TRY(only_zeros(*log_, from, place.to));
    place.restorable = TRY(restored_end(place)) == place.end;
    place.unfinished = unfinished;
  }
  walk_.jump(place.to, place.end);
  return Step{.kind = Step::Kind::bad, .place = std::move(place)};
}

// The end of the batch that the bytes of the place are, but for what the checksum does not cover.
Result<std::optional<Offset>> SegmentScan::restored_end(const BadPlace& place) const {
  if (place.bytes() < static_cast<std::int64_t>(kBatchHeaderBytes) || place.bytes() > kBatchBytesMax)
    return std::nullopt;
  std::vector<std::byte> bytes(static_cast<std::size_t>(place.bytes()));
  if (TRY(log_->read_at(bytes, place.from)) != bytes.size()) return std::nullopt;
  const auto restored = restore_batch(bytes, place.first);
  if (!restored) return std::nullopt;
  return load_batch_header(restored->data()).end_offset();
}

std::optional<std::vector<std::byte>> restore_batch(Bytes bytes, Offset first) {
  constexpr std::size_t kLengthAt = 8;
  constexpr std::size_t kMagicAt = 16;
  constexpr std::int8_t kMagic = 2;
  std::vector<std::byte> batch(bytes.begin(), bytes.end());
  if (batch.size() < kBatchHeaderBytes) return std::nullopt;
  const std::int32_t epoch = load_batch_header(batch.data()).leader_epoch;
  place_batch(batch, first, epoch);
  store_be(batch.data() + kLengthAt, static_cast<std::int32_t>(batch.size() - kBatchLengthPrefixBytes));
  store_be(batch.data() + kMagicAt, kMagic);
  if (!batch_crc_matches(batch) || !BatchDecoder().decode(batch)) return std::nullopt;
  return batch;
}

// ---- A partition ----

Result<PartitionBounds> note_bounds(const Directory& partition, const TopicState* state, PartitionId id,
                                    bool appended) {
  PartitionBounds bounds;
  const PartitionPage* page = state != nullptr && id.value < state->partitions() ? &state->page(id) : nullptr;
  // In the order of PartitionReader::visible(): what a living writer has published stays true, whoever dies in between.
  bounds.writer_lives =
      page != nullptr && TRY(lock_held_elsewhere(state->file(), StateLocks::writers(id))) == LockKind::shared;
  if (page != nullptr) {
    const auto durable = page->durable.load();
    if (durable) bounds.known_end = durable->value.end;
    const auto end = appended ? page->published.load() : durable;
    if (bounds.writer_lives && end) bounds.end = end->value;
  }
  bounds.bases = TRY(list_segments(partition));
  if (bounds.end) {
    std::erase_if(bounds.bases, [&](Offset base) { return base > bounds.end->segment_base; });
    // May be raised at any time, and has its own file.
    bounds.end->log_start = {};
  } else if (TRY(looks_begun(partition, bounds.bases))) {
    bounds.bases.pop_back();
  }
  return bounds;
}

SegmentBounds PartitionBounds::segment(std::size_t i, std::int64_t file_bytes) const {
  SegmentBounds segment{.base = bases[i], .limit = file_bytes};
  if (i + 1 < bases.size()) {
    segment.next = bases[i + 1];
  } else if (end && end->segment_base == bases[i]) {
    segment.limit = std::min(file_bytes, end->position);
    segment.next = end->end;
  } else {
    segment.known_end = known_end;
  }
  return segment;
}

Result<StartSurvey> survey_start(const Directory& partition) {
  const auto file = partition.open_file(kStartFile, OpenMode::read);
  if (!file && file.error().code == Code::not_found) return StartSurvey{.missing = true};
  if (!file) return std::unexpected(file.error());
  const auto slots = TRY(survey_slots<StartValue>(*file, 0));
  return StartSurvey{slots.health, {slots.value.offset}};
}

}  // namespace leat
