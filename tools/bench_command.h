// What the commands of `leat bench` have in common.
#pragma once

#include <string>
#include <string_view>

#include "tools/bench_options.h"
#include "tools/bench_report.h"
#include "tools/bench_run.h"
#include "tools/command.h"
#include "tools/progress.h"

namespace leat::tools {

// "1,000 records", "1 record".
std::string counted(std::int64_t count, std::string_view what, std::string_view many = {});

// Shows how far the processes have come, on a terminal; to be called as the tick of a wait.
class BenchProgress {
 public:
  // Nothing is shown where it is not known how many `records` there will be.
  BenchProgress(const Context& context, const BenchRun& run, std::size_t first, std::size_t count,
                std::optional<std::int64_t> records, std::int64_t record_bytes);
  void operator()();

 private:
  const BenchRun& run_;
  std::size_t first_;
  std::size_t count_;
  std::int64_t record_bytes_;
  Progress progress_;
};

// Fills the topic from this process: `records` in batches as large as the settings say, acknowledged on return.
// Errors: interrupted, those of Producer.
Result<void> fill_topic(const Context& context, BenchRun& run, const BenchSettings& settings, std::int64_t records);

// The head of a report; the topic must still be there.
Result<BenchReport> begin_report(const Context& context, BenchRun& run, std::string_view benchmark,
                                 const BenchSettings& settings);

}  // namespace leat::tools
