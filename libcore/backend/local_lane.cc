#include "leat/backend/local_lane.h"

#include "leat/log/compaction.h"
#include "leat/log/maintenance.h"

namespace leat {

namespace {

// What is appended to a partition without a flush is made durable in the background when it has come to this much.
constexpr std::int64_t kBackgroundBytes = 8 << 20;

// Closed segments whose indexes are looked after at each roll, so that lost ones come back in time.
constexpr std::size_t kIndexesPerRoll = 8;

}  // namespace

LocalLane::~LocalLane() {
  maintain();
  sync_far_behind();
  partition_.release_reserved();
}

Result<void> LocalLane::close(const BatchProducer& fields) {
  usual_bytes_ = builder_.plain_bytes();
  std::vector<std::byte> packed;
  if (codec_ != Codec::none) packed = share_->batches.take(usual_bytes_);
  PlainBatch batch = builder_.take(fields);
  const std::size_t held = batch.bytes.capacity() + packed.capacity();
  if (codec_ == Codec::none) {
    finished_.push_back(TRY(encode_batch(batch, codec_)));  // at once, while it is near the processor
  } else {
    closed_.push_back(share_->encoder.start(std::move(batch), codec_, std::move(packed)));
  }
  closed_bytes_ += usual_bytes_;
  held_bytes_ += held;
  share_->held_bytes += held - usual_bytes_;
  return {};
}

// Waits for what is being compressed, and lends a hand.
Result<void> LocalLane::finish_closed() {
  for (const auto& job : closed_) BatchEncoder::help(*job);
  for (const auto& job : std::exchange(closed_, {})) {
    finished_.push_back(TRY(BatchEncoder::finish(*job)));
    share_->batches.give_back(job->take_memory());
  }
  return {};
}

Result<std::optional<Appended>> LocalLane::append(const Partition::Admit& admit) {
  TRY(finish_closed());
  if (finished_.empty()) return std::nullopt;
  TRY(partition_.topic().refresh_settings());
  const Appended appended = TRY(partition_.append(finished_, admit));
  // A batch of an earlier epoch was cut: the commit of the later one must not speak for it.
  if (!uncommitted_ || uncommitted_->epoch == appended.epoch) uncommitted_ = appended;
  has_appended_ = true;
  for (EncodedBatch& batch : finished_) {
    behind_ += static_cast<std::int64_t>(batch.bytes.size());
    share_->batches.give_back(std::move(batch.bytes));
  }
  finished_.clear();
  closed_bytes_ = 0;
  share_->held_bytes -= std::exchange(held_bytes_, 0);
  maintain();
  if (behind_ >= kBackgroundBytes) {
    behind_ = 0;
    background_->request(id(), *uncommitted_);
  }
  return appended;
}

Result<void> LocalLane::commit() {
  if (!uncommitted_) return {};
  if (syncs_) TRY(partition_.commit(*uncommitted_));
  behind_ = 0;
  // Over what is durable by now.
  if (std::exchange(tree_due_, false)) background_->request(id(), *uncommitted_);
  uncommitted_.reset();
  return {};
}

Result<void> LocalLane::commit(const LogEnd& end) {
  return syncs_ ? partition_.commit({end.end, end.end, end.epoch}) : Result<void>{};
}

// Derived files and retention; what goes wrong here never fails an append.
void LocalLane::maintain() {
  if (partition_.take_index_due()) {
    partition_.index_to_end();
    tree_due_ = true;
  }
  const bool rolled = partition_.take_rolled();
  tree_due_ |= rolled;
  if (rolled) {
    partition_.index_closed_segments(kIndexesPerRoll);
    if (const auto end = partition_.durable_end()) (void)keep_producers(partition_, end->segment_base);
  }
  if (rolled && partition_.topic().settings().cleanup == Cleanup::compact)
    (void)compact_partition(partition_, now_ms());
  if (partition_.take_retention_due()) (void)apply_retention(partition_, now_ms());
}

// Where nobody syncs (durability os), whoever opens the log next would have to walk all of it: a writer that ends in
// order leaves at most a few MiB to walk.
void LocalLane::sync_far_behind() {
  constexpr std::int64_t kWalkBytesMax = 4 << 20;
  if (!has_appended_) return;
  const auto durable = partition_.durable_end();
  const auto end = partition_.end();
  if (!durable || !end ||
      (durable->segment_base == end->segment_base && end->position - durable->position < kWalkBytesMax))
    return;
  (void)partition_.commit({end->end, end->end, end->epoch});
}

}  // namespace leat
