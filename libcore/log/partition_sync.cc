// Durability, outside the append lock: one writer syncs on behalf of all, the others wait to be woken.
#include <fmt/format.h>
#include <sched.h>

#include "leat/log/partition.h"

namespace leat {

namespace {

// Waiters look again this often even when nobody wakes them: the one who was to do it may have died.
constexpr Milliseconds kCommitPoll(20);

// A sync in flight, of gigabytes on a slow disk, is waited for this many lock timeouts longer.
constexpr int kSlowSyncs = 6;

// How those wait whose records a round of syncing covers: in the round before it, they sleep on.
WaiterKinds waiting_for(std::uint32_t round) {
  return WaiterKinds{1} << round % 32;
}

}  // namespace

Result<RangeLock> Partition::take_lock(ByteRange range, Milliseconds timeout) const {
  return RangeLock::take(state_file(), range, timeout);
}

Result<RangeLock> Partition::lock_sync() {
  RangeLock lock = TRY(take_lock(StateLocks::sync(id_), topic_->data_dir().lock_timeout()));
  if (!lock)
    return fail(Code::busy, fmt::format("{}: another process has been syncing for too long", directory_.path()));
  return lock;
}

// Before a sync: lets those append who are just about to, so that it is theirs as well; once nobody does any more, it
// begins. Who is alone loses half a microsecond. Of 16 processes that wait for their receipts, each sync is for a third
// more of them.
void Partition::gather() const {
  constexpr int kTurnsMax = 32;
  constexpr int kQuietTurns = 4;
  auto before = load_end(page().published);
  for (int turn = 0, quiet = 0; turn < kTurnsMax && quiet < kQuietTurns; ++turn) {
    ::sched_yield();
    const auto now = load_end(page().published);
    quiet = before && now && before->value.end == now->value.end ? quiet + 1 : 0;
    before = now;
  }
}

// Makes all that is published durable. Lock required: sync. A failure is final for those bytes: the page is poisoned.
// With `always` there is something to sync besides.
Result<void> Partition::sync_published(bool always) {
  PartitionPage& page = this->page();
  if (page.poisoned.load(std::memory_order_acquire) != 0)
    return fail(Code::io, fmt::format("{}: a sync failed", directory_.path()));
  const LogEnd target = TRY(published());
  const auto before = load_end(page.durable);
  if (!always && before && before->value.end == target.end && before->value.epoch == target.epoch) return {};
  TRY(open_log(target.segment_base));
  const std::int64_t interrupted_ns = page.sync_started_ns.load(std::memory_order_acquire);
  // The oldest one counts: it is the one whose failure nobody may have been told of.
  if (interrupted_ns == 0) page.sync_started_ns.store(boot_time_ns(), std::memory_order_release);
  page.sync_round.fetch_add(1, std::memory_order_release);
  page.sync_target.store(target.end.value, std::memory_order_release);
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
    const auto durable = load_end(page.durable);
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
    if (RangeLock lock = TRY(take_lock(StateLocks::sync(id_)))) {
      gather();
      auto synced = sync_published();
      const std::uint32_t round = page.sync_round.load(std::memory_order_acquire);
      lock.release();
      // Unlock first, then wake: the other order has been seen to leave waiters asleep. Of those whose records came too
      // late for this sync one is enough, to lead the next.
      if (synced) {
        wake_kinds(page.wake, waiting_for(round), waiting_for(round + 1));
      } else {
        wake_all(page.wake);
      }
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
    if (topic_->marked_deleted()) TRY(topic_->check_alive());
    // Read against the order in which they are written: a target is never taken for that of an earlier round, whose
    // waiters nobody wakes any more. That of an earlier one costs no more than a round.
    const bool covered = page.sync_target.load(std::memory_order_acquire) >= appended.end.value;
    const std::uint32_t round = page.sync_round.load(std::memory_order_acquire);
    wait_for_wake({&page.wake, seen}, kCommitPoll, waiting_for(covered ? round : round + 1));
  }
}

}  // namespace leat
