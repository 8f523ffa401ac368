// The state file of a topic: what its processes publish to each other through shared memory. It is never the truth:
// every word of it can be rebuilt from the logs, and ownership is always a kernel lock, never a value in here.
//
//   page 0          header: magic, topic id, which file this page was written for, deleted mark, settings generation,
//   wake word page 1 + p      partition p: published end, durable end, sync in flight, poison
//
// The file is written out in zeros and synced before it is mapped (a store to a hole is SIGBUS on a full disk). Fields
// are in the byte order of the machine. The header names its own inode and birth time: in a copied or restored
// directory they disagree, and nothing in it is believed. Byte ranges far behind the end are the locks of each
// partition (see StateLocks).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "leat/base/checked_slots.h"
#include "leat/base/disk.h"
#include "leat/base/file_lock.h"
#include "leat/base/futex.h"
#include "leat/base/types.h"

namespace leat {

using TopicId = std::array<std::uint8_t, 16>;

inline constexpr std::size_t kStatePageBytes = 4096;

// An end of a log.
struct LogEnd {
  Offset end{};               // the offset the next record gets
  std::int64_t position = 0;  // where it goes in the active segment, bytes
  Offset segment_base{};      // the active segment
  std::int64_t epoch = 0;     // raised by every cut: what was appended in an older one may be gone
  Offset log_start{};         // records below it are trimmed away (before retention by records is applied)

  friend bool operator==(const LogEnd&, const LogEnd&) = default;
};

// The epoch that a cut begins. A page that checks out may say any number; all that counts is that it is another one.
inline std::int64_t next_epoch(std::int64_t epoch) {
  return epoch == std::numeric_limits<std::int64_t>::max() ? 1 : epoch + 1;
}

// What the slots hold, if it can be an end of a log: a page that checks out may still say anything, and nobody is to
// look for a place before the beginning of a file.
std::optional<Sequenced<LogEnd>> load_end(const SharedSlots<LogEnd>& slots);

// One partition's page.
struct PartitionPage {
  SharedSlots<LogEnd> published;  // behind the last appended batch; written under the append lock
  SharedSlots<LogEnd> durable;    // behind the last synced batch; written under the sync lock
  // Steady clock (ns since boot) at which the sync in flight began, 0 when none is: found set by whoever next gets the
  // sync lock, it says that the leader died in the middle.
  std::atomic<std::int64_t> sync_started_ns;
  std::atomic<std::uint32_t>
      rolling;  // a new segment is being made; found set by the next appender, it was left half-made
  std::atomic<std::uint32_t> poisoned;  // a sync failed: nothing more is acknowledged until the tail was cut
  WakeWord wake;                        // the durable end moved, or poison
  // Under the append lock. How far the active segment's file was made to reach ahead of the published end, as zeros.
  std::atomic<std::int64_t> reserved;
  std::atomic<std::uint32_t> appending;  // found set by the next appender, a writer died between writing and publishing
  // Under the sync lock: syncs begun, and the end that the latest one makes durable. Those who wait on `wake` choose by
  // them when to be woken.
  std::atomic<std::uint32_t> sync_round;
  std::atomic<std::int64_t> sync_target;
};
static_assert(sizeof(PartitionPage) <= kStatePageBytes);

struct StateHeader {
  std::array<char, 8> magic;
  TopicId topic_id;
  std::uint64_t inode;
  std::int64_t born_ns;
  std::uint32_t crc;  // of the fields above
  std::atomic<std::uint32_t> deleted;
  std::atomic<std::uint32_t> settings_generation;  // raised when topic.toml was replaced
  WakeWord wake;                                   // any partition has new visible records, or the topic changed
};
static_assert(sizeof(StateHeader) <= kStatePageBytes);

// The lockable byte ranges of a partition.
class StateLocks {
 public:
  // Held shared by every living writer; whoever can take it exclusively is alone.
  static ByteRange writers(PartitionId partition) { return byte(partition, 0); }
  // Held by the process that syncs on behalf of all.
  static ByteRange sync(PartitionId partition) { return byte(partition, 1); }
  // Held while the index files are extended.
  static ByteRange index(PartitionId partition) { return byte(partition, 2); }
  // Held while segments are retired or compacted.
  static ByteRange maintenance(PartitionId partition) { return byte(partition, 3); }
  // Held while the kept hashes of the tree are extended.
  static ByteRange tree(PartitionId partition) { return byte(partition, 4); }

 private:
  static ByteRange byte(PartitionId partition, std::int64_t which) {
    constexpr std::int64_t kBase = std::int64_t{1} << 40;
    return {kBase + std::int64_t{partition.value} * 16 + which, 1};
  }
};

// An open and mapped state file. Threads: the atomics may be used by any; the locks belong to this open file, so two
// users in one process that must exclude each other open one each.
class TopicState {
 public:
  // Opens the state of the topic in `topic`. A file that is missing, damaged, too short for `partitions`, or was
  // written for another topic or another inode is not_found: a writer then makes a fresh one, a reader does without.
  // Errors also: io, permission.
  static Result<TopicState> open_existing(const Directory& topic, const TopicId& id, std::int32_t partitions,
                                          bool writable);
  // Writes a fresh one. Lock required: the data directory's. Durable on return.
  static Result<void> create(const Directory& topic, const TopicId& id, std::int32_t partitions);
  // Makes room for more partitions at the end; existing mappings stay valid. Lock required: the data directory's.
  static Result<void> grow(const Directory& topic, std::int32_t partitions);

  const File& file() const { return file_; }
  std::int32_t partitions() const { return static_cast<std::int32_t>(mapping_.size() / kStatePageBytes) - 1; }

  StateHeader& header() const { return *reinterpret_cast<StateHeader*>(mapping_.data()); }
  PartitionPage& page(PartitionId partition) const {
    return *reinterpret_cast<PartitionPage*>(mapping_.data() +
                                             kStatePageBytes * (static_cast<std::size_t>(partition.value) + 1));
  }
  bool deleted() const { return header().deleted.load(std::memory_order_acquire) != 0; }

 private:
  File file_;
  Mapping mapping_;
};

// "3f2a..." in 32 hexadecimal digits, and back.
std::string to_string(const TopicId& id);
std::optional<TopicId> parse_topic_id(std::string_view text);
// A random one.
Result<TopicId> make_topic_id();

}  // namespace leat
