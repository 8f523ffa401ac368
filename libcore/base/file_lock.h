// Kernel locks, the only thing that decides who owns what: flock on whole directories, open-file-description locks on
// byte ranges. The mechanism; never policy. Both vanish with the last descriptor of the open file description, so with
// a killed process. The two kinds do not see each other: flock is used on directories only, byte ranges in files only
// (fcntl(2), flock(2)).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "leat/base/clock.h"
#include "leat/base/disk.h"
#include "leat/base/error.h"

namespace leat {

// A byte range of a file; bytes far behind its end may be locked.
struct ByteRange {
  std::int64_t start;
  std::int64_t count;
};

enum class LockKind { shared, exclusive };

// Takes or converts this open file's lock on the range; false when another open file holds a conflicting one. Errors:
// io.
Result<bool> try_lock_range(const File& file, ByteRange range, LockKind kind);
// The same, waiting up to `timeout`; false when that passed.
Result<bool> lock_range(const File& file, ByteRange range, LockKind kind, Milliseconds timeout);
void unlock_range(const File& file, ByteRange range);
// The kind of a lock that another open file holds on the range, if any does. Takes nothing.
Result<std::optional<LockKind>> lock_held_elsewhere(const File& file, ByteRange range);

// A lock on a byte range, released at the end of its life. `file` must outlive it.
class RangeLock {
 public:
  // Waits up to `timeout`, and holds nothing where another open file holds a conflicting lock for longer. Errors: io.
  static Result<RangeLock> take(const File& file, ByteRange range, Milliseconds timeout = Milliseconds(0));

  RangeLock(RangeLock&& other) noexcept : file_(std::exchange(other.file_, nullptr)), range_(other.range_) {}
  RangeLock& operator=(RangeLock&&) = delete;
  ~RangeLock() { release(); }
  explicit operator bool() const { return file_ != nullptr; }
  void release();

 private:
  RangeLock(const File* file, ByteRange range) : file_(file), range_(range) {}

  const File* file_;  // nullptr when nothing is held
  ByteRange range_;
};

// An exclusive flock on a directory, released at the end of its life.
class DirectoryLock {
 public:
  // Waits up to `timeout`. Errors: busy, naming the pid and command that hold it; io. `directory` must outlive the
  // lock.
  static Result<DirectoryLock> acquire(const Directory& directory, Milliseconds timeout);

  DirectoryLock(DirectoryLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  DirectoryLock& operator=(DirectoryLock&&) = delete;
  ~DirectoryLock() { release(); }
  void release();

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_;
};

// "pid 4711 (leat produce t)" for a process that exists, "pid 4711" otherwise.
std::string describe_process(std::int64_t pid);

}  // namespace leat
