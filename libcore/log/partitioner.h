// Which partition a record goes to: Kafka's default partitioner for keyed records, in turn for keyless ones. Pure.
#pragma once

#include <cstdint>

#include "leat/base/bytes.h"
#include "leat/base/types.h"

namespace leat {

// The 32-bit murmur2 of Kafka's clients (org.apache.kafka.common.utils.Utils.murmur2, seed 0x9747b28c).
std::uint32_t murmur2(Bytes bytes);

// The partition of a key among `partition_count` > 0: (murmur2(key) & 0x7fffffff) mod count, as Kafka's default
// partitioner has it, so a key keeps its partition when a topic moves to a cluster.
PartitionId partition_for_key(Bytes key, std::int32_t partition_count);

}  // namespace leat
