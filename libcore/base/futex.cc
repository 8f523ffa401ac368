#include "leat/base/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <ctime>

namespace leat {

namespace {

timespec to_timespec(Milliseconds duration) {
  return {duration.count() / 1000, static_cast<long>(duration.count() % 1000) * 1'000'000};
}

timespec steady_deadline(Milliseconds timeout) {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const timespec more = to_timespec(timeout);
  timespec deadline{now.tv_sec + more.tv_sec, now.tv_nsec + more.tv_nsec};
  if (deadline.tv_nsec >= 1'000'000'000) {
    deadline.tv_nsec -= 1'000'000'000;
    ++deadline.tv_sec;
  }
  return deadline;
}

}  // namespace

void wait_for_wake(WakeWait wait, Milliseconds timeout, WaiterKinds kinds) {
  const timespec deadline = steady_deadline(timeout);
  ::syscall(SYS_futex, wait.word, FUTEX_WAIT_BITSET, wait.seen, &deadline, nullptr, kinds);
}

void wait_for_any_wake(std::span<const WakeWait> waits, Milliseconds timeout) {
  if (waits.size() == 1) return wait_for_wake(waits[0], timeout);
  constexpr Milliseconds kPoll(5);
  std::array<futex_waitv, FUTEX_WAITV_MAX> vector{};
  if (!waits.empty() && waits.size() <= vector.size()) {
    for (std::size_t i = 0; i < waits.size(); ++i) {
      vector[i].val = waits[i].seen;
      vector[i].uaddr = reinterpret_cast<std::uintptr_t>(waits[i].word);
      vector[i].flags = FUTEX_32;
    }
    const timespec deadline = steady_deadline(timeout);
    const long result =
        ::syscall(SYS_futex_waitv, vector.data(), static_cast<unsigned>(waits.size()), 0, &deadline, CLOCK_MONOTONIC);
    if (result >= 0 || errno == EAGAIN || errno == ETIMEDOUT || errno == EINTR) return;
    // Not there, or refused by a sandbox: polled, so that nobody spins.
  }
  const timespec pause = to_timespec(std::min(timeout, kPoll));
  ::nanosleep(&pause, nullptr);
}

void wake_all(WakeWord& word) {
  word.fetch_add(1, std::memory_order_release);
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void wake_kinds(WakeWord& word, WaiterKinds kinds, WaiterKinds next) {
  word.fetch_add(1, std::memory_order_release);
  ::syscall(SYS_futex, &word, FUTEX_WAKE_BITSET, INT_MAX, nullptr, nullptr, kinds);
  ::syscall(SYS_futex, &word, FUTEX_WAKE_BITSET, 1, nullptr, nullptr, next);
}

}  // namespace leat
