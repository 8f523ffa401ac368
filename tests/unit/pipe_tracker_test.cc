#include "leat/pipe/tracker.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

using namespace leat;
using namespace leat::pipe;

namespace {

SourceRange range(std::int64_t first, std::int64_t last, std::int32_t partition = 0) {
  return {"t", {partition}, {first}, {last}};
}

std::int64_t at(const Tracker& tracker, std::int32_t partition = 0) {
  const auto position = tracker.position("t", {partition});
  return position ? position->value : -1;
}

}  // namespace

TEST_CASE("a position stays before the first record that is open, whatever comes behind it") {
  Tracker tracker;
  CHECK(at(tracker) == -1);
  for (const std::int64_t offset : {5, 6, 7}) tracker.open("t", {0}, {offset});
  tracker.read_to("t", {0}, {8});
  CHECK(at(tracker) == 5);
  tracker.close(range(7, 7));
  CHECK(at(tracker) == 5);
  tracker.close(range(5, 5));
  CHECK(at(tracker) == 6);
  CHECK(tracker.open_records() == 1);
  tracker.close(range(6, 6));
  CHECK(at(tracker) == 8);
  CHECK(tracker.open_records() == 0);
}

TEST_CASE("what was read and given back is before its next reader, and counts as open no more") {
  Tracker tracker;
  for (const std::int64_t offset : {5, 6, 7, 9}) tracker.open("t", {0}, {offset});
  tracker.read_to("t", {0}, {12});
  tracker.close(range(5, 6));
  CHECK(tracker.open_records("t", {0}) == 2);
  CHECK(tracker.open_records("t", {1}) == 0);
  tracker.take_back("t", {0}, {9});
  CHECK(tracker.open_records("t", {0}) == 1);
  CHECK(tracker.open_records() == 1);
  CHECK(at(tracker) == 7);
  tracker.close(range(7, 7));
  CHECK(at(tracker) == 9);
}

TEST_CASE("offsets without a record hold nothing up") {
  Tracker tracker;
  tracker.open("t", {0}, {3});
  tracker.open("t", {0}, {900});
  tracker.read_to("t", {0}, {1000});
  tracker.close(range(3, 900));
  CHECK(at(tracker) == 1000);
  // Nothing but a gap was read.
  tracker.read_to("t", {0}, {2000});
  CHECK(at(tracker) == 2000);
}

TEST_CASE("a range closes what is open in it and leaves the rest") {
  Tracker tracker;
  for (std::int64_t offset = 0; offset < 10; ++offset) tracker.open("t", {0}, {offset});
  tracker.close(range(3, 6));
  tracker.close(range(0, 1));
  CHECK(at(tracker) == 2);
  tracker.close(range(2, 2));
  CHECK(at(tracker) == 7);
}

TEST_CASE("partitions are by themselves, and only what moved is to be committed") {
  Tracker tracker;
  tracker.open("t", {0}, {0});
  tracker.open("t", {1}, {7});
  tracker.close(range(7, 7, 1));
  auto moved = tracker.moved();
  REQUIRE(moved.size() == 2);
  CHECK(moved[0].next == Offset{0});
  CHECK(moved[1].next == Offset{8});
  tracker.mark_committed(moved);
  CHECK(tracker.moved().empty());
  tracker.close(range(0, 0, 0));
  moved = tracker.moved();
  REQUIRE(moved.size() == 1);
  CHECK(moved[0].partition == PartitionId{0});
  CHECK(moved[0].next == Offset{1});
}

TEST_CASE("a partition that was given up is forgotten and can come again") {
  Tracker tracker;
  tracker.open("t", {0}, {4});
  tracker.open("t", {0}, {5});
  tracker.close(range(5, 5));
  tracker.forget("t", {0});
  CHECK(at(tracker) == -1);
  CHECK(tracker.open_records() == 0);
  tracker.open("t", {0}, {2});
  CHECK(at(tracker) == 2);
  tracker.forget("u", {0});
  tracker.forget("t", {9});
}

TEST_CASE("however records close, the position is that of a plain count") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    Tracker tracker;
    std::set<std::int64_t> open;
    std::vector<std::int64_t> order;
    std::int64_t next = 0;
    for (int i = 0; i < 60; ++i) {
      next += static_cast<std::int64_t>(random() % 3);
      tracker.open("t", {0}, {next});
      open.insert(next);
      order.push_back(next++);
    }
    std::ranges::shuffle(order, random);
    for (const std::int64_t offset : order) {
      tracker.close(range(offset, offset));
      open.erase(offset);
      REQUIRE(at(tracker) == (open.empty() ? next : *open.begin()));
      REQUIRE(tracker.open_records() == std::ssize(open));
    }
  }
}
