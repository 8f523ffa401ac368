// How long to wait before something that failed is tried again: longer each time, and never as long as somebody else
// who failed at the same moment. Pure but for waiting.
#pragma once

#include <atomic>
#include <random>

#include "leat/base/clock.h"

namespace leat::pipe {

struct RetrySettings {
  std::int64_t retries = 10;                              // after the first attempt
  Milliseconds backoff = std::chrono::milliseconds(100);  // before the first of them; doubled for each that follows
  Milliseconds backoff_max = std::chrono::seconds(10);
};

// Before retry number `retry` (from 0): half to all of what the settings say, as `fraction` (0 to 1) has it.
Milliseconds backoff_of(const RetrySettings& settings, std::int64_t retry, double fraction);

// The retries of one thing that is to be done.
class Retry {
 public:
  explicit Retry(const RetrySettings& settings) : settings_(settings) {}

  // Waits before the next attempt; false when there is to be none, or `halt` was raised meanwhile.
  bool wait(const std::atomic<bool>& halt);
  std::int64_t count() const { return count_; }
  void reset() { count_ = 0; }

 private:
  RetrySettings settings_;
  std::int64_t count_ = 0;
  std::minstd_rand random_{std::random_device()()};
};

// Sleeps for `time`, or until `halt` is raised; whether it was not.
bool sleep_unless(const std::atomic<bool>& halt, Milliseconds time);

}  // namespace leat::pipe
