#include "leat/base/disk.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>

#include "leat/base/disk_calls.h"
#include "leat/base/seeded_bug.h"

namespace leat {

using namespace disk_calls;

void set_disk_fault_hook(DiskFaultHook hook) {
  fault_hook.store(hook, std::memory_order_relaxed);
}

// ---- File ----

Result<std::size_t> File::read_at(std::span<std::byte> into, std::int64_t position) const {
  std::size_t done = 0;
  while (done < into.size()) {
    if ((errno = injected_fault(DiskCall::read, path_)) != 0) return fault("read", path_);
    const ssize_t count = ::pread(fd(), into.data() + done, into.size() - done, position + static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    // Past the page cache, going on behind a short read is refused once others have made the file longer: it was the
    // end.
    if (count < 0 && errno == EINVAL && done > 0) break;
    if (count < 0) return fault("read", path_);
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

Result<void> File::write_at(Bytes bytes, std::int64_t position) const {
  return write_at(std::span(&bytes, 1), position);
}

Result<void> File::write_at(std::span<const Bytes> pieces, std::int64_t position) const {
  constexpr std::size_t kVectorMax = 64;
  std::size_t piece = 0;   // the first one not written in full
  std::size_t offset = 0;  // bytes of it that have been written
  while (piece < pieces.size()) {
    std::array<iovec, kVectorMax> vector;
    std::size_t used = 0;
    for (std::size_t i = piece; i < pieces.size() && used < kVectorMax; ++i) {
      const std::size_t skip = i == piece ? offset : 0;
      if (pieces[i].size() == skip) continue;
      // pwritev takes pointers to mutable bytes but does not change them.
      vector[used++] = {const_cast<std::byte*>(pieces[i].data()) + skip, pieces[i].size() - skip};
    }
    if (used == 0) break;
    if ((errno = injected_fault(DiskCall::write, path_)) != 0) return fault("write to", path_);
    const ssize_t count = ::pwritev(fd(), vector.data(), static_cast<int>(used), position);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fault("write to", path_);
    position += count;
    offset += static_cast<std::size_t>(count);
    while (piece < pieces.size() && offset >= pieces[piece].size()) offset -= pieces[piece++].size();
    if (count == 0) {
      errno = ENOSPC;
      return fault("write to", path_);
    }
  }
  return {};
}

Result<void> File::sync_data() const {
  if (seeded(SeededBug::no_fdatasync)) return {};
  if ((errno = injected_fault(DiskCall::sync, path_)) != 0) return fault("sync", path_);
  // A file system mounted read-only has nothing unsynced.
  int failed = ::fdatasync(fd());
  if (failed != 0 && seeded(SeededBug::sync_retried)) failed = ::fdatasync(fd());
  if (failed != 0 && errno != EROFS) return fault("sync", path_);
  return {};
}

Result<std::int64_t> File::size() const {
  struct statx status;
  if (!look_at(fd(), "", AT_EMPTY_PATH, STATX_SIZE, status)) return fault("stat", path_);
  return static_cast<std::int64_t>(status.stx_size);
}

void File::begin_writing(std::int64_t position, std::int64_t bytes) const {
  (void)::sync_file_range(fd(), position, bytes, SYNC_FILE_RANGE_WRITE);
}

Result<void> File::allocate(std::int64_t position, std::int64_t bytes) const {
  if ((errno = injected_fault(DiskCall::write, path_)) != 0) return fault("allocate", path_);
  if (retried([&] { return ::fallocate(fd(), 0, position, bytes); }) != 0) return fault("allocate", path_);
  return {};
}

Result<void> File::truncate(std::int64_t size) const {
  if ((errno = injected_fault(DiskCall::truncate, path_)) != 0) return fault("truncate", path_);
  if (retried([&] { return ::ftruncate(fd(), size); }) != 0) return fault("truncate", path_);
  return {};
}

Result<FileIdentity> disk_calls::identity_of(int fd, const std::string& path) {
  struct statx status;
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &status) != 0) return fault("stat", path);
  FileIdentity identity;
  identity.device = (std::uint64_t{status.stx_dev_major} << 32) | status.stx_dev_minor;
  identity.inode = status.stx_ino;
  if ((status.stx_mask & STATX_BTIME) != 0) {
    identity.born_ns = status.stx_btime.tv_sec * 1'000'000'000 + static_cast<std::int64_t>(status.stx_btime.tv_nsec);
  }
  return identity;
}

Result<FileIdentity> File::identity() const {
  return identity_of(fd(), path_);
}

// ---- Mapping ----

Result<Mapping> Mapping::map(const File& file, std::size_t size, bool writable) {
  if ((errno = injected_fault(DiskCall::map, file.path())) != 0) return fault("map", file.path());
  void* base = ::mmap(nullptr, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, file.fd(), 0);
  if (base == MAP_FAILED) return fault("map", file.path());
  // Locks and mappings belong to one process: a forked child must not keep them.
  ::madvise(base, size, MADV_DONTFORK);
  Mapping mapping;
  mapping.base_ = static_cast<std::byte*>(base);
  mapping.size_ = size;
  return mapping;
}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(size_, other.size_);
  return *this;
}

Mapping::~Mapping() {
  if (base_ != nullptr) ::munmap(base_, size_);
}

// ---- File systems ----

Result<std::int64_t> file_system_magic(const Directory& directory) {
  struct statfs status;
  if (::fstatfs(directory.fd(), &status) != 0) return fault("stat the file system of", directory.path());
  return static_cast<std::int64_t>(status.f_type);
}

Result<FileSystemSpace> file_system_space(const Directory& directory) {
  struct statvfs status;
  if (::fstatvfs(directory.fd(), &status) != 0) return fault("stat the file system of", directory.path());
  const auto block = static_cast<std::int64_t>(status.f_frsize);
  return FileSystemSpace{static_cast<std::int64_t>(status.f_blocks) * block,
                         static_cast<std::int64_t>(status.f_bavail) * block};
}

void raise_open_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace leat
