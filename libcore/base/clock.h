// The clocks leat reads. Wall time stamps records and ages; steady time measures waiting.
#pragma once

#include <time.h>

#include <chrono>

#include "leat/base/types.h"

namespace leat {

using Milliseconds = std::chrono::milliseconds;
using SteadyTime = std::chrono::steady_clock::time_point;

// Wall-clock time now.
inline TimestampMs now_ms() {
  using namespace std::chrono;
  return {duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()};
}

// Since the machine was started, the time it slept included; the same in all processes.
inline std::int64_t boot_time_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

}  // namespace leat
