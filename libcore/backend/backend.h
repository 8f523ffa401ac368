// The seam between what a user does and where the records are: topics, producers, readers and consumer groups in terms
// of records. A data directory is one implementation (local.h). Names no paths and no transport.
//
// Threads: a Backend may be used by several threads at once. A Producer, Reader or GroupReader belongs to one thread at
// a time. All of them must be destroyed before their Backend.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/backend/copy_writer.h"
#include "leat/backend/derived_writer.h"
#include "leat/base/clock.h"
#include "leat/base/error.h"
#include "leat/log/record.h"
#include "leat/log/topic_settings.h"

namespace leat {

// ---- Topics ----

struct TopicInfo {
  std::string name;
  TopicSettings settings;
  std::int64_t records = 0;    // readable ones, over all partitions
  std::int64_t bytes = 0;      // on disk, or -1 where it is not known
  bool settings_known = true;  // false where whoever asks may not see them: then only the partitions are right
};

struct PartitionInfo {
  std::string topic;
  PartitionId partition{};
  std::int64_t segments = 0;  // negative where they are not known
  std::int64_t bytes = 0;
  Offset start{};                          // log start offset
  Offset end{};                            // the offset the next visible record will have
  std::optional<TimestampMs> oldest = {};  // timestamp of the first readable batch
  std::optional<TimestampMs> newest = {};  // largest timestamp seen near the end
};

// Where a partition's log is to start from now on.
struct TrimTarget {
  enum class Kind { before_offset, before_time, keep_records } kind;
  std::int64_t value;  // an offset, milliseconds since 1970, or a count
};

struct TrimResult {
  PartitionId partition{};
  Offset prior_start{};
  Offset new_start{};
};

// ---- Producing ----

struct ProducerOptions {
  std::optional<Codec> compression = {};            // the topic's, when absent
  std::optional<PartitionId> partition = {};        // every record goes here, when set
  std::size_t batch_bytes = 64 << 10;               // a batch is closed when its records reach this
  std::int64_t record_bytes_max = kRecordBytesMax;  // refused above this, or above the topic's limit
  bool force_sync = false;                          // sync even where the topic's durability is os
  // Exactly-once ingestion of one input: the same records, sent again from the first on under the same name, are
  // appended where they are missing only. Empty: none.
  std::string producer_name = {};
  // With `partition`: this producer is the only one under this name that appends there. One that has lost the name, to
  // whoever opened it later or by dying, appends nothing more; and when this producer is open, all that was appended
  // before is either acknowledged, and visible to every reader, or gone. In a data directory the name cannot be taken
  // from a living process (busy, naming it); in a cluster it can, and the earlier one fails, with busy: what is sent
  // becomes visible together, at flush() or a moment later, or never. Empty: none. Not together with `producer_name`.
  std::string sole_writer = {};
};

// Where a record went.
struct Receipt {
  PartitionId partition{};
  Offset offset{};
};

class Producer {
 public:
  virtual ~Producer() = default;

  // Takes a copy of `record`. It may be appended at once, or wait for more until flush(). Errors: bad_data (too large,
  // with the limit named: nothing of this record was taken, and the producer is still usable), and those of flush().
  virtual Result<void> send(const RecordInput& record) = 0;

  // Returns when every record sent so far is as durable as the topic promises: they are acknowledged. Errors: io, busy,
  // damaged, not_found (topic deleted meanwhile). After an error the unacknowledged records may or may not be there,
  // and the producer refuses further use.
  virtual Result<void> flush() = 0;

  // Called inside flush() (or send()) with the receipts of records that have become acknowledged, in the order of
  // send(). To be set before the first send().
  virtual void on_acknowledged(std::function<void(std::span<const Receipt>)> callback) = 0;

  // Says that the input ends here. With a producer name: bad_data when an earlier run was given more records than this
  // one, so that it was another input.
  virtual Result<void> end_of_input() { return {}; }

  // Records acknowledged so far.
  virtual std::int64_t acknowledged() const = 0;
  // Records sent that an earlier run under the same producer name had already appended; they get no receipt.
  virtual std::int64_t skipped() const { return 0; }

