// A key-value store kept from a topic: the last value of each key, in memory, recovered from a changelog.
//
//   source p --> primary worker --> changelog p --> table p --> readers
//                                        \--> replica follower --> table p of another process
//
// Partitions. What partition p of the source says goes to partition p of the changelog and into a table of its own. A
// key is looked for first where the partitioner puts it, then in the other tables: whoever names partitions himself may
// put it there. A process holds some partitions as primary, all of them unless told otherwise, and others as replica.
//
// Threads. Primary partitions are shared out to workers, up to twice as many as processors; a worker reads its
// partitions as one stream. One follower reads the changelog of all replicas. One keeper writes snapshots, looks how
// far source and changelog have come, and takes what the source has gained in partitions, if all are to be held: others
// work on it as on those before. A partition's table is changed by its one worker, or the follower, only; readers
// are any other threads, and take no locks (table.h). An error in any of them is the store's: see failure().
//
// Order. A change is sent to the changelog as soon as it is read from the source, and is acknowledged there (as durable
// as the topic promises) before it is visible. It becomes visible when `flush_count` changes wait, or one has waited
// for `flush_every`, or somebody hurries: a flush. Then the position is visible, too, so that who waits for a position
// sees what belongs to it.
//
// Each change once. A record of the changelog carries the offset of the source record that it comes from, so that what
// is stored and how far the source was read are one append: either both survive or neither. A primary starts by
// becoming the only writer (Producer's sole_writer: a lock in a directory, the transactional id on a cluster), after
// which what its predecessor appended is there for good or never will be; reads the changelog to its end; and goes on
// in the source behind the last offset that it found there. The group "store.ID" on the source only shows the lag: its
// stored offsets are not read.
//
// Whose changelog. The first record of each of its partitions says so (changelog.h). Another id, or another source, is
// refused with configuration, a second process of the same id with busy; on a cluster the second takes over, and the
// first ends with busy.
//
// Deletions. A null value deletes. Its record stays in the changelog until compaction drops it, a day or the topic's
// retention time after it was written, and only once nothing that it deletes is left before it. Reading the changelog
// from its beginning therefore always comes to the right end; reading on behind a snapshot does when that is younger
// than this (snapshot.h).
//
// Figures of tests/bench/store.py, 5 million keys of 16 bytes and values of 200 in 4 partitions, on two processors that
// had nothing else to do: ready after 0.8 s from snapshots, 1.7 s from the changelog alone; 2.3 million changes a
// second taken in (4.0 of 2 million keys, which fit into memory that the host need not find first). That is 0.09 to
// 0.18 of what `consume -O none` reads: what no store can do without (read those bytes, write as many to synced files,
// keep them in fresh memory) alone takes three fifths of that time.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#include "leat/backend/backend.h"
#include "leat/store/snapshot.h"
#include "leat/store/store_layout.h"
#include "leat/store/store_partition.h"

namespace leat {

// What a source's value becomes before it is stored, for many at a time; a deletion is not asked about. Belongs to one
// thread at a time. Errors end the store.
using Transform = std::function<Result<void>(std::span<const std::string_view> in, std::vector<std::string>& out)>;

struct StoreOptions {
  std::string id;
  std::string source;  // may be empty where `replica_only`: any, and it need not be there
  std::string changelog;
  std::vector<PartitionId> partitions = {};  // as primary; all, when empty
  std::vector<PartitionId> replicas = {};    // all that are not primary, when empty and `replica_only`
  bool replica_only = false;                 // no primaries, and no source
  bool wait_for_replicas = false;            // is_ready() only when these are restored, too
  std::int64_t flush_count = 1000;
  Milliseconds flush_every = std::chrono::seconds(1);
  std::int64_t initial_capacity = 0;              // keys, over all partitions
  std::optional<std::string> snapshot_base = {};  // an existing directory (snapshot.h); absent: no snapshots
  Milliseconds snapshot_every = std::chrono::minutes(5);
  std::string description = {};                            // the process, shown to others
  std::function<Result<Transform>()> make_transform = {};  // one for each worker; values are stored as they are without
  std::function<void(std::string)> notice = {};            // sentences for the user; from any thread
};

// The backends of a store, which may be one: they differ where a cluster's clients are to be set differently.
struct StoreBackends {
  Backend* source;
  Backend* producer;   // writes the changelog
  Backend* changelog;  // reads it
};

// One partition, for people and monitoring.
struct StoreStatus {
  PartitionId partition{};
  StoreRole role = StoreRole::primary;
  bool ready = false;
  std::int64_t keys = 0;
  std::int64_t payload_bytes = 0;
  std::int64_t applied = 0;  // changes since the start
  StorePosition position = {};
  std::int64_t behind = 0;  // records of what it reads (source or changelog) that are not visible yet, lately
  std::optional<TimestampMs> current_at = {};  // when all that there was had been read
  Replay replay = {};
};

class Store {
 public:
  // Takes the store's partitions, making the changelog where there is none, and starts; restoring goes on afterwards.
  // The backends must outlive it. Errors: not_found (the source), busy, configuration, usage, those of the backends.
  static Result<std::unique_ptr<Store>> open(const StoreBackends& backends, StoreOptions options);
  // Ends without a flush: as good as being killed.
  ~Store();

