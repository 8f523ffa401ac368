// Topics, partitions and consumer offsets as rows. Used by topic, partition and consumer commands alike.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "leat/backend/backend.h"
#include "tools/output.h"

namespace leat::tools {

// OFFSET of a consumer: the last record seen, one before the `next` to read; "-" when there is none.
Cell last_seen_cell(std::optional<Offset> next);

// NAME PARTITIONS RETENTION COMPRESSION RECORDS SIZE.
Result<void> print_topics(ListFormat format, std::span<const TopicInfo> topics);

// TOPIC PARTITION SEGMENTS SIZE START END RECORDS OLDEST NEWEST.
Result<void> print_partitions(ListFormat format, std::span<const PartitionInfo> partitions);

// Leaves out those on other topics.
void keep_those_on(std::string_view topic, ConsumerOffsets& consumers);
// How a command ends that has shown the others: each is named. Errors: damaged, if there is one.
Result<void> report_unreadable(std::span<const UnreadableOffsets> unreadable);

// CONSUMER TOPIC PARTITION OFFSET LAST SEEN, and LAG when asked for. OFFSET is the last record seen.
Result<void> print_consumers(ListFormat format, std::span<const ConsumerOffset> offsets, bool with_lag);

// All of one topic: settings, partitions, consumers, one table each; in JSON one object.
Result<void> print_description(ListFormat format, const TopicInfo& info, std::span<const PartitionInfo> partitions,
                               std::span<const ConsumerOffset> consumers);

}  // namespace leat::tools
