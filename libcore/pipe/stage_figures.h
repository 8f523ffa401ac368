// What a stage counts, for progress lines and metrics. Written by its threads, read by any.
#pragma once

#include <atomic>
#include <cstdint>

namespace leat::pipe {

struct StageFigures {
  std::atomic<std::int64_t> in = 0;             // messages taken
  std::atomic<std::int64_t> out = 0;            // messages passed on, or acknowledged by the sink
  std::atomic<std::int64_t> dropped = 0;        // left out
  std::atomic<std::int64_t> refused = 0;        // given to the error stage
  std::atomic<std::int64_t> retries = 0;        // of deliveries
  std::atomic<std::int64_t> restarts = 0;       // of programs
  std::atomic<std::int64_t> batches = 0;        // sent on
  std::atomic<std::int64_t> batch_records = 0;  // in all of these
};

}  // namespace leat::pipe
