#include "leat/pipe/channel.h"

#include <algorithm>
#include <iterator>

namespace leat::pipe {

bool Channel::push(std::vector<Item>& items, SteadyTime until) {
  std::unique_lock lock(mutex_);
  drained_.wait_until(lock, until, [this] { return halted_ || has_room(); });
  if (halted_) return false;
  std::size_t taken = 0;
  while (taken < items.size() && has_room()) {
    bytes_ += bytes_of(items[taken].message);
    ++records_;
    queue_.emplace_back(std::move(items[taken++]));
  }
  lock.unlock();
  if (taken > 0) filled_.notify_one();
  items.erase(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(taken));
  return true;
}

bool Channel::push(const BarrierRef& barrier) {
  const std::lock_guard lock(mutex_);
  if (halted_) return false;
  queue_.emplace_back(barrier);
  filled_.notify_one();
  return true;
}

Channel::Got Channel::pop(std::size_t most, std::optional<SteadyTime> until, std::vector<Item>& items,
                          BarrierRef& barrier) {
  ASSERT(most > 0);
  std::unique_lock lock(mutex_);
  const auto ready = [this] { return halted_ || !queue_.empty(); };
  if (until) {
    if (!filled_.wait_until(lock, *until, ready)) return Got::nothing;
  } else {
    filled_.wait(lock, ready);
  }
  if (halted_) return Got::halted;
  if (auto* found = std::get_if<BarrierRef>(&queue_.front())) {
    barrier = std::move(*found);
    queue_.pop_front();
    return Got::barrier;
  }
  for (; most > 0 && !queue_.empty(); --most) {
    auto* item = std::get_if<Item>(&queue_.front());
    if (item == nullptr) break;
    bytes_ -= bytes_of(item->message);
    --records_;
    items.push_back(std::move(*item));
    queue_.pop_front();
  }
  const bool more = !queue_.empty();
  lock.unlock();
  drained_.notify_all();
  // Another worker on the same queue may have something to do.
  if (more) filled_.notify_one();
  return Got::items;
}

void Channel::halt() {
  const std::lock_guard lock(mutex_);
  halted_ = true;
  filled_.notify_all();
  drained_.notify_all();
}

}  // namespace leat::pipe
