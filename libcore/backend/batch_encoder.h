// Compresses the batches of a producer in a thread of its own, while the producer collects those that follow: that is
// most of the work of one that compresses. What the thread has not begun when it is asked for, the producer does
// itself.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "leat/log/batch.h"

namespace leat {

class BatchEncoder {
 public:
  // A batch on its way through here.
  class Job {
   public:
    Job(PlainBatch batch, Codec codec, std::vector<std::byte> memory)
        : batch_(std::move(batch)), codec_(codec), memory_(std::move(memory)) {}

    // Once it is finished: the memory its records were collected in, unless they still lie there.
    std::vector<std::byte> take_memory() { return std::move(batch_.bytes); }

   private:
    friend class BatchEncoder;
    enum class State { waiting, begun, done };

    PlainBatch batch_;
    const Codec codec_;
    std::vector<std::byte> memory_;
    Result<EncodedBatch> outcome_ = EncodedBatch();
    std::atomic<State> state_ = State::waiting;
  };

  BatchEncoder() = default;
  BatchEncoder(const BatchEncoder&) = delete;
  BatchEncoder& operator=(const BatchEncoder&) = delete;
  // What was started and not asked for is dropped.
  ~BatchEncoder();

  // Takes a batch, to be encoded behind those before it into `memory`. Starts the thread when there is work for it.
  std::shared_ptr<Job> start(PlainBatch batch, Codec codec, std::vector<std::byte> memory);
  // Encodes it here if the thread has not begun with it. To be asked of many before the first is finished.
  static void help(Job& job);
  // The encoded batch, once for each job. Errors: those of encode_batch().
  static Result<EncodedBatch> finish(Job& job);

 private:
  void run();

  std::mutex mutex_;  // of the three that follow
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Job>> jobs_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace leat
