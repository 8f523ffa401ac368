#include "leat/log/data_dir.h"

#include <fmt/format.h>
#include <linux/magic.h>

#include <algorithm>
#include <array>
#include <thread>

#include "leat/base/toml.h"
#include "leat/base/units.h"
#include "leat/log/file_names.h"
#include "leat/log/partition_state.h"
#include "leat/log/topic_settings.h"

namespace leat {

namespace {

constexpr std::size_t kDataDirFileBytesMax = 4096;
constexpr std::int64_t kXfsMagic = 0x58465342;

// File systems whose locks, mappings and syncs are known to do what leat builds on. Overlay is judged by its own
// answers: what it passes on to is not visible from inside a container.
bool is_allowed_file_system(std::int64_t magic) {
  constexpr std::array<std::int64_t, 5> kAllowed = {EXT4_SUPER_MAGIC, kXfsMagic, BTRFS_SUPER_MAGIC, TMPFS_MAGIC,
                                                    OVERLAYFS_SUPER_MAGIC};
  return std::ranges::find(kAllowed, magic) != kAllowed.end();
}

Result<void> check_data_dir_file(const Directory& root) {
  const std::string path = root.path_of(kDataDirFile);
  const std::string text = TRY(root.read_file(kDataDirFile, kDataDirFileBytesMax));
  for (const TomlEntry& entry : TRY(parse_toml(text, path))) {
    if (entry.key != "format_version") continue;
    const auto* version = std::get_if<std::int64_t>(&entry.value);
    if (version == nullptr || *version < 1) break;
    if (*version <= kFormatVersion) return {};
    return fail(Code::configuration, fmt::format("{}:{}:{}: format version {} is newer than this leat reads (up to {})",
                                                 path, entry.line, entry.column, *version, kFormatVersion));
  }
  return fail(Code::configuration, fmt::format("{}: no valid format_version", path));
}

Result<void> check_file_system(const Directory& root, bool allow_any) {
  if (allow_any) return {};
  const std::int64_t magic = TRY(file_system_magic(root));
  if (is_allowed_file_system(magic)) return {};
  return fail(
      Code::configuration,
      fmt::format("{} is on a file system that is not known to keep leat's promises (type {:#x}; known: ext4, xfs, "
                  "btrfs, tmpfs, overlay)",
                  root.path(), magic),
      "LEAT_ALLOW_FILESYSTEM=any uses it all the same");
}

// Turns an empty directory into a data directory. Several processes may do it at once: one of them wins.
Result<void> initialise(const Directory& root, Milliseconds lock_timeout) {
  const Directory locked = TRY(root.open_directory("."));
  const DirectoryLock lock = TRY(DirectoryLock::acquire(locked, lock_timeout));
  if (root.exists(kDataDirFile)) return {};
  for (const std::string& name : TRY(root.list())) {
    if (name.starts_with(kDataDirFile) || name == "lost+found") continue;
    return fail(Code::configuration,
                fmt::format("{} is not a leat data directory and not empty (it holds \"{}\")", root.path(), name));
  }
  return root.replace_file(
      kDataDirFile, fmt::format("format_version = {}\nid = \"{}\"\n", kFormatVersion, to_string(TRY(make_topic_id()))));
}

// The directory itself, made when it is missing and may be.
Result<Directory> open_or_make(const std::string& path, bool create) {
  auto root = Directory::open_root(path);
  if (root || root.error().code == Code::permission) return root;
  if (!create) {
    if (root.error().code != Code::not_found) return root;
    return fail(Code::not_found, fmt::format("data directory {} does not exist", path), "leat topic create NAME");
  }
  auto made = Directory::make_root(path);
  if (made) return Directory::open_root(path);
  Error error = std::move(made).error();
  if (error.code == Code::not_found || error.code == Code::io) error.code = Code::exists;  // "cannot create"
  return std::unexpected(std::move(error));
}

// Whether it is a data directory, or becomes one in a moment: whoever makes the first topic makes the directory before
// what is in it, the latter under a lock.
Result<bool> has_data(const Directory& root, Milliseconds lock_timeout) {
  constexpr int kLooks = 20;
  constexpr Milliseconds kPause(10);
  for (int look = 1; !root.exists(kDataDirFile); ++look) {
    const std::vector<std::string> names = TRY(root.list());
    const bool begun = std::ranges::all_of(names, [](const auto& name) { return name.starts_with(kDataDirFile); });
    if (!begun || look == kLooks) return root.exists(kDataDirFile);
    std::this_thread::sleep_for(kPause);
    const Directory locked = TRY(root.open_directory("."));
    TRY(DirectoryLock::acquire(locked, lock_timeout));
  }
  return true;
}

}  // namespace

Result<DataDir> DataDir::open(const std::string& path, const DataDirOptions& options) {
  Directory root = TRY(open_or_make(path, options.create));
  DataDir dir(std::move(root), options.lock_timeout);
  TRY(check_file_system(dir.root_, options.allow_any_file_system));
  if (options.create) {
    if (!dir.root_.exists(kDataDirFile)) TRY(initialise(dir.root_, options.lock_timeout));
  } else if (!TRY(has_data(dir.root_, options.lock_timeout))) {
    return fail(Code::configuration, fmt::format("{} is not a leat data directory (no {} in it)", path, kDataDirFile));
  }
  TRY(check_data_dir_file(dir.root_));
  return dir;
}

Result<DataDirLock> DataDir::lock() const {
  Directory directory = TRY(root_.open_directory("."));
  DirectoryLock lock = TRY(DirectoryLock::acquire(directory, lock_timeout_));
  return DataDirLock(std::move(directory), std::move(lock));
}

Result<std::vector<std::string>> DataDir::topic_names() const {
  const auto topics = root_.open_directory(kTopicsDirectory);
  if (!topics && topics.error().code == Code::not_found) return {};
  if (!topics) return std::unexpected(topics.error());
  std::vector<std::string> names = TRY(topics->list());
  std::erase_if(names, [](const std::string& name) { return !check_name("topic", name); });
  return names;
}

bool DataDir::has_topic(std::string_view name) const {
  const auto topics = root_.open_directory(kTopicsDirectory);
  return topics && topics->exists(name);
}

Result<Directory> DataDir::open_topic(std::string_view name) const {
  TRY(check_name("topic", name));
  const auto topics = root_.open_directory(kTopicsDirectory);
  if (!topics && topics.error().code != Code::not_found) return std::unexpected(topics.error());
  if (topics) {
    auto topic = topics->open_directory(name);
    if (topic || topic.error().code != Code::not_found) return topic;
  }
  const std::vector<std::string> names = TRY(topic_names());
  const std::string_view near = nearest(name, names);
  return fail(Code::not_found, fmt::format("topic \"{}\" not found", name),
              near.empty() ? fmt::format("leat topic create {}", name)
                           : fmt::format("did you mean \"{}\"? else: leat topic create {}", near, name));
}

}  // namespace leat
