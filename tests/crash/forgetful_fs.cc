// A FUSE file system for tests that passes everything on to a directory, and keeps what was written and not yet synced
// in its own memory, by pages as the kernel does. When it is killed, or told to cut, the directory holds what was
// synced.
//
//     forgetful-fs MOUNT-POINT DIRECTORY        stays in the foreground; commands on stdin, an answer to each on stdout
//
//     fail TEXT N [once] [kill] [lie]   the Nth sync from now of a file whose path holds TEXT fails: its unsynced pages
//                                       stay readable and are never written, as on Linux. Then every other file opened
//                                       before is told, once; `once`: nobody else is; `kill`: the caller is killed
//                                       before it is told; `lie`: it is told that all is well
//     writeback TEXT                    the same, found by nobody yet: the next sync through each open file is told
//     write TEXT, close TEXT            the same at the next write or close, which fails, too
//     cut PERCENT SEED                  writes so many of the unsynced pages, and ends
//     count                             "SYNCS FAULTS LOST-PAGES" so far
//
// Names are durable at once. The page cache of the kernel stays in front, so that shared mappings work; locks are the
// kernel's own.
#define FUSE_USE_VERSION 35

#include <dirent.h>
#include <fcntl.h>
#include <fuse.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr std::int64_t kPage = 4096;

// A page that is not as the directory has it. A clean one was lost: it is readable until it is written again.
struct Page {
  std::array<char, kPage> bytes{};
  bool dirty = false;
};

struct File {
  explicit File(int descriptor, std::int64_t bytes) : fd(descriptor), size(bytes), kept(bytes) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { ::close(fd); }

  int fd;
  std::int64_t size;  // as readers see it
  std::int64_t kept;  // what lies behind this in the directory was truncated away since
  std::map<std::int64_t, Page> pages;
  std::uint64_t errors = 0;  // failed writebacks; each open file knows how many it has been told of
  bool last_was_told = true;
};

struct Handle {
  std::shared_ptr<File> file;
  std::string path;
  bool direct;
  std::uint64_t told;
};

struct Fault {
  std::string text;
  int countdown = 0;
  bool once = false;
  bool kill = false;
  bool lie = false;
};

std::mutex everything;
std::string root;
std::map<std::pair<dev_t, ino_t>, std::shared_ptr<File>> files;
std::vector<Fault> sync_faults;
std::set<std::string> write_faults;
std::set<std::string> close_faults;
int syncs = 0;
int faults = 0;
std::size_t lost_pages = 0;

int result(int value) {
  return value < 0 ? -errno : value;
}

std::string real(const char* path) {
  return root + path;
}

Handle& handle_of(const fuse_file_info* info) {
  return *reinterpret_cast<Handle*>(info->fh);
}

// ---- Pages. All of it with the lock held.

void read_disk(const File& file, std::int64_t page, char* into) {
  std::memset(into, 0, kPage);
  const std::int64_t from = page * kPage;
  const std::int64_t bytes = std::min(kPage, file.kept - from);
  if (bytes > 0 && ::pread(file.fd, into, static_cast<std::size_t>(bytes), from) < 0) std::perror("pread");
}

// What a reader sees; past the page cache, a lost page is what the disk has.
void read_page(const File& file, std::int64_t page, bool direct, char* into) {
  const auto found = file.pages.find(page);
  if (found != file.pages.end() && (found->second.dirty || !direct)) {
    std::memcpy(into, found->second.bytes.data(), kPage);
  } else {
    read_disk(file, page, into);
  }
}

Page& dirty_page(File& file, std::int64_t page) {
  const auto [found, fresh] = file.pages.try_emplace(page);
  if (fresh) read_disk(file, page, found->second.bytes.data());
  found->second.dirty = true;
  return found->second;
}

void put(File& file, const char* bytes, std::int64_t count, std::int64_t at) {
  for (std::int64_t done = 0; done < count;) {
    const std::int64_t inside = (at + done) % kPage;
    const std::int64_t part = std::min(kPage - inside, count - done);
    Page& page = dirty_page(file, (at + done) / kPage);
    std::memcpy(page.bytes.data() + inside, bytes + done, static_cast<std::size_t>(part));
    done += part;
  }
  file.size = std::max(file.size, at + count);
}

