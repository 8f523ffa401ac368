#include "leat/store/store_layout.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/backend/local.h"
#include "leat/log/partitioner.h"
#include "leat/store/store.h"

namespace leat {

namespace {

bool contains(const std::vector<PartitionId>& all, PartitionId id) {
  return std::ranges::find(all, id) != all.end();
}

}  // namespace

PartitionId StoreLayout::home_of(std::string_view key) const {
  return partition_for_key(as_bytes(key), source_partitions);
}

StorePartition* StoreLayout::find(PartitionId id) const {
  const auto number = static_cast<std::size_t>(id.value);
  return id.value >= 0 && number < by_number.size() ? by_number[number] : nullptr;
}

Result<std::vector<StoreShare>> choose_shares(const StoreOptions& options, std::int32_t source_partitions) {
  std::vector<PartitionId> primaries;
  if (!options.replica_only) primaries = partitions_or_all(options.partitions, source_partitions);
  std::vector<PartitionId> replicas = options.replicas;
  if (options.replica_only && replicas.empty()) replicas = partitions_or_all({}, source_partitions);
  std::vector<StoreShare> shares;
  for (PartitionId p{0}; p.value < source_partitions; p += 1) {
    const bool primary = contains(primaries, p);
    const bool replica = contains(replicas, p);
    if (primary && replica)
      return fail(Code::usage, fmt::format("partition {} cannot be both primary and replica of one process", p.value));
    if (primary || replica) shares.push_back({p, primary ? StoreRole::primary : StoreRole::replica});
  }
  for (const auto* named : {&options.partitions, &options.replicas}) {
    for (const PartitionId id : *named) {
      if (id.value >= 0 && id.value < source_partitions) continue;
      return fail(Code::not_found, fmt::format("topic \"{}\" has no partition {}: it has {}",
                                               options.source.empty() ? options.changelog : options.source, id.value,
                                               source_partitions));
    }
  }
  return shares;
}

}  // namespace leat
