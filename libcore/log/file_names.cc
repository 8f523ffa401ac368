#include "leat/log/file_names.h"

#include <fmt/format.h>

#include <charconv>

#include "leat/base/units.h"

namespace leat {

namespace {

constexpr std::size_t kOffsetDigits = 20;
constexpr std::string_view kLogSuffix = ".log";

std::string segment_file_name(Offset base, std::string_view suffix) {
  return fmt::format("{:0{}}{}", base.value, kOffsetDigits, suffix);
}

template <class Integer>
std::optional<Integer> parse_decimal(std::string_view digits) {
  Integer value{};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size() || value < 0) return std::nullopt;
  return value;
}

}  // namespace

std::string log_file_name(Offset base) {
  return segment_file_name(base, kLogSuffix);
}
std::string index_file_name(Offset base) {
  return segment_file_name(base, ".index");
}
std::string producers_file_name(Offset base) {
  return segment_file_name(base, ".producers");
}
std::string time_index_file_name(Offset base) {
  return segment_file_name(base, ".timeindex");
}
std::string compacting_file_name(Offset base) {
  return segment_file_name(base, ".compacting");
}

std::optional<Offset> parse_log_file_name(std::string_view name) {
  if (name.size() != kOffsetDigits + kLogSuffix.size() || !name.ends_with(kLogSuffix)) return std::nullopt;
  const auto base = parse_decimal<std::int64_t>(name.substr(0, kOffsetDigits));
  if (!base || log_file_name({*base}) != name) return std::nullopt;
  return Offset{*base};
}

std::string partition_directory_name(PartitionId partition) {
  return fmt::format("{}", partition.value);
}

std::optional<PartitionId> parse_partition_directory_name(std::string_view name) {
  const auto number = parse_decimal<std::int32_t>(name);
  if (!number || fmt::format("{}", *number) != name) return std::nullopt;
  return PartitionId{*number};
}

std::string cut_file_name(Offset first, TimestampMs now) {
  std::string stamp;
  for (const char c : format_time(now)) {
    if (c != '-' && c != ':') stamp += c;
  }
  return fmt::format("{}-{}", first.value, stamp);
}

}  // namespace leat
