// Mends what verify reports as repairable, and says what that costs. Records that cannot be read are the only thing
// that goes: their bytes are kept in cut/ with a note beside them, and a filler (log/batch.h) takes the place of their
// offsets, so that everything behind them is readable again at the offset it had.
//
//   cut/<offset>-<time>        the bytes, as they were
//   cut/<offset>-<time>.txt    what they were cut from, when and why, for people
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "leat/log/partition.h"
#include "leat/log/survey.h"

namespace leat {

// One thing that repair does.
struct RepairStep {
  enum class Action {
    fill,     // bytes go, if there are any, and a filler takes the place of the offsets that go with them
    cut,      // bytes go, no offset with them
    restore,  // what the checksum of a batch does not cover is written anew: no record goes
    bridge,   // a segment of fillers is made where one is missing
    start,    // the log start is stored again
    unmark,   // the state file that says that the topic was deleted goes; it is made anew
  } action = Action::fill;
  std::optional<PartitionId> partition = {};
  std::string path = {};  // of the file concerned
  std::int64_t from = 0;  // bytes of it that go, or are written anew
  std::int64_t to = 0;
  Offset first{};  // offsets that are lost: [first, end)
  Offset end{};
  std::string why = {};
  std::string kept_in = {};  // where the bytes are kept; empty before it was done

  friend bool operator==(const RepairStep&, const RepairStep&) = default;
};

// A segment as repair sees it.
struct SurveyedSegment {
  Offset base{};
  std::string path = {};
  std::vector<BadPlace> places = {};
  Offset end{};            // of the last thing in it
  bool any_batch = false;  // a whole one is in it
};

// A partition as repair sees it.
struct PartitionSurvey {
  PartitionId id{};
  std::string path = {};
  std::vector<SurveyedSegment> segments = {};
  StartSurvey start = {};
  Offset known_start{};  // as the state page says
  Offset known_end{};    // the same: all before was durable once
};

// Offsets of which no segment says anything.
struct OffsetGap {
  Offset first{};
  Offset end{};

  friend bool operator==(const OffsetGap&, const OffsetGap&) = default;
};

// What is to be done in a partition.
struct PartitionRepair {
  PartitionId id{};
  std::vector<RepairStep> steps = {};          // the same, for people
  std::vector<SurveyedSegment> segments = {};  // those with bad places
  std::vector<OffsetGap> gaps = {};            // to be bridged
  std::optional<Offset> start = {};            // to be stored
  Offset log_start{};                          // as it is, or is to be
  Offset end{};                                // behind all of this, and what was ever durable
  bool seals = false;                          // the active segment has to be closed before
};

// Reads all segments. Changes nothing. `progress` gets the bytes read so far; an error of it ends it. Errors:
// not_found, io.
Result<PartitionSurvey> survey_partition(const Topic& topic, PartitionId id,
                                         const std::function<Result<void>(std::int64_t bytes)>& progress);

// What would be done. Pure. Errors: damaged (a segment so far behind the others that its name must be wrong).
Result<PartitionRepair> plan_repair(const PartitionSurvey& survey);

// Does it, under the maintenance lock, each segment's replacement under the append lock; fills in where bytes were
// kept. Segments that were not looked at, and those that are whole, are not touched. Durable on return; killed
// half-way, what was done is done, and it can be run again. Errors: busy (a lock is held; the log is not as it was when
// the repair was planned), io, not_found.
Result<void> repair_partition(Partition& partition, PartitionRepair& repair);

// Whether the state file of a topic that is in its place says that it was deleted. Nobody can use it then.
bool is_falsely_deleted(const Topic& topic);
// Removes such a state file. Lock taken: the data directory's. Errors: busy, io.
Result<void> drop_false_state(const DataDir& data_dir, const std::string& topic);

}  // namespace leat
