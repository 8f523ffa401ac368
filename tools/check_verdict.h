// What a check makes of what it was told, and the line that a monitoring system reads it from, as the Monitoring
// Plugins Development Guidelines have it. Decides purely: asks no backend, prints nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/backend/backend.h"
#include "leat/base/clock.h"
#include "leat/base/error.h"

namespace leat::tools {

// The numbers are the exit statuses.
enum class Health { ok = 0, warning = 1, critical = 2, unknown = 3 };
std::string_view to_string(Health health);

// Something measured, as a JSON value and as performance data ("lag=12;100;1000;0", or empty for none).
struct Figure {
  std::string key;
  std::string json;
  std::string perfdata;
};

struct Verdict {
  std::string subject;  // "consumer"
  Health health = Health::ok;
  std::string message = {};
  std::vector<Figure> figures = {};
};

// Each is the last value that is still good; absent: any is.
struct ConsumerLimits {
  std::optional<std::int64_t> lag_warn = {};
  std::optional<std::int64_t> lag_crit = {};
  std::optional<Milliseconds> age_crit = {};
};

// The lag is the sum over the partitions, the age the longest time since a commit among those that lag. A partition
// that cannot be read is critical; an age that is limited and cannot be told is unknown.
Verdict judge_consumer(std::string_view name, std::span<const ConsumerPartition> partitions,
                       const ConsumerLimits& limits, TimestampMs now);

// What a walk over all topics has found.
struct StoreFindings {
  std::int64_t topics = 0;
  std::int64_t partitions = 0;
  std::int64_t records = 0;
  std::optional<std::int64_t> bytes = 0;     // absent where the backend cannot know
  std::vector<Error> failures = {};          // topics and partitions that could not be read
  std::optional<DiskSpace> disk_space = {};  // absent where the backend cannot know
};

// In per cent of the disk that are used, otherwise as ConsumerLimits.
struct StoreLimits {
  std::optional<std::int64_t> disk_warn = {};
  std::optional<std::int64_t> disk_crit = {};
};

Verdict judge_store(const StoreFindings& findings, const StoreLimits& limits);

// For a check that `error` has kept from looking: critical when stored data is damaged, else unknown.
Verdict judge_failure(std::string_view subject, const Error& error);

// "LEAT CONSUMER OK - c1 is up to date on 2 partitions | lag=0;;;0 age=0s;;;0", without a newline. What could be taken
// for the end of the message or of the line is escaped.
std::string plugin_line(const Verdict& verdict);

}  // namespace leat::tools
