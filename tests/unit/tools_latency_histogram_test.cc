#include "tools/latency_histogram.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <vector>

using namespace leat::tools;

namespace {

// A fixed sequence without a pattern, over many powers of two.
std::vector<std::int64_t> some_latencies(std::size_t count) {
  std::vector<std::int64_t> latencies;
  std::uint64_t state = 12345;
  for (std::size_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    latencies.push_back(static_cast<std::int64_t>((state >> 22) >> (state % 40)));
  }
  return latencies;
}

}  // namespace

TEST_CASE("buckets of latencies have no gaps and do not overlap") {
  for (std::size_t bucket = 0; bucket + 2 < LatencyHistogram::bucket_of(INT64_MAX); ++bucket) {
    const std::int64_t end = LatencyHistogram::bucket_end_ns(bucket);
    CHECK(LatencyHistogram::bucket_of(end) == bucket);
    CHECK(LatencyHistogram::bucket_of(end + 1) == bucket + 1);
  }
}

TEST_CASE("a bucket of latencies is less than 0.8 per cent wide") {
  for (std::size_t bucket = 1; bucket < LatencyHistogram::bucket_of(INT64_MAX); ++bucket) {
    const std::int64_t begin = LatencyHistogram::bucket_end_ns(bucket - 1) + 1;
    const std::int64_t end = LatencyHistogram::bucket_end_ns(bucket);
    CHECK(static_cast<double>(end - begin) < 0.008 * static_cast<double>(begin));
  }
}

TEST_CASE("of no latencies everything is zero") {
  const LatencyHistogram none;
  CHECK(none.count() == 0);
  CHECK(none.min_ns() == 0);
  CHECK(none.max_ns() == 0);
  CHECK(none.mean_ns() == 0);
  CHECK(none.percentile_ns(500) == 0);
  CHECK(none.count_up_to(1'000'000) == 0);
}

TEST_CASE("percentiles of latencies are those of the nearest rank") {
  LatencyHistogram histogram;
  for (std::int64_t i = 1; i <= 200; ++i) histogram.record(i);
  CHECK(histogram.percentile_ns(1) == 1);
  CHECK(histogram.percentile_ns(500) == 100);
  CHECK(histogram.percentile_ns(501) == 101);
  CHECK(histogram.percentile_ns(900) == 180);
  CHECK(histogram.percentile_ns(999) == 200);
  CHECK(histogram.percentile_ns(1000) == 200);
  CHECK(histogram.mean_ns() == doctest::Approx(100.5));
}

TEST_CASE("percentiles of any latencies are off by less than 0.8 per cent, and never below") {
  std::vector<std::int64_t> latencies = some_latencies(10'007);
  LatencyHistogram histogram;
  for (const std::int64_t latency : latencies) histogram.record(latency);
  std::ranges::sort(latencies);
  for (const int per_mille : {1, 10, 250, 500, 900, 990, 999, 1000}) {
    const std::size_t rank = (latencies.size() * static_cast<std::size_t>(per_mille) + 999) / 1000;
    const std::int64_t exact = latencies[rank - 1];
    const std::int64_t found = histogram.percentile_ns(per_mille);
    CAPTURE(per_mille);
    CHECK(found >= exact);
    CHECK(static_cast<double>(found - exact) <= 0.008 * static_cast<double>(exact));
  }
  CHECK(histogram.min_ns() == latencies.front());
  CHECK(histogram.max_ns() == latencies.back());
}

TEST_CASE("a percentile is never above the largest latency") {
  LatencyHistogram histogram;
  histogram.record(1'000'001);
  CHECK(histogram.percentile_ns(500) == 1'000'001);
  CHECK(histogram.percentile_ns(1000) == 1'000'001);
}

TEST_CASE("latencies out of range are counted at its ends") {
  LatencyHistogram histogram;
  histogram.record(-5);
  CHECK(histogram.min_ns() == 0);
  CHECK(histogram.percentile_ns(1000) == 0);
  histogram.record(INT64_MAX / 2);
  CHECK(histogram.max_ns() == INT64_MAX / 2);
  CHECK(histogram.percentile_ns(1000) == INT64_MAX / 2);
  CHECK(histogram.count() == 2);
}

TEST_CASE("merged latencies are as if recorded in one place") {
  const std::vector<std::int64_t> latencies = some_latencies(2'000);
  const auto all = std::make_unique<LatencyHistogram>();
  std::vector<LatencyHistogram> parts(3);
  for (std::size_t i = 0; i < latencies.size(); ++i) {
    all->record(latencies[i]);
    parts[i % 2].record(latencies[i]);  // the third stays empty
  }
  LatencyHistogram merged;
  for (const LatencyHistogram& part : parts) merged.merge(part);
  CHECK(merged.count() == all->count());
  CHECK(merged.min_ns() == all->min_ns());
  CHECK(merged.max_ns() == all->max_ns());
  CHECK(merged.mean_ns() == all->mean_ns());
  for (int per_mille = 1; per_mille <= 1000; ++per_mille) {
    CHECK(merged.percentile_ns(per_mille) == all->percentile_ns(per_mille));
  }
}

TEST_CASE("latencies up to a limit are counted") {
  LatencyHistogram histogram;
  for (std::int64_t i = 0; i < 100; ++i) histogram.record(i);
  CHECK(histogram.count_up_to(-1) == 0);
  CHECK(histogram.count_up_to(0) == 1);
  CHECK(histogram.count_up_to(49) == 50);
  CHECK(histogram.count_up_to(1'000'000) == 100);
}
