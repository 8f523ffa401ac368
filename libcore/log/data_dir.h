// A data directory: what makes it ours, its format version, and the names of its topics. Never records.
//
//   leat.toml     format_version = 1
//                 id = "32 hexadecimal digits"
//
// Version history: 1 is the first.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "leat/base/clock.h"
#include "leat/base/disk.h"
#include "leat/base/file_lock.h"

namespace leat {

inline constexpr std::int64_t kFormatVersion = 1;

struct DataDirOptions {
  bool create = false;
  Milliseconds lock_timeout = std::chrono::seconds(10);
  bool allow_any_file_system = false;
};

// The exclusive lock of a data directory, on a descriptor of its own, so that threads of one process exclude each other
// too.
class DataDirLock {
 public:
  DataDirLock(Directory directory, DirectoryLock lock) : directory_(std::move(directory)), lock_(std::move(lock)) {}

 private:
  Directory directory_;  // before the lock: it must outlive it
  DirectoryLock lock_;
};

// An open data directory. Threads: all members may be called by several at once.
class DataDir {
 public:
  // Errors: not_found (with the command that creates it as hint), configuration (not ours, newer format, damaged
  // leat.toml, file system not allowed), permission, io. Opening takes no lock and writes nothing; with `create`, an
  // empty or missing directory becomes a data directory, durably.
  static Result<DataDir> open(const std::string& path, const DataDirOptions& options);

  const Directory& root() const { return root_; }
  Milliseconds lock_timeout() const { return lock_timeout_; }

  Result<std::vector<std::string>> topic_names() const;
  // Whether there is something of that name, which must be a topic's; costs the same however many others there are.
  bool has_topic(std::string_view name) const;
  // The directory of a topic. Errors: usage (not a name), not_found (suggesting the nearest name).
  Result<Directory> open_topic(std::string_view name) const;
  // The directories that hold topics, groups and deleted topics; made when missing.
  Result<Directory> topics() const { return root_.make_directory("topics"); }
  Result<Directory> groups() const { return root_.make_directory("groups"); }
  Result<Directory> trash() const { return root_.make_directory("trash"); }

  // Excludes every other create, delete and settings change: a flock on the directory itself, so that there is no lock
  // file to lose. Errors: busy, io.
  Result<DataDirLock> lock() const;

 private:
  DataDir(Directory root, Milliseconds lock_timeout) : root_(std::move(root)), lock_timeout_(lock_timeout) {}

  Directory root_;
  Milliseconds lock_timeout_;
};

}  // namespace leat
