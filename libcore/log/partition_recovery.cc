// How a writer gets ready to append, under the append lock: it finds out whether it is alone, and brings in order what
// dead writers, failed syncs and power cuts have left. What is torn and what is damaged is recovery.h's to say.
#include <fmt/format.h>

#include <algorithm>

#include "leat/base/seeded_bug.h"
#include "leat/log/file_names.h"
#include "leat/log/log_start.h"
#include "leat/log/partition.h"
#include "leat/log/recovery.h"

namespace leat {

Result<void> Partition::prepare(bool asks_later) {
  if (!asks_later || topic_->marked_deleted()) TRY(topic_->check_alive());
  TRY(reopen_what_was_replaced());
  if (!is_writer()) TRY(become_writer());
  const auto end = load_end(page().published);
  if (!end) TRY(recover());
  if (page().rolling.load(std::memory_order_acquire) != 0) TRY(undo_begun_roll());
  if (page().poisoned.load(std::memory_order_acquire) != 0) TRY(cut_after_failed_sync());
  return open_log(TRY(published()).segment_base);
}

Result<void> Partition::reopen_what_was_replaced() {
  if (!topic_->state_is_current()) {
    if (!directory_.still_in(topic_->directory(), partition_directory_name(id_))) {
      return fail(Code::not_found, fmt::format("{} was deleted", directory_.path()));
    }
    TRY(topic_->reopen_state());
  }
  log_bytes_.reset();
  if (log_ && !directory_.names_file(log_file_name(log_base_), log_, &log_bytes_)) log_ = File();
  return {};
}

// Whoever can have the whole range to himself is the only one alive: what dead writers published is not trusted.
Result<void> Partition::become_writer() {
  const ByteRange range = StateLocks::writers(id_);
  if (TRY(try_lock_range(state_file(), range, LockKind::exclusive))) {
    auto recovered = recover();
    if (!recovered) {
      unlock_range(state_file(), range);
      return recovered;
    }
  }
  if (!TRY(lock_range(state_file(), range, LockKind::shared, topic_->data_dir().lock_timeout()))) {
    return fail(Code::busy, fmt::format("{} is being recovered by another process", directory_.path()));
  }
  writer_in_opening_ = topic_->state_opening();
  return {};
}

// A writer died, or failed, between making the next segment and publishing it: appends go on in the old one, so the new
// one must go.
Result<void> Partition::undo_begun_roll() {
  const Offset active = TRY(published()).segment_base;
  for (const Offset base : TRY(list_segments(directory_))) {
    if (base <= active) continue;
    const File begun = TRY(directory_.open_file(log_file_name(base), OpenMode::read));
    if (TRY(begun.size()) != 0)
      return fail(Code::damaged, fmt::format("{}: a segment that was never published holds bytes", begun.path()));
    TRY(directory_.unlink(log_file_name(base)));
  }
  TRY(directory_.sync());
  page().rolling.store(0, std::memory_order_release);
  return {};
}

Result<LogEnd> Partition::published() const {
  const auto end = load_end(page().published);
  if (!end) return fail(Code::internal, fmt::format("{}: no published end after recovery", directory_.path()));
  return end->value;
}

Result<void> Partition::open_log(Offset segment_base) {
  if (log_ && log_base_ == segment_base) return {};
  log_ = TRY(directory_.open_file(log_file_name(segment_base), OpenMode::read_write));
  log_base_ = segment_base;
  log_bytes_.reset();
  log_opened_ns_ = boot_time_ns();
  return {};
}

void Partition::publish_all(const LogEnd& end) {
  page().durable.store(end);
  page().published.store(end);
  page().sync_started_ns.store(0, std::memory_order_release);
  page().poisoned.store(0, std::memory_order_release);
  page().rolling.store(0, std::memory_order_release);
  page().reserved.store(0, std::memory_order_release);
  page().appending.store(0, std::memory_order_release);
  wake_all(page().wake);
  wake_all(topic_->state()->header().wake);
}

Result<void> Partition::recover() {
  log_bytes_.reset();
  std::vector<Offset> bases = TRY(list_segments(directory_));
  if (bases.empty()) {
    bases.push_back(TRY(read_log_start(directory_)));
    const File first = TRY(directory_.open_file(log_file_name(bases[0]), OpenMode::create_new));
    TRY(first.sync_data());
    TRY(directory_.sync());
  }
  const RangeLock sync_lock = TRY(lock_sync());
  if (TRY(drop_begun_segment(directory_, bases))) bases.pop_back();
  const auto durable = load_end(page().durable);
  const auto published_end = load_end(page().published);
  // With a later segment than the durable one, the failed sync has been dealt with already and the page is older than
  // that.
  if (durable && page().poisoned.load(std::memory_order_acquire) != 0 && bases.back() <= durable->value.segment_base) {
    return cut_after_failed_sync();
  }
  const bool trusted = durable && std::ranges::binary_search(bases, durable->value.segment_base);
  LogEnd from = trusted ? durable->value : LogEnd{.end = bases.back(), .segment_base = bases.back()};
  from.epoch =
      std::max({durable ? durable->value.epoch : 0, published_end ? published_end->value.epoch : 0, std::int64_t{1}});
  LogEnd end = from;
  TRY(examine_and_cut(from, bases, end));
  if (durable && end.end < durable->value.end) {
    return fail(Code::damaged, fmt::format("{}: the log ends at offset {} where {} was durable: records are missing",
                                           directory_.path(), end.end.value, durable->value.end.value));
  }
  end.log_start = TRY(read_log_start(directory_));
  if (bases.front() > end.log_start) {
    return fail(Code::damaged,
                fmt::format("{}: the log starts at offset {} but its first segment at {}: records are missing",
                            directory_.path(), end.log_start.value, bases.front().value));
  }
  if (end.log_start > end.end) {
    return fail(Code::damaged, fmt::format("{}: the log ends at offset {} but starts at {}: records are missing",
                                           directory_.path(), end.end.value, end.log_start.value));
  }
  TRY(open_log(end.segment_base));
  if (end.end > from.end || !trusted) {
    TRY(log_.sync_data());
    // Somebody who is dead by now, or a reader, may have been the only one to be told of a failed sync: the disk itself
    // decides.
    if (!TRY(reads_back(from, end))) return cut_after_failed_sync();
  }
  // Whoever made these names may have died before they were durable.
  if (end.position == 0) TRY(directory_.sync());
  if (end.end == Offset{0}) TRY(topic_->sync_names());
  publish_all(end);
  return {};
}

// Walks from `from` to the end of the active segment and cuts what is torn; `end` is where the log ends then.
Result<void> Partition::examine_and_cut(const LogEnd& from, std::span<const Offset> bases, LogEnd& end) {
  const auto first = std::ranges::find(bases, from.segment_base) - bases.begin();
  for (auto i = static_cast<std::size_t>(first); i < bases.size(); ++i) {
    const bool is_first = bases[i] == from.segment_base;
    const bool is_active = i + 1 == bases.size();
    const File log = TRY(directory_.open_file(log_file_name(bases[i]), OpenMode::read_write));
    const TailVerdict verdict = TRY(examine_tail(log, is_first ? from.position : 0, is_first ? from.end : bases[i]));
    const bool continues = is_active || (verdict.kind == TailVerdict::Kind::whole && verdict.end == bases[i + 1]);
    if (verdict.kind == TailVerdict::Kind::damaged || !continues) {
      const auto next = verdict.next_good ? std::optional(verdict.next_good->base)
                        : is_active       ? std::nullopt
                                          : std::optional(bases[i + 1]);
      const std::string_view fault =
          verdict.fault.empty() ? "the segment ends before the next one begins" : std::string_view(verdict.fault);
      return std::unexpected(damage_error(log.path(), verdict.position, fault, verdict.end, bases.front(), next));
    }
    if (verdict.kind != TailVerdict::Kind::whole && !seeded(SeededBug::no_tail_cut)) {
      const std::string sentence = TRY(cut_tail(directory_, log, verdict));
      if (!sentence.empty()) notices_.push_back(sentence);
      end.epoch = next_epoch(end.epoch);
    }
    end.end = verdict.end;
    end.position = seeded(SeededBug::no_tail_cut) ? verdict.file_bytes : verdict.position;
    end.segment_base = bases[i];
  }
  return {};
}

// A sync has failed: what the page cache says of the bytes behind the durable end is worth nothing. They go, in a new
// epoch, and writing goes on in a new file. Lock required: append; the sync lock is taken here unless this process has
// it already.
Result<void> Partition::cut_after_failed_sync() {
  const RangeLock sync_lock = TRY(lock_sync());
  log_bytes_.reset();
  const auto durable = load_end(page().durable);
  if (!durable)
    return fail(Code::io, fmt::format("{}: a sync failed and the durable end is unknown", directory_.path()));
  LogEnd end = durable->value;
  TRY(open_log(end.segment_base));
  if (!TRY(reads_back({.end = log_base_, .segment_base = log_base_}, end))) {
    return fail(Code::damaged,
                fmt::format("{}: after a failed sync, what was durable does not read back from the disk", log_.path()));
  }
  const auto published_end = load_end(page().published);
  std::int64_t bytes = TRY(log_.size());
  // Room that was made ahead holds nothing that would be worth keeping.
  if (published_end && page().reserved.load(std::memory_order_acquire) > published_end->value.position)
    bytes = std::min(bytes, std::max(end.position, published_end->value.position));
  TailVerdict verdict{.kind = TailVerdict::Kind::torn,
                      .position = end.position,
                      .end = end.end,
                      .file_bytes = bytes,
                      .fault = "a sync failed",
                      .next_good = {}};
  if (bytes > end.position) {
    notices_.push_back(TRY(cut_tail(directory_, log_, verdict)));
  } else {
    TRY(shorten_to(end));
  }
  end.epoch = next_epoch(std::max(end.epoch, published_end ? published_end->value.epoch : 0));
  if (end.position > 0) {
    TRY(make_segment(end.end));
    end.segment_base = end.end;
    end.position = 0;
    retention_due_ = true;
  }
  end.log_start = TRY(read_log_start(directory_));
  publish_all(end);
  // A power cut must not bring the poison back over what will be acknowledged from now on.
  return persist_state();
}

// The empty log file of a segment, its name durable on return.
Result<void> Partition::make_segment(Offset base) {
  page().rolling.store(1, std::memory_order_release);
  const File next = TRY(directory_.open_file(log_file_name(base), OpenMode::create_or_open));
  if (TRY(next.size()) != 0) return fail(Code::damaged, fmt::format("{}: a segment is already there", next.path()));
  TRY(next.sync_data());
  return directory_.sync();
}

// Whether the batches of the active segment in [from, to) are on the disk itself, read past the page cache. Errors:
// not_found where the topic was deleted meanwhile, and its files with it.
Result<bool> Partition::reads_back(const LogEnd& from, const LogEnd& to) const {
  if (to.position == 0) return true;
  const bool same = from.segment_base == to.segment_base;
  if (TRY(batches_on_disk(directory_, log_file_name(to.segment_base), same ? from.position : 0,
                          same ? from.end : to.segment_base, to.position)))
    return true;
  TRY(topic_->check_alive());
  return false;
}

}  // namespace leat
