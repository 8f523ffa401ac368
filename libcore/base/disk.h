// Every file system call leat makes, with errors that name the path. Knows no kinds of files. A file is reached through
// the open directory it lies in (openat2 with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS), so a planted link never leads
// elsewhere.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/bytes.h"
#include "leat/base/descriptor.h"
#include "leat/base/error.h"

namespace leat {

// The calls a test can make fail. See set_disk_fault_hook().
enum class DiskCall { open, read, write, sync, truncate, rename, unlink, make_directory, list, map };

// Asked before each call; a non-zero answer is the errno the call fails with, without being made. nullptr removes it.
// For tests: costs one relaxed load otherwise.
using DiskFaultHook = int (*)(DiskCall call, std::string_view path);
void set_disk_fault_hook(DiskFaultHook hook);

// What identifies a file for as long as it exists, and tells a copy from its original.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t born_ns = 0;  // birth time, 0 where the file system keeps none

  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

// What tells an open file from another that has taken its name, for as long as it is open.
struct InodeId {
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  std::uint64_t inode = 0;

  friend bool operator==(const InodeId&, const InodeId&) = default;
};

// An open regular file. Positions are in bytes from its start.
class File {
 public:
  File() = default;
  File(Descriptor descriptor, std::string path, const InodeId& id)
      : descriptor_(std::move(descriptor)), path_(std::move(path)), id_(id) {}

  explicit operator bool() const { return static_cast<bool>(descriptor_); }
  int fd() const { return descriptor_.get(); }
  const std::string& path() const { return path_; }
  const InodeId& id() const { return id_; }

  // Reads until `into` is full or the file ends; the count read. Errors: io.
  Result<std::size_t> read_at(std::span<std::byte> into, std::int64_t position) const;
  // Writes all of the pieces, one behind the other. On an error any prefix may have been written. Errors: io.
  Result<void> write_at(Bytes bytes, std::int64_t position) const;
  Result<void> write_at(std::span<const Bytes> pieces, std::int64_t position) const;
  // fdatasync: the bytes and the size are durable on success. Never call it again for the same bytes after a failure.
  Result<void> sync_data() const;
  // Has the disk begin with the bytes of [position, position + bytes), so that a sync later has less to wait for
  // (sync_file_range). Promises nothing; what goes wrong is told by that sync.
  void begin_writing(std::int64_t position, std::int64_t bytes) const;
  Result<std::int64_t> size() const;
  // Room for [position, position + bytes), in the size of the file too; what was not written reads as zeros. On an
  // error the file may have grown by a part of it. Errors: io (also where the file system cannot).
  Result<void> allocate(std::int64_t position, std::int64_t bytes) const;
  Result<void> truncate(std::int64_t size) const;
  Result<FileIdentity> identity() const;

 private:
  Descriptor descriptor_;
  std::string path_;
  InodeId id_;
};

// A shared mapping of a whole file of fixed size. The file must have been written out in full before: a store to a hole
// kills the process on a full disk.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  static Result<Mapping> map(const File& file, std::size_t size, bool writable);

  std::byte* data() const { return base_; }
  std::size_t size() const { return size_; }
  explicit operator bool() const { return base_ != nullptr; }

 private:
  std::byte* base_ = nullptr;
  std::size_t size_ = 0;
};

// direct_read: past the page cache. What is not a regular file is not opened: configuration.
enum class OpenMode { read, read_write, create_new, create_or_open, direct_read };

// An open directory. Names handed to it are relative, stay beneath it and follow no symbolic link. What it creates
// takes mode and group (as root also the owner) from the data directory it descends from, whatever the umask.
class Directory {
 public:
  // Opens `path`, which may contain links: it is what the user named. Errors: not_found, permission, io.
  static Result<Directory> open_root(const std::string& path);
  // Makes `path` and its missing parents, mode 0700, and syncs the names. Errors: exists is none; permission, io.
  static Result<void> make_root(const std::string& path);

  Directory(Directory&&) noexcept = default;
  Directory& operator=(Directory&&) noexcept = default;

  int fd() const { return descriptor_.get(); }
  const std::string& path() const { return path_; }
  std::string path_of(std::string_view name) const;

  Result<Directory> open_directory(std::string_view name) const;
  // A subdirectory, made when missing; a newly made name is synced.
  Result<Directory> make_directory(std::string_view name) const;
  Result<File> open_file(std::string_view name, OpenMode mode) const;
  bool exists(std::string_view name) const;
  // Whether `name` still is the open file `file`; in one call also how large it is, when the disk says so.
  bool names_file(std::string_view name, const File& file, std::optional<std::int64_t>* bytes = nullptr) const;
  Result<FileIdentity> identity() const;
  // Whether this directory is still reachable at its path.
  bool still_in(const Directory& parent, std::string_view name) const;
  // Names in it, sorted, without "." and "..". Errors: io.
  Result<std::vector<std::string>> list() const;
  // Bytes allocated to the files in it and below it; what goes meanwhile may count or not. Errors: io, permission.
  Result<std::int64_t> allocated_bytes() const;
  Result<void> rename(std::string_view from, const Directory& to_directory, std::string_view to) const;
  // Removing what is not there is no error.
  Result<void> unlink(std::string_view name) const;
  Result<void> remove_directory(std::string_view name) const;
  // Removes `name` and all below it.
  Result<void> remove_tree(std::string_view name) const;
  // fsync: names created, renamed and removed in it are durable on success.
  Result<void> sync() const;
  // Replaces `name` by `content` atomically and durably: temp file, sync, rename, sync of the directory.
  Result<void> replace_file(std::string_view name, std::string_view content) const;
  // The whole content of a small file. Errors: not_found, configuration (larger than bytes_max), io.
  Result<std::string> read_file(std::string_view name, std::size_t bytes_max) const;

 private:
  struct Inherited {
    mode_t directory_mode;
    uid_t owner;
    gid_t group;
  };

  Directory(Descriptor descriptor, std::string path, Inherited inherited)
      : descriptor_(std::move(descriptor)), path_(std::move(path)), inherited_(inherited) {}
  Result<void> apply_inherited(int fd, bool directory, const std::string& path) const;

  Descriptor descriptor_;
  std::string path_;
  Inherited inherited_;
  mutable std::optional<InodeId> id_;  // once still_in() was asked
};

// The magic number of the file system `directory` is on (statfs f_type).
Result<std::int64_t> file_system_magic(const Directory& directory);

// Bytes of the file system `directory` is on: in all, and what a user may still write.
struct FileSystemSpace {
  std::int64_t total;
  std::int64_t available;
};
Result<FileSystemSpace> file_system_space(const Directory& directory);

// Raises the limit of open files to the hard limit.
void raise_open_file_limit();

}  // namespace leat
