#include "leat/base/parallel.h"

#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace leat {

namespace {

// Processors this process may run on.
std::size_t processors() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<std::size_t>(CPU_COUNT(&set)) : 1;
}

class Sharing {
 public:
  Sharing(std::size_t count, const std::function<PieceWorker()>& make_worker)
      : count_(count), make_worker_(make_worker) {}

  // One thread's share. Throws nothing.
  void take_part() {
    try {
      const PieceWorker worker = make_worker_();
      for (std::size_t piece = 0; (piece = next_.fetch_add(1)) < count_;) worker(piece);
    } catch (...) {
      next_.store(count_);
      const std::scoped_lock lock(mutex_);
      if (!thrown_) thrown_ = std::current_exception();
    }
  }

  // Once all have taken part.
  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  const std::size_t count_;
  const std::function<PieceWorker()>& make_worker_;
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;
  std::exception_ptr thrown_;
};

// While it lives, threads that are started take no signals.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

}  // namespace

std::thread start_thread(std::function<void()> run) {
  const SignalsBlocked blocked;
  try {
    return std::thread(std::move(run));
  } catch (const std::system_error&) {
    return {};
  }
}

void in_parallel(std::size_t count, const std::function<PieceWorker()>& make_worker) {
  if (count == 0) return;
  Sharing sharing(count, make_worker);
  std::vector<std::thread> others;
  const std::size_t threads = count == 1 ? 1 : std::min({count, processors(), kParallelThreadsMax});
  others.reserve(threads);
  while (others.size() + 1 < threads) {
    std::thread other = start_thread([&sharing] { sharing.take_part(); });
    if (!other.joinable()) break;
    others.push_back(std::move(other));
  }
  sharing.take_part();
  for (std::thread& other : others) other.join();
  sharing.rethrow();
}

}  // namespace leat