void set_size(File& file, std::int64_t size) {
  if (size < file.size) {
    file.pages.erase(file.pages.lower_bound((size + kPage - 1) / kPage), file.pages.end());
    if (size % kPage != 0) {
      Page& last = dirty_page(file, size / kPage);
      std::fill(last.bytes.begin() + size % kPage, last.bytes.end(), '\0');
    }
    file.kept = std::min(file.kept, size);
  }
  file.size = size;
}

// Brings pages to the directory: all unsynced ones, or as many as `chosen` says.
template <class Chosen>
void write_out(File& file, Chosen chosen) {
  bool failed = ::ftruncate(file.fd, file.kept) != 0;
  for (auto at = file.pages.begin(); at != file.pages.end();) {
    if (!at->second.dirty || !chosen()) {
      ++at;
      continue;
    }
    failed |= ::pwrite(file.fd, at->second.bytes.data(), kPage, at->first * kPage) != kPage;
    at = file.pages.erase(at);
  }
  failed |= ::ftruncate(file.fd, file.size) != 0;
  if (failed) std::perror("cannot write to the directory");
  file.kept = file.size;
}

void lose(File& file, bool told) {
  for (auto& [number, page] : file.pages) {
    lost_pages += page.dirty;
    page.dirty = false;
  }
  ++faults;
  ++file.errors;
  file.last_was_told = told;
}

bool take(std::set<std::string>& armed, const std::string& path) {
  return std::erase_if(armed, [&](const std::string& text) { return path.find(text) != std::string::npos; }) != 0;
}

// The fault that this sync meets.
std::unique_ptr<Fault> due_fault(const std::string& path) {
  for (auto fault = sync_faults.begin(); fault != sync_faults.end(); ++fault) {
    if (path.find(fault->text) == std::string::npos || --fault->countdown > 0) continue;
    auto due = std::make_unique<Fault>(*fault);
    sync_faults.erase(fault);
    return due;
  }
  return nullptr;
}

int sync_file(Handle& handle) {
  File& file = *handle.file;
  ++syncs;
  if (const auto fault = due_fault(handle.path)) {
    lose(file, true);
    handle.told = file.errors;
    if (fault->once || fault->lie) --file.errors, handle.told = file.errors;
    if (fault->kill) ::kill(fuse_get_context()->pid, SIGKILL);
    return fault->lie ? 0 : -EIO;
  }
  write_out(file, [] { return true; });
  if (handle.told == file.errors) return 0;
  handle.told = file.errors;
  file.last_was_told = true;
  return -EIO;
}

// ---- Files

std::shared_ptr<File> known_file(const struct stat& status) {
  const auto found = files.find({status.st_dev, status.st_ino});
  return found == files.end() ? nullptr : found->second;
}

// Whoever opens a file after an error is told of it only if nobody has been.
int open_handle(const char* path, int fd, fuse_file_info* info) {
  if (fd < 0) return -errno;
  struct stat status;
  if (::fstat(fd, &status) != 0) return -errno;
  auto& file = files[{status.st_dev, status.st_ino}];
  if (file) {
    ::close(fd);
  } else {
    file = std::make_shared<File>(fd, status.st_size);
  }
  const std::uint64_t told = file->errors - (file->last_was_told ? 0 : 1);
  info->fh = reinterpret_cast<std::uint64_t>(new Handle{file, path, (info->flags & O_DIRECT) != 0, told});
  info->keep_cache = 1;
  return 0;
}

int do_open(const char* path, fuse_file_info* info) {
  const std::lock_guard lock(everything);
  return open_handle(path, ::open(real(path).c_str(), O_RDWR | O_CLOEXEC), info);
}

int do_create(const char* path, mode_t mode, fuse_file_info* info) {
  const std::lock_guard lock(everything);
  return open_handle(path, ::open(real(path).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode), info);
}

int do_read(const char*, char* into, std::size_t count, off_t at, fuse_file_info* info) {
  const std::lock_guard lock(everything);
  const Handle& handle = handle_of(info);
  const std::int64_t end = std::min(handle.file->size, at + static_cast<std::int64_t>(count));
  std::array<char, kPage> page;
  for (std::int64_t from = at; from < end;) {
    const std::int64_t part = std::min(kPage - from % kPage, end - from);
    read_page(*handle.file, from / kPage, handle.direct, page.data());
    std::memcpy(into + (from - at), page.data() + from % kPage, static_cast<std::size_t>(part));
    from += part;
  }
  return static_cast<int>(std::max<std::int64_t>(end - at, 0));
}

