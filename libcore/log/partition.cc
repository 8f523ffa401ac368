#include "leat/log/partition.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <limits>

#include "leat/base/seeded_bug.h"
#include "leat/log/file_names.h"
#include "leat/log/log_start.h"
#include "leat/log/recovery.h"
#include "leat/log/retention.h"
#include "leat/log/segment_index.h"

namespace leat {

namespace {

// Waiters look again this often even when nobody wakes them: the one who was to do it may have died.
constexpr Milliseconds kCommitPoll(20);

// A sync in flight, of gigabytes on a slow disk, is waited for this many lock timeouts longer.
constexpr int kSlowSyncs = 6;

// An fdatasync that has to make a new file size durable takes half as long again as one that has not (measured: 123
// and 84 us). After so many small appends in a row, room is made for a while of them; what is left of it at the end
// goes.
constexpr int kSmallAppendsMin = 4;
constexpr std::int64_t kSmallAppendBytesMax = 64 << 10;
constexpr std::int64_t kReservedBytes = 1 << 20;

constexpr std::int64_t kIndexDueBytes = 1 << 20;
constexpr std::int64_t kRetentionDueBytes = 4 << 20;

bool crosses(std::int64_t from, std::int64_t to, std::int64_t multiple) {
  return from / multiple != to / multiple;
}

std::int64_t steady_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

// What a batch says of those before it: how many were in flight to the disk when it joined them.
std::int32_t in_flight(const std::optional<Sequenced<LogEnd>>& durable, Offset base) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  return static_cast<std::int32_t>(durable ? std::clamp(base - durable->value.end, std::int64_t{0}, kMost) : kMost);
}

// Holds the sync lock of a partition until the end of a scope.
class SyncGuard {
 public:
  SyncGuard(const File& state, PartitionId id) : state_(state), id_(id) {}
  SyncGuard(const SyncGuard&) = delete;
  SyncGuard& operator=(const SyncGuard&) = delete;
  ~SyncGuard() { unlock_range(state_, StateLocks::sync(id_)); }

 private:
  const File& state_;
  PartitionId id_;
};

}  // namespace

Result<Partition> Partition::open(Topic& topic, PartitionId id) {
  Directory directory = TRY(topic.open_partition(id));
  lose_at_fork(directory.fd());  // what appends lock
  return Partition(topic, id, std::move(directory));
}

// ---- Getting ready, under the append lock ----

Result<void> Partition::prepare() {
  TRY(reopen_what_was_replaced());
  if (!is_writer()) TRY(become_writer());
  const auto end = page().published.load();
  if (!end) TRY(recover());
  if (page().rolling.load(std::memory_order_acquire) != 0) TRY(undo_begun_roll());
  if (page().poisoned.load(std::memory_order_acquire) != 0) TRY(cut_after_failed_sync());
  return open_log(TRY(published()).segment_base);
}

Result<void> Partition::reopen_what_was_replaced() {
  TRY(topic_->check_alive());
  if (!topic_->state_is_current()) {
    if (!directory_.still_in(topic_->directory(), partition_directory_name(id_))) {
      return fail(Code::not_found, fmt::format("{} was deleted", directory_.path()));
    }
    TRY(topic_->reopen_state());
  }
  if (log_ && !directory_.names_file(log_file_name(log_base_), log_)) log_ = File();
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
  const auto end = page().published.load();
  if (!end) return fail(Code::internal, fmt::format("{}: no published end after recovery", directory_.path()));
  return end->value;
}

