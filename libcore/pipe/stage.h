// The stages of a running pipeline: threads between an inlet and the next stage's.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "leat/pipe/channel.h"
#include "leat/pipe/delivery.h"
#include "leat/pipe/error_stage.h"
#include "leat/pipe/lifeline.h"
#include "leat/pipe/stage_figures.h"
#include "leat/pipe/work.h"

namespace leat::pipe {

// What all stages of a pipeline share. Outlives them.
struct StageSurroundings {
  Lifeline* lifeline = nullptr;
  ErrorStage* errors = nullptr;
  // These messages are done with: the last stage, a filter or the error stage has them. From any thread.
  std::function<void(std::span<const Message> messages)> acknowledge = {};
  const std::atomic<bool>* stopping = nullptr;  // the user wants an end: stages that drop do so
  std::function<void(const std::string& sentence)> notice = {};
  RetrySettings retry = {};
  Undeliverable undeliverable = Undeliverable::stop;
  ChannelLimits channel = {};
};

class Stage {
 public:
  explicit Stage(std::string name) : name_(std::move(name)) {}
  virtual ~Stage() = default;

  const std::string& name() const { return name_; }
  virtual Inlet& inlet() = 0;
  // Starts its threads. `next` is nullptr for the last stage, which acknowledges.
  virtual void start(Inlet* next) = 0;
  // Returns when its threads have ended: behind the barrier that is the end, or a halt.
  virtual void join() = 0;
  // Sink::holds_partitions() of its sink, if it has one.
  virtual bool holds_partitions() const { return false; }
  // What waits before it.
  virtual std::size_t queued() const = 0;

  StageFigures& figures() { return figures_; }
  const StageFigures& figures() const { return figures_; }

 private:
  std::string name_;
  StageFigures figures_;
};

// map and filter: `workers` at once over whatever comes, which leaves in the order it came in.
// `per_partition`: each partition has one of the workers, and only its own order is kept.
struct MapOptions {
  std::size_t workers = 1;
  bool per_partition = false;
};
// Errors: those of `make`.
Result<std::unique_ptr<Stage>> make_map_stage(std::string name, const MapOptions& options, const MakeMapper& make,
                                              const StageSurroundings& surroundings);

enum class GroupBy : std::uint8_t { none, key, partition };
enum class OnShutdown : std::uint8_t { flush, drop };

// When a batch is sent on: whichever comes first.
struct BatchLimits {
  std::size_t records = 1000;
  std::size_t bytes = 1 << 20;
  Milliseconds wait = std::chrono::seconds(1);  // since its first message; 0: as soon as nothing more waits
};

struct ReduceOptions {
  BatchLimits limits = {};
  GroupBy group_by = GroupBy::none;
  OnShutdown on_shutdown = OnShutdown::flush;
};

// A batch becomes one message.
std::unique_ptr<Stage> make_reduce_stage(std::string name, const ReduceOptions& options,
                                         std::unique_ptr<Reducer> reducer, const StageSurroundings& surroundings);
// A batch is delivered; its messages go on as they are.
std::unique_ptr<Stage> make_sink_stage(std::string name, const ReduceOptions& options, std::unique_ptr<Sink> sink,
                                       const StageSurroundings& surroundings);

}  // namespace leat::pipe
