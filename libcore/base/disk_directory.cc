// Directories: opening, making, listing and removing what lies in them; see disk.h.
#include <dirent.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "leat/base/disk_calls.h"
#include "leat/base/seeded_bug.h"

namespace leat {

using namespace disk_calls;

namespace {

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

// Whether a path goes up, or begins at the top.
bool leads_out(std::string_view path) {
  return path.starts_with('/') || path == ".." || path.starts_with("../") || path.ends_with("/..") ||
         path.find("/../") != std::string_view::npos;
}

int open_beneath(int directory, const char* name, int flags, mode_t mode) {
  open_how how{};
  // O_NONBLOCK: a pipe that was put in a file's place must not be waited for.
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  static std::atomic<bool> is_there = true;
  if (is_there.load(std::memory_order_relaxed)) {
    const auto open = [&] {
      return static_cast<int>(retried([&] { return ::syscall(SYS_openat2, directory, name, &how, sizeof how); }));
    };
    // Moved to another directory while it was being opened: it had left the name, where something else may be by now.
    constexpr int kTriesMax = 10;
    int fd = open();
    for (int tries = 1; fd < 0 && errno == EXDEV && !leads_out(name) && tries < kTriesMax; ++tries) fd = open();
    if (fd < 0 && errno == EXDEV && !leads_out(name)) errno = ENOENT;
    if (fd >= 0 || errno != ENOSYS) return fd;
    is_there.store(false, std::memory_order_relaxed);
  }
  return open_name_by_name(directory, name, static_cast<int>(how.flags), mode);
}

// Whether what is at a name is what was opened. A disk that does not say is no reason to think that it is gone: that
// comes out as an error with the next thing that is done.
bool is_still_at(int directory, std::string_view name, const InodeId& opened,
                 std::optional<std::int64_t>* bytes = nullptr) {
  struct statx here;
  if (!look_at(directory, std::string(name).c_str(), 0, STATX_INO | STATX_SIZE, here)) return errno != ENOENT;
  if (bytes != nullptr) *bytes = static_cast<std::int64_t>(here.stx_size);
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

bool is_dot(const char* name) {
  return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

}  // namespace

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

bool Directory::names_file(std::string_view name, const File& file, std::optional<std::int64_t>* bytes) const {
  return is_still_at(fd(), name, file.id(), bytes);
}

Result<FileIdentity> Directory::identity() const {
  return identity_of(fd(), path_);
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
  // A descriptor of its own, as the place in a listing is shared by duplicates. Not a stream: its memory of 32 KiB is
  // taken and given back for each, which costs more than the listing of a partition.
  const Descriptor own(open_beneath(this->fd(), ".", O_RDONLY | O_DIRECTORY, 0));
  if (!own) return fault("list", path_);
  std::vector<std::string> names;
  alignas(dirent64) char block[8192];
  for (;;) {
    const ssize_t bytes = ::getdents64(own.get(), block, sizeof block);
    if (bytes < 0) return fault("list", path_);
    if (bytes == 0) break;
    for (ssize_t at = 0; at < bytes;) {
      const auto* const entry = reinterpret_cast<const dirent64*>(block + at);
      if (!is_dot(entry->d_name)) names.emplace_back(entry->d_name);
      at += entry->d_reclen;
    }
  }
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
  // Whoever has the directory open may have made a file in it since it was listed.
  constexpr int kAttempts = 10;
  for (int attempt = 1;; ++attempt) {
    {
      const Directory directory = TRY(open_directory(name));
      for (const std::string& below : TRY(directory.list())) TRY(directory.remove_tree(below));
    }
    if (attempt == kAttempts) return remove_directory(name);
    if (::unlinkat(fd(), std::string(name).c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
    if (errno != ENOTEMPTY) return fault("remove directory", path_of(name));
  }
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

}  // namespace leat
