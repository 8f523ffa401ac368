// Records that are made of another topic's, one of one or one of several that follow each other, appended so that each
// is there once, however often whoever makes them is killed and makes them again.
//
// As with a copy (copy_writer.h), the log itself says what it has: a batch's header carries, under a producer id that
// belongs to one partition of the source, a source offset. Here records may leave out offsets between them, so the
// offset is chosen from behind: that of the batch's last record, less the number of records before it. What a reader of
// the headers makes of it, the offset behind the batch's last record, is what counts, and it rises from batch to batch
// as it does for a copy.
//
// Which partition a record goes to must follow from its source alone: the same one when it is made again. (The key it
// is given may decide, when the same source always comes to the same key.)
#pragma once

#include <memory>
#include <string_view>

#include "leat/base/error.h"
#include "leat/log/record.h"

namespace leat {

// The name under which a topic remembers one partition of a source: "leat-pipe-" and 32 hexadecimal digits made of
// `identity`, which says who derives and from what.
std::string derived_name(std::string_view identity);

// Belongs to one thread at a time.
class DerivedWriter {
 public:
  virtual ~DerivedWriter() = default;

  // Of the topic that is appended to, when it was opened.
  virtual std::int32_t partitions() const = 0;

  // Begins to derive from the source of that name (derived_name()), which one process does at a time; nothing where it
  // has begun. Errors: busy, naming the other; damaged, io.
  virtual Result<void> claim(std::string_view source) = 0;
  // Another process may do so from now on. Precondition: flushed.
  virtual void release(std::string_view source) = 0;

  // The source offset behind the last one of which something is in `partition`, flushed or not; 0 when nothing is. What
  // is made of those before it has been appended there already. Precondition: claimed.
  virtual Result<Offset> progress(std::string_view source, PartitionId partition) = 0;

  // Takes a copy of what was made of the source's records up to the one at `last`, which is at or behind progress().
  // After an error the writer refuses further use, and what was not flushed may or may not be there: another writer
  // finds out. Errors: bad_data (too large, or no key in a topic that is compacted; the writer is still usable), busy
  // (another process has taken the source over), io, not_found.
  virtual Result<void> write(std::string_view source, PartitionId partition, Offset last,
                             const RecordInput& record) = 0;

  // Returns when all that was written is as durable as the topic promises. Errors: as write().
  virtual Result<void> flush() = 0;
};

}  // namespace leat
