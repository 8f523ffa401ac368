// A partition as its writers see it: the append lock, the assignment of offsets, group commit, recovery, rolling. Many
// processes have the same partition open; what they know of each other is in the state page and in kernel locks.
//
// Only this file truncates segments, and only retention (log/maintenance.h) and compaction remove or replace them.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "leat/log/batch.h"
#include "leat/log/topic.h"

namespace leat {

// What an append was given. Acknowledge it only once commit() has returned success.
struct Appended {
  Offset base{};           // offset of the first record
  Offset end{};            // behind the last one
  std::int64_t epoch = 0;  // of the page in which it was appended
};

// One writer's open partition. Belongs to one thread at a time. Registers as a living writer on the first append, for
// life.
class Partition {
 public:
  // Opens nothing but the directory. `topic` must outlive the partition. Errors: not_found, io.
  static Result<Partition> open(Topic& topic, PartitionId id);

  PartitionId id() const { return id_; }
  const Directory& directory() const { return directory_; }
  Topic& topic() const { return *topic_; }

  // Appends the batches in order, all under one hold of the append lock, unless a roll comes between them; each batch
  // is whole or absent. On success they survive the death of every process, not yet loss of power. On an error those
  // already appended stay. Errors: io (nothing of the failed batch remains), busy, damaged, not_found (topic deleted).
  // `admit`, when given, is asked under the append lock with the end they would go to; an error of it is returned and
  // nothing is written.
  using Admit = std::function<Result<void>(const LogEnd& end)>;
  Result<Appended> append(std::span<EncodedBatch> batches, const Admit& admit = {});

  // Returns when everything before `appended.end` is durable: syncs on behalf of all writers, or waits for the one who
  // does. Errors: io (a sync failed, or the log was cut since: not acknowledged), busy (nobody got on with it for the
  // lock timeout), not_found.
  Result<void> commit(const Appended& appended);

  // The present end, after becoming a living writer (and recovering when nobody was). Errors: as append().
  Result<LogEnd> end();

  // The durable end as the page has it. Errors: internal, before the first append() or end().
  Result<LogEnd> durable_end() const;

  // One of the partition's locks (StateLocks); holds nothing where another process kept it for longer than `timeout`.
  // Errors: io. Precondition: the topic has a state file open.
  Result<RangeLock> take_lock(ByteRange range, Milliseconds timeout = Milliseconds(0)) const;

  // Raises the durable log start to `start` (at most the end), never lowers it. Durable on return. Errors: as append().
  Result<void> raise_log_start(Offset start);

  // Closes the active segment so that it can be retired or compacted; nothing happens when it is empty. Errors: as
  // append().
  Result<void> roll();

  // Where recovery refuses, for repair: closes the active segment as it lies and goes on in a new one at `end`, behind
  // all that can be read or was durable; stores `log_start`. Nothing is examined or mended; bytes in a segment that
  // stands at `end` already go to cut/. In a new epoch, durable on return. Errors: busy (a writer lives), not_found
  // (topic deleted), io.
  Result<void> begin_anew(Offset end, Offset log_start);

  // Runs `work` under the append lock, with the partition in order. For replacing a sealed segment. Errors: as
  // append().
  Result<void> with_append_lock(const std::function<Result<void>()>& work);

  // Writes the state page out, so that after a power cut it is at least as new as what follows. Errors: io.
  Result<void> persist_state() const { return state_file().sync_data(); }

  // Takes back the room that was made ahead of small appends, if this object made any. To be called by a writer that
  // ends in order, so that the log ends with its last batch for those who read it without leat, too.
  void release_reserved();

  // Extends the index of the active segment to the end, if nobody else is doing it. Failing is not an error: it is
  // derived.
  void index_to_end();

  // Completes the indexes of up to `count` closed segments, wherever some were lost or damaged; which ones differs from
  // call to call. Failing is not an error. For all of them: std::numeric_limits<std::size_t>::max().
  void index_closed_segments(std::size_t count);

  // Whether index_to_end() is worth calling: an append of this object has crossed a multiple of 1 MiB since this was
  // last asked, so that of many short-lived writers the one does it whose turn it is.
  bool take_index_due() { return std::exchange(index_due_, false); }
  // Whether retention should be looked at: the same for 4 MiB, and after every roll.
  bool take_retention_due() { return std::exchange(retention_due_, false); }
  // Whether this object has closed a segment since this was last asked: what compaction waits for.
  bool take_rolled() { return std::exchange(rolled_, false); }

  // Sentences for the user (a torn tail that was cut) since the last call.
  std::vector<std::string> take_notices() { return std::exchange(notices_, {}); }

 private:
  Partition(Topic& topic, PartitionId id, Directory directory)
      : topic_(&topic), id_(id), directory_(std::move(directory)) {}

  PartitionPage& page() const { return topic_->state()->page(id_); }
  const File& state_file() const { return topic_->state()->file(); }

  // All of these run under the append lock. With `asks_later`, the caller finds out by itself, before it promises
  // anything, whether the topic was deleted.
  Result<void> prepare(bool asks_later = false);
  Result<void> reopen_what_was_replaced();
  Result<void> become_writer();
  Result<void> recover();
  Result<void> examine_and_cut(const LogEnd& from, std::span<const Offset> bases, LogEnd& end);
  Result<void> cut_after_failed_sync();
  Result<void> undo_begun_roll();
  bool is_writer() const { return writer_in_opening_ == topic_->state_opening(); }
  Result<LogEnd> published() const;
  Result<void> open_log(Offset segment_base);
  Result<void> cut_unpublished(const LogEnd& end);
  void reserve_ahead(const LogEnd& end, std::int64_t bytes);
  Result<void> shorten_to(const LogEnd& end);
  Result<void> append_group(std::span<EncodedBatch> batches, LogEnd& end);
  Result<void> roll_locked(LogEnd& end);
  void publish_all(const LogEnd& end);
  Result<void> make_segment(Offset base);

  // Under the sync lock.
  Result<RangeLock> lock_sync();
  void gather() const;
  Result<void> sync_published(bool always = false);
  Result<bool> reads_back(const LogEnd& from, const LogEnd& to) const;

  Topic* topic_;
  PartitionId id_;
  Directory directory_;
  File log_;                               // the active segment
  Offset log_base_{-1};                    // its base offset
  std::int64_t log_opened_ns_ = 0;         // steady clock, when its descriptor was opened
  std::optional<std::int64_t> log_bytes_;  // its size, known until the next thing is done to it
  std::uint64_t writer_in_opening_ = 0;    // of the state file: the one in which the writers lock is held; 0 for none
  int small_appends_ = 0;                  // in a row
  bool has_reserved_ = false;
  bool index_due_ = false;
  bool retention_due_ = false;
  bool rolled_ = false;
  std::vector<std::string> notices_;
};

}  // namespace leat