int do_write(const char*, const char* bytes, std::size_t count, off_t at, fuse_file_info* info) {
  const std::lock_guard lock(everything);
  Handle& handle = handle_of(info);
  if (take(write_faults, handle.path)) {
    lose(*handle.file, false);
    return -EIO;
  }
  put(*handle.file, bytes, static_cast<std::int64_t>(count), at);
  return static_cast<int>(count);
}

int do_fsync(const char*, int, fuse_file_info* info) {
  const std::lock_guard lock(everything);
  return sync_file(handle_of(info));
}

int do_flush(const char*, fuse_file_info* info) {
  const std::lock_guard lock(everything);
  Handle& handle = handle_of(info);
  if (!take(close_faults, handle.path)) return 0;
  lose(*handle.file, false);
  return -EIO;
}

int do_release(const char*, fuse_file_info* info) {
  const std::lock_guard lock(everything);
  delete &handle_of(info);
  return 0;
}

int do_truncate(const char* path, off_t size, fuse_file_info* info) {
  const std::lock_guard lock(everything);
  if (info != nullptr) {
    set_size(*handle_of(info).file, size);
    return 0;
  }
  fuse_file_info opened{};
  if (const int error = open_handle(path, ::open(real(path).c_str(), O_RDWR | O_CLOEXEC), &opened)) return error;
  set_size(*handle_of(&opened).file, size);
  delete &handle_of(&opened);
  return 0;
}

// ---- Names and attributes, passed on

int do_getattr(const char* path, struct stat* status, fuse_file_info* info) {
  const std::lock_guard lock(everything);
  const bool is_file = info != nullptr && path == nullptr;
  if ((is_file ? ::fstat(handle_of(info).file->fd, status) : ::lstat(real(path).c_str(), status)) != 0) return -errno;
  if (const auto file = is_file ? handle_of(info).file : known_file(*status)) status->st_size = file->size;
  return 0;
}

int do_chmod(const char* path, mode_t mode, fuse_file_info* info) {
  return result(path == nullptr ? ::fchmod(handle_of(info).file->fd, mode) : ::chmod(real(path).c_str(), mode));
}

int do_chown(const char* path, uid_t user, gid_t group, fuse_file_info* info) {
  return result(path == nullptr ? ::fchown(handle_of(info).file->fd, user, group)
                                : ::lchown(real(path).c_str(), user, group));
}

int do_utimens(const char* path, const timespec* times, fuse_file_info* info) {
  return result(path == nullptr ? ::futimens(handle_of(info).file->fd, times)
                                : ::utimensat(AT_FDCWD, real(path).c_str(), times, AT_SYMLINK_NOFOLLOW));
}

int do_mkdir(const char* path, mode_t mode) {
  return result(::mkdir(real(path).c_str(), mode));
}

int do_rmdir(const char* path) {
  return result(::rmdir(real(path).c_str()));
}

// Forgets a file whose last name goes: its inode number may come back. Whoever has it open keeps it.
void forget(const std::string& path) {
  struct stat status;
  if (::lstat(path.c_str(), &status) == 0 && status.st_nlink == 1) files.erase({status.st_dev, status.st_ino});
}

int do_unlink(const char* path) {
  const std::lock_guard lock(everything);
  forget(real(path));
  return result(::unlink(real(path).c_str()));
}

int do_rename(const char* from, const char* to, unsigned flags) {
  const std::lock_guard lock(everything);
  if (flags == 0) forget(real(to));
  return result(::renameat2(AT_FDCWD, real(from).c_str(), AT_FDCWD, real(to).c_str(), flags));
}

// With paths left out where a file may have lost its name, a directory's is left out, too.
int do_opendir(const char* path, fuse_file_info* info) {
  info->fh = reinterpret_cast<std::uint64_t>(new std::string(real(path)));
  return 0;
}

int do_releasedir(const char*, fuse_file_info* info) {
  delete reinterpret_cast<std::string*>(info->fh);
  return 0;
}

