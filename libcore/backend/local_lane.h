// One partition of a data directory as this process appends to it: batches that are closed and not yet appended, what
// is appended and not yet acknowledged, and the upkeep of derived files on the way. Which records go into a batch, and
// what its header says of their producer, is for its owner.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "leat/backend/background_sync.h"
#include "leat/backend/batch_encoder.h"
#include "leat/log/partition.h"

namespace leat {

// What the lanes of one owner have in common.
struct LaneShare {
  static constexpr std::size_t kHeldBytesMax = 6 << 20;

  // Whether all lanes are to close and append what they have, however little of each there is.
  bool is_full() const { return held_bytes >= held_bytes_max; }

  BatchMemory batches;
  BatchEncoder encoder;
  std::size_t held_bytes_max = kHeldBytesMax;
  std::size_t held_bytes = 0;  // of batches, open and closed, that are not appended, in all lanes
};

class LocalLane {
 public:
  // With `syncs`, commit() makes durable what was appended. `background` must outlive every append(), `share` the
  // lane.
  LocalLane(Partition opened, Codec codec, bool syncs, LaneShare& share, BackgroundSync& background)
      : partition_(std::move(opened)), codec_(codec), syncs_(syncs), share_(&share), background_(&background) {}
  LocalLane(const LocalLane&) = delete;
  LocalLane& operator=(const LocalLane&) = delete;
  // Leaves the partition in order; what was not appended is gone.
  ~LocalLane();

  Partition& partition() { return partition_; }
  const Partition& partition() const { return partition_; }
  PartitionId id() const { return partition_.id(); }
  // The batch that is being filled.
  const BatchBuilder& open_batch() const { return builder_; }
  // Adds a record to it; then its owner looks whether the memory is full. Errors: those of BatchBuilder::add().
  Result<void> add(const RecordInput& record, TimestampMs timestamp) {
    if (!builder_.has_memory()) builder_.use(share_->batches.take(usual_bytes_));
    const std::size_t before = builder_.plain_bytes();
    auto added = builder_.add(record, timestamp);
    share_->held_bytes += builder_.plain_bytes() - before;
    return added;
  }
  // Closed batches are to be appended in groups of a certain size: one hold of the append lock, one write. Whether
  // there are enough for one.
  bool is_due() const { return closed_bytes_ >= kAppendBytes; }

  // Closes the open batch. Errors: internal. Precondition: it is not empty.
  Result<void> close(const BatchProducer& fields);
  // Appends the closed batches, if there are any. Errors: internal, those of Partition::append() and of `admit`.
  Result<std::optional<Appended>> append(const Partition::Admit& admit);
  // Acknowledges what was appended. Errors: those of Partition::commit().
  Result<void> commit();
  // The same for what others have appended up to `end`.
  Result<void> commit(const LogEnd& end);

 private:
  static constexpr std::size_t kAppendBytes = 1 << 20;

  Result<void> finish_closed();
  void maintain();
  void sync_far_behind();

  Partition partition_;
  Codec codec_;
  BatchBuilder builder_;
  bool syncs_;
  LaneShare* share_;
  BackgroundSync* background_;
  std::size_t usual_bytes_ = 0;                             // of the batch before
  std::vector<std::shared_ptr<BatchEncoder::Job>> closed_;  // to be compressed
  std::vector<EncodedBatch> finished_;                      // to be appended, before those
  std::size_t closed_bytes_ = 0;                            // of both, plain
  std::size_t held_bytes_ = 0;                              // of the memory of both
  std::optional<Appended> uncommitted_;
  bool has_appended_ = false;  // an append has succeeded
  std::int64_t behind_ = 0;    // bytes appended since the latest commit or request of one
  bool tree_due_ = false;      // enough was appended since the tree was extended
};

}  // namespace leat
