// What is on the disk of a partition, damaged or not: how far its log reaches, and every batch and every bad place of a
// segment in order. What verify reports and repair mends are the same places, found here. Changes nothing, takes no
// lock.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "leat/base/checked_slots.h"
#include "leat/log/segment.h"
#include "leat/log/segment_index.h"
#include "leat/log/topic.h"

namespace leat {

// Bytes of a segment that are no part of a batch that may stand there, and the offsets that are missing with them.
// Either may be none: bytes that push themselves in between, a segment that ends too early.
struct BadPlace {
  std::int64_t from = 0;  // byte of the .log file
  std::int64_t to = 0;
  Offset first{};  // the offset that is due there
  Offset end{};    // the offset that comes next behind: [first, end) are missing
  std::string fault = {};
  bool is_tail = false;  // no whole batch lies behind it in this file
  // At the open end of the log, where recovery takes it for a write that was cut short, or for room set aside (zeros):
  // nobody was ever told that it was written.
  bool unfinished = false;
  bool only_zeros = false;
  // All but the fields that stand outside the checksum is whole, and those follow from the batches around it: no record
  // is lost.
  bool restorable = false;

  std::int64_t bytes() const { return to - from; }
  std::int64_t offsets() const { return end - first; }

  friend bool operator==(const BadPlace&, const BadPlace&) = default;
};

// A segment as its neighbours and the state page tell it.
struct SegmentBounds {
  Offset base{};
  std::int64_t limit = 0;           // byte at which it ends
  std::optional<Offset> next = {};  // the offset that is due behind it, where that is known
  Offset known_end{};               // without `next`: the log once reached this offset at least
};

// Goes through one segment from a batch boundary to its end, decodes every batch and goes on behind every bad place.
class SegmentScan {
 public:
  // `log` must outlive the scan.
  SegmentScan(const File& log, const SegmentBounds& bounds) : SegmentScan(log, bounds, {0, bounds.base}) {}
  SegmentScan(const File& log, const SegmentBounds& bounds, IndexHint from);

  struct Step {
    enum class Kind { batch, bad, end } kind = Kind::end;
    BatchAt batch = {};                        // whole, and its records read
    std::span<const RecordView> records = {};  // live until the next step, as the batch's bytes do
    BadPlace place = {};
  };
  // Errors: io.
  Result<Step> next();

  // Behind the last step.
  std::int64_t position() const { return walk_.position(); }
  Offset expected() const { return walk_.expected(); }

 private:
  Result<Step> pass(std::int64_t from, Offset first, std::string fault);
  Result<std::optional<FoundBatch>> find_behind(std::int64_t from, Offset first) const;
  Result<std::optional<Offset>> restored_end(const BadPlace& place) const;
  Offset bound() const;

  const File* log_;
  SegmentBounds bounds_;
  SegmentWalk walk_;
  BatchDecoder decoder_;
};

// The bytes of a batch whose header lost what stands outside the checksum, as they should be: from the bytes of its
// place and the offset due there. nullopt when the checksum does not agree with the rest, or no batch can be so.
std::optional<std::vector<std::byte>> restore_batch(Bytes bytes, Offset first);

// How far the log of a partition reaches, as noted at one moment.
struct PartitionBounds {
  std::vector<Offset> bases;  // of its segments, ascending; without those behind the end
  bool writer_lives = false;
  std::optional<LogEnd> end = {};  // where it ends, with a living writer: what lies behind is being written
  Offset known_end{};              // without one: all before was durable once, as the state page says

  // The place of segment `i`, whose file has `file_bytes` bytes.
  SegmentBounds segment(std::size_t i, std::int64_t file_bytes) const;

  friend bool operator==(const PartitionBounds&, const PartitionBounds&) = default;
};

// `state` may be absent. With `appended`, the end is behind what was appended, else behind what is durable. Errors: io.
Result<PartitionBounds> note_bounds(const Directory& partition, const TopicState* state, PartitionId id, bool appended);

// A pair of checked slots (base/checked_slots.h), judged slot by slot: readers are content with one.
enum class SlotHealth {
  empty,       // never written
  good,        // both, or one and the other never written
  older_lost,  // the older slot does not check out: nothing is lost
  newer_lost,  // it cannot be told which one does not: the value may be the one before the last
  damaged,     // neither does
};
template <class Value>
struct SlotSurvey {
  SlotHealth health = SlotHealth::empty;
  Value value{};
};
// Errors: io.
template <class Value>
Result<SlotSurvey<Value>> survey_slots(const File& file, std::int64_t position);

// What the start file holds: { offset i64 } in checked slots.
struct StartSurvey {
  SlotHealth health = SlotHealth::empty;
  Offset start{};  // as far as it can be read
  bool missing = false;
};
// Errors: io.
Result<StartSurvey> survey_start(const Directory& partition);

// ---- Implementation of the template ----

template <class Value>
Result<SlotSurvey<Value>> survey_slots(const File& file, std::int64_t position) {
  using Slot = CheckedSlot<Value>;
  // One that is being written while it is read looks damaged, the next time it does not.
  constexpr int kAttempts = 3;
  SlotSurvey<Value> survey;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::array<typename Slot::Words, 2> slots{};
    TRY(file.read_at(std::as_writable_bytes(std::span(slots)), position));
    const auto best = newest<Value>(slots[0], slots[1]);
    const auto is_whole = [](const typename Slot::Words& slot) {
      return slot == typename Slot::Words{} || Slot::open(slot).has_value();
    };
    if (best) survey.value = best->value;
    if (is_whole(slots[0]) && is_whole(slots[1])) {
      survey.health = best ? SlotHealth::good : SlotHealth::empty;
      return survey;
    }
    if (!best) {
      survey.health = SlotHealth::damaged;
    } else {
      const auto& lost = slots[is_whole(slots[0]) ? 1 : 0];
      survey.health = lost[0] + 1 == best->sequence ? SlotHealth::older_lost : SlotHealth::newer_lost;
    }
  }
  return survey;
}

}  // namespace leat
