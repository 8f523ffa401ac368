// How the partitions of a topic are shared out among the members of a group: a pure decision that every member makes
// for itself from what all can see. Locks nothing, commits nothing.
//
// A share is a count, not a list: which partitions a member holds is settled by who gets their locks. Shares differ by
// at most one. Where they do not come out even, those that hold one more already keep it, so that a member who joins
// is given what it gets and nothing else moves: at most ceil(partitions / members). Where that leaves a choice, the
// rank decides, turned by the topic's name, so that over many topics the remainders do not all fall to the same member.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "leat/base/types.h"

namespace leat {

// A living member as the others see it.
struct MemberShare {
  std::int32_t fixed = 0;  // it named its partitions, so many, and takes no part in sharing; 0: it shares
  std::int32_t held = 0;   // partitions it has claimed
};

// How many of `partitions` the member at `self` is to hold. `members` in the order of their ranks.
std::int32_t share_of(std::span<const MemberShare> members, std::size_t self, std::int32_t partitions,
                      std::string_view topic);

// The order in which the member at `self` of `members` tries to claim: partitions it has held before, then all others
// from its part of the topic on, so that members who join at once do not all reach for the same.
std::vector<PartitionId> claim_order(std::int32_t partitions, std::size_t self, std::size_t members,
                                     const std::vector<bool>& held_before);

}  // namespace leat
