// The end of a pipeline that cannot go on: the first failure of any of its threads is kept, and all others are told.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <vector>

#include "leat/pipe/channel.h"

namespace leat::pipe {

class Lifeline {
 public:
  // To be told of a halt. Before any thread is started; the channel must outlive the last call of halt().
  void add(Channel& channel) { channels_.push_back(&channel); }

  // Something has failed for good. The first failure counts.
  void fail(Error error) {
    {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::move(error);
    }
    halt();
  }
  // All is over, without a failure: who waits is to give up.
  void halt() {
    halted_ = true;
    for (Channel* channel : channels_) channel->halt();
  }

  const std::atomic<bool>& halted() const { return halted_; }
  std::optional<Error> failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

 private:
  std::vector<Channel*> channels_;
  std::atomic<bool> halted_ = false;
  mutable std::mutex mutex_;
  std::optional<Error> failure_;
};

}  // namespace leat::pipe
