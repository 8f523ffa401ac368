// The committed offsets of a consumer group in one topic, who may commit them, and the table of its members. What a
// member is to claim is decided elsewhere (group/membership.h).
//
//   DIR/groups/<group>/<topic>/offsets
//      0       8  magic "leatof01"
//      8      16  topic id; a file of another topic of the same name counts as none
//     24       4  CRC-32C of the bytes before
//     64       4  wake word: members have come or gone, or a partition was given up
//   4096   64x256 member entries: pid i64, host name 64 bytes, partitions it named i32 (0: it shares), partitions it
//                 holds i32, command 176 bytes; the texts end with a zero
//  20480  n x 128 per partition a slot pair (base/checked_slots.h): next offset i64, time of the commit i64 (ms);
//  behind
//                 it, at byte 64, the number of its owner's member entry u32, from 1
//
// Byte order of the machine. Locks (open file description) are byte ranges of the file itself: the one on a partition's
// slot pair is the ownership of that partition in the group, so a commit needs no other guard; the one on a member
// entry says that the member lives. The kernel drops both when the process dies. What the entries say is for people and
// for sharing out; who owns what is the locks alone. Writers map the first 20480 bytes, so the file is never truncated;
// it is not unlinked alone.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "leat/base/checked_slots.h"
#include "leat/base/futex.h"
#include "leat/group/membership.h"
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
  std::string host = {};
  std::string command = {};
  std::int32_t fixed = 0;  // partitions it named; 0: it shares
};

// The members of a topic that live, ranked by the place of their entries.
struct Members {
  std::vector<MemberShare> shares;
  std::vector<int> entries;  // of each, its place in the table
  std::size_t self = 0;      // which of them is this open file's
};

class OffsetsFile {
 public:
  enum class Access { read, write, write_anew };

  // Opens the file of `group` in `topic`. With Access::write it is made when missing or left over from an earlier topic
  // of that name, durably; with Access::write_anew, also when its header is damaged. nullopt: read access, and there is
  // none for this topic. With `join_as`, this process is a member on return, described like that (pid and host are
  // filled in): nobody can have removed the file in between. Errors: damaged (the header), io, permission, busy.
  static Result<std::optional<OffsetsFile>> open(const DataDir& data_dir, std::string_view group,
                                                 std::string_view topic, const TopicId& id, std::int32_t partitions,
                                                 Access access, const MemberEntry* join_as = nullptr);

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
  // Who has claimed the partition through another open file; nullopt when nobody has, or it is no member.
  Result<std::optional<MemberEntry>> owner(PartitionId partition) const;

  // Writes this process's entry and keeps its lock. Errors: busy (64 members live), io. Others are told by announce(),
  // also after leave().
  Result<void> join(const MemberEntry& member);
  void leave();
  // The members that live, this one left out.
  Result<std::vector<MemberEntry>> other_members() const;
  // All that live, as sharing out sees them. This open file must be a member.
  Result<Members> members() const;
  // Whether all of them still do.
  Result<bool> still_live(const Members& members) const;
  // The error for what somebody else is using: busy, naming the owner of `partition`, or else every member.
  Error in_use(std::string_view consumer, std::string_view topic, std::optional<PartitionId> partition) const;

  // Changes whenever members come or go or give up a partition, unless they are killed. Only with write access.
  WakeWord& wake() const;
  void announce() const { wake_all(wake()); }

 private:
  // A locked directory.
  struct Guard {
    Directory directory;
    DirectoryLock lock;
  };

  explicit OffsetsFile(File file) : file_(std::move(file)) {}
  Result<MemberEntry> read_member(int entry) const;
  void count_held(std::int32_t change) const;
  static Result<std::pair<Guard, OffsetsFile>> open_to_write(const DataDir& data_dir, std::string_view group,
                                                             std::string_view topic, const TopicId& id,
                                                             std::int32_t partitions, bool replace_damaged);

  File file_;
  Mapping mapping_;           // of the header and the member entries; with write access only
  std::optional<int> entry_;  // this member's
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
