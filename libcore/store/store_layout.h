// Which partitions of a source a process of a store holds, and as what. Decided anew when the source gains some.
#pragma once

#include <string_view>
#include <vector>

#include "leat/base/error.h"
#include "leat/store/store_partition.h"

namespace leat {

struct StoreOptions;

// A state of things that does not change once it is made: readers may go on with an earlier one.
struct StoreLayout {
  std::int32_t source_partitions = 0;
  std::vector<StorePartition*> held = {};       // in the order of their numbers
  std::vector<StorePartition*> by_number = {};  // nullptr where not held

  // Where a key belongs.
  PartitionId home_of(std::string_view key) const;
  StorePartition* find(PartitionId id) const;
};

struct StoreShare {
  PartitionId partition{};
  StoreRole role = StoreRole::primary;
};

// What the options say of a source with so many partitions, by number. Errors: usage (primary and replica at once),
// not_found (a partition is named that there is not).
Result<std::vector<StoreShare>> choose_shares(const StoreOptions& options, std::int32_t source_partitions);

}  // namespace leat