  // ---- Any thread ----

  enum class Answer {
    found,
    absent,
    restoring,  // what may hold it is not ready yet
    elsewhere,  // another process holds the partition where it belongs
  };
  // `use` is called under a guard.
  Answer find(std::string_view key, const std::function<void(const StorePartition&, const StoredValue&)>& use) const;

  // A place in a scan: behind a key, or behind all that have its hash.
  struct Place {
    PartitionId partition{};
    std::variant<std::string, std::uint64_t> key;
  };
  // The keys behind `after`, partition by partition, in the order of each table, until `use` says false. False when not
  // everything is ready.
  bool scan(const std::optional<Place>& after,
            const std::function<bool(const StorePartition&, const StoredValue&)>& use) const;

  // Where a key belongs.
  PartitionId home_of(std::string_view key) const { return layout().home_of(key); }
  // nullptr where this process does not hold it.
  const StorePartition* partition(PartitionId id) const { return layout().find(id); }

  // Whether everything that start-up waits for is restored.
  bool is_ready() const;
  std::vector<StoreStatus> status() const;
  const StoreOptions& options() const { return options_; }
  std::int64_t skipped() const { return skipped_.load(std::memory_order_relaxed); }  // records without a usable key

  // Asks for a flush of everything that was read before; done once flushed(its result).
  std::uint64_t request_flush();
  bool flushed(std::uint64_t ticket) const;
  // Called by whichever thread after something became visible, ready, or failed. To be set before much happens; must
  // not wait.
  void on_change(std::function<void()> callback);

  // What ended the store, if anything did.
  std::optional<Error> failure() const;
  // Flushes, stores positions, writes snapshots, and gives up what open() took. Nothing becomes visible afterwards.
  // Errors: failure(), or what went wrong in this.
  Result<void> stop();

 private:
  friend class StoreWorker;
  friend class StoreFollower;

  Store(const StoreBackends& backends, StoreOptions options);

  Result<void> prepare();
  Result<std::int32_t> count_partitions();
  Result<void> prepare_changelog(bool has_source, std::int32_t source_partitions);
  Result<void> hold(std::int32_t source_partitions);
  Result<void> take(const std::vector<StorePartition*>& primaries, std::int64_t held);
  void start();
  void set_to_work();
  void join();
  void run(const std::function<Result<void>()>& work);
  Result<void> keep();
  Result<void> look_at_topics();
  void note_ends(const std::vector<PartitionInfo>& source, const std::vector<PartitionInfo>& changelog);
  const StoreLayout& layout() const { return *layout_.load(std::memory_order_acquire); }
  Result<void> write_snapshots(bool at_end);
  void note(std::string sentence) const;
  void changed() const;
  void fail_with(Error error);
  bool stopping() const { return stop_.load(std::memory_order_relaxed); }

  StoreBackends backends_;
  StoreOptions options_;
  std::optional<SnapshotPlace> snapshots_;
  // What is held: grown by whoever opens the store and by the keeper after him, never shrunk; read through the latest
  // layout.
  std::vector<std::unique_ptr<StorePartition>> partitions_;
  std::vector<std::unique_ptr<const StoreLayout>> layouts_;
  std::atomic<const StoreLayout*> layout_ = nullptr;
  std::vector<std::unique_ptr<class StoreFollower>> followers_;
  std::size_t working_ = 0;    // workers that have a thread
  std::size_t following_ = 0;  // followers that have one

  struct Ends {
    std::int64_t source = 0;
    std::int64_t changelog = 0;
  };
  mutable std::mutex mutex_;  // of all below that is not atomic
  std::condition_variable woken_;
  std::vector<std::unique_ptr<class StoreWorker>> workers_;
  std::optional<Error> failure_;
  std::function<void()> on_change_;
  std::vector<Ends> ends_;                // by number, as of the keeper's latest look
  std::vector<Offset> snapshot_offsets_;  // of the changelog, by number; the keeper's

  std::atomic<bool> stop_ = false;
  std::atomic<bool> abandon_ = false;  // end at once
  std::atomic<std::uint64_t> flush_wanted_ = 0;
  mutable std::atomic<std::int64_t> skipped_ = 0;
  std::thread keeper_;
  std::vector<std::thread> threads_;
};

}  // namespace leat
