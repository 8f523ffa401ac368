#include "tools/process_progress.h"

#include <fmt/format.h>

namespace leat::tools {

std::string process_line(const pipe::PipelineReport& report, double rate) {
  std::string line =
      fmt::format("  {:L} records  {:L}/s  queues", report.read - report.open, static_cast<std::int64_t>(rate));
  std::int64_t retries = 0;
  for (const pipe::StageReport& stage : report.stages) {
    line += fmt::format(" {:L}", stage.queued);
    retries += stage.retries + stage.restarts;
  }
  if (const pipe::StageReport& last = report.stages.back(); last.batches > 0)
    line += fmt::format("  batches of {:L}", last.batch_records / last.batches);
  if (retries > 0) line += fmt::format("  {:L} retr{}", retries, retries == 1 ? "y" : "ies");
  if (report.errors > 0) line += fmt::format("  {:L} put aside", report.errors);
  return line;
}

void ProcessProgress::update(const pipe::PipelineReport& report, SteadyTime now) {
  const std::int64_t done = report.read - report.open;
  const double seconds = std::chrono::duration<double>(now - last_at_).count();
  if (seconds >= 1 || rate_ == 0) {
    rate_ = static_cast<double>(done - last_done_) / std::max(seconds, 0.001);
    last_done_ = done;
    last_at_ = now;
  }
  line_.put(process_line(report, rate_), now);
}

}  // namespace leat::tools