  // Sentences for the user that have come up since the last call: a torn tail that recovery has cut.
  virtual std::vector<std::string> take_notices() { return {}; }
};

// ---- Reading ----

// Where reading a partition starts.
struct StartAt {
  enum class Kind { beginning, end, after_beginning, before_end, offset, time } kind = Kind::end;
  std::int64_t value = 0;  // records after the beginning or before the end, an offset, or milliseconds since 1970
};

enum class Isolation { read_committed, read_uncommitted };

// Where one partition starts, over what holds for all and what a group has stored: not behind its end.
struct PartitionStart {
  std::string topic;
  PartitionId partition{};
  Offset offset{};
};

struct TopicSelection {
  std::string topic;
  std::vector<PartitionId> partitions = {};  // all, when empty
};

struct ReadOptions {
  std::vector<TopicSelection> topics = {};
  StartAt start = {};
  std::vector<PartitionStart> starts = {};
  std::optional<Offset> end = {};  // exclusive, per partition
  bool follow = true;              // false: stop at the ends noted when the reader was opened
  bool merge_by_time = false;      // with follow == false: batches of all partitions, oldest first timestamp first
  Isolation isolation = Isolation::read_committed;
  bool strict = false;                      // a start that has been trimmed away is not_found instead of a notice
  const std::atomic<bool>* stop = nullptr;  // ends waiting with State::stopped when it becomes true
};

// A place in a partition: the offset of the next record to read.
struct Position {
  std::string_view topic;  // lives as long as the reader it came from
  PartitionId partition{};
  Offset next{};
};

// One answer of a reader.
struct Fetch {
  enum class State {
    records,    // `records` holds some, all of one partition, in offset order
    caught_up,  // nothing more now; ask again (only when following)
    ended,      // nothing more ever: the noted ends or `end` were reached everywhere
    stopped,    // the stop flag was raised
  } state = State::ended;
  std::span<const RecordView> records = {};
  Position position = {};  // behind the last of `records`: what to commit once they are done with
};

class Reader {
 public:
  virtual ~Reader() = default;

  // The next records. Waits up to `wait` for some to appear when following and there are none. A damaged partition is
  // left out from its damage on: the others go on to their ends (to what is there now, when following), then the error
  // is returned: damaged, with path, byte, last good and next readable offset. Errors also: not_found when a topic is
  // deleted, io.
  virtual Result<Fetch> next(Milliseconds wait) = 0;

  // Sentences for the user that have come up since the last call: a start that was trimmed away, a retired segment.
  virtual std::vector<std::string> take_notices() = 0;
};

// ---- Consumers ----

enum class OffsetStrategy {
  automatic,  // claims; what has been handed out before the latest next() counts as done and is committed now and then
  manual,     // claims; commits only what commit() is given
  none,       // reads from the stored offsets, claims nothing, never commits
};

struct GroupOptions {
  ReadOptions read = {};  // start applies to partitions without a stored offset, or to all with reset
  OffsetStrategy strategy = OffsetStrategy::automatic;
  Milliseconds flush_every = std::chrono::seconds(2);  // how often strategy automatic commits
  // With strategy manual: the caller commits behind itself, so that a partition nothing was stored for is stored where
  // it starts, as soon as it is claimed, unless that is the beginning. (Automatic does so anyway.)
  bool store_start = false;
  bool reset = false;            // ignore what is stored
  std::string description = {};  // the member's command, shown to others
};

// A member of a consumer group. The partitions of a topic are shared out evenly among the members that read all of it;
// a member that names partitions (TopicSelection) takes exactly those. A reader of the partitions it owns that
// remembers how far it came. Partitions come and go inside next() and tend(): see on_release().
//
// When not following, Fetch::State::ended comes when this member has its share and read it to the ends noted at
// joining.
class GroupReader : public Reader {
 public:
  // Stores positions durably: survives loss of power on return, never points past what is durable. Errors: io, usage
  // (strategy none), busy when the partition is not this member's.
  virtual Result<void> commit(std::span<const Position> positions) = 0;

  // Takes part in the group as next() does, without handing out records or waiting: for a caller that has no room for
  // more, and would else be taken for dead or keep others waiting. What the last next() returned is valid no longer.
  // Errors: those of next(). Precondition: strategy manual.
  virtual Result<void> tend() = 0;

