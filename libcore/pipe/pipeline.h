// A pipeline: records of a consumer group through stages into sinks, and their offsets committed behind them.
//
// One thread, run()'s, reads, commits and gives partitions up; each stage has threads of its own, with bounded queues
// between them. A record's offset is committed when all that was made of it and of those before it has been
// acknowledged (tracker.h). Whatever fails for good ends all of it, with an error: nothing is skipped, and nothing goes
// on doing nothing.
//
// That thread never waits for a stage: while there is no room for what was read, nothing more is read, but the process
// goes on as a member of its group, commits, and gives up partitions. One that is to go is read no more; it goes when
// what was read of it is done with, and the others are read on meanwhile.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "leat/backend/backend.h"
#include "leat/pipe/sink_kind.h"
#include "leat/pipe/stage.h"
#include "leat/pipe/tracker.h"

namespace leat::pipe {

struct StagePlan {
  enum class Kind : std::uint8_t { par_map, map, filter, reduce, sink } kind = Kind::map;
  std::string name;
  std::string shown = {};             // for people: what it does
  std::size_t workers = 1;            // of par_map, map and filter
  MakeMapper mapper = {};             // of these
  ReduceOptions batches = {};         // of reduce and sink
  MakeReducer reducer = {};           // of reduce
  std::optional<SinkPlan> sink = {};  // of sink: a reduce with a sink is one, too
};

// What a pipeline file says.
struct PipelinePlan {
  std::string location = {};  // of the source; empty: where the program's user says
  std::vector<std::string> topics;
  std::vector<PartitionId> partitions = {};  // all, shared with the group's other members, when empty
  std::string group;
  StartAt reset = {StartAt::Kind::end};  // where a partition starts of which the group has no offset
  Isolation isolation = Isolation::read_committed;
  ChannelLimits queue = {};
  std::vector<StagePlan> stages;
  std::optional<SinkPlan> error = {};
  RetrySettings retry = {};
  Undeliverable undeliverable = Undeliverable::stop;
  Milliseconds commit_every = std::chrono::seconds(2);
  Milliseconds shutdown_timeout = std::chrono::seconds(30);
};

// Where a pipeline runs. All must outlive it.
struct PipelineSurroundings {
  Backend* source = nullptr;
  std::string source_location;
  std::function<Result<std::unique_ptr<Backend>>(const std::string& location)> open_backend = {};
  std::function<void(const std::string& sentence)> notice = {};  // for the user; from any thread
  std::function<void(const std::string& sentence)> event = {};   // for the curious: partitions that come and go
  std::function<void()> tick = {};                               // now and then, from run()
  bool follow = true;                                            // false: to the ends noted at joining
  std::string description = {};
  const std::atomic<bool>* stop = nullptr;  // ends it in order
};

// What a stage has done so far.
struct StageReport {
  std::string name;
  StagePlan::Kind kind;
  std::int64_t in, out, dropped, refused, retries, restarts, batches, batch_records;
  std::int64_t queued;
};

struct PipelineReport {
  std::int64_t read = 0;     // records
  std::int64_t open = 0;     // of these, not done with
  std::int64_t skipped = 0;  // delivered by an earlier run
  std::int64_t commits = 0;
  std::int64_t errors = 0;  // records the error stage has
  std::vector<StageReport> stages = {};
  std::vector<ConsumerPartition> partitions = {};  // topic, partition and position of those that are read
};

class Pipeline {
 public:
  // Opens the sinks and starts the programs. Errors: those of SinkPlan::open and MakeMapper; usage.
  static Result<std::unique_ptr<Pipeline>> open(const PipelinePlan& plan, const PipelineSurroundings& surroundings);
  ~Pipeline();

  // Joins the group and runs until `stop` is raised, the ends are reached (unless following), or something fails for
  // good. What was acknowledged is committed, whatever ends it. Errors: those of Backend::join_group(), Reader::next()
  // and commit(); bad_data for a record that nothing takes; those of sinks and programs; interrupted when it was
  // stopped and `shutdown_timeout` was too short for what was open.
  Result<void> run();

  // From any thread.
  PipelineReport report() const;

 private:
  using Place = std::pair<std::string, PartitionId>;
  // What was read and has not entered the first stage yet: there is no room, or it is not known what of it an earlier
  // run has delivered.
  struct Incoming {
    Place place = {};
    Offset next = {};  // behind it
    std::vector<Item> items = {};
    BarrierRef asked = {};  // brings the answer
  };

  Pipeline(const PipelinePlan& plan, const PipelineSurroundings& surroundings)
      : plan_(plan), surroundings_(surroundings) {}

  Result<void> make_stages();
  Result<std::unique_ptr<Stage>> make_stage(const StagePlan& plan, Descent descent);
  SinkSurroundings sink_surroundings(const std::string& stage, Descent descent) const;
  Result<void> join_group();
  Result<void> read_until_over();
  Result<void> read_or_tend(bool& over);
  Result<void> take(const Fetch& fetch);
  void open_incoming();
  Result<void> enter();
  Result<std::vector<Position>> let_go(std::span<const Position> positions);
  bool leaves(const Place& place);
  Result<void> send_barrier(const BarrierRef& barrier);
  Result<void> finish();
  Result<void> check_shutdown();
  Result<void> commit_if_due();
  Result<void> commit();
  Result<void> check_alive() const;
  void say_notices();
  bool stopping() const { return surroundings_.stop != nullptr && surroundings_.stop->load(std::memory_order_relaxed); }

  PipelinePlan plan_;
  PipelineSurroundings surroundings_;
  Lifeline lifeline_;
  std::atomic<bool> stopping_ = false;  // as the stages see it
  std::unique_ptr<ErrorStage> errors_;
  StageSurroundings shared_;
  std::vector<std::unique_ptr<Stage>> stages_;
  bool resumes_ = false;  // the last sink can tell how far an earlier run came
  bool holds_ = false;    // sinks are to be told of partitions that are given up
  std::unique_ptr<GroupReader> reader_;
  Incoming incoming_;
  // Partitions that are read, and the offset before which all has been delivered by an earlier run.
  std::map<Place, Offset> begun_;
  std::map<Place, BarrierRef> leaving_;  // partitions that are to go, and what is behind all that was read of them
  BarrierRef end_;                       // behind all there is
  SteadyTime committed_at_{};
  SteadyTime stopped_at_{};
  std::atomic<std::int64_t> read_ = 0;
  std::atomic<std::int64_t> skipped_ = 0;
  std::atomic<std::int64_t> commits_ = 0;
  mutable std::mutex tracking_;
  Tracker tracker_;  // under it
};

}  // namespace leat::pipe
