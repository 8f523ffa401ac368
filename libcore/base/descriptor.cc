#include "leat/base/descriptor.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

namespace leat {

namespace {

// Which descriptors are lost at a fork, as bits: a child of fork() may only make calls that are safe in a signal
// handler. Numbers beyond are not known to it.
constexpr std::size_t kLostMax = 1 << 20;
std::array<std::atomic<std::uint64_t>, kLostMax / 64> lost_at_fork;
std::atomic<std::size_t> lost_end = 0;  // words behind which no bit was ever set

void lose_descriptors() {
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  for (std::size_t word = 0; word < lost_end.load(std::memory_order_relaxed); ++word) {
    for (std::uint64_t bits = lost_at_fork[word].load(std::memory_order_relaxed); bits != 0; bits &= bits - 1) {
      const int fd = static_cast<int>(word * 64) + std::countr_zero(bits);
      // The number stays taken: its owner will close it.
      if (nothing < 0 || ::dup3(nothing, fd, O_CLOEXEC) < 0) ::close(fd);
    }
  }
  if (nothing >= 0) ::close(nothing);
}

void close_owned(int fd) {
  if (fd < 0) return;
  const auto number = static_cast<std::size_t>(fd);
  if (number < kLostMax)
    lost_at_fork[number / 64].fetch_and(~(std::uint64_t{1} << number % 64), std::memory_order_relaxed);
  ::close(fd);
}

}  // namespace

void lose_at_fork(int fd) {
  [[maybe_unused]] static const int registered = ::pthread_atfork(nullptr, nullptr, lose_descriptors);
  const auto number = static_cast<std::size_t>(fd);
  if (number >= kLostMax) return;
  lost_at_fork[number / 64].fetch_or(std::uint64_t{1} << number % 64, std::memory_order_relaxed);
  std::size_t end = lost_end.load(std::memory_order_relaxed);
  while (end < number / 64 + 1 && !lost_end.compare_exchange_weak(end, number / 64 + 1, std::memory_order_relaxed)) {
  }
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    close_owned(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Descriptor::~Descriptor() {
  close_owned(fd_);
}

}  // namespace leat
