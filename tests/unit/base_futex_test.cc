#include "leat/base/futex.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

using namespace leat;

namespace {

Milliseconds measured(const auto& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - start);
}

constexpr Milliseconds kLong(20'000);
constexpr Milliseconds kShort(10'000);  // far below kLong, far above any delay of a busy machine

// Waits, as its users do, until the word has changed.
void wait_until_changed(const WakeWord& word, std::uint32_t seen) {
  const auto deadline = std::chrono::steady_clock::now() + kLong;
  while (word.load() == seen && std::chrono::steady_clock::now() < deadline) wait_for_wake({&word, seen}, kLong);
}

}  // namespace

TEST_CASE("a wake ends the wait of everybody who waits on the word") {
  WakeWord word{7};
  std::vector<std::thread> waiters;
  const Milliseconds took = measured([&] {
    for (int i = 0; i < 3; ++i) waiters.emplace_back([&] { wait_until_changed(word, 7); });
    std::this_thread::sleep_for(Milliseconds(30));
    wake_all(word);
    for (std::thread& waiter : waiters) waiter.join();
  });
  CHECK(took < kShort);
  CHECK(word == 8);
}

TEST_CASE("a wait ends with its timeout") {
  const WakeWord word{1};
  const WakeWord other{1};
  const std::vector<WakeWait> both = {{&word, 1}, {&other, 1}};
  CHECK(measured([&] { wait_for_wake({&word, 1}, Milliseconds(40)); }) >= Milliseconds(39));
  const Milliseconds any = measured([&] { wait_for_any_wake(both, Milliseconds(40)); });
  CHECK(any < kShort);
  CHECK(measured([&] { wait_for_any_wake({}, Milliseconds(40)); }) < kShort);
}

TEST_CASE("a word that has changed already is not waited for") {
  const WakeWord word{2};
  const WakeWord other{1};
  const std::vector<WakeWait> waits = {{&other, 1}, {&word, 1}};
  CHECK(measured([&] { wait_for_wake({&word, 1}, kLong); }) < kShort);
  CHECK(measured([&] { wait_for_any_wake(waits, kLong); }) < kShort);
  CHECK(measured([&] { wait_for_any_wake(std::span(waits).last(1), kLong); }) < kShort);
}

TEST_CASE("any of several words ends the wait for all of them") {
  for (const std::size_t count : {std::size_t{1}, std::size_t{2}, std::size_t{128}, std::size_t{300}}) {
    CAPTURE(count);
    std::vector<WakeWord> words(count);
    std::vector<WakeWait> waits;
    for (const WakeWord& word : words) waits.push_back({&word, 0});
    WakeWord& last = words.back();
    const Milliseconds took = measured([&] {
      std::thread waker([&] {
        std::this_thread::sleep_for(Milliseconds(20));
        wake_all(last);
      });
      const auto deadline = std::chrono::steady_clock::now() + kLong;
      while (last.load() == 0 && std::chrono::steady_clock::now() < deadline) wait_for_any_wake(waits, kLong);
      waker.join();
    });
    CHECK(took < kShort);
  }
}

TEST_CASE("a wake for some kinds of waiters reaches all of those and one of the next") {
  constexpr WaiterKinds kNow = 1;
  constexpr WaiterKinds kNext = 2;
  constexpr WaiterKinds kLater = 4;
  WakeWord word{0};
  std::atomic<int> ready{0};
  std::array<std::atomic<int>, 5> awake{};
  std::vector<std::thread> waiters;
  for (const WaiterKinds kind : {kNow, kNow, kNext, kNext, kLater}) {
    waiters.emplace_back([&, kind] {
      ++ready;
      wait_for_wake({&word, 0}, kLong, kind);
      ++awake[kind];
    });
  }
  while (ready < 5) std::this_thread::yield();
  std::this_thread::sleep_for(Milliseconds(300));
  wake_kinds(word, kNow, kNext);
  while (awake[kNow] < 2 || awake[kNext] < 1) std::this_thread::yield();
  std::this_thread::sleep_for(Milliseconds(100));
  CHECK(awake[kNext] == 1);
  CHECK(awake[kLater] == 0);
  wake_all(word);
  for (std::thread& waiter : waiters) waiter.join();
  CHECK(awake[kNext] == 2);
  CHECK(awake[kLater] == 1);
}
