// The names under which idempotent producers are known in a topic: each has an id for its batches, one user at a time,
// and always the same routing, so that an input given again reaches the same partitions in the same order.
//
//   DIR/topics/<topic>/producers/<name>
//      0   8  magic "leatip01"
//      8  16  topic id
//     24   8  producer id, random; below -1 for a copy (producer_state.h), which has `leat-copy-` in its name, and for
//             what a pipeline makes of a source (derived_writer.h), `leat-pipe-`
//     32   4  partitions of the topic when it was registered
//     36   4  the partition every record goes to, or -1: by key, and keyless record i to (i / 64) mod partitions
//     40   4  CRC-32C of bytes 0 to 40 and of all from byte 256 on
//     64   8  pid of whoever has it open, for people
//    128  48  slot pair (base/checked_slots.h): number of the run, i64; its low 15 bits are the epoch of the batches
//    256   -  per partition its end when the producer was registered, i64
//
// Byte order of the machine. A lock on byte 0 is held by the one user, for life. Lives until the topic is deleted.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "leat/log/batch.h"
#include "leat/log/topic.h"

namespace leat {

// Where records without a choice of their own go.
struct ProducerRouting {
  std::int32_t partitions = 1;
  std::optional<PartitionId> fixed = {};  // all go here
  bool copies = false;                    // each record goes to the partition it is copied from

  friend bool operator==(const ProducerRouting&, const ProducerRouting&) = default;
};

// The partition of a keyless record: its number in the input decides, not chance.
PartitionId partition_for_number(std::int64_t number, std::int32_t partitions);

class NamedProducer {
 public:
  // Takes the name for the life of the result, registering it when it is new; `ends` are the present ends of the
  // topic's partitions. Durable on return. Errors: usage (not a name), busy (somebody uses it), other_input (another
  // routing than the one it was registered with), damaged, io.
  static Result<NamedProducer> open(const Topic& topic, std::string_view name, const ProducerRouting& routing,
                                    std::span<const Offset> ends);

  std::int64_t id() const { return id_; }
  // The end of the partition when the producer was registered: nothing of it lies before.
  Offset since(PartitionId partition) const {
    const auto at = static_cast<std::size_t>(partition.value);
    return at < since_.size() ? since_[at] : Offset{0};
  }

  // What goes into the header of a batch behind `records` records of its partition.
  BatchProducer batch_fields(std::int64_t records) const;

  // Whether this is still the run that may append. Errors: busy (somebody else has taken the name over, which its lock
  // should make impossible), not_found (the file is gone), io.
  Result<void> check_current() const;

 private:
  NamedProducer(std::string name, Directory directory, File file)
      : name_(std::move(name)), directory_(std::move(directory)), file_(std::move(file)) {}
  Result<void> load(const TopicId& topic, const ProducerRouting& routing);
  Result<void> begin_run();

  std::string name_;
  Directory directory_;
  File file_;
  std::int64_t id_ = 0;
  std::int64_t run_ = 0;
  std::vector<Offset> since_;
};

}  // namespace leat
