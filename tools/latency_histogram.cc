#include "tools/latency_histogram.h"

#include <algorithm>
#include <bit>

#include "leat/base/error.h"

namespace leat::tools {

std::size_t LatencyHistogram::bucket_of(std::int64_t latency_ns) {
  const auto value = static_cast<std::uint64_t>(latency_ns);
  if (value < kLinear) return value;
  const int shift = static_cast<int>(std::bit_width(value)) - kLinearBits;
  // The leading kLinearBits of the value, the first of which is always set.
  const std::size_t bucket = kLinear + kPerPower * static_cast<std::size_t>(shift - 1) + ((value >> shift) - kPerPower);
  return std::min(bucket, kBuckets - 1);
}

std::int64_t LatencyHistogram::bucket_end_ns(std::size_t bucket) {
  if (bucket < kLinear) return static_cast<std::int64_t>(bucket);
  const std::size_t shift = (bucket - kLinear) / kPerPower + 1;
  const std::size_t leading = (bucket - kLinear) % kPerPower + kPerPower;
  return static_cast<std::int64_t>(((leading + 1) << shift) - 1);
}

void LatencyHistogram::merge(const LatencyHistogram& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ns_ += other.sum_ns_;
  min_ns_ = std::min(min_ns_, other.min_ns_);
  max_ns_ = std::max(max_ns_, other.max_ns_);
}

std::int64_t LatencyHistogram::percentile_ns(int per_mille) const {
  ASSERT(per_mille > 0 && per_mille <= 1000);
  if (count_ == 0) return 0;
  // Rounded up without overflow: rank = ceil(count * per_mille / 1000).
  const std::int64_t rank = count_ / 1000 * per_mille + (count_ % 1000 * per_mille + 999) / 1000;
  std::int64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += counts_[i];
    if (seen >= rank) return i + 1 == kBuckets ? max_ns_ : std::min(bucket_end_ns(i), max_ns_);
  }
  return max_ns_;
}

std::int64_t LatencyHistogram::count_up_to(std::int64_t latency_ns) const {
  if (latency_ns < 0) return 0;
  if (latency_ns >= max_ns_) return count_;
  std::int64_t seen = 0;
  for (std::size_t i = 0; i <= bucket_of(latency_ns); ++i) seen += counts_[i];
  return seen;
}

}  // namespace leat::tools
