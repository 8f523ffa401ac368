// Every name in a data directory, made and parsed here alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "leat/base/types.h"

namespace leat {

inline constexpr std::string_view kDataDirFile = "leat.toml";
inline constexpr std::string_view kTopicsDirectory = "topics";
inline constexpr std::string_view kGroupsDirectory = "groups";
inline constexpr std::string_view kTrashDirectory = "trash";
inline constexpr std::string_view kStoresDirectory = "stores";
inline constexpr std::string_view kTopicFile = "topic.toml";
inline constexpr std::string_view kStateFile = "state";
inline constexpr std::string_view kStartFile = "start";
inline constexpr std::string_view kCutDirectory = "cut";
inline constexpr std::string_view kProducersDirectory = "producers";
inline constexpr std::string_view kOffsetsFile = "offsets";

// "00000000000000000042.log": twenty digits, as in Kafka, so that names sort like offsets.
std::string log_file_name(Offset base);
std::string index_file_name(Offset base);
std::string time_index_file_name(Offset base);
// What idempotent producers had written when the segment began.
std::string producers_file_name(Offset base);
// The rewritten form of a segment, before it takes its place.
std::string compacting_file_name(Offset base);
// The base offset in the name of a .log file; nullopt for every other name.
std::optional<Offset> parse_log_file_name(std::string_view name);

// "17", and back; nullopt for what is not the plain decimal of a partition.
std::string partition_directory_name(PartitionId partition);
std::optional<PartitionId> parse_partition_directory_name(std::string_view name);

// "42-20261121T033722.123Z": the first offset of what was cut, and when.
std::string cut_file_name(Offset first, TimestampMs now);

}  // namespace leat
