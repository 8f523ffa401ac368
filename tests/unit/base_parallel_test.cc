#include "leat/base/parallel.h"

#include <doctest/doctest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <new>
#include <numeric>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace leat;

TEST_CASE("every piece of the work is done once") {
  for (const std::size_t count : {0, 1, 2, 3, 100, 5000}) {
    std::vector<std::atomic<int>> done(count);
    in_parallel(count, [&]() -> PieceWorker { return [&](std::size_t piece) { ++done[piece]; }; });
    for (const auto& times : done) REQUIRE(times == 1);
  }
}

TEST_CASE("each thread has a worker of its own, and there are no more than allowed") {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::vector<std::size_t> shares;  // one entry a worker
  in_parallel(64, [&]() -> PieceWorker {
    const std::scoped_lock beginning(mutex);
    CHECK(threads.insert(std::this_thread::get_id()).second);
    shares.push_back(0);
    return [&mutex, &shares, mine = shares.size() - 1, me = std::this_thread::get_id()](std::size_t) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      const std::scoped_lock lock(mutex);
      CHECK(me == std::this_thread::get_id());
      ++shares[mine];
    };
  });
  CHECK(threads.contains(std::this_thread::get_id()));
  CHECK(threads.size() <= kParallelThreadsMax);
  CHECK(std::accumulate(shares.begin(), shares.end(), std::size_t{0}) == 64);
}

TEST_CASE("a single piece is done by the calling thread") {
  std::thread::id by;
  in_parallel(1, [&]() -> PieceWorker { return [&](std::size_t) { by = std::this_thread::get_id(); }; });
  CHECK(by == std::this_thread::get_id());
}

TEST_CASE("what a piece throws comes out once every thread has ended") {
  std::atomic<int> working = 0;
  const auto run = [&] {
    in_parallel(1000, [&]() -> PieceWorker {
      return [&](std::size_t piece) {
        ++working;
        std::this_thread::sleep_for(std::chrono::microseconds(50));
        --working;
        if (piece == 17) throw std::bad_alloc();
      };
    });
  };
  CHECK_THROWS_AS(run(), std::bad_alloc);
  CHECK(working == 0);
  const auto no_worker = [] { in_parallel(8, []() -> PieceWorker { throw std::runtime_error("no memory for it"); }); };
  CHECK_THROWS_AS(no_worker(), std::runtime_error);
}

TEST_CASE("the threads take no signals, and the calling one does afterwards as before") {
  sigset_t before;
  REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &before) == 0);
  const auto me = std::this_thread::get_id();
  std::atomic<int> open_to_signals = 0;
  in_parallel(64, [&]() -> PieceWorker {
    sigset_t mine;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mine);
    if (std::this_thread::get_id() != me && ::sigismember(&mine, SIGTERM) == 0) ++open_to_signals;
    return [](std::size_t) { std::this_thread::sleep_for(std::chrono::microseconds(100)); };
  });
  CHECK(open_to_signals == 0);
  sigset_t after;
  REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &after) == 0);
  CHECK(::sigismember(&after, SIGTERM) == ::sigismember(&before, SIGTERM));
}
