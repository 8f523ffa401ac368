// How a pipeline is doing, on a terminal's stderr.
#pragma once

#include <string>

#include "leat/pipe/pipeline.h"
#include "tools/progress.h"

namespace leat::tools {

// "  45,210 records  12,300/s  queues 120 0 33  batches of 128  2 retries  1 error". Pure. `rate` in records a second.
std::string process_line(const pipe::PipelineReport& report, double rate);

class ProcessProgress {
 public:
  explicit ProcessProgress(bool wanted) : line_(wanted && progress_allowed()) {}

  bool due(SteadyTime now) const { return line_.due(now); }
  void update(const pipe::PipelineReport& report, SteadyTime now);
  void clear() { line_.clear(); }

 private:
  ProgressLine line_;
  SteadyTime last_at_ = std::chrono::steady_clock::now();
  std::int64_t last_done_ = 0;
  double rate_ = 0;
};

}  // namespace leat::tools
