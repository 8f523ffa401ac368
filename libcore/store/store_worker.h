// What keeps the partitions of a store up to date: workers from the source, over the changelog, into the tables of
// primaries; the follower from the changelog into those of replicas. Internal to store.cc.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "leat/store/store.h"

namespace leat {

class StoreWorker {
 public:
  // Each of the partitions is to have room for `capacity` keys from the beginning.
  StoreWorker(Store& store, const std::vector<StorePartition*>& partitions, std::int64_t capacity);

  // Becomes the only writer of its partitions' changelog, and reserves it. Errors: busy, configuration, those of the
  // producers.
  Result<void> claim();
  // Restores, and then follows the source until the store stops. Errors: whatever ends it.
  Result<void> run();

  // Gives up what claim() took. Only when run() has returned.
  void release();

  std::uint64_t flushed() const { return flushed_.load(std::memory_order_acquire); }

 private:
  // Its side of one partition.
  struct Lane {
    StorePartition* partition;
    std::unique_ptr<Producer> producer;
    HashKey incarnation;
    std::vector<PreparedChange> pending = {};  // sent to the changelog, not visible
    bool unacknowledged = false;
    StorePosition reached = {};  // with everything pending
  };

  Result<void> restore();
  Result<void> check_source() const;
  Result<void> open_source();
  Result<void> follow();
  Result<void> take(const Fetch& fetch);
  Result<void> transform(std::span<const RecordView> records);
  bool usable(const RecordView& record);
  Result<void> take_record(Lane& lane, const RecordView& record, std::optional<std::string_view> value,
                           TimestampMs now);
  Result<void> acknowledge();
  Result<void> publish();
  Result<void> commit();
  bool has_enough(bool behind) const;
  Lane& lane_of(PartitionId partition);

  Store& store_;
  const std::int64_t capacity_;
  std::string source_identity_;
  std::deque<Lane> lanes_;
  std::unique_ptr<GroupReader> source_;
  Transform transform_;
  std::vector<std::string_view> inputs_;
  std::vector<std::string> outputs_;
  std::int64_t pending_ = 0;
  std::int64_t pending_bytes_ = 0;  // of keys and values
  bool moved_ = false;              // lanes have reached more than is visible
  SteadyTime pending_since_{};
  SteadyTime committed_at_{};
  bool commit_due_ = false;
  bool said_unusable_ = false;
  std::atomic<std::uint64_t> flushed_ = 0;
};

class StoreFollower {
 public:
  StoreFollower(Store& store, std::vector<StorePartition*> partitions)
      : store_(store), partitions_(std::move(partitions)) {}

  // Restores, and then follows the changelog until the store stops. Errors: whatever ends it.
  Result<void> run();

 private:
  Result<bool> attach();
  Result<void> open_reader();
  Result<void> take(const Fetch& fetch);

  Store& store_;
  std::vector<StorePartition*> partitions_;
  std::unique_ptr<Reader> reader_;
  std::vector<PreparedChange> changes_;
};

}  // namespace leat
