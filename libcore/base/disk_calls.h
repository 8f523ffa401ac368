// How disk.cc and disk_directory.cc make their system calls: with the faults that tests ask for, again after signals,
// and with errors that name the path. For these two alone; disk.h is what others use.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <string_view>

#include "leat/base/disk.h"

namespace leat::disk_calls {

inline std::atomic<DiskFaultHook> fault_hook{nullptr};

// The errno a test wants this call to fail with, or 0.
inline int injected_fault(DiskCall call, std::string_view path) {
  const DiskFaultHook hook = fault_hook.load(std::memory_order_relaxed);
  return hook == nullptr ? 0 : hook(call, path);
}

// Runs a system call again while signals interrupt it. Returns its result, or -1 with errno set.
template <class Call>
auto retried(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

inline std::unexpected<Error> fault(std::string_view action, const std::string& path) {
  return fail_errno(errno, fmt::format("cannot {} {}", action, path));
}

// Looks at a file without asking for its times: since Linux 6.13 whoever does makes the next write store a new one, and
// the sync after it takes half as long again (measured: 137 us instead of 96).
inline bool look_at(int directory, const char* name, int flags, unsigned wanted, struct statx& status) {
  return ::statx(directory, name, flags | AT_SYMLINK_NOFOLLOW, wanted, &status) == 0;
}

inline InodeId inode_in(const struct statx& status) {
  return {status.stx_dev_major, status.stx_dev_minor, status.stx_ino};
}

// What identifies the open file or directory `fd`. Errors: io, naming `path`.
Result<FileIdentity> identity_of(int fd, const std::string& path);

}  // namespace leat::disk_calls
