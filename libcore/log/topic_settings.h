// A topic's settings as values, their names and their text forms; never files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "leat/base/error.h"
#include "leat/log/codec.h"
#include "leat/log/limits.h"

namespace leat {

enum class Cleanup : std::uint8_t { remove, compact };  // written "delete" and "compact"
enum class Durability : std::uint8_t { sync, os };

// All limits are per partition; an absent retention keeps everything.
struct TopicSettings {
  std::int32_t partitions = 1;
  std::optional<std::int64_t> retention_ms = {};
  std::optional<std::int64_t> retention_bytes = {};
  std::optional<std::int64_t> retention_records = {};
  std::int64_t segment_bytes = std::int64_t{1} << 30;
  std::int64_t max_record_bytes = 8 << 20;
  Codec compression = Codec::none;
  Cleanup cleanup = Cleanup::remove;
  Durability durability = Durability::sync;
  std::optional<bool> proofs = {};  // when absent: unless cleanup takes records from the middle

  // Whether a tree of hashes is kept, and proofs can be given.
  bool keeps_proofs() const { return proofs.value_or(cleanup == Cleanup::remove); }

  friend bool operator==(const TopicSettings& a, const TopicSettings& b) {
    const auto all = [](const TopicSettings& s) {
      return std::tuple(s.partitions, s.retention_ms, s.retention_bytes, s.retention_records, s.segment_bytes,
                        s.max_record_bytes, s.compression, s.cleanup, s.durability, s.keeps_proofs());
    };
    return all(a) == all(b);
  }
};

std::string_view to_string(Cleanup cleanup);
std::string_view to_string(Durability durability);

// Sets one setting from its text form, as `topic set` and `topic create` take them: retention-time (duration or
// "none"), retention-bytes, segment-size, max-record-size (sizes), retention-records (count or "none"),
// compression-type, cleanup, durability, proofs. `partitions` is not settable here. Errors: usage, naming the key, the
// value and what is allowed; an unknown key suggests the nearest one.
Result<void> set_setting(TopicSettings& settings, std::string_view key, std::string_view value);

// Every setting as (key, text form) in a fixed order, parsable by set_setting.
std::vector<std::pair<std::string_view, std::string>> list_settings(const TopicSettings& settings);

// Whether the settings make sense together and are within limits. Errors: usage.
Result<void> check_settings(const TopicSettings& settings);

// Whether `name` may name a topic or a consumer: [a-zA-Z0-9._-], 1 to 249 bytes, not "." or "..". Errors: usage; `what`
// is the word used in the message ("topic", "consumer").
Result<void> check_name(std::string_view what, std::string_view name);

}  // namespace leat
