// A topic: its settings file, its state, and the choice of a partition for a record. Never segments.
//
//   topic.toml    id = "32 hexadecimal digits"      tells this topic from a later one of the same name
//                 partitions = 4
//                 [settings]                        the keys and text forms of topic_settings.h
#pragma once

#include <memory>
#include <optional>
#include <random>
#include <string>

#include "leat/log/data_dir.h"
#include "leat/log/partition_state.h"
#include "leat/log/record.h"
#include "leat/log/topic_settings.h"

namespace leat {

// What topic.toml holds.
struct TopicFile {
  TopicId id{};
  TopicSettings settings;
};
Result<TopicFile> load_topic_file(const Directory& topic);
// Replaces topic.toml atomically and durably. Lock required: the data directory's.
Result<void> store_topic_file(const Directory& topic, const TopicFile& file);

// An open topic. Owned by one producer or reader: its locks are not shared between threads.
class Topic {
 public:
  enum class Access { read, write };

  // With Access::write, a missing or foreign state file is made anew (data directory lock taken for that). With
  // Access::read, state() may be absent. Errors: usage, not_found, configuration (topic.toml), permission, busy, io.
  static Result<Topic> open(const DataDir& data_dir, std::string_view name, Access access);

  const std::string& name() const { return name_; }
  const Directory& directory() const { return directory_; }
  const TopicId& id() const { return file_.id; }
  const TopicSettings& settings() const { return file_.settings; }
  const TopicState* state() const { return state_ ? &*state_ : nullptr; }
  const DataDir& data_dir() const { return *data_dir_; }

  // Whether the topic has been deleted since it was opened.
  bool deleted() const;
  // Whether its deletion was marked in the state file, which a deleter that dies may not come to. Costs nothing.
  bool marked_deleted() const { return state_ && state_->deleted(); }
  // not_found when it has.
  Result<void> check_alive() const;
  // Whether the state file at its path still is the one that is open.
  bool state_is_current() const { return state_ && directory_.names_file("state", state_->file()); }
  // Opens the state file again, making it when it is missing (write access only). The locks held through the old one
  // are gone: see state_opening().
  Result<void> reopen_state();
  // Counts the openings of the state file; a lock taken through one is worth nothing in the next.
  std::uint64_t state_opening() const { return state_opening_; }
  // Reads topic.toml again when it was changed since; true when it was.
  Result<bool> refresh_settings();

  // Makes the names on the way to this topic durable: a creator may have died before it could. Errors: io.
  Result<void> sync_names() const;

  // The partition's directory.
  Result<Directory> open_partition(PartitionId partition) const;

 private:
  Topic(const DataDir& data_dir, std::string name, Directory topics, Directory directory, TopicFile file, Access access)
      : data_dir_(&data_dir),
        name_(std::move(name)),
        topics_(std::move(topics)),
        directory_(std::move(directory)),
        file_(file),
        access_(access) {}

  const DataDir* data_dir_;
  std::string name_;
  Directory topics_;  // the directory above
  Directory directory_;
  TopicFile file_;
  Access access_;
  std::uint64_t state_opening_ = 0;
  std::optional<TopicState> state_;
  std::uint32_t settings_generation_ = 0;
};

// Chooses partitions for the records of one producer: by key where there is one, else in turn, a batch at a time, from
// a random partition on.
class PartitionChooser {
 public:
  explicit PartitionChooser(std::int32_t partitions);

  PartitionId choose(const RecordInput& record) const;
  PartitionId keyless() const { return keyless_; }
  // To be called when the keyless partition's batch was closed.
  void advance() { keyless_ = {(keyless_.value + 1) % partitions_}; }

 private:
  std::int32_t partitions_;
  PartitionId keyless_;
};

// Creating and deleting, durable on return. Lock required: none, they take the data directory's.
Result<void> create_topic(const DataDir& data_dir, std::string_view name, const TopicSettings& settings);
Result<void> delete_topic(const DataDir& data_dir, std::string_view name);
Result<void> add_partitions(const DataDir& data_dir, std::string_view name, std::int32_t count);

}  // namespace leat
