// A bounded queue between two stages. Whoever puts in more than there is room for waits: that is the back-pressure that
// reaches up to the reader.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <variant>
#include <vector>

#include "leat/pipe/item.h"

namespace leat::pipe {

struct ChannelLimits {
  std::size_t records = 10'000;
  std::size_t bytes = 16 << 20;  // one message larger than this still passes, alone
};

class Channel final : public Inlet {
 public:
  explicit Channel(const ChannelLimits& limits) : limits_(limits) {}

  bool push(std::vector<Item>& items, SteadyTime until) override;
  bool push(const BarrierRef& barrier) override;

  // What pop() found: messages, or a barrier (alone), or nothing until its time was over; or that all is over.
  enum class Got : std::uint8_t { items, barrier, nothing, halted };
  // Appends up to `most` messages to `items`, waiting for the first of them until `until` (for ever, when absent).
  Got pop(std::size_t most, std::optional<SteadyTime> until, std::vector<Item>& items, BarrierRef& barrier);

  // Whoever waits, or comes later, is told that all is over.
  void halt();

  // What waits, as of some moment.
  std::size_t records() const { return records_.load(std::memory_order_relaxed); }
  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  bool has_room() const { return records_ == 0 || (records_ < limits_.records && bytes_ < limits_.bytes); }

  const ChannelLimits limits_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::condition_variable drained_;
  std::deque<std::variant<Item, BarrierRef>> queue_;
  std::atomic<std::size_t> records_ = 0;  // written under the mutex
  std::atomic<std::size_t> bytes_ = 0;
  bool halted_ = false;
};

}  // namespace leat::pipe