  // `callback` is called inside next() and tend() before partitions are given up to another member, with where each
  // stands, and returns those of them of which nothing is open any more: with strategy manual, what was handed out of
  // them has been finished and committed, or the next owner gets it again. (Strategy automatic commits by itself.) The
  // others stay this member's: nothing more of them is handed out, and the callback is asked again, by each next() and
  // tend(). It may be asked again of partitions that it has finished, as those of a cluster go together. An error of it
  // is what next() returns. Replaces an earlier one.
  using LetGo = std::function<Result<std::vector<Position>>(std::span<const Position>)>;
  virtual void on_release(LetGo callback) = 0;

  // Leaves the group in order. With strategy automatic, all that was handed out counts as done and is committed.
  // Destroying the reader without this commits only what was handed out before the latest next(). The reader is of no
  // further use. Errors: those of commit().
  virtual Result<void> leave() = 0;

  // The stored position each partition was resumed from when it was claimed; those without are absent. Grows as
  // partitions are claimed.
  virtual std::vector<Position> resumed() const = 0;

  // Where reading stands now, per owned partition: the next offset this reader will hand out.
  virtual std::vector<Position> positions() const = 0;

  // Sentences for the curious that have come up since the last call: partitions taken and given up, waiting for one.
  virtual std::vector<std::string> take_events() { return {}; }
};

// A living member of a group, as it described itself.
struct GroupMember {
  std::int64_t pid = 0;
  std::string host;
  std::string command;
};

// A partition of a topic that a consumer has offsets on, or reads.
struct ConsumerPartition {
  std::string topic;
  PartitionId partition{};
  std::optional<Offset> next = {};               // the stored offset: the next record to read
  std::optional<TimestampMs> committed_at = {};  // when it was stored
  std::optional<Offset> start = {};              // of the log; absent when the partition cannot be read
  std::optional<Offset> end = {};                // of the log; absent likewise
  std::optional<std::int64_t> lag = {};          // visible records at or behind `next`, or all where nothing is stored
  std::optional<GroupMember> owner = {};         // who has claimed it
};

struct ConsumerDescription {
  std::vector<GroupMember> members;           // over all topics, each process and command once
  std::vector<ConsumerPartition> partitions;  // by topic and partition
};

// Where a stored offset is to go.
struct SeekTarget {
  enum class Kind { start, end, offset, shift, time } kind = Kind::start;
  std::int64_t value = 0;  // the next offset to read, a distance from the stored one, or milliseconds since 1970
};

struct SeekRequest {
  std::optional<std::string> topic = {};     // every topic the consumer has offsets on, when absent
  std::vector<PartitionId> partitions = {};  // all, when empty
  SeekTarget target = {};
};

struct SeekResult {
  std::string topic;
  PartitionId partition{};
  std::optional<Offset> prior = {};  // absent when nothing was stored
  Offset next{};                     // what is stored now
};

struct ConsumerOffset {
  std::string consumer;
  std::string topic;
  PartitionId partition{};
  Offset next{};
  std::optional<TimestampMs> committed_at = {};  // when it was stored, where that is known
  std::optional<std::int64_t> lag = {};  // visible records behind `next`, or absent when the partition is unreadable
};

// Those that could not be read, and why: damage in what is stored for one consumer leaves the others readable.
struct UnreadableOffsets {
  std::string consumer;
  std::string topic;
  Error error;
};

struct ConsumerOffsets {
  std::vector<ConsumerOffset> offsets;  // by consumer, topic, partition
  std::vector<UnreadableOffsets> unreadable = {};
};

struct DeletedOffset {
  std::string topic;
  PartitionId partition{};
};

// ---- The backend ----

// Bytes of a file system: in all, and what a user may still write.
struct DiskSpace {
  std::int64_t total = 0;
  std::int64_t available = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  // Errors: exists, usage (name or settings), io, busy. On return the topic survives loss of power.
  virtual Result<void> create_topic(std::string_view name, const TopicSettings& settings) = 0;
  // Whether create_topic would succeed now; changes nothing.
  virtual Result<void> check_create_topic(std::string_view name, const TopicSettings& settings) = 0;
  // All topics in the order of their names.
  virtual Result<std::vector<std::string>> topic_names() = 0;
  virtual Result<TopicInfo> describe_topic(std::string_view name) = 0;
  // Errors: not_found (suggesting the nearest name). Committed offsets of consumers on it go too.
  virtual Result<void> delete_topic(std::string_view name) = 0;
  virtual Result<void> add_partitions(std::string_view name, std::int32_t count) = 0;
  // Replaces the settings by what `change` makes of the present ones (partitions is not changed by it).
  virtual Result<TopicSettings> set_topic(std::string_view name,
                                          const std::function<Result<void>(TopicSettings&)>& change) = 0;
  // Without `execute`, only says what would happen. An empty `partitions` means all.
  virtual Result<std::vector<TrimResult>> trim_topic(std::string_view name, TrimTarget target,
                                                     std::span<const PartitionId> partitions, bool execute) = 0;
  virtual Result<std::vector<PartitionInfo>> partitions(std::string_view topic) = 0;

