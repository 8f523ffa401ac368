// What travels between the stages of a pipeline: messages with the records they were made from, and barriers between
// them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "leat/base/clock.h"
#include "leat/pipe/sink.h"

namespace leat::pipe {

// A message on its way, and the records as they were read, which the error stage is given.
struct Item {
  Message message;
  std::vector<std::shared_ptr<const Message>> originals = {};  // none: the message itself is the record
};

// What a message takes of a queue's or a batch's bytes.
inline std::size_t bytes_of(const Message& message) {
  std::size_t bytes = (message.key ? message.key->size() : 0) + (message.value ? message.value->size() : 0);
  for (const auto& [name, value] : message.headers) bytes += name.size() + (value ? value->size() : 0);
  return bytes;
}

// Goes through all stages behind everything that was read before it. A stage passes it on when it is done with what
// came before: open batches are sent at once. When it has come out at the end, all of that is acknowledged, or the
// pipeline has failed. Several may be on their way, one behind the other.
class Barrier {
 public:
  struct What {
    bool is_end = false;                     // nothing comes behind it: sinks are closed
    std::vector<SourceRange> released = {};  // partitions that this process gives up
    std::optional<SourceRange> begun = {};   // the last sink is asked how far an earlier run has delivered it
  };
  explicit Barrier(What what) : what_(std::move(what)) {}

  const What& what() const { return what_; }

  // Of `count` queues that lead to one, how many it has come to the end of, with this one.
  std::size_t arrive() { return ++arrivals_; }
  // What the last sink says of `begun`. Before pass().
  void answer(std::optional<Offset> offset) { answer_ = offset; }
  // Once it has passed.
  std::optional<Offset> answered() const { return answer_; }

  void pass() {
    const std::lock_guard lock(mutex_);
    passed_ = true;
    condition_.notify_all();
  }
  // Whether it has come out at the end, after waiting up to `wait` for it.
  bool wait(Milliseconds wait) {
    std::unique_lock lock(mutex_);
    return condition_.wait_for(lock, wait, [this] { return passed_; });
  }

 private:
  const What what_;
  std::atomic<std::size_t> arrivals_ = 0;
  std::optional<Offset> answer_;
  std::mutex mutex_;
  std::condition_variable condition_;
  bool passed_ = false;
};

using BarrierRef = std::shared_ptr<Barrier>;

// Where a stage puts what it has made: the next stage.
class Inlet {
 public:
  virtual ~Inlet() = default;

  // Takes from the front of `items` what there is room for, waiting for some until `until`; what is left stays. False
  // when the pipeline has been halted.
  virtual bool push(std::vector<Item>& items, SteadyTime until) = 0;
  // Never waits. False as above.
  virtual bool push(const BarrierRef& barrier) = 0;

  // All of them, however long it takes.
  bool push_all(std::vector<Item>& items) {
    while (!items.empty())
      if (!push(items, std::chrono::steady_clock::now() + std::chrono::seconds(1))) return false;
    return true;
  }
};

}  // namespace leat::pipe
