// What a benchmark found, as text with a drawing, as JSON, or as CSV. Computes percentiles and rates; measures nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/bench_options.h"
#include "tools/bench_place.h"
#include "tools/bench_run.h"
#include "tools/latency_histogram.h"
#include "tools/output.h"

namespace leat::tools {

// One kind of latency that was measured.
struct BenchLatency {
  std::string key;    // "latency": the head of its fields' names
  std::string title;  // "from sending a record to its receipt"
  LatencyHistogram histogram = {};
  bool draw = true;
};

struct BenchReport {
  std::string benchmark = {};  // "produce"
  BenchPlace place = {};
  BenchSettings settings = {};
  std::string sentence = {};  // what was done, in words
  // Settings that this benchmark alone has, and how they are told in words: {"followers", 2}.
  std::vector<std::pair<std::string, std::int64_t>> counts = {};
  bool has_pipeline = true;
  std::string rate_meaning = "a time begins when the record was due";

  std::int64_t records = 0;
  std::int64_t bytes = 0;
  double seconds = 0;
  bool out_of_time = false;
  double cpu_user_seconds = 0;
  double cpu_system_seconds = 0;
  std::int64_t memory_peak_bytes = 0;
  std::int64_t disk_bytes = -1;  // -1 where it is not known
  std::vector<BenchLatency> latencies = {};
};

// Adds up what processes say: records, bytes, processor time; time is from the first beginning to the last end.
void add_up(BenchReport& report, std::span<const ClientReport> clients);

// A latency in three digits: "93.1 us", "1.24 ms", "2.50 s".
std::string latency_text(std::int64_t latency_ns);

// A row of the drawing: latencies above the row before, up to this one.
struct HistogramRow {
  std::int64_t up_to_ns;
  std::int64_t count;
};
// At most 16 rows with round edges, from the smallest latency to the one that 999 of 1000 are not above; the last row
// holds what is left, up to the largest.
std::vector<HistogramRow> histogram_rows(const LatencyHistogram& histogram);
std::string draw_histogram(const LatencyHistogram& histogram);

std::string bench_text(const BenchReport& report);
std::string bench_json(const BenchReport& report);
std::string bench_csv(const BenchReport& report);
Result<void> print_report(const BenchReport& report, BenchFormat format);

}  // namespace leat::tools
