// The clocks leat reads. Wall time stamps records and ages; steady time measures waiting.
#pragma once

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

}  // namespace leat