Result<void> Partition::open_log(Offset segment_base) {
  if (log_ && log_base_ == segment_base) return {};
  log_ = TRY(directory_.open_file(log_file_name(segment_base), OpenMode::read_write));
  log_base_ = segment_base;
  log_opened_ns_ = steady_ns();
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
  std::vector<Offset> bases = TRY(list_segments(directory_));
  if (bases.empty()) {
    bases.push_back(TRY(read_log_start(directory_)));
    const File first = TRY(directory_.open_file(log_file_name(bases[0]), OpenMode::create_new));
    TRY(first.sync_data());
    TRY(directory_.sync());
  }
  TRY(lock_sync());
  const SyncGuard guard(state_file(), id_);
  if (TRY(drop_begun_segment(directory_, bases))) bases.pop_back();
  const auto durable = page().durable.load();
  const auto published_end = page().published.load();
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
      ++end.epoch;
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
  TRY(lock_sync());
  const SyncGuard guard(state_file(), id_);
  const auto durable = page().durable.load();
  if (!durable)
    return fail(Code::io, fmt::format("{}: a sync failed and the durable end is unknown", directory_.path()));
  LogEnd end = durable->value;
  TRY(open_log(end.segment_base));
  if (!TRY(reads_back({.end = log_base_, .segment_base = log_base_}, end))) {
    return fail(Code::damaged,
                fmt::format("{}: after a failed sync, what was durable does not read back from the disk", log_.path()));
  }
  const auto published_end = page().published.load();
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
  end.epoch = std::max(end.epoch, published_end ? published_end->value.epoch : 0) + 1;
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

// Whether the batches of the active segment in [from, to) are on the disk itself, read past the page cache.
Result<bool> Partition::reads_back(const LogEnd& from, const LogEnd& to) const {
  if (to.position == 0) return true;
  const bool same = from.segment_base == to.segment_base;
  return batches_on_disk(directory_, log_file_name(to.segment_base), same ? from.position : 0,
                         same ? from.end : to.segment_base, to.position);
}

// ---- Appending ----

Result<Appended> Partition::append(std::span<EncodedBatch> batches, const Admit& admit) {
  const DirectoryLock lock = TRY(DirectoryLock::acquire(directory_, topic_->data_dir().lock_timeout()));
  TRY(prepare());
  LogEnd end = TRY(published());
  if (admit) TRY(admit(end));
  TRY(cut_unpublished(end));
  const std::int64_t segment_bytes = effective_segment_bytes(topic_->settings());
  Appended appended{end.end, end.end, end.epoch};
  while (!batches.empty()) {
    // As many as fit the segment; one alone always does, in a fresh one.
    std::size_t count = 0;
    std::int64_t bytes = end.position;
    while (count < batches.size()) {
      const auto more = static_cast<std::int64_t>(batches[count].bytes.size());
      const bool fits =
          bytes + more <= segment_bytes && end.end - end.segment_base < kSegmentBytesMax - batches[count].record_count;
      if (!fits && bytes > 0) break;
      bytes += more;
      ++count;
      if (!fits) break;
    }
    if (count == 0) {
      TRY(roll_locked(end));
      continue;
    }
    TRY(append_group(batches.first(count), end));
    batches = batches.subspan(count);
  }
  appended.end = end.end;
  if (topic_->settings().durability == Durability::os) wake_all(topic_->state()->header().wake);
  return appended;
}

Result<void> Partition::append_group(std::span<EncodedBatch> batches, LogEnd& end) {
  std::vector<Bytes> pieces;
  pieces.reserve(batches.size());
  LogEnd after = end;
  const auto durable = page().durable.load();
  for (EncodedBatch& batch : batches) {
    place_batch(batch.bytes, after.end, in_flight(durable, after.end));
    pieces.emplace_back(batch.bytes);
    after.end += batch.record_count;
    after.position += static_cast<std::int64_t>(batch.bytes.size());
  }
  reserve_ahead(end, after.position - end.position);
  page().appending.store(1, std::memory_order_release);
  auto written = Result<void>{};
  if (seeded(SeededBug::acknowledge_before_write)) {
    write_at_exit(log_.fd(), pieces, end.position);
  } else {
    written = log_.write_at(pieces, end.position);
  }
  if (!written) {
    // A part may be there: it goes before anybody else can see it. Failing that, the next appender does it.
    (void)shorten_to(end);
    return written;
  }
  index_due_ |= crosses(end.position, after.position, kIndexDueBytes);
  retention_due_ |= crosses(end.position, after.position, kRetentionDueBytes);
  end = after;
  page().published.store(end);
  page().appending.store(0, std::memory_order_release);
  return {};
}

// Makes room behind `end` for what is appended now and some time on, if there is none and it looks worth it. Failing is
// not an error.
void Partition::reserve_ahead(const LogEnd& end, std::int64_t bytes) {
  small_appends_ = bytes <= kSmallAppendBytesMax ? std::min(small_appends_ + 1, kSmallAppendsMin) : 0;
  const std::int64_t needed = end.position + bytes;
  if (small_appends_ < kSmallAppendsMin || needed <= page().reserved.load(std::memory_order_acquire)) return;
  const std::int64_t until = std::min(needed + kReservedBytes, effective_segment_bytes(topic_->settings()));
  if (until <= needed || !log_.allocate(end.position, until - end.position)) return;
  page().reserved.store(until, std::memory_order_release);
  has_reserved_ = true;
}

// Takes away whatever the file has behind `end`.
Result<void> Partition::shorten_to(const LogEnd& end) {
  if (TRY(log_.size()) > end.position) TRY(log_.truncate(end.position));
  page().reserved.store(0, std::memory_order_release);
  page().appending.store(0, std::memory_order_release);
  return {};
}

void Partition::release_reserved() {
  if (!has_reserved_) return;
  has_reserved_ = false;
  const auto lock = DirectoryLock::acquire(directory_, topic_->data_dir().lock_timeout());
  if (!lock || !prepare()) return;
  if (const auto end = published()) (void)shorten_to(*end);
}

// Takes out what a writer left that died between writing and publishing: nobody was told of it.
Result<void> Partition::cut_unpublished(const LogEnd& end) {
  const std::int64_t bytes = TRY(log_.size());
  const bool died = page().appending.load(std::memory_order_acquire) != 0;
  if (!died && bytes == std::max(end.position, page().reserved.load(std::memory_order_acquire))) return {};
  if (bytes >= end.position) return shorten_to(end);
  return std::unexpected(damage_error(log_.path(), bytes,
                                      fmt::format("the file has {} bytes where {} were written", bytes, end.position),
                                      end.end, end.log_start, std::nullopt));
}

Result<LogEnd> Partition::end() {
  const DirectoryLock lock = TRY(DirectoryLock::acquire(directory_, topic_->data_dir().lock_timeout()));
  TRY(prepare());
  return published();
}

Result<LogEnd> Partition::durable_end() const {
  const auto end = topic_->state() == nullptr ? std::nullopt : page().durable.load();
  if (!end) return fail(Code::internal, fmt::format("{}: the durable end is not known", directory_.path()));
  return end->value;
}

Result<void> Partition::with_append_lock(const std::function<Result<void>()>& work) {
  const DirectoryLock lock = TRY(DirectoryLock::acquire(directory_, topic_->data_dir().lock_timeout()));
  TRY(prepare());
  return work();
}

Result<void> Partition::roll() {
  return with_append_lock([this]() -> Result<void> {
    LogEnd end = TRY(published());
    return end.position == 0 ? Result<void>{} : roll_locked(end);
  });
}

// Sync the old segment, create the new one, sync the name, publish: all before the first append to it.
Result<void> Partition::roll_locked(LogEnd& end) {
  TRY(cut_unpublished(end));
  TRY(lock_sync());
  const SyncGuard guard(state_file(), id_);
  // A closed segment ends with its last batch, after a power cut, too.
  const bool shortened = page().reserved.load(std::memory_order_acquire) > end.position;
  if (shortened) TRY(shorten_to(end));
  TRY(sync_published(shortened));
  TRY(make_segment(end.end));
  end.segment_base = end.end;
  end.position = 0;
  const Offset old_base = log_base_;
  const File old_log = std::move(log_);
  publish_all(end);
  retention_due_ = true;
  rolled_ = true;
  TRY(open_log(end.segment_base));
  if (TRY(try_lock_range(state_file(), StateLocks::index(id_), LockKind::exclusive))) {
    (void)catch_up_index(directory_, old_base, old_log, TRY(old_log.size()));
    unlock_range(state_file(), StateLocks::index(id_));
  }
  return {};
}

Result<void> Partition::begin_anew(Offset end, Offset log_start) {
  const DirectoryLock lock = TRY(DirectoryLock::acquire(directory_, topic_->data_dir().lock_timeout()));
  TRY(reopen_what_was_replaced());
  const ByteRange writers = StateLocks::writers(id_);
  if (!TRY(try_lock_range(state_file(), writers, LockKind::exclusive)))
    return fail(Code::busy, fmt::format("{} is being written to by another process", directory_.path()));
  const auto begun = [&]() -> Result<void> {
    TRY(lock_sync());
    const SyncGuard guard(state_file(), id_);
    const auto durable = page().durable.load();
    const auto published_end = page().published.load();
    const std::int64_t epoch =
        std::max(durable ? durable->value.epoch : 0, published_end ? published_end->value.epoch : 0);
    const std::vector<Offset> bases = TRY(list_segments(directory_));
    if (!bases.empty()) TRY(TRY(directory_.open_file(log_file_name(bases.back()), OpenMode::read)).sync_data());
    // Twice, so that neither slot is left damaged.
    TRY(store_log_start(directory_, log_start));
    TRY(store_log_start(directory_, log_start));
    if (directory_.exists(log_file_name(end))) {
      const File there = TRY(directory_.open_file(log_file_name(end), OpenMode::read_write));
      const std::int64_t bytes = TRY(there.size());
      const TailVerdict verdict{.kind = TailVerdict::Kind::torn, .end = end, .file_bytes = bytes, .fault = {}};
      if (bytes > 0) notices_.push_back(TRY(cut_tail(directory_, there, verdict)));
    }
    TRY(make_segment(end));
    publish_all({.end = end, .segment_base = end, .epoch = epoch + 1, .log_start = log_start});
    return persist_state();
  }();
  unlock_range(state_file(), writers);
  writer_in_opening_ = 0;
  return begun;
}

Result<void> Partition::raise_log_start(Offset start) {
  return with_append_lock([&]() -> Result<void> {
    LogEnd end = TRY(published());
    start = std::min(start, end.end);
    if (start <= end.log_start) return {};
    // A start that is durable must not point past what is.
    TRY(lock_sync());
    const SyncGuard guard(state_file(), id_);
    const auto durable = page().durable.load();
    if (!durable || durable->value.end < start) TRY(sync_published());
    TRY(store_log_start(directory_, start));
    end.log_start = start;
    page().published.store(end);
    wake_all(topic_->state()->header().wake);
    return {};
  });
}

// ---- Durability, outside the append lock ----

Result<void> Partition::lock_sync() {
  if (TRY(lock_range(state_file(), StateLocks::sync(id_), LockKind::exclusive, topic_->data_dir().lock_timeout())))
    return {};
  return fail(Code::busy, fmt::format("{}: another process has been syncing for too long", directory_.path()));
}

// Makes all that is published durable. Lock required: sync. A failure is final for those bytes: the page is poisoned.
// With `always` there is something to sync besides.
Result<void> Partition::sync_published(bool always) {
  PartitionPage& page = this->page();
  if (page.poisoned.load(std::memory_order_acquire) != 0)
    return fail(Code::io, fmt::format("{}: a sync failed", directory_.path()));
  const LogEnd target = TRY(published());
  const auto before = page.durable.load();
  if (!always && before && before->value.end == target.end && before->value.epoch == target.epoch) return {};
  TRY(open_log(target.segment_base));
  const std::int64_t interrupted_ns = page.sync_started_ns.load(std::memory_order_acquire);
  // The oldest one counts: it is the one whose failure nobody may have been told of.
  if (interrupted_ns == 0) page.sync_started_ns.store(steady_ns(), std::memory_order_release);
  auto synced = log_.sync_data();
  // The kernel tells each open file of an error once. One opened after a sync whose leader died may not be told of what
  // that sync has lost: then only the disk itself can say. Where it does not, the sync still counts as interrupted.
  if (synced && interrupted_ns != 0 && log_opened_ns_ >= interrupted_ns) {
    const LogEnd begin = {.end = target.segment_base, .segment_base = target.segment_base};
    if (!TRY(reads_back(before ? before->value : begin, target)))
      synced = fail(Code::io, fmt::format("{}: a sync was interrupted and its bytes do not read back", log_.path()));
  }
  if (synced) {
    page.durable.store(target);
  } else {
    page.poisoned.store(1, std::memory_order_release);
  }
  page.sync_started_ns.store(0, std::memory_order_release);
  return synced;
}

Result<void> Partition::commit(const Appended& appended) {
  SteadyTime deadline = std::chrono::steady_clock::now() + topic_->data_dir().lock_timeout();
  Offset last_seen{-1};
  PartitionPage& page = this->page();
  for (;;) {
    const std::uint32_t seen = page.wake.load(std::memory_order_acquire);
    const auto durable = page.durable.load();
    if (durable && durable->value.epoch != appended.epoch) {
      return fail(Code::io,
                  fmt::format("{}: the log was cut after a failed sync; offsets {} to {} are not acknowledged",
                              directory_.path(), appended.base.value, appended.end.value - 1));
    }
    if (durable && durable->value.end >= appended.end) return topic_->check_alive();
    if (page.poisoned.load(std::memory_order_acquire) != 0) {
      return fail(Code::io, fmt::format("{}: a sync failed; offsets {} to {} are not acknowledged", directory_.path(),
                                        appended.base.value, appended.end.value - 1));
    }
    if (durable && durable->value.end > last_seen) {
      last_seen = durable->value.end;
      deadline = std::chrono::steady_clock::now() + topic_->data_dir().lock_timeout();
    }
    if (TRY(try_lock_range(state_file(), StateLocks::sync(id_), LockKind::exclusive))) {
      auto synced = [&] {
        const SyncGuard guard(state_file(), id_);
        return sync_published();
      }();
      // Unlock first, then wake: the other order has been seen to leave waiters asleep.
      wake_all(page.wake);
      wake_all(topic_->state()->header().wake);
      TRY(std::move(synced));
      continue;
    }
    const bool in_flight = page.sync_started_ns.load(std::memory_order_acquire) != 0;
    if (std::chrono::steady_clock::now() >=
        deadline + (in_flight ? kSlowSyncs * topic_->data_dir().lock_timeout() : Milliseconds(0))) {
      return fail(Code::busy,
                  fmt::format("{}: another process has held the sync lock for too long", directory_.path()));
    }
    TRY(topic_->check_alive());
    wait_for_wake({&page.wake, seen}, kCommitPoll);
  }
}

void Partition::index_closed_segments(std::size_t count) {
  const auto bases = list_segments(directory_);
  if (!bases || bases->size() < 2) return;
  const auto locked = try_lock_range(state_file(), StateLocks::index(id_), LockKind::exclusive);
  if (!locked || !*locked) return;
  const std::size_t closed = bases->size() - 1;
  const auto first = static_cast<std::size_t>(steady_ns()) % closed;
  for (std::size_t i = 0; i < std::min(count, closed); ++i) {
    const Offset base = (*bases)[(first + i) % closed];
    const auto log = directory_.open_file(log_file_name(base), OpenMode::read);
    if (!log) continue;
    if (const auto bytes = log->size()) (void)catch_up_index(directory_, base, *log, *bytes);
  }
  unlock_range(state_file(), StateLocks::index(id_));
}

void Partition::index_to_end() {
  if (!log_ || !is_writer()) return;
  const auto end = page().published.load();
  if (!end || end->value.segment_base != log_base_) return;
  const auto locked = try_lock_range(state_file(), StateLocks::index(id_), LockKind::exclusive);
  if (!locked || !*locked) return;
  (void)catch_up_index(directory_, log_base_, log_, end->value.position);
  unlock_range(state_file(), StateLocks::index(id_));
}

}  // namespace leat
