// The commit rule: which offsets of each partition are done with, and up to where all are. Pure.
//
// A record is opened when it is read, and closed when the last stage has acknowledged it, the error stage has it, or a
// filter left it out. Records close in any order; the position stays before the first that is open. Offsets that were
// never opened (trimmed, compacted, of transactions that were aborted) hold nothing up.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "leat/backend/backend.h"
#include "leat/pipe/sink.h"

namespace leat::pipe {

class Tracker {
 public:
  // The record at `offset` has been read. Precondition: offsets of a partition rise.
  void open(std::string_view topic, PartitionId partition, Offset offset);
  // All before `next` has been read, whether there was a record or not.
  void read_to(std::string_view topic, PartitionId partition, Offset next);
  // The records from `next` on have not been read after all. Precondition: none of them is closed.
  void take_back(std::string_view topic, PartitionId partition, Offset next);
  // The records of the range are done with. Precondition: the range's ends are open, and no record inside is closed.
  void close(const SourceRange& range);

  // Up to where all is done with; nullopt for a partition nothing is known of.
  std::optional<Offset> position(std::string_view topic, PartitionId partition) const;
  // That of every partition known. The topics' names live as long as the tracker.
  std::vector<Position> positions() const;
  // Positions that have moved since mark_committed(). The topics' names live as long as the tracker.
  std::vector<Position> moved() const;
  void mark_committed(const std::vector<Position>& positions);
  // Records of it that are open.
  std::int64_t open_records(std::string_view topic, PartitionId partition) const;
  // The partition is somebody else's from now on. What is open of it is not known any more.
  void forget(std::string_view topic, PartitionId partition);

  // Records that are open, over all partitions.
  std::int64_t open_records() const { return open_records_; }

 private:
  struct Open {
    Offset offset;
    bool closed;
  };
  struct Lane {
    std::deque<Open> open;  // in the order of their offsets; the first is not closed
    Offset next{};          // behind all that has been read
    std::optional<Offset> committed = {};

    Offset position() const { return open.empty() ? next : open.front().offset; }
  };
  using Lanes = std::map<PartitionId, Lane>;

  Lane& lane_of(std::string_view topic, PartitionId partition);
  const Lane* find(std::string_view topic, PartitionId partition) const;

  std::map<std::string, Lanes, std::less<>> topics_;
  std::int64_t open_records_ = 0;
};

}  // namespace leat::pipe
