// The destination's side of `leat copy`: records of a topic somewhere else, appended here so that each is here once,
// however often the copy is killed and run again. What makes it so is that the destination itself says, in the same
// write that appends records, which offsets they had at the source:
//
//   A directory  Each batch holds records of consecutive source offsets, and its header has the first of them: the
//                producer epoch is its bits 31 to 45, the base sequence bits 0 to 30, under a producer id that belongs
//                to the copy (log/producer_state.h). The log is all there is to believe: no second file could say
//                something else after a power cut. Where the source has a gap (compacted, trimmed, a control record of
//                Kafka's) a batch ends; between two batches any gap may lie. Rejected: sequences that count records, as
//                those of Kafka's producers do, because after a gap the count no longer says which offset comes next,
//                and a file with the position beside the log.
//   A cluster    One transaction appends records and commits, as the offset of a group of its own, where the copy is
//                to go on at the source. Kafka's brokers accept no sequence that has gaps.
//
// Both can be asked where a source offset has gone, which is what consumers' offsets are translated by.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "leat/base/error.h"
#include "leat/log/record.h"

namespace leat {

// The source of a copy as its destination knows it.
struct CopySource {
  // Tells the topic apart from every other and from a later one of its name: see copy_name().
  std::string name;
  // Whether the destination's partitions may hold other records, too.
  bool merge = false;
};

// The name by which a destination remembers a source: "leat-copy-" and 32 hexadecimal digits made of `identity`
// (Backend::topic_identity).
inline constexpr std::string_view kCopyPrefix = "leat-copy-";
std::string copy_name(std::string_view identity);

// How far a copy has come in one partition.
struct CopyProgress {
  Offset next{};  // the source offset to go on at, directly behind the last record copied
  // hash_of_record() of that last record, where it is known.
  std::optional<std::uint64_t> last_hash = {};
};

// What of a partition's source lies between an offset and where the copy has come to.
struct SourceTail {
  std::int64_t records = 0;
  std::uint64_t first_hash = 0;  // hash_of_record() of the first of them
};
using SourceTailOf = std::function<Result<SourceTail>(PartitionId partition, Offset from)>;

// One topic's copy. Belongs to one thread at a time.
class CopyWriter {
 public:
  virtual ~CopyWriter() = default;

  virtual std::int32_t partitions() const = 0;

  // How far earlier runs and this one have come, flushed or not; nullopt where nothing was copied yet.
  virtual std::optional<CopyProgress> progress(PartitionId partition) const = 0;

  // Takes a copy of the records, which have rising source offsets, at or behind progress(). Some may wait until
  // flush(). After an error the writer refuses further use, and what was not flushed may or may not be there: the next
  // run finds out. Errors: those of Producer::send() and flush(); exists (somebody else has written to the partition);
  // busy (another copy has taken over).
  virtual Result<void> write(PartitionId partition, std::span<const RecordView> records) = 0;

  // Returns when all that was written, and with it progress(), is as durable as the topic promises. Errors: as write().
  virtual Result<void> flush() = 0;

  // For each of the rising source offsets, the offset here of the first record copied from there or from behind it; the
  // end of what was copied where there is none. An Error for one that cannot be told: bad_data. To be called when all
  // is flushed. Errors: io, damaged, unavailable.
  virtual Result<std::vector<Result<Offset>>> translate(PartitionId partition, std::span<const Offset> offsets,
                                                        const SourceTailOf& source_tail) = 0;

  // Sentences for the user that have come up since the last call.
  virtual std::vector<std::string> take_notices() { return {}; }
};

}  // namespace leat
