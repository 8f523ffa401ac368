// What holds of a copy whatever its two sides are.
#include <thread>

#include "tests/support/copy_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

std::vector<std::string> numbered(const std::string& word, int count) {
  std::vector<std::string> values;
  for (int n = 0; n < count; ++n) values.push_back(word + std::to_string(n));
  return values;
}

// Steps until `count` records are copied and all are durable.
void follow_until(Copy& copy, std::int64_t count) {
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (must(copy.step(Milliseconds(100))) != Fetch::State::caught_up || copy.records() < count)
    REQUIRE(std::chrono::steady_clock::now() < patience);
}

}  // namespace

TEST_CASE("a copy keeps keys, values, headers, timestamps, partitions and order, nulls and empty ones apart") {
  for (const CopyPair& pair : kCopyPairs) {
    CAPTURE(pair.name);
    CopyFixture f(pair);
    {
      auto producer = must(f.from->open_producer("t", {}));
      const std::array headers = {HeaderView{"h", "v"}, HeaderView{"h", std::nullopt}, HeaderView{"empty", ""}};
      for (int n = 0; n < 300; ++n) {
        const std::string key = "k" + std::to_string(n % 7);
        const std::string value(static_cast<std::size_t>(n * 11), static_cast<char>('a' + n % 26));
        must(producer->send({.key = key, .value = value, .headers = headers, .timestamp = TimestampMs{5000 - n}}));
      }
      must(producer->send({.key = "tombstone", .value = std::nullopt, .timestamp = TimestampMs{1}}));
      must(producer->send({.key = "", .value = "", .timestamp = TimestampMs{2}}));
      must(producer->send({.key = std::nullopt, .value = "\xff\xfe", .timestamp = TimestampMs{3}}));
      must(producer->flush());
    }
    CHECK(f.copied() == 303);
    CHECK(whole_records(*f.to).size() == 303);
    CHECK(f.same());
  }
}

TEST_CASE("run again a copy goes on where it ended, and adds nothing when there is nothing") {
  for (const CopyPair& pair : kCopyPairs) {
    if (!remembers(pair)) continue;
    CAPTURE(pair.name);
    CopyFixture f(pair);
    f.produce(numbered("a", 20));
    CHECK(f.copied() == 20);
    CHECK(f.copied() == 0);
    f.produce(numbered("b", 5));
    f.produce(numbered("c", 3), 1);
    const auto partitions = must(copy_once(*f.from, *f.to));
    REQUIRE(partitions.size() == 2);
    CHECK(partitions[0].records == 5);
    CHECK(partitions[0].from.value == 20);
    CHECK(partitions[0].to.value == 25);
    CHECK(partitions[1].records == 3);
    CHECK(partitions[1].from.value == 0);
    CHECK(partitions[1].to.value == 3);
    CHECK(f.same());
  }
}

TEST_CASE("a copy that is dropped in the middle leaves each record once when it is run again") {
  for (const CopyPair& pair : kCopyPairs) {
    if (!remembers(pair)) continue;
    CAPTURE(pair.name);
    CopyFixture f(pair);
    for (int batch = 0; batch < 30; ++batch) f.produce(numbered("v" + std::to_string(batch) + "-", 10), batch % 2);
    for (int run = 0; run < 4; ++run) {
      auto copy = must(Copy::open(*f.from, *f.to, {.follow = false}));
      for (int step = 0; step <= run; ++step) must(copy->step(Milliseconds(100)));
    }
    f.copied();
    CHECK(whole_records(*f.to).size() == 300);
    CHECK(f.same());
  }
}

TEST_CASE("a copy that follows brings what comes, and ends when it is stopped with all of it durable") {
  for (const CopyPair& pair : kCopyPairs) {
    CAPTURE(pair.name);
    CopyFixture f(pair);
    std::atomic<bool> stop = false;
    f.produce({"before"});
    {
      auto copy = must(Copy::open(*f.from, *f.to, {.follow = true, .stop = &stop}));
      follow_until(*copy, 1);
      CHECK(whole_records(*f.to).size() == 1);
      f.produce({"after", "and more"}, 1);
      follow_until(*copy, 3);
      CHECK(f.same());
      stop = true;
      CHECK(must(copy->step(Milliseconds(5000))) == Fetch::State::stopped);
    }
    if (remembers(pair)) CHECK(f.copied() == 0);
  }
}

TEST_CASE("large records and many small ones are copied whole") {
  for (const CopyPair& pair : kCopyPairs) {
    CAPTURE(pair.name);
    CopyFixture f(pair);
    f.produce({std::string(700'000, 'x'), "small", std::string(700'000, 'y')});
    f.produce(numbered("n", 20'000), 1);
    CHECK(f.copied() == 20'003);
    CHECK(f.same());
  }
}

TEST_CASE("a destination somebody else has written to is refused, before and after the first run, unless merging") {
  for (const CopyPair& pair : kCopyPairs) {
    if (!remembers(pair)) continue;
    CAPTURE(pair.name);
    CopyFixture f(pair);
    f.produce({"ours"});
    const auto intrude = [&] {
      auto producer = must(f.to->open_producer("t", {.partition = PartitionId{1}}));
      must(producer->send({.value = "theirs", .timestamp = TimestampMs{1}}));
      must(producer->flush());
    };
    intrude();
    CHECK(f.refused() == Code::exists);
    CHECK(whole_records(*f.to).size() == 1);
    CHECK(f.copied({.merge = true}) == 1);
    intrude();
    CHECK(f.refused() == Code::exists);
    f.produce({"more of ours"}, 1);
    CHECK(f.copied({.merge = true}) == 1);
    CHECK(f.copied({.merge = true}) == 0);
    CHECK(whole_records(*f.to).size() == 4);
  }
}

TEST_CASE("a topic that is not there is not found, and other partitions at the destination are refused") {
  for (const CopyPair& pair : kCopyPairs) {
    CAPTURE(pair.name);
    CopyFixture f(pair);
    CHECK(f.refused({.topics = {"missing"}}) == Code::not_found);
    must(f.from->create_topic("u", {.partitions = 3}));
    must(f.to->create_topic("u", {.partitions = 2}));
    CHECK(f.refused({.topics = {"u"}}) == Code::usage);
    CHECK(code_of(copy_once(*f.from, *f.from)) == Code::usage);
  }
}
