#include "leat/pipe/channel.h"

#include <doctest/doctest.h>

#include <thread>

using namespace leat;
using namespace leat::pipe;
using namespace std::chrono_literals;

namespace {

std::vector<Item> items(std::size_t count, std::size_t bytes = 1) {
  std::vector<Item> made(count);
  for (Item& item : made) item.message.value = std::string(bytes, 'x');
  return made;
}

SteadyTime now() {
  return std::chrono::steady_clock::now();
}

struct Popped {
  Channel::Got got;
  std::size_t count;
};

Popped pop(Channel& channel, std::size_t most = 100) {
  std::vector<Item> to;
  BarrierRef barrier;
  const auto got = channel.pop(most, now(), to, barrier);
  return {got, to.size()};
}

}  // namespace

TEST_CASE("a full channel takes no more until something is taken out") {
  Channel channel({.records = 3});
  auto some = items(5);
  CHECK(channel.push(some, now()));
  CHECK(some.size() == 2);
  CHECK(channel.records() == 3);
  CHECK(channel.push(some, now() + 1ms));
  CHECK(some.size() == 2);
  CHECK(pop(channel, 1).count == 1);
  CHECK(channel.push(some, now()));
  CHECK(some.size() == 1);
}

TEST_CASE("bytes count, too, but one message always passes") {
  Channel channel({.records = 100, .bytes = 10});
  auto large = items(1, 50);
  CHECK(channel.push(large, now()));
  CHECK(large.empty());
  CHECK(channel.bytes() == 50);
  auto more = items(1);
  CHECK(channel.push(more, now()));
  CHECK(more.size() == 1);
  CHECK(pop(channel).count == 1);
  CHECK(channel.bytes() == 0);
  CHECK(channel.push(more, now()));
  CHECK(more.empty());
}

TEST_CASE("a barrier comes out alone, behind what was before it, and needs no room") {
  Channel channel({.records = 2});
  auto some = items(2);
  CHECK(channel.push(some, now()));
  CHECK(channel.push(std::make_shared<Barrier>(Barrier::What{})));
  CHECK(pop(channel).got == Channel::Got::items);
  CHECK(pop(channel).got == Channel::Got::barrier);
  CHECK(pop(channel).got == Channel::Got::nothing);
}

TEST_CASE("whoever waits is told of a halt") {
  Channel empty({});
  Channel full({.records = 1});
  auto some = items(1);
  CHECK(full.push(some, now()));
  bool pushed = true;
  Channel::Got got{};
  std::thread pusher([&] {
    auto more = items(1);
    pushed = full.push_all(more);
  });
  std::thread popper([&] {
    std::vector<Item> to;
    BarrierRef barrier;
    got = empty.pop(1, std::nullopt, to, barrier);
  });
  std::this_thread::sleep_for(20ms);
  full.halt();
  empty.halt();
  pusher.join();
  popper.join();
  CHECK_FALSE(pushed);
  CHECK(got == Channel::Got::halted);
  CHECK_FALSE(full.push(std::make_shared<Barrier>(Barrier::What{.is_end = true})));
}

TEST_CASE("what is pushed by several comes out, all of it") {
  Channel channel({.records = 7});
  constexpr std::size_t kEach = 2000;
  std::vector<std::thread> pushers;
  for (int i = 0; i < 3; ++i) {
    pushers.emplace_back([&] {
      auto all = items(kEach);
      CHECK(channel.push_all(all));
    });
  }
  std::size_t count = 0;
  while (count < 3 * kEach) {
    std::vector<Item> to;
    BarrierRef barrier;
    REQUIRE(channel.pop(5, std::nullopt, to, barrier) == Channel::Got::items);
    count += to.size();
  }
  for (std::thread& pusher : pushers) pusher.join();
  CHECK(channel.records() == 0);
}