int do_readdir(const char*, void* buffer, fuse_fill_dir_t fill, off_t, fuse_file_info* info, fuse_readdir_flags) {
  DIR* stream = ::opendir(reinterpret_cast<std::string*>(info->fh)->c_str());
  if (stream == nullptr) return -errno;
  while (const dirent* entry = ::readdir(stream)) {
    struct stat status{};
    status.st_ino = entry->d_ino;
    status.st_mode = static_cast<mode_t>(DTTOIF(entry->d_type));
    fill(buffer, entry->d_name, &status, 0, fuse_fill_dir_flags{});
  }
  ::closedir(stream);
  return 0;
}

int do_fsyncdir(const char*, int, fuse_file_info*) {
  return 0;
}

int do_statfs(const char* path, struct statvfs* status) {
  return result(::statvfs(real(path).c_str(), status));
}

void* do_init(fuse_conn_info* connection, fuse_config* config) {
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_WRITEBACK_CACHE);
  config->use_ino = 1;
  config->hard_remove = 1;
  config->nullpath_ok = 1;
  config->entry_timeout = config->attr_timeout = 3600;
  return nullptr;
}

// ---- Commands

void cut(int percent, unsigned seed) {
  std::mt19937 random(seed);
  for (const auto& [key, file] : files) {
    // A file none of whose pages are chosen may still get its new size, as a journal would have it.
    if (static_cast<int>(random() % 100) < percent) {
      write_out(*file, [&] { return static_cast<int>(random() % 100) < percent; });
    }
  }
  std::cout << "cut" << std::endl;
  ::_exit(0);
}

std::string obey(const std::string& line) {
  std::istringstream words(line);
  std::string verb, text, flag;
  words >> verb >> text;
  const std::lock_guard lock(everything);
  if (verb == "fail") {
    Fault fault{.text = text};
    words >> fault.countdown;
    while (words >> flag) {
      fault.once |= flag == "once";
      fault.kill |= flag == "kill";
      fault.lie |= flag == "lie";
    }
    sync_faults.push_back(fault);
  } else if (verb == "writeback") {
    for (const auto& [key, file] : files) {
      std::array<char, 4096> name{};
      const std::string link = "/proc/self/fd/" + std::to_string(file->fd);
      const bool known = ::readlink(link.c_str(), name.data(), name.size() - 1) > 0;
      const bool unsynced = std::ranges::any_of(file->pages, [](const auto& page) { return page.second.dirty; });
      if (known && unsynced && std::strstr(name.data(), text.c_str()) != nullptr) lose(*file, false);
    }
  } else if (verb == "write") {
    write_faults.insert(text);
  } else if (verb == "close") {
    close_faults.insert(text);
  } else if (verb == "cut") {
    unsigned seed = 0;
    words >> seed;
    cut(std::atoi(text.c_str()), seed);
  } else if (verb != "count") {
    return "unknown";
  }
  return std::to_string(syncs) + " " + std::to_string(faults) + " " + std::to_string(lost_pages);
}

void listen() {
  for (std::string line; std::getline(std::cin, line);) std::cout << obey(line) << std::endl;
  ::_exit(0);  // whoever has started us is gone
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: forgetful-fs MOUNT-POINT DIRECTORY\n";
    return 2;
  }
  ::umask(0);
  root = argv[2];
  fuse_operations operations{};
  operations.getattr = do_getattr;
  operations.mkdir = do_mkdir;
  operations.unlink = do_unlink;
  operations.rmdir = do_rmdir;
  operations.rename = do_rename;
  operations.chmod = do_chmod;
  operations.chown = do_chown;
  operations.truncate = do_truncate;
  operations.open = do_open;
  operations.read = do_read;
  operations.write = do_write;
  operations.statfs = do_statfs;
  operations.flush = do_flush;
  operations.release = do_release;
  operations.fsync = do_fsync;
  operations.opendir = do_opendir;
  operations.readdir = do_readdir;
  operations.releasedir = do_releasedir;
  operations.fsyncdir = do_fsyncdir;
  operations.init = do_init;
  operations.create = do_create;
  operations.utimens = do_utimens;
  std::thread(listen).detach();
  std::vector<std::string> arguments = {argv[0], argv[1], "-f", "-o", "fsname=forgetful"};
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  return fuse_main(static_cast<int>(pointers.size()), pointers.data(), &operations, nullptr);
}
