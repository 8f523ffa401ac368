#include "leat/backend/background_sync.h"

#include <new>
#include <utility>

#include "leat/base/parallel.h"
#include "leat/log/proof_tree.h"

namespace leat {

BackgroundSync::~BackgroundSync() {
  if (!thread_.joinable()) return;
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void BackgroundSync::request(PartitionId partition, const Appended& appended) {
  {
    const std::scoped_lock lock(mutex_);
    requested_.insert_or_assign(partition, appended);
  }
  changed_.notify_one();
  // Where no thread is to be had, the producer syncs when it flushes, and the tree waits for who comes next.
  if (!thread_.joinable()) thread_ = start_thread([this] { run(); });
}

void BackgroundSync::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !requested_.empty(); });
    if (requested_.empty()) return;
    const auto [id, appended] = *requested_.begin();
    requested_.erase(requested_.begin());
    lock.unlock();
    try {
      serve(id, appended);
    } catch (const std::bad_alloc&) {
      partitions_.clear();  // nobody waits for this, and others may have a use for the memory
    }
    lock.lock();
  }
}

void BackgroundSync::serve(PartitionId id, const Appended& appended) {
  const auto opened = partition(id);
  if (!opened) return;
  if (sync_ && !(*opened)->commit(appended)) return;
  (void)extend_tree(**opened);
}

Result<Partition*> BackgroundSync::partition(PartitionId id) {
  if (!topic_) {
    Topic opened = TRY(Topic::open(data_dir_, topic_name_, Topic::Access::write));
    if (opened.id() != topic_id_) return fail(Code::not_found, "another topic has that name by now");
    topic_ = std::make_unique<Topic>(std::move(opened));
  }
  auto found = partitions_.find(id);
  if (found == partitions_.end()) found = partitions_.emplace(id, TRY(Partition::open(*topic_, id))).first;
  return &found->second;
}

}  // namespace leat
