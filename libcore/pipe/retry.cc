#include "leat/pipe/retry.h"

#include <algorithm>
#include <thread>

namespace leat::pipe {

Milliseconds backoff_of(const RetrySettings& settings, std::int64_t retry, double fraction) {
  Milliseconds wait = settings.backoff;
  for (; retry > 0 && wait < settings.backoff_max; --retry) wait *= 2;
  wait = std::min(wait, settings.backoff_max);
  return Milliseconds(wait.count() / 2 + static_cast<std::int64_t>(static_cast<double>(wait.count()) / 2 * fraction));
}

bool Retry::wait(const std::atomic<bool>& halt) {
  if (count_ >= settings_.retries) return false;
  const double fraction = std::uniform_real_distribution(0.0, 1.0)(random_);
  return sleep_unless(halt, backoff_of(settings_, count_++, fraction));
}

bool sleep_unless(const std::atomic<bool>& halt, Milliseconds time) {
  constexpr Milliseconds kLook(20);
  const SteadyTime until = std::chrono::steady_clock::now() + time;
  while (!halt.load(std::memory_order_relaxed)) {
    const auto left = std::chrono::ceil<Milliseconds>(until - std::chrono::steady_clock::now());
    if (left <= Milliseconds(0)) return true;
    std::this_thread::sleep_for(std::min(left, kLook));
  }
  return false;
}

}  // namespace leat::pipe
