// Descriptors of open files: who closes them, and which of them a child of fork() must not have.
#pragma once

#include <utility>

namespace leat {

// An owned descriptor. Movable; closes at the end of its life.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// A lock lives as long as any process has the file open through which it was taken, and a child of fork() has all open
// files of its parent: also those that the parent locks later. To be called for a descriptor that is, or may be,
// locked: from then until it is closed, such a child finds it without its file. What the child tries with it fails, and
// the lock is its parent's alone.
void lose_at_fork(int fd);

}  // namespace leat
