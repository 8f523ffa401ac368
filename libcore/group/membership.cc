#include "leat/group/membership.h"

#include <algorithm>
#include <numeric>

#include "leat/base/crc32c.h"

namespace leat {

std::int32_t share_of(std::span<const MemberShare> members, std::size_t self, std::int32_t partitions,
                      std::string_view topic) {
  if (members[self].fixed > 0) return members[self].fixed;
  std::vector<std::size_t> sharing;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i].fixed == 0) {
      sharing.push_back(i);
    } else {
      partitions -= std::clamp(members[i].held, 0, partitions);  // what it named but does not have is still others'
    }
  }
  const auto count = static_cast<std::int32_t>(sharing.size());
  const std::int32_t even = partitions / count;
  const auto with_one_more = partitions % count;
  const std::size_t turn = crc32c(std::as_bytes(std::span(topic))) % sharing.size();
  std::ranges::rotate(sharing, sharing.begin() + static_cast<std::ptrdiff_t>(turn));
  std::ranges::stable_partition(sharing, [&](std::size_t i) { return members[i].held > even; });
  const auto place = std::ranges::find(sharing, self) - sharing.begin();
  return place < with_one_more ? even + 1 : even;
}

std::vector<PartitionId> claim_order(std::int32_t partitions, std::size_t self, std::size_t members,
                                     const std::vector<bool>& held_before) {
  std::vector<PartitionId> order(static_cast<std::size_t>(partitions));
  std::iota(order.begin(), order.end(), PartitionId{0});
  const std::size_t first = order.size() * self / members;
  std::ranges::rotate(order, order.begin() + static_cast<std::ptrdiff_t>(first));
  std::ranges::stable_partition(order, [&](PartitionId partition) {
    const auto i = static_cast<std::size_t>(partition.value);
    return i < held_before.size() && held_before[i];
  });
  return order;
}

}  // namespace leat
