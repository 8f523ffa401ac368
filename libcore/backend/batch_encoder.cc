#include "leat/backend/batch_encoder.h"

#include <new>
#include <utility>

#include "leat/base/parallel.h"

namespace leat {

namespace {

// Batches that wait before the thread is woken: few are done sooner than it is.
constexpr std::size_t kJobsToWake = 3;

}  // namespace

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
  // Where no thread is to be had, the producer does it all.
  if (!thread_.joinable()) thread_ = start_thread([this] { run(); });
  return job;
}

void BatchEncoder::help(Job& job) {
  auto expected = Job::State::waiting;
  if (!job.state_.compare_exchange_strong(expected, Job::State::begun, std::memory_order_acquire)) return;
  job.outcome_ = encode_batch(job.batch_, job.codec_, std::move(job.memory_));
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
    try {
      help(*job);
    } catch (const std::bad_alloc&) {
      job->state_.store(Job::State::waiting, std::memory_order_release);
    }
    job->state_.notify_one();
    lock.lock();
  }
}

}  // namespace leat
