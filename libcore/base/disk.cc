#include "leat/base/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>

#include "leat/base/seeded_bug.h"

namespace leat {

namespace {

std::atomic<DiskFaultHook> fault_hook{nullptr};

// The errno a test wants this call to fail with, or 0.
int injected_fault(DiskCall call, std::string_view path) {
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

std::unexpected<Error> fault(std::string_view action, const std::string& path) {
  return fail_errno(errno, fmt::format("cannot {} {}", action, path));
}

// Where there is no openat2 (kernels before 5.6, some sandboxes): name after name, none of them a link or a way up.
int open_name_by_name(int directory, std::string_view path, int flags, mode_t mode) {
  const std::size_t slash = path.find('/');
  const std::string name(path.substr(0, slash));
  if (name == ".." || name.empty()) {
    errno = EXDEV;
    return -1;
  }
  if (slash == std::string_view::npos)
    return retried([&] { return ::openat(directory, name.c_str(), flags | O_NOFOLLOW, mode); });
  const Descriptor below(
      retried([&] { return ::openat(directory, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); }));
  return below ? open_name_by_name(below.get(), path.substr(slash + 1), flags, mode) : -1;
}

int open_beneath(int directory, const char* name, int flags, mode_t mode) {
  open_how how{};
  // O_NONBLOCK: a pipe that was put in a file's place must not be waited for.
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  static std::atomic<bool> is_there = true;
  if (is_there.load(std::memory_order_relaxed)) {
    const auto fd =
        static_cast<int>(retried([&] { return ::syscall(SYS_openat2, directory, name, &how, sizeof how); }));
    if (fd >= 0 || errno != ENOSYS) return fd;
    is_there.store(false, std::memory_order_relaxed);
  }
  return open_name_by_name(directory, name, static_cast<int>(how.flags), mode);
}

// Looks at a file without asking for its times: since Linux 6.13 whoever does makes the next write store a new one, and
// the sync after it takes half as long again (measured: 137 us instead of 96).
bool look_at(int directory, const char* name, int flags, unsigned wanted, struct statx& status) {
  return ::statx(directory, name, flags | AT_SYMLINK_NOFOLLOW, wanted, &status) == 0;
}

InodeId inode_in(const struct statx& status) {
  return {status.stx_dev_major, status.stx_dev_minor, status.stx_ino};
}

// Whether what is at a name is what was opened. A disk that does not say is no reason to think that it is gone: that
// comes out as an error with the next thing that is done.
bool is_still_at(int directory, std::string_view name, const InodeId& opened) {
  struct statx here;
  if (!look_at(directory, std::string(name).c_str(), 0, STATX_INO, here)) return errno != ENOENT;
  return inode_in(here) == opened;
}

// For a file system without O_DIRECT: its clean pages go, and are read again.
int open_dropping_cache(int directory, const char* name) {
  const int fd = open_beneath(directory, name, O_RDONLY, 0);
  if (fd >= 0) (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  return fd;
}

std::string_view kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  return "a device";
}

// Which descriptors those are, as bits: a child of fork() may only make calls that are safe in a signal handler.
// Numbers beyond are not known to it.
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

struct DirectoryStream {
  explicit DirectoryStream(DIR* stream) : stream_(stream) {}
  ~DirectoryStream() {
    if (stream_ != nullptr) ::closedir(stream_);
  }
  DIR* stream_;
};

bool is_dot(const char* name) {
  return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

}  // namespace

void set_disk_fault_hook(DiskFaultHook hook) {
  fault_hook.store(hook, std::memory_order_relaxed);
}

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

Result<FileIdentity> File::identity() const {
  struct statx status;
  if (::statx(fd(), "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &status) != 0) return fault("stat", path_);
  FileIdentity identity;
  identity.device = (std::uint64_t{status.stx_dev_major} << 32) | status.stx_dev_minor;
  identity.inode = status.stx_ino;
  if ((status.stx_mask & STATX_BTIME) != 0) {
    identity.born_ns = status.stx_btime.tv_sec * 1'000'000'000 + static_cast<std::int64_t>(status.stx_btime.tv_nsec);
  }
  return identity;
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

// ---- Directory ----

std::string Directory::path_of(std::string_view name) const {
  return fmt::format("{}/{}", path_, name);
}

Result<Directory> Directory::open_root(const std::string& path) {
  const int fd = static_cast<int>(retried([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (fd < 0) return fault("open directory", path);
  Descriptor descriptor(fd);
  struct stat status;
  if (::fstat(fd, &status) != 0) return fault("stat", path);
  return Directory(std::move(descriptor), path, {status.st_mode & 07777, status.st_uid, status.st_gid});
}

Result<void> Directory::make_root(const std::string& path) {
  std::size_t slash = 0;
  while (slash != std::string::npos) {
    slash = path.find('/', slash + 1);
    const std::string prefix = path.substr(0, slash);
    if (prefix.empty() || prefix == "/") continue;
    if (::mkdir(prefix.c_str(), 0700) != 0) {
      if (errno == EEXIST) continue;
      return fault("create directory", prefix);
    }
    // The umask has been applied by mkdir; the mode is ours to decide.
    if (::chmod(prefix.c_str(), 0700) != 0) return fault("set the mode of", prefix);
    const std::size_t parent_end = prefix.rfind('/');
    const std::string parent = parent_end == std::string::npos ? "."
                               : parent_end == 0               ? "/"
                                                               : prefix.substr(0, parent_end);
    const Descriptor parent_fd(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!parent_fd || ::fsync(parent_fd.get()) != 0) return fault("sync directory", parent);
  }
  return {};
}

Result<void> Directory::apply_inherited(int fd, bool directory, const std::string& path) const {
  struct stat status;
  if (::fstat(fd, &status) != 0) return fault("stat", path);
  const uid_t owner = ::geteuid() == 0 ? inherited_.owner : status.st_uid;
  // A group one is not a member of cannot be given; the set-group-id bit of the directory has done it then.
  if (status.st_gid != inherited_.group || status.st_uid != owner) {
    if (::fchown(fd, owner, inherited_.group) != 0 && ::geteuid() == 0) return fault("set the owner of", path);
  }
  const mode_t mode = directory ? inherited_.directory_mode : inherited_.directory_mode & 0666;
  if ((status.st_mode & 07777) != mode && ::fchmod(fd, mode) != 0) return fault("set the mode of", path);
  return {};
}

Result<Directory> Directory::open_directory(std::string_view name) const {
  const std::string path = path_of(name);
  if ((errno = injected_fault(DiskCall::open, path)) != 0) return fault("open directory", path);
  Descriptor opened(open_beneath(fd(), std::string(name).c_str(), O_RDONLY | O_DIRECTORY, 0));
  if (!opened) {
    const bool is_other = errno == ENOTDIR;
    auto error = fault("open directory", path);
    if (is_other) error.error().code = Code::not_found;  // something of that name, but no directory
    return error;
  }
  return Directory(std::move(opened), name == "." ? path_ : path, inherited_);
}

Result<Directory> Directory::make_directory(std::string_view name) const {
  const std::string path = path_of(name);
  if ((errno = injected_fault(DiskCall::make_directory, path)) != 0) return fault("create directory", path);
  // mkdirat, unlike openat2, would follow a path to elsewhere.
  if (name.find('/') != std::string_view::npos)
    return fail_errno(EXDEV, fmt::format("cannot create directory {}", path));
  const bool made = ::mkdirat(fd(), std::string(name).c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return fault("create directory", path);
  Directory directory = TRY(open_directory(name));
  if (made) {
    TRY(apply_inherited(directory.fd(), true, path));
    TRY(sync());
  }
  return directory;
}

Result<File> Directory::open_file(std::string_view name, OpenMode mode) const {
  std::string path = path_of(name);
  if ((errno = injected_fault(DiskCall::open, path)) != 0) return fault("open", path);
  const std::string terminated(name);
  const auto open = [&](int flags) { return open_beneath(fd(), terminated.c_str(), flags, 0600); };
  int fd = -1;
  bool created = false;
  switch (mode) {
    case OpenMode::read:
      fd = open(O_RDONLY);
      break;
    case OpenMode::direct_read:
      fd = open(O_RDONLY | O_DIRECT);
      if (fd < 0 && errno == EINVAL) fd = open_dropping_cache(this->fd(), terminated.c_str());
      break;
    case OpenMode::read_write:
      fd = open(O_RDWR);
      break;
    case OpenMode::create_new:
      fd = open(O_RDWR | O_CREAT | O_EXCL);
      created = fd >= 0;
      break;
    case OpenMode::create_or_open:
      fd = open(O_RDWR | O_CREAT | O_EXCL);
      created = fd >= 0;
      if (fd < 0 && errno == EEXIST) fd = open(O_RDWR);
      break;
  }
  if (fd < 0) return fault(created ? "create" : "open", path);
  Descriptor opened(fd);
  struct statx status;
  if (!look_at(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_INO, status)) return fault("look at", path);
  if (!S_ISREG(status.stx_mode))
    return fail(Code::configuration, fmt::format("{} is {} where a file is expected", path, kind_of(status.stx_mode)));
  File file(std::move(opened), std::move(path), inode_in(status));
  if (created) TRY(apply_inherited(fd, false, file.path()));
  return file;
}

bool Directory::exists(std::string_view name) const {
  struct stat status;
  return ::fstatat(fd(), std::string(name).c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
}

bool Directory::names_file(std::string_view name, const File& file) const {
  return is_still_at(fd(), name, file.id());
}

bool Directory::still_in(const Directory& parent, std::string_view name) const {
  if (!id_) {
    struct statx status;
    if (!look_at(fd(), "", AT_EMPTY_PATH, STATX_INO, status)) return true;
    id_ = inode_in(status);
  }
  return is_still_at(parent.fd(), name, *id_);
}

Result<std::vector<std::string>> Directory::list() const {
  if ((errno = injected_fault(DiskCall::list, path_)) != 0) return fault("list", path_);
  // A descriptor of its own: the position of a directory stream is shared by duplicates.
  const int fd = open_beneath(this->fd(), ".", O_RDONLY | O_DIRECTORY, 0);
  if (fd < 0) return fault("list", path_);
  const DirectoryStream stream(::fdopendir(fd));
  if (stream.stream_ == nullptr) {
    ::close(fd);
    return fault("list", path_);
  }
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.stream_);
    if (entry == nullptr) break;
    if (!is_dot(entry->d_name)) names.emplace_back(entry->d_name);
  }
  if (errno != 0) return fault("list", path_);
  std::ranges::sort(names);
  return names;
}

Result<std::int64_t> Directory::allocated_bytes() const {
  std::int64_t total = 0;
  for (const std::string& name : TRY(list())) {
    struct stat status;
    if (::fstatat(fd(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno != ENOENT) return fault("look at", path_of(name));
      continue;
    }
    total += static_cast<std::int64_t>(status.st_blocks) * 512;
    if (!S_ISDIR(status.st_mode)) continue;
    const auto below = open_directory(name);
    if (below) total += TRY(below->allocated_bytes());
    if (!below && below.error().code != Code::not_found) return std::unexpected(below.error());
  }
  return total;
}

Result<void> Directory::rename(std::string_view from, const Directory& to_directory, std::string_view to) const {
  const std::string path = path_of(from);
  if ((errno = injected_fault(DiskCall::rename, path)) != 0) return fault("rename", path);
  if (::renameat(fd(), std::string(from).c_str(), to_directory.fd(), std::string(to).c_str()) != 0) {
    return fault("rename", path);
  }
  return {};
}

Result<void> Directory::unlink(std::string_view name) const {
  const std::string path = path_of(name);
  if ((errno = injected_fault(DiskCall::unlink, path)) != 0) return fault("remove", path);
  if (::unlinkat(fd(), std::string(name).c_str(), 0) != 0 && errno != ENOENT) return fault("remove", path);
  return {};
}

Result<void> Directory::remove_directory(std::string_view name) const {
  if (::unlinkat(fd(), std::string(name).c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return fault("remove directory", path_of(name));
  }
  return {};
}

Result<void> Directory::remove_tree(std::string_view name) const {
  struct stat status;
  if (::fstatat(fd(), std::string(name).c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return fault("stat", path_of(name));
  }
  if (!S_ISDIR(status.st_mode)) return unlink(name);
  {
    const Directory directory = TRY(open_directory(name));
    for (const std::string& below : TRY(directory.list())) TRY(directory.remove_tree(below));
  }
  return remove_directory(name);
}

Result<void> Directory::sync() const {
  if (seeded(SeededBug::no_directory_sync)) return {};
  if ((errno = injected_fault(DiskCall::sync, path_)) != 0) return fault("sync directory", path_);
  if (::fsync(fd()) != 0 && errno != EROFS) return fault("sync directory", path_);
  return {};
}

Result<void> Directory::replace_file(std::string_view name, std::string_view content) const {
  const std::string temporary = fmt::format("{}.{}.tmp", name, ::getpid());
  TRY(unlink(temporary));
  const auto write = [&]() -> Result<void> {
    const File file = TRY(open_file(temporary, OpenMode::create_new));
    TRY(file.write_at(as_bytes(content), 0));
    TRY(file.sync_data());
    TRY(rename(temporary, *this, name));
    return sync();
  };
  auto written = write();
  if (!written) (void)unlink(temporary);
  return written;
}

Result<std::string> Directory::read_file(std::string_view name, std::size_t bytes_max) const {
  const File file = TRY(open_file(name, OpenMode::read));
  // Not as much as it may have: that is far more than it has. What is too large is not read at all.
  const auto present = static_cast<std::size_t>(TRY(file.size()));
  const auto too_large = [&] {
    return fail(Code::configuration, fmt::format("{} is larger than {} bytes", file.path(), bytes_max));
  };
  if (present > bytes_max) return too_large();
  std::string content(present + 1, '\0');
  const std::size_t count = TRY(file.read_at(std::as_writable_bytes(std::span(content)), 0));
  if (count > bytes_max) return too_large();
  content.resize(count);
  return content;
}

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
