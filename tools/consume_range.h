// Which records a `consume` asks for: its range flags made into where reading starts and ends, and the sentence that
// says so. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/backend/backend.h"
#include "leat/base/error.h"

namespace leat::tools {

// The flags as they were given.
struct RangeFlags {
  bool beginning = false;
  std::optional<std::int64_t> head = {};
  std::optional<std::int64_t> tail = {};
  std::optional<std::int64_t> start = {};
  std::optional<TimestampMs> since = {};
  std::optional<std::int64_t> end = {};  // inclusive
  std::optional<TimestampMs> until = {};
};

struct ConsumeRange {
  StartAt start = {};
  std::optional<Offset> end = {};         // exclusive, per partition
  std::optional<TimestampMs> until = {};  // exclusive
};

// Errors: usage (two start flags, an end before the start). Precondition: no number is negative.
Result<ConsumeRange> resolve_range(const RangeFlags& flags);

// "Consuming records from 'hello-topic' starting from the beginning of log".
std::string status_sentence(const std::vector<std::string>& topics, const StartAt& start);

// "c1 resumes at 2"; names the partition and the topic where there are several.
std::vector<std::string> resume_sentences(std::string_view consumer, std::span<const Position> resumed,
                                          std::size_t partitions, bool several_topics);

}  // namespace leat::tools
