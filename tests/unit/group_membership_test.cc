#include "leat/group/membership.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <random>

using namespace leat;

namespace {

using Shares = std::vector<MemberShare>;

std::vector<std::int32_t> shares_of(const Shares& members, std::int32_t partitions, std::string_view topic = "t") {
  std::vector<std::int32_t> shares;
  for (std::size_t i = 0; i < members.size(); ++i) shares.push_back(share_of(members, i, partitions, topic));
  return shares;
}

std::int32_t sum(const std::vector<std::int32_t>& shares) {
  return std::accumulate(shares.begin(), shares.end(), 0);
}

// What members do, one at a time in a random order, until nobody has anything to do: give up what is over the share,
// claim what is free below it. The number of partitions given up.
int play(Shares& members, std::int32_t partitions, std::mt19937& random) {
  int moved = 0;
  for (int idle = 0, steps = 0; idle < 200; ++steps) {
    REQUIRE(steps < 100'000);
    const std::size_t self = random() % members.size();
    const std::int32_t share = share_of(members, self, partitions, "t");
    std::int32_t& held = members[self].held;
    const std::int32_t taken =
        std::accumulate(members.begin(), members.end(), 0, [](int s, const MemberShare& m) { return s + m.held; });
    ++idle;
    if (held > share) {
      moved += held - share;
      held = share;
      idle = 0;
    } else if (held < share && taken < partitions) {
      ++held;
      idle = 0;
    }
  }
  return moved;
}

}  // namespace

TEST_CASE("shares add up to all partitions and differ by at most one, whatever members hold") {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    const auto partitions = static_cast<std::int32_t>(random() % 40);
    Shares members(1 + random() % 12);
    for (MemberShare& member : members) member.held = static_cast<std::int32_t>(random() % 8);
    const auto shares = shares_of(members, partitions);
    CHECK(sum(shares) == partitions);
    CHECK(std::ranges::max(shares) - std::ranges::min(shares) <= 1);
  }
}

TEST_CASE("a join moves only what the new member gets, at most the rounded-up share, and everybody gets theirs") {
  std::mt19937 random(2);
  for (std::int32_t partitions = 1; partitions <= 24; ++partitions) {
    Shares members;
    for (std::int32_t count = 1; count <= 12; ++count) {
      members.push_back({});
      const int moved = play(members, partitions, random);
      CAPTURE(partitions);
      CAPTURE(count);
      CHECK(moved <= (partitions + count - 1) / count);
      const auto [least, most] =
          std::ranges::minmax(members, {}, [](const MemberShare& member) { return member.held; });
      CHECK(most.held - least.held <= 1);
    }
  }
}

TEST_CASE("when a member leaves, nothing moves but what it had") {
  std::mt19937 random(3);
  for (std::int32_t partitions = 1; partitions <= 24; ++partitions) {
    Shares members(9);
    play(members, partitions, random);
    while (members.size() > 1) {
      members.erase(members.begin() + static_cast<std::ptrdiff_t>(random() % members.size()));
      CHECK(play(members, partitions, random) == 0);
      CHECK(std::accumulate(members.begin(), members.end(), 0,
                            [](int s, const MemberShare& m) { return s + m.held; }) == partitions);
    }
  }
}

TEST_CASE("members that name their partitions are given exactly those, the others share the rest") {
  const Shares members = {{.fixed = 3, .held = 3}, {}, {}, {.fixed = 1, .held = 1}};
  CHECK(shares_of(members, 10)[0] == 3);
  CHECK(shares_of(members, 10)[1] + shares_of(members, 10)[2] == 6);
  CHECK(shares_of(members, 10)[3] == 1);
  // More named than there are, as a table written to by somebody else may say.
  const Shares greedy = {
      {.fixed = 2'000'000'000, .held = 2'000'000'000}, {}, {.fixed = 1, .held = -7}, {.fixed = 9, .held = 20}};
  CHECK(shares_of(greedy, 10)[1] == 0);
  // One that has only just joined, and may be refused.
  CHECK(shares_of({{.fixed = 1}, {}}, 1)[1] == 1);
}

TEST_CASE("over many topics the partitions left over do not all go to the same member") {
  const Shares members(3);
  std::vector<std::int32_t> total(3);
  for (int i = 0; i < 300; ++i) {
    const auto shares = shares_of(members, 1, "topic-" + std::to_string(i));
    for (std::size_t m = 0; m < 3; ++m) total[m] += shares[m];
  }
  CHECK(sum(total) == 300);
  CHECK(std::ranges::min(total) > 60);
}

TEST_CASE("a member reaches for its own partitions first, and otherwise where others do not") {
  const auto order = claim_order(6, 1, 3, {false, true, false, false, false, true});
  std::vector<std::int32_t> numbers;
  for (const PartitionId partition : order) numbers.push_back(partition.value);
  CHECK(numbers == std::vector<std::int32_t>{5, 1, 2, 3, 4, 0});
  CHECK(claim_order(3, 0, 1, {}).size() == 3);
  CHECK(claim_order(0, 0, 1, {}).empty());
}
