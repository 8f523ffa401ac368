#include "leat/log/partition_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/log/file_names.h"
#include "leat/log/log_start.h"
#include "leat/log/recovery.h"
#include "leat/log/retention.h"
#include "leat/log/segment_index.h"

namespace leat {

Result<PartitionReader> PartitionReader::open(Topic& topic, PartitionId id, bool uncommitted) {
  PartitionReader reader(topic, id, TRY(topic.open_partition(id)), uncommitted);
  TRY(read_log_start(reader.directory_));
  return reader;
}

// ---- What is visible ----

// A writer that holds the range for itself is recovering: what the page says is not to be believed yet.
Result<bool> PartitionReader::writer_lives() const {
  return topic_->state() != nullptr &&
         TRY(lock_held_elsewhere(topic_->state()->file(), StateLocks::writers(id_))) == LockKind::shared;
}

Result<VisibleRange> PartitionReader::visible_from_page(const LogEnd& end) const {
  const Offset start = start_by_records(topic_->settings(), end.log_start, end.end);
  return VisibleRange{start, end.end, end.position, end.segment_base};
}

Result<VisibleRange> PartitionReader::visible() {
  TRY(topic_->check_alive());
  constexpr int kAttempts = 3;
  for (int attempt = 1;; ++attempt) {
    // Asked before the page is read: what a living writer has published stays true, whoever dies in between.
    if (TRY(writer_lives())) {
      const PartitionPage& page = topic_->state()->page(id_);
      const auto durable = load_end(page.durable);
      const auto published = load_end(page.published);
      if (durable && published) {
        LogEnd end = shows_appended() ? published->value : durable->value;
        end.log_start = published->value.log_start;  // the durable slot's copy may be older
        return visible_from_page(end);
      }
    }
    auto walked = visible_by_walking();
    if (attempt == kAttempts) return walked;
    // A segment may be retired between listing and opening.
    if (!walked && walked.error().code == Code::not_found) continue;
    // A writer that came to life meanwhile may have appended what was walked over, and may yet die before it publishes
    // it: then it goes again. Only where none lives afterwards is the next one bound to find what was found here.
    if (walked && TRY(writer_lives())) continue;
    return walked;
  }
}

Result<VisibleRange> PartitionReader::visible_after_wait() {
  if (topic_->state() == nullptr || !topic_->state_is_current()) {
    TRY(topic_->check_alive());
    TRY(topic_->reopen_state());
  }
  return visible();
}

bool PartitionReader::shows_appended() const {
  return uncommitted_ || topic_->settings().durability == Durability::os;
}

// No writer lives: what the page says is durable can be relied on, what lies behind it is walked. Nothing is changed.
Result<VisibleRange> PartitionReader::visible_by_walking() {
  std::vector<Offset> bases = TRY(list_segments(directory_));
  const Offset log_start = TRY(read_log_start(directory_));
  if (bases.empty()) return VisibleRange{log_start, log_start, 0, log_start};
  if (TRY(looks_begun(directory_, bases))) bases.pop_back();
  LogEnd from{.end = bases.back(), .segment_base = bases.back()};
  bool unsafe_behind = false;
  if (topic_->state() != nullptr) {
    const PartitionPage& page = topic_->state()->page(id_);
    const auto durable = load_end(page.durable);
    // Segments are missing at the end: what is there can be read, and whoever comes to its end is told.
    if (durable && durable->value.segment_base > bases.back()) {
      LogEnd end = durable->value;
      end.log_start = log_start;
      return visible_from_page(end);
    }
    if (durable && std::ranges::binary_search(bases, durable->value.segment_base)) from = durable->value;
    // After a failed sync only a writer finds out what is left. One that was cut short by a death is synced and read
    // back below.
    unsafe_behind = durable && !shows_appended() && page.poisoned.load(std::memory_order_acquire) != 0;
  }
  LogEnd end = unsafe_behind ? from : TRY(walk_behind(from, bases));
  end.log_start = log_start;
  return visible_from_page(end);
}

// Where the log ends behind `from`: whole batches only, made durable before they count. A bad place counts as one
// record more, so that it is met, and reported, by whoever reads up to it.
Result<LogEnd> PartitionReader::walk_behind(const LogEnd& from, const std::vector<Offset>& bases) {
  const std::int64_t bytes = TRY(TRY(directory_.open_file(log_file_name(bases.back()), OpenMode::read)).size());
  if (walked_ && walked_bytes_ == bytes && walked_->segment_base == bases.back()) return *walked_;
  LogEnd end = from;
  for (auto i = segment_of(bases, from.segment_base); i < bases.size(); ++i) {
    const bool is_first = bases[i] == from.segment_base;
    const File log = TRY(directory_.open_file(log_file_name(bases[i]), OpenMode::read));
    const TailVerdict verdict = TRY(examine_tail(log, is_first ? from.position : 0, is_first ? from.end : bases[i]));
    if (verdict.kind == TailVerdict::Kind::damaged && verdict.position >= verdict.file_bytes)
      break;  // shorter than it was
    if (verdict.end > end.end && !shows_appended() &&
        !TRY(made_durable(log, is_first ? from : LogEnd{.end = bases[i]}, verdict)))
      break;
    end.end = verdict.end;
    end.position = verdict.position;
    end.segment_base = bases[i];
    if (verdict.kind == TailVerdict::Kind::damaged) {
      end.end += 1;
      end.position = verdict.file_bytes;
      break;
    }
    if (i + 1 < bases.size() && verdict.end != bases[i + 1]) {
      end.end = bases[i + 1];
      break;
    }
  }
  walked_ = end;
  walked_bytes_ = bytes;
  return end;
}

// Syncs what was walked and reads it back: another process may have been told of a failed sync, and this one not.
Result<bool> PartitionReader::made_durable(const File& log, const LogEnd& from, const TailVerdict& verdict) const {
  TRY(log.sync_data());
  const std::string name = log.path().substr(log.path().rfind('/') + 1);
  return batches_on_disk(directory_, name, from.position, from.end, verdict.position);
}

Result<void> PartitionReader::make_durable(Offset offset) {
  if (topic_->state() != nullptr) {
    const auto durable = load_end(topic_->state()->page(id_).durable);
    if (durable && durable->value.end >= offset) return {};
    // What a failed sync has lost, a second one says nothing of.
    if (topic_->state()->page(id_).poisoned.load(std::memory_order_acquire) != 0) {
      return fail(Code::io,
                  fmt::format("{}: a sync failed; offsets below {} are not durable", directory_.path(), offset.value));
    }
  }
  // Sealed segments were synced when they were closed.
  const std::vector<Offset> bases = TRY(list_segments(directory_));
  if (bases.empty()) return {};
  return TRY(directory_.open_file(log_file_name(bases.back()), OpenMode::read)).sync_data();
}

// ---- Finding a place ----

Result<void> PartitionReader::open_segment(Offset base) {
  log_ = std::make_unique<File>(TRY(directory_.open_file(log_file_name(base), OpenMode::read)));
  current_ = base;
  walk_.emplace(*log_, 0, base);
  return {};
}

void PartitionReader::release_memory() {
  if (walk_) walk_.emplace(*log_, walk_->position(), walk_->expected());
}

Result<void> PartitionReader::seek(Offset offset) {
  place_ = offset;
  sought_ = offset;
  started_ = false;
  // The file that is open needs no looking for, as long as it holds the offset.
  if (walk_ && offset >= current_ && bases_[segment_of(bases_, offset)] == current_) {
    walk_.emplace(*log_, 0, current_);
    if (TRY(place_walk(offset))) return {};
  }
  // A segment may be retired between listing and opening.
  constexpr int kAttempts = 3;
  for (int attempt = 1;; ++attempt) {
    bases_ = TRY(list_segments(directory_));
    walk_.reset();
    if (bases_.empty()) return {};
    auto opened = open_segment(bases_[segment_of(bases_, offset)]);
    if (opened) {
      TRY(place_walk(offset));
      return {};
    }
    if (opened.error().code != Code::not_found || attempt == kAttempts) return opened;
  }
}

// Moves the walk to the batch that holds `offset`, or to the place where it should be; whether it found the batch.
Result<bool> PartitionReader::place_walk(Offset offset) {
  const IndexHint hint = find_by_offset(directory_, current_, *log_, offset, WalkDepth::headers);
  const std::int64_t limit = TRY(log_->size());
  SegmentWalk headers(*log_, hint.position, hint.base, WalkDepth::headers);
  for (;;) {
    const std::int64_t position = headers.position();
    const Offset expected = headers.expected();
    walk_->jump(position, expected);
    const WalkStep step = TRY(headers.next(limit));
    if (step.kind == WalkStep::Kind::batch) {
      if (headers.expected() > offset) return true;
      continue;
    }
    if (expected >= offset || step.kind == WalkStep::Kind::end) return false;
    const auto next = TRY(find_batch_behind(*log_, position + 1, limit, expected));
    if (!next || next->base > offset) return false;
    headers.jump(next->position, next->base);
  }
}

Result<Offset> PartitionReader::find_time(TimestampMs time) {
  const VisibleRange range = TRY(visible());
  const std::vector<Offset> bases = TRY(list_segments(directory_));
  BatchDecoder decoder;
  for (auto i = bases.empty() ? 0 : segment_of(bases, range.start); i < bases.size(); ++i) {
    if (bases[i] >= range.end) break;
    auto opened = directory_.open_file(log_file_name(bases[i]), OpenMode::read);
    if (!opened && opened.error().code == Code::not_found) continue;  // retired since it was listed
    const File log = TRY(std::move(opened));
    const Offset from = std::max(find_by_time(directory_, bases[i], log, time), range.start);
    const IndexHint hint = find_by_offset(directory_, bases[i], log, from);
    const std::int64_t limit = bases[i] == range.segment_base ? range.position : TRY(log.size());
    SegmentWalk headers(log, hint.position, hint.base, WalkDepth::headers);
    for (;;) {
      const WalkStep step = TRY(headers.next(limit));
      if (step.kind != WalkStep::Kind::batch) break;
      const BatchHeader& header = step.batch.header;
      if (header.max_timestamp < time || header.end_offset() <= range.start || header.record_count == 0) continue;
      std::vector<std::byte> bytes(header.total_bytes());
      const std::size_t count = TRY(log.read_at(bytes, step.batch.position));
      // A batch that cannot be trusted is where reading is to start: reading reports it.
      if (count != bytes.size() || !batch_crc_matches(bytes)) return std::max(header.base_offset, range.start);
      for (const RecordView& record : TRY(decoder.decode(bytes))) {
        if (record.offset >= range.start && record.timestamp >= time) return record.offset;
      }
    }
  }
  return range.end;
}

// ---- Reading on ----

Result<std::int64_t> PartitionReader::limit_of_segment(const VisibleRange& range) const {
  if (current_ == range.segment_base) return range.position;
  return log_->size();
}

Result<void> PartitionReader::jump_to_start(Offset start) {
  notices_.push_back(
      fmt::format("topic \"{}\" partition {}: offsets {} to {} have been trimmed away; reading goes on at {}",
                  topic_->name(), id_.value, place_.value, start.value - 1, start.value));
  return seek(start);
}

// Goes on at the log start where it has passed this place since the range was asked for; false where it has not.
Result<bool> PartitionReader::follow_start() {
  const Offset start = TRY(visible()).start;
  if (place_ >= start) return false;
  TRY(jump_to_start(start));
  return true;
}

// Goes on in the segment that begins where this one ends, or at the log start when that one has been retired meanwhile;
// false when neither is so.
Result<bool> PartitionReader::step_to_next_segment() {
  const Offset expected = walk_->expected();
  bases_ = TRY(list_segments(directory_));
  if (expected != current_ && std::ranges::binary_search(bases_, expected)) {
    auto opened = open_segment(expected);
    if (opened) return true;
    if (opened.error().code != Code::not_found) return std::unexpected(std::move(opened).error());
  }
  return follow_start();
}

Error PartitionReader::damage(const char* fault, std::int64_t limit) {
  const Offset expected = walk_->expected();
  readable_behind_damage_.reset();
  if (const auto found = find_batch_behind(*log_, walk_->position() + 1, limit, expected); found && *found) {
    readable_behind_damage_ = (*found)->base;
  } else if (const auto next = std::ranges::upper_bound(bases_, expected); next != bases_.end()) {
    readable_behind_damage_ = *next;
  }
  return damage_error(log_->path(), walk_->position(), fault, expected, bases_.front(), readable_behind_damage_);
}

Result<std::optional<BatchAt>> PartitionReader::next(const VisibleRange& range) {
  if (!started_ && place_ < range.start) TRY(jump_to_start(range.start));
  for (;;) {
    if (place_ >= range.end) return std::nullopt;
    if (!walk_) TRY(seek(place_));
    if (!walk_) return std::nullopt;
    const std::int64_t limit = TRY(limit_of_segment(range));
    if (walk_->expected() > place_) {
      if (TRY(follow_start())) continue;
      const Offset first = walk_->expected();
      readable_behind_damage_ = first;
      return std::unexpected(
          damage_error(log_->path(), 0, "the segments before it are missing", place_, place_, first));
    }
    const WalkStep step = TRY(walk_->next(limit));
    if (step.kind == WalkStep::Kind::batch) {
      if (step.batch.header.end_offset() <= place_) continue;
      place_ = step.batch.header.end_offset();
      started_ = true;
      return step.batch;
    }
    const bool bad = step.kind == WalkStep::Kind::bad;
    if (!bad && TRY(step_to_next_segment())) continue;
    // The log may have been cut since the range was asked for: what is gone was never durable.
    const VisibleRange now = TRY(visible());
    if (now.end < range.end || now.segment_base < range.segment_base) return std::nullopt;
    return std::unexpected(damage(bad ? step.fault : "the segment ends before the next one begins", limit));
  }
}

Result<VisibleRange> visible_range(Topic& topic, PartitionId id, bool uncommitted) {
  PartitionReader reader = TRY(PartitionReader::open(topic, id, uncommitted));
  return reader.visible();
}

}  // namespace leat
