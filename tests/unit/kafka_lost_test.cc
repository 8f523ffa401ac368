// What a member of a cluster's group was done with when it lost partitions.
#include <doctest/doctest.h>

#include "leat/backend/kafka_lost.h"

using namespace leat;
using kafka::LostProgress;

namespace {

using Offsets = std::vector<std::pair<LostProgress::Place, Offset>>;

constexpr PartitionId kZero{0};
constexpr PartitionId kOne{1};

// What a member gets back that has stored 5 and is done with what is before 9.
std::optional<Offset> regained(std::optional<Offset> stored, bool reset = false) {
  LostProgress lost;
  lost.remember("t", kZero, Offset{5}, Offset{9});
  const auto offset = lost.regain("t", kZero, stored, reset);
  CHECK(lost.unstored().empty());
  return offset;
}

}  // namespace

TEST_CASE("a member goes on where it was, unless what is stored says otherwise") {
  CHECK(regained(Offset{5}) == Offset{9});
  CHECK(regained(Offset{7}) == Offset{9});
  CHECK_FALSE(regained(Offset{9}));   // others have got as far
  CHECK_FALSE(regained(Offset{12}));  // or farther
  CHECK_FALSE(regained(Offset{4}));   // sought back
  CHECK_FALSE(regained(std::nullopt));
  CHECK(regained(Offset{12}, true) == Offset{9});
}

TEST_CASE("a partition of which nothing was stored is gone on with, too") {
  LostProgress lost;
  lost.remember("t", kZero, std::nullopt, Offset{9});
  CHECK(lost.unstored() == Offsets{{{"t", kZero}, Offset{9}}});
  CHECK_FALSE(lost.regain("t", kOne, std::nullopt, false));
  CHECK(lost.regain("t", kZero, std::nullopt, false) == Offset{9});
  CHECK_FALSE(lost.regain("t", kZero, std::nullopt, false));
}

TEST_CASE("losing a partition keeps what is remembered of it, and by itself says nothing") {
  LostProgress lost;
  lost.remember("t", kZero, Offset{5}, Offset{9});
  lost.lose("t", kZero, Offset{5});
  lost.lose("t", kOne, Offset{3});
  CHECK(lost.unstored() == Offsets{{{"t", kZero}, Offset{9}}});
  CHECK_FALSE(lost.regain("t", kOne, Offset{3}, false));
  CHECK(lost.regain("t", kZero, Offset{5}, false) == Offset{9});
}

TEST_CASE("what others have got is told once, with what they read again") {
  LostProgress lost;
  lost.remember("kept", kZero, Offset{1}, Offset{2});
  lost.remember("t", kZero, Offset{5}, Offset{9});
  lost.remember("t", kOne, std::nullopt, Offset{4});
  lost.remember("u", kZero, Offset{7}, Offset{7});
  lost.lose("u", kOne, Offset{7});
  const auto is_held = [](std::string_view topic, PartitionId) { return topic == "kept"; };
  CHECK(lost.give_up(is_held) == Offsets{{{"t", kZero}, Offset{5}}, {{"t", kOne}, Offset{0}}});
  CHECK(lost.give_up(is_held).empty());
  CHECK(lost.unstored() == Offsets{{{"kept", kZero}, Offset{2}}});
  lost.forget("kept", kZero);
  CHECK(lost.unstored().empty());
}
