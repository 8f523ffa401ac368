#include "leat/backend/batch_encoder.h"

#include <new>
#include <system_error>
#include <utility>

#include "leat/base/parallel.h"

namespace leat {

namespace {

// Batches that wait before the thread is woken: few are done sooner than it is.
constexpr std::size_t kJobsToWake = 3;

}  // namespace

bool BatchEncoder::Job::claim() {
  State expected = State::waiting;
  return state_.compare_exchange_strong(expected, State::begun, std::memory_order_acquire);
}

void BatchEncoder::Job::encode() {
  outcome_ = encode_batch(batch_, codec_, std::move(memory_));
}

BatchEncoder::~BatchEncoder() {
  if (!thread_.joinable()) return;
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

std::shared_ptr<BatchEncoder::Job> BatchEncoder::start(PlainBatch batch, Codec codec, std::vector<std::byte> memory) {
  auto job = std::make_shared<Job>(std::move(batch), codec, std::move(memory));
  {
    const std::scoped_lock lock(mutex_);
    // Those that were done by whoever wanted them.
    while (!jobs_.empty() && jobs_.front()->state_.load(std::memory_order_relaxed) != Job::State::waiting)
      jobs_.pop_front();
    jobs_.push_back(job);
    if (jobs_.size() < kJobsToWake) return job;
  }
  changed_.notify_one();
  if (thread_.joinable()) return job;
  const SignalsBlocked blocked;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    return job;  // no thread is to be had: the producer does it all
  }
  return job;
}

void BatchEncoder::help(Job& job) {
  if (!job.claim()) return;
  job.encode();
  job.state_.store(Job::State::done, std::memory_order_release);
}

Result<EncodedBatch> BatchEncoder::finish(Job& job) {
  job.state_.wait(Job::State::begun, std::memory_order_acquire);
  help(job);  // not begun, or given back by a thread that ran out of memory
  return std::move(job.outcome_);
}

void BatchEncoder::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
    if (ending_) return;
    const std::shared_ptr<Job> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    if (job->claim()) {
      auto state = Job::State::done;
      try {
        job->encode();
      } catch (const std::bad_alloc&) {
        state = Job::State::waiting;
      }
      job->state_.store(state, std::memory_order_release);
      job->state_.notify_one();
    }
    lock.lock();
  }
}

}  // namespace leat
