#include "leat/log/topic_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "leat/base/units.h"

namespace leat {
namespace {

constexpr std::array<std::string_view, 9> kKeys = {"retention-time", "retention-bytes", "retention-records",
                                                   "segment-size",   "max-record-size", "compression-type",
                                                   "cleanup",        "durability",      "proofs"};

std::unexpected<Error> refuse(std::string_view key, std::string_view value, std::string_view allowed) {
  return fail(Code::usage, fmt::format("{}: \"{}\" is not allowed: expected {}", key, value, allowed));
}

// `parse(value)`, or nothing for "none".
template <class Parse>
Result<std::optional<std::int64_t>> optional_number(std::string_view value, const Parse& parse) {
  if (value == "none") return std::nullopt;
  return TRY(parse(value));
}

}  // namespace

std::string_view to_string(Cleanup cleanup) {
  return cleanup == Cleanup::compact ? "compact" : "delete";
}

std::string_view to_string(Durability durability) {
  return durability == Durability::os ? "os" : "sync";
}

Result<void> set_setting(TopicSettings& settings, std::string_view key, std::string_view value) {
  TopicSettings changed = settings;
  if (key == "retention-time") {
    const auto age = optional_number(
        value, [](std::string_view text) -> Result<std::int64_t> { return TRY(parse_duration(text)).count(); });
    if (!age) return refuse(key, value, "a duration like 7d, or none");
    changed.retention_ms = *age;
  } else if (key == "retention-bytes") {
    const auto bytes = optional_number(value, parse_size);
    if (!bytes) return refuse(key, value, "a size like 10GiB, or none");
    changed.retention_bytes = *bytes;
  } else if (key == "retention-records") {
    const auto records = optional_number(value, [&](std::string_view text) { return parse_count(key, text); });
    if (!records) return refuse(key, value, "a count of records, or none");
    changed.retention_records = *records;
  } else if (key == "segment-size") {
    const auto bytes = parse_size(value);
    if (!bytes) return refuse(key, value, "a size like 1GiB");
    changed.segment_bytes = *bytes;
  } else if (key == "max-record-size") {
    const auto bytes = parse_size(value);
    if (!bytes) return refuse(key, value, "a size like 8MiB");
    changed.max_record_bytes = *bytes;
  } else if (key == "compression-type") {
    const auto codec = parse_codec(value);
    if (!codec) return refuse(key, value, "none, lz4 or zstd");
    changed.compression = *codec;
  } else if (key == "cleanup") {
    if (value != "delete" && value != "compact") return refuse(key, value, "delete or compact");
    changed.cleanup = value == "compact" ? Cleanup::compact : Cleanup::remove;
    // Compaction takes records from the middle; and what it left has no tree when it is switched off again.
    if (changed.cleanup == Cleanup::compact || !settings.keeps_proofs()) changed.proofs = false;
  } else if (key == "durability") {
    if (value != "sync" && value != "os") return refuse(key, value, "sync or os");
    changed.durability = value == "os" ? Durability::os : Durability::sync;
  } else if (key == "proofs") {
    if (value != "on" && value != "off") return refuse(key, value, "on or off");
    changed.proofs = value == "on";
  } else if (key == "partitions") {
    return fail(Code::usage, "partitions cannot be set", "leat topic add-partition NAME adds some");
  } else {
    const std::string_view near = nearest(key, kKeys);
    return fail(Code::usage, fmt::format("unknown setting \"{}\": expected one of {}", key, fmt::join(kKeys, ", ")),
                near.empty() ? "" : fmt::format("did you mean \"{}\"?", near));
  }
  TRY(check_settings(changed));
  settings = changed;
  return {};
}

std::vector<std::pair<std::string_view, std::string>> list_settings(const TopicSettings& settings) {
  const auto size_or_none = [](std::optional<std::int64_t> bytes) { return bytes ? format_size(*bytes) : "none"; };
  const std::string age = settings.retention_ms ? format_duration(Milliseconds(*settings.retention_ms)) : "none";
  const std::string records = settings.retention_records ? std::to_string(*settings.retention_records) : "none";
  return {{kKeys[0], age},
          {kKeys[1], size_or_none(settings.retention_bytes)},
          {kKeys[2], records},
          {kKeys[3], format_size(settings.segment_bytes)},
          {kKeys[4], format_size(settings.max_record_bytes)},
          {kKeys[5], std::string(to_string(settings.compression))},
          {kKeys[6], std::string(to_string(settings.cleanup))},
          {kKeys[7], std::string(to_string(settings.durability))},
          {kKeys[8], settings.keeps_proofs() ? "on" : "off"}};
}

Result<void> check_settings(const TopicSettings& settings) {
  const auto outside = [](std::string_view key, std::string value, std::string_view low, std::string_view high) {
    return fail(Code::usage, fmt::format("{}: {} is outside {} to {}", key, value, low, high));
  };
  if (settings.partitions < 1 || settings.partitions > kPartitionsMax) {
    return outside("partitions", std::to_string(settings.partitions), "1", std::to_string(kPartitionsMax));
  }
  if (settings.segment_bytes < kSegmentBytesMin || settings.segment_bytes > kSegmentBytesMax) {
    return outside("segment-size", format_size(settings.segment_bytes), format_size(kSegmentBytesMin),
                   "2GiB less one byte");
  }
  if (settings.max_record_bytes < 1 || settings.max_record_bytes > kRecordBytesMax) {
    return outside("max-record-size", format_size(settings.max_record_bytes), "1B", format_size(kRecordBytesMax));
  }
  if (settings.cleanup == Cleanup::compact && settings.keeps_proofs())
    return fail(Code::usage,
                "proofs: on is not possible where cleanup is compact, which takes records from the middle");
  if (settings.retention_ms && *settings.retention_ms < 0)
    return fail(Code::usage, "retention-time: must not be negative");
  if (settings.retention_bytes && *settings.retention_bytes < 0) {
    return fail(Code::usage, "retention-bytes: must not be negative");
  }
  if (settings.retention_records && *settings.retention_records < 0) {
    return fail(Code::usage, "retention-records: must not be negative");
  }
  return {};
}

Result<void> check_name(std::string_view what, std::string_view name) {
  if (name.empty()) return fail(Code::usage, fmt::format("the {} name is empty", what));
  if (name.size() > 249) {
    return fail(Code::usage,
                fmt::format("{} name of {} bytes is too long: at most 249 are allowed", what, name.size()));
  }
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
  if (!plain) {
    return fail(Code::usage,
                fmt::format("{} name \"{}\" is not allowed: letters, digits, '.', '_' and '-' are", what, name));
  }
  if (name == "." || name == "..") return fail(Code::usage, fmt::format("{} name \"{}\" is not allowed", what, name));
  return {};
}

}  // namespace leat
