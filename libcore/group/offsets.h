// The committed offsets of a consumer group in one topic, and who may commit them. Never members' duties: what to claim
// is decided elsewhere.
//
//   DIR/groups/<group>/<topic>/offsets
//      0       8  magic "leatof01"
//      8      16  topic id; a file of another topic of the same name counts as none
//     24       4  CRC-32C of the bytes before
//     64       4  wake word: members have come or gone
//   4096   64x256 member entries: pid i64, host name 64 bytes, command 184 bytes, both ended by a zero
//  20480  n x 128 one slot pair per partition (base/checked_slots.h): next offset i64, time of the commit i64 (ms)
//
// Byte order of the machine. Locks (open file description) are byte ranges of the file itself: the one on a partition's
// slot pair is the ownership of that partition in the group, so a commit needs no other guard; the one on a member
// entry says that the member lives. The file is not unlinked alone.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "leat/base/checked_slots.h"
#include "leat/log/data_dir.h"
#include "leat/log/partition_state.h"

namespace leat {

// A stored offset.
struct CommittedOffset {
  Offset next{};
  TimestampMs committed_at{};
};

// A living member of a group, as it described itself.
struct MemberEntry {
  std::int64_t pid = 0;
  std::string host;
  std::string command;
};

class OffsetsFile {
 public:
  enum class Access { read, write, write_anew };

  // Opens the file of `group` in `topic`. With Access::write it is made when missing or left over from an earlier topic
  // of that name, durably; with Access::write_anew, also when its header is damaged. nullopt: read access, and there is
  // none for this topic. With `join_as`, this process is a member on return: nobody can have removed the file in
  // between. Errors: damaged (the header), io, permission, busy.
  static Result<std::optional<OffsetsFile>> open(const DataDir& data_dir, std::string_view group,
                                                 std::string_view topic, const TopicId& id, std::int32_t partitions,
                                                 Access access, const std::string* join_as = nullptr);

  const std::string& path() const { return file_.path(); }

  // The stored offset; nullopt when there is none. Errors: damaged (both slots), io.
  Result<std::optional<CommittedOffset>> load(PartitionId partition) const;
  // Overwrites the older slot. Lock required: claim(partition). Durable after sync().
  Result<void> store(PartitionId partition, Offset next, TimestampMs now);
  // Forgets the stored offset. Lock required: claim(partition). Durable after sync().
  Result<void> clear(PartitionId partition);
  Result<void> sync() const { return file_.sync_data(); }

  // Takes the partition for this open file, until release() or the end of the process. False when somebody else has it.
  // Errors: io.
  Result<bool> claim(PartitionId partition);
  void release(PartitionId partition);
  Result<bool> claimed_elsewhere(PartitionId partition) const;

  // Writes this process's entry and keeps its lock. Errors: busy (64 members live), io.
  Result<void> join(const std::string& command);
  // The members that live, this one left out.
  Result<std::vector<MemberEntry>> other_members() const;
  // The error for a partition that somebody else has claimed: busy, naming them.
  Error in_use(std::string_view consumer, std::string_view topic, PartitionId partition) const;

 private:
  // A locked directory.
  struct Guard {
    Directory directory;
    DirectoryLock lock;
  };

  explicit OffsetsFile(File file) : file_(std::move(file)) {}
  static Result<std::pair<Guard, OffsetsFile>> open_to_write(const DataDir& data_dir, std::string_view group,
                                                             std::string_view topic, const TopicId& id,
                                                             std::int32_t partitions, bool replace_damaged);

  File file_;
  std::optional<int> entry_;
};

// The groups in a data directory that have offsets, and the topics each has them for, by name.
struct GroupTopic {
  std::string group;
  std::string topic;
};
Result<std::vector<GroupTopic>> list_group_topics(const DataDir& data_dir);

// Removes every group's offsets of the topic `id`, which was deleted; those of a later topic of that name stay. Errors:
// io, busy.
Result<void> forget_topic(const DataDir& data_dir, std::string_view topic, const TopicId& id);
// Removes the directories of a group's topic once no offset is left in it; nothing happens while one is, or while
// somebody has it open.
Result<void> remove_when_empty(const DataDir& data_dir, std::string_view group, std::string_view topic);

}  // namespace leat
