// Latencies counted in buckets of a fixed number: recording takes a few instructions and no memory, whatever comes.
// Buckets are even within a power of two, so that a percentile is off by less than 0.8 per cent; count, sum, smallest
// and largest are exact. Lies in memory shared by processes, each of which has its own and is its only writer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace leat::tools {

class LatencyHistogram {
 public:
  // A latency in nanoseconds. One below zero (a clock was set) counts as 0; one above the largest bucket, of 2.4 hours,
  // is counted there.
  void record(std::int64_t latency_ns) {
    if (latency_ns < 0) latency_ns = 0;
    ++counts_[bucket_of(latency_ns)];
    ++count_;
    sum_ns_ += latency_ns;
    if (latency_ns > max_ns_) max_ns_ = latency_ns;
    if (latency_ns < min_ns_) min_ns_ = latency_ns;
  }

  void merge(const LatencyHistogram& other);

  std::int64_t count() const { return count_; }
  // Of nothing, all of these are 0.
  std::int64_t min_ns() const { return count_ == 0 ? 0 : min_ns_; }
  std::int64_t max_ns() const { return max_ns_; }
  double mean_ns() const { return count_ == 0 ? 0 : static_cast<double>(sum_ns_) / static_cast<double>(count_); }
  // The smallest latency that `per_mille` of 1000 are not above (nearest rank): the upper edge of its bucket, but never
  // more than the largest. Precondition: 0 < per_mille <= 1000.
  std::int64_t percentile_ns(int per_mille) const;
  // How many were at most `latency_ns`, up to the width of a bucket.
  std::int64_t count_up_to(std::int64_t latency_ns) const;

  // The bucket of a latency, and the largest latency in a bucket.
  static std::size_t bucket_of(std::int64_t latency_ns);
  static std::int64_t bucket_end_ns(std::size_t bucket);

 private:
  // 2^8 buckets of one nanosecond; from there on 2^7 for each power of two, up to 2^43 ns.
  static constexpr int kLinearBits = 8;
  static constexpr int kLargestBits = 43;
  static constexpr std::size_t kLinear = std::size_t{1} << kLinearBits;
  static constexpr std::size_t kPerPower = kLinear / 2;
  static constexpr std::size_t kBuckets = kLinear + kPerPower * (kLargestBits - kLinearBits);

  std::array<std::int64_t, kBuckets> counts_ = {};
  std::int64_t count_ = 0;
  std::int64_t sum_ns_ = 0;
  std::int64_t min_ns_ = INT64_MAX;
  std::int64_t max_ns_ = 0;
};

}  // namespace leat::tools
