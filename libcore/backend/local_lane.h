// One partition of a data directory as this process appends to it: batches that are finished and not yet appended, what
// is appended and not yet acknowledged, and the upkeep of derived files on the way. Which records go into a batch, and
// what its header says of their producer, is for its owner.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "leat/backend/background_sync.h"
#include "leat/log/partition.h"

namespace leat {

class LocalLane {
 public:
  // Finished batches are to be appended in groups of about this size: one hold of the append lock, one write.
  static constexpr std::size_t kAppendBytes = 1 << 20;

  // With `syncs`, commit() makes durable what was appended. `background` must outlive every append(), `memory` the
  // lane.
  LocalLane(Partition opened, Codec codec, bool syncs, BatchMemory& memory, BackgroundSync& background)
      : partition_(std::move(opened)),
        codec_(codec),
        builder_(codec),
        syncs_(syncs),
        memory_(&memory),
        background_(&background) {}
  LocalLane(const LocalLane&) = delete;
  LocalLane& operator=(const LocalLane&) = delete;
  // Leaves the partition in order; what was not appended is gone.
  ~LocalLane();

  Partition& partition() { return partition_; }
  const Partition& partition() const { return partition_; }
  PartitionId id() const { return partition_.id(); }
  // The batch that is being filled.
  BatchBuilder& builder() { return builder_; }
  // Gives back the memory of the batch that is being filled. Precondition: it is empty.
  void release_memory() { builder_ = BatchBuilder(codec_); }
  // Of finished batches, not appended yet.
  std::size_t finished_bytes() const { return finished_bytes_; }

  // Finishes the open batch. Errors: internal. Precondition: it is not empty.
  Result<void> close(const BatchProducer& fields);
  // Appends the finished batches, if there are any. Errors: those of Partition::append() and of `admit`.
  Result<std::optional<Appended>> append(const Partition::Admit& admit);
  // Acknowledges what was appended. Errors: those of Partition::commit().
  Result<void> commit();
  // The same for what others have appended up to `end`.
  Result<void> commit(const LogEnd& end);

 private:
  void maintain();
  void sync_far_behind();

  Partition partition_;
  Codec codec_;
  BatchBuilder builder_;
  bool syncs_;
  BatchMemory* memory_;  // shared by the lanes of one owner
  BackgroundSync* background_;
  std::vector<EncodedBatch> finished_;
  std::size_t finished_bytes_ = 0;
  std::optional<Appended> uncommitted_;
  bool has_appended_ = false;  // an append has succeeded
  std::int64_t behind_ = 0;    // bytes appended since the latest commit or request of one
  bool tree_due_ = false;      // enough was appended since the tree was extended
};

}  // namespace leat