  // Errors: not_found, usage (no such partition), damaged, busy, io.
  virtual Result<std::unique_ptr<Producer>> open_producer(std::string_view topic, const ProducerOptions& options) = 0;
  virtual Result<std::unique_ptr<Reader>> open_reader(const ReadOptions& options) = 0;
  // Errors: those of open_reader, and busy when another process holds a partition this member needs (names it).
  virtual Result<std::unique_ptr<GroupReader>> join_group(std::string_view consumer, const GroupOptions& options) = 0;

  // Every stored offset. `with_lag` also asks each partition for its end. Errors: those of the place as a whole.
  virtual Result<ConsumerOffsets> consumer_offsets(bool with_lag) = 0;
  // Errors: not_found (no offsets stored, no member living).
  virtual Result<ConsumerDescription> describe_consumer(std::string_view consumer) = 0;
  // Stores where the requests say, all of them or, after an error in checking, none. Without `execute` only says what
  // would be stored. Durable on return. Errors: not_found (unknown consumer, unless `create`; topic; partition), usage
  // (outside the log; a shift where nothing is stored; a partition named by two requests), busy while a member of the
  // group lives on one of the topics, naming it.
  virtual Result<std::vector<SeekResult>> seek_consumer(std::string_view consumer,
                                                        std::span<const SeekRequest> requests, bool create,
                                                        bool execute) = 0;
  // Clears the stored offsets of `consumer`, restricted to a topic and partitions when given. Without `execute` only
  // lists what would go. Errors: not_found, busy when a process is using one of them.
  virtual Result<std::vector<DeletedOffset>> delete_consumer(std::string_view consumer,
                                                             std::optional<std::string_view> topic,
                                                             std::span<const PartitionId> partitions, bool execute) = 0;

  // ---- For copying (copy.h) ----

  // What two backends that lead to the same place have in common, and no others. Errors: unavailable, io.
  virtual Result<std::string> identity() = 0;
  // Tells the topic from all others: from a later one of its name, too, where that can be known. Errors: not_found, io.
  virtual Result<std::string> topic_identity(std::string_view topic) = 0;
  // A topic's settings; what is not known here is as if nobody had chosen it. Errors: not_found, io.
  virtual Result<TopicSettings> chosen_settings(std::string_view topic) = 0;
  // Those of the settings of a topic elsewhere that a topic here can have, within the limits here.
  virtual TopicSettings applicable(const TopicSettings& settings) const = 0;
  // Appends to `topic` what is copied from `source`, which one process does at a time. Errors: not_found, other_input
  // (it holds a copy of another source), exists (somebody else has written to it, unless source.merge), busy, damaged,
  // io.
  virtual Result<std::unique_ptr<CopyWriter>> open_copy(std::string_view topic, const CopySource& source) = 0;

  // ---- For pipelines (leat/pipe) ----

  // Appends to `topic` what is made of other topics' records, each once: see derived_writer.h. Errors: not_found,
  // damaged, io; usage where this kind of backend cannot.
  virtual Result<std::unique_ptr<DerivedWriter>> open_derived(std::string_view topic);

  // Of the file system the records are on. Errors: usage where the backend cannot know.
  virtual Result<DiskSpace> disk_space() = 0;
};

// How to open a backend.
struct OpenOptions {
  bool create = false;                                   // make the data directory when it is missing
  Milliseconds lock_timeout = std::chrono::seconds(10);  // how long any lock is waited for
  bool allow_any_file_system = false;
};

// The backend a location names: a directory, or a URL whose scheme is known. Errors: not_found (with the command that
// creates it as hint), configuration (not ours, a newer format, a file system not allowed), unavailable.
Result<std::unique_ptr<Backend>> open_backend(const std::string& location, const OpenOptions& options);

}  // namespace leat
