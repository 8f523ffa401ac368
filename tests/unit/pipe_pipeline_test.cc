// Whole pipelines over a directory: what is committed and when, shutdown, members that come and go, failures.
#include "leat/pipe/pipeline.h"

#include <algorithm>
#include <map>

#include "leat/pipe/builtin.h"
#include "tests/support/backend_fixture.h"
#include "tests/support/pipe_fixture.h"

using namespace leat;
using namespace leat::pipe;
using namespace leat::test;
using namespace std::chrono_literals;

namespace {

struct Source : Fixture {
  explicit Source(std::int32_t partitions = 1) : Fixture(kBackends[0], {.partitions = partitions}) {}

  void fill(std::int64_t count, std::int32_t partition = 0) {
    auto producer = must(backend->open_producer("t", {.partition = PartitionId{partition}}));
    for (std::int64_t i = 0; i < count; ++i) {
      const std::string value = std::to_string(i);
      must(producer->send({.value = value, .timestamp = TimestampMs{1000}}));
    }
    must(producer->flush());
  }
  // What is stored for the group; -1 for nothing.
  std::int64_t committed(std::int32_t partition = 0) {
    for (const ConsumerOffset& offset : must(backend->consumer_offsets(false)).offsets)
      if (offset.consumer == "g" && offset.partition.value == partition) return offset.next.value;
    return -1;
  }
};

StagePlan sink_stage(Delivered& to, const ReduceOptions& options = {}, const Answer& answer = {}) {
  return {.kind = StagePlan::Kind::sink, .name = "sink", .batches = options, .sink = keeping(to, answer)};
}

PipelinePlan plan_of(std::vector<StagePlan> stages) {
  PipelinePlan plan;
  plan.topics = {"t"};
  plan.group = "g";
  plan.reset = {StartAt::Kind::beginning};
  plan.stages = std::move(stages);
  plan.retry = {2, 1ms, 1ms};
  plan.commit_every = 10ms;
  plan.shutdown_timeout = 5s;
  return plan;
}

// A pipeline that runs in a thread of its own.
struct Running {
  std::atomic<bool> stop = false;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Pipeline> pipeline;
  std::thread thread;
  Result<void> result;
  std::atomic<bool> ended = false;
  std::mutex mutex;
  std::vector<std::string> notices;

  Running(Source& source, const PipelinePlan& plan, bool follow = true) : backend(source.place->open()) {
    pipeline = must(Pipeline::open(plan, {.source = backend.get(),
                                          .source_location = {},
                                          .notice =
                                              [this](const std::string& sentence) {
                                                const std::lock_guard lock(mutex);
                                                notices.push_back(sentence);
                                              },
                                          .follow = follow,
                                          .description = "test",
                                          .stop = &stop}));
    thread = std::thread([this] {
      result = pipeline->run();
      ended = true;
    });
  }
  ~Running() {
    stop = true;
    if (thread.joinable()) thread.join();
  }
  Result<void> wait() {
    thread.join();
    return result;
  }
  Result<void> end() {
    stop = true;
    return wait();
  }
};

template <class Condition>
bool soon(const Condition& condition) {
  for (int waited = 0; waited < 10'000; ++waited) {
    if (condition()) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

}  // namespace

TEST_CASE("a pipeline runs to the ends it found and commits what came out") {
  Source source(3);
  source.fill(10, 0);
  source.fill(7, 2);
  Delivered delivered;
  CHECK(Running(source, plan_of({sink_stage(delivered, {{.records = 4, .wait = 10s}})}), false).wait());
  CHECK(delivered.messages().size() == 17);
  CHECK(source.committed(0) == 10);
  CHECK(source.committed(2) == 7);
  CHECK(delivered.closed == 1);
  // Nothing is left to do.
  Delivered again;
  CHECK(Running(source, plan_of({sink_stage(again)}), false).wait());
  CHECK(again.messages().empty());
}

TEST_CASE("only what the sink has acknowledged is committed, and everything below the first that is open") {
  Source source;
  source.fill(20);
  Delivered delivered;
  std::atomic<bool> open = false;
  Running running(
      source,
      plan_of({sink_stage(delivered, {{.records = 5, .wait = 10s}},
                          [&](std::span<const Message> batch, const std::atomic<bool>& halt) -> Result<Delivery> {
                            while (batch.front().sources[0].first.value >= 10 && !open && !halt)
                              std::this_thread::sleep_for(1ms);
                            if (halt) return fail(Code::interrupted, "halted");
                            return Delivery{};
                          })}));
  CHECK(soon([&] { return source.committed() == 10; }));
  std::this_thread::sleep_for(50ms);
  CHECK(source.committed() == 10);
  open = true;
  CHECK(soon([&] { return source.committed() == 20; }));
  CHECK(running.end());
}

TEST_CASE("a stop in order delivers what is open and commits it, the last acknowledgement included") {
  Source source;
  source.fill(23);
  Delivered delivered;
  Running running(source, plan_of({sink_stage(delivered, {{.records = 10, .wait = 1h}})}));
  CHECK(soon([&] { return delivered.messages().size() == 20; }));
  CHECK(running.end());
  CHECK(delivered.messages().size() == 23);
  CHECK(source.committed() == 23);
}

TEST_CASE("a stop that drops leaves what was open to the next run") {
  Source source;
  source.fill(23);
  Delivered delivered;
  Running running(source,
                  plan_of({sink_stage(delivered, {{.records = 10, .wait = 1h}, GroupBy::none, OnShutdown::drop})}));
  CHECK(soon([&] { return delivered.messages().size() == 20; }));
  CHECK(running.end());
  CHECK(delivered.messages().size() == 20);
  CHECK(source.committed() == 20);
}

TEST_CASE("a stop waits no longer than it may for a sink that does not answer") {
  Source source;
  source.fill(5);
  Delivered delivered;
  auto plan = plan_of({sink_stage(delivered, {}, [](auto, const std::atomic<bool>& halt) -> Result<Delivery> {
    while (!halt) std::this_thread::sleep_for(1ms);
    return fail(Code::interrupted, "halted");
  })});
  plan.shutdown_timeout = 100ms;
  Running running(source, plan);
  CHECK(soon([&] { return running.pipeline->report().open == 5; }));
  const auto ended = running.end();
  REQUIRE_FALSE(ended);
  CHECK(ended.error().code == Code::interrupted);
  CHECK(source.committed() <= 0);
}

TEST_CASE("a sink that fails for good ends the pipeline with its error; what came before is committed") {
  Source source;
  source.fill(20);
  Delivered delivered;
  auto plan = plan_of({sink_stage(delivered, {{.records = 5, .wait = 1ms}},
                                  [](std::span<const Message> batch, auto&) -> Result<Delivery> {
                                    if (batch.front().sources[0].first.value >= 10)
                                      return fail(Code::unavailable, "the server is gone");
                                    return Delivery{};
                                  })});
  Running running(source, plan);
  CHECK(soon([&] { return running.ended.load(); }));
  running.thread.join();
  REQUIRE_FALSE(running.result);
  CHECK(running.result.error().code == Code::unavailable);
  CHECK(running.result.error().message == "the server is gone (after 2 retries)");
  CHECK(source.committed() == 10);
  CHECK(running.notices == std::vector<std::string>{"the server is gone; trying again"});
}

TEST_CASE("a record that nothing takes ends the pipeline; with an error stage it is put aside and counts as done") {
  Source source;
  source.fill(10);
  const auto refuse_seven = [](const WorkSurroundings&) -> Result<std::unique_ptr<Mapper>> {
    class Seven final : public Mapper {
      Result<void> map(std::span<const Message> messages, std::vector<Outcome>& outcomes,
                       const std::atomic<bool>&) override {
        for (const Message& one : messages)
          outcomes.push_back(*one.value == "7" ? Outcome::refuse("it is seven") : Outcome{});
        return {};
      }
    };
    return std::make_unique<Seven>();
  };
  Delivered delivered;
  auto plan = plan_of({{.kind = StagePlan::Kind::map, .name = "m", .mapper = refuse_seven}, sink_stage(delivered)});
  {
    Running running(source, plan, false);
    const auto ended = running.wait();
    REQUIRE_FALSE(ended);
    CHECK(ended.error().code == Code::bad_data);
    CHECK(ended.error().message == "stage \"m\" refuses record t/0/7: it is seven");
    CHECK(source.committed() <= 7);
  }
  Delivered aside;
  plan.error = keeping(aside);
  CHECK(Running(source, plan, false).wait());
  CHECK(aside.values() == std::vector<std::string>{"7"});
  CHECK(aside.closed == 1);
  CHECK(source.committed() == 10);
}

TEST_CASE("a member that has no room for more still hands over partitions of which nothing is open, and commits") {
  Source source(2);
  source.fill(1000, 0);
  Delivered first;
  Delivered second;
  std::atomic<bool> works = false;
  PipelinePlan plan =
      plan_of({sink_stage(first, {{.records = 5, .wait = 10s}},
                          [&](std::span<const Message> batch, const std::atomic<bool>& halt) -> Result<Delivery> {
                            while (batch.front().sources[0].first.value >= 50 && !works && !halt)
                              std::this_thread::sleep_for(1ms);
                            if (halt) return fail(Code::interrupted, "halted");
                            return Delivery{};
                          })});
  plan.queue.records = 20;
  Running one(source, plan);
  // Full: what was read waits for room.
  CHECK(soon([&] { return source.committed(0) == 50; }));
  Running two(source, plan_of({sink_stage(second)}));
  source.fill(7, 1);
  CHECK(soon([&] { return second.messages().size() == 7; }));
  CHECK(first.messages().size() == 50);
  works = true;
  CHECK(soon([&] { return source.committed(0) == 1000; }));
  CHECK(one.end());
  CHECK(two.end());
  CHECK(first.messages().size() == 1000);
  CHECK(second.messages().size() == 7);
}

TEST_CASE("while a partition's open work is finished for its next owner, the others are read on") {
  Source source(2);
  source.fill(5, 0);
  source.fill(5, 1);
  Delivered first;
  Delivered second;
  std::atomic<int> slow = -1;  // the partition whose records take long
  struct Slow final : Mapper {
    explicit Slow(std::atomic<int>& partition) : partition_(&partition) {}
    Result<void> map(std::span<const Message> messages, std::vector<Outcome>& outcomes,
                     const std::atomic<bool>& halt) override {
      while (messages.front().sources[0].partition.value == *partition_ && !halt) std::this_thread::sleep_for(1ms);
      outcomes.assign(messages.size(), Outcome{});
      return {};
    }
    std::atomic<int>* partition_;
  };
  StagePlan slowly{.kind = StagePlan::Kind::par_map, .name = "slow", .workers = 2};
  slowly.mapper = [&](const WorkSurroundings&) -> Result<std::unique_ptr<Mapper>> {
    return std::make_unique<Slow>(slow);
  };
  Running one(source, plan_of({slowly, sink_stage(first)}));
  CHECK(soon([&] { return source.committed(0) == 5 && source.committed(1) == 5; }));
  // The partition claimed last is the one to go.
  slow = static_cast<int>(one.pipeline->report().partitions.back().partition.value);
  const std::int32_t leaving = slow;
  const std::int32_t staying = 1 - leaving;
  source.fill(3, leaving);
  CHECK(soon([&] { return one.pipeline->report().read == 13; }));
  Running two(source, plan_of({sink_stage(second)}));
  std::this_thread::sleep_for(200ms);
  source.fill(4, leaving);
  source.fill(9, staying);
  CHECK(soon([&] { return source.committed(staying) == 14; }));
  CHECK(source.committed(leaving) == 5);
  CHECK(second.messages().empty());
  slow = -1;
  CHECK(soon([&] { return source.committed(leaving) == 12; }));
  CHECK(one.end());
  CHECK(two.end());
  CHECK(first.messages().size() == 22);
  CHECK(second.messages().size() == 4);
}

TEST_CASE("partitions given up are handed over when their open work is done; no record comes twice") {
  Source source(4);
  for (const std::int32_t p : {0, 1, 2, 3}) source.fill(50, p);
  Delivered first;
  Delivered second;
  first.holds = true;
  // Long waits: without a handover, open batches would be sent far too late.
  Running one(source, plan_of({sink_stage(first, {{.records = 1000, .wait = 1h}})}));
  CHECK(soon([&] { return one.pipeline->report().read == 200; }));
  CHECK(first.messages().empty());
  Running two(source, plan_of({sink_stage(second, {{.records = 1000, .wait = 1h}})}));
  CHECK(soon([&] { return first.released == 2; }));
  CHECK(first.messages().size() == 200);
  for (const std::int32_t p : {0, 1, 2, 3}) source.fill(10, p);
  CHECK(soon([&] { return one.pipeline->report().read == 220 && two.pipeline->report().read == 20; }));
  CHECK(one.end());
  CHECK(two.end());
  CHECK(first.messages().size() == 220);
  CHECK(second.messages().size() == 20);
  for (const std::int32_t p : {0, 1, 2, 3}) CHECK(source.committed(p) == 60);
}

TEST_CASE("the reader waits when the stages do not keep up") {
  Source source;
  source.fill(5000);
  Delivered delivered;
  std::atomic<bool> open = false;
  auto plan = plan_of({sink_stage(delivered, {{.records = 10, .wait = 0ms}},
                                  [&](auto, const std::atomic<bool>& halt) -> Result<Delivery> {
                                    while (!open && !halt) std::this_thread::sleep_for(1ms);
                                    return Delivery{};
                                  })});
  plan.queue.records = 20;
  Running running(source, plan);
  CHECK(soon([&] { return running.pipeline->report().read > 0; }));
  std::this_thread::sleep_for(100ms);
  CHECK(running.pipeline->report().stages[0].queued <= 20);
  CHECK(delivered.messages().empty());
  open = true;
  CHECK(soon([&] { return delivered.messages().size() == 5000; }));
  CHECK(running.end());
  CHECK(source.committed() == 5000);
}

TEST_CASE("stages in sequence: maps and reduces of maps and reduces") {
  Source source(2);
  source.fill(100, 0);
  source.fill(100, 1);
  Delivered delivered;
  const auto value = [](const std::string& text) {
    return template_mapper(must(RecordTemplate::parse("t", text, false)));
  };
  CHECK(Running(source,
                plan_of({{.kind = StagePlan::Kind::par_map, .name = "a", .workers = 2, .mapper = value("{{value}}")},
                         {.kind = StagePlan::Kind::reduce,
                          .name = "b",
                          .batches = {{.records = 10, .wait = 1h}, GroupBy::partition},
                          .reducer = count_reducer()},
                         {.kind = StagePlan::Kind::map, .name = "c", .workers = 3, .mapper = value("<{{value}}>")},
                         {.kind = StagePlan::Kind::reduce,
                          .name = "d",
                          .batches = {{.records = 20, .wait = 1h}},
                          .reducer = lines_reducer()},
                         sink_stage(delivered)}),
                false)
            .wait());
  REQUIRE(delivered.messages().size() == 1);
  std::string expected;
  for (int i = 0; i < 20; ++i) expected += "<10>\n";
  CHECK(delivered.messages()[0].value == expected);
  CHECK(source.committed(0) == 100);
  CHECK(source.committed(1) == 100);
}

TEST_CASE("trimmed offsets are no obstacle") {
  Source source;
  source.fill(100);
  must(source.backend->trim_topic("t", {TrimTarget::Kind::before_offset, 90}, {}, true));
  Delivered delivered;
  CHECK(Running(source, plan_of({sink_stage(delivered)}), false).wait());
  CHECK(delivered.messages().size() == 10);
  CHECK(source.committed() == 100);
}

TEST_CASE("what a partition's batches came to goes on where the topic says, not where the group does") {
  Source source;
  must(source.backend->create_topic("out", {}));
  source.fill(100);
  // The group knows of nothing, the topic of the first 40.
  Delivered delivered;
  class Resuming final : public Sink {
   public:
    explicit Resuming(Delivered& to) : to_(&to) {}
    Result<Delivery> deliver(std::span<const Message> batch, const std::atomic<bool>&) override {
      to_->add(batch);
      return Delivery{};
    }
    Result<std::optional<Offset>> resume(const SourceRange&) override { return Offset{40}; }
    bool holds_partitions() const override { return true; }

   private:
    Delivered* to_;
  };
  StagePlan last = sink_stage(delivered);
  last.sink = SinkPlan{"", [&](const SinkSurroundings& surroundings) -> Result<std::unique_ptr<Sink>> {
                         CHECK(surroundings.descent == Descent::ranges);
                         return std::make_unique<Resuming>(delivered);
                       }};
  Running running(source,
                  plan_of({{.kind = StagePlan::Kind::reduce,
                            .name = "r",
                            .batches = {{.records = 10, .wait = 1h}, GroupBy::partition},
                            .reducer = count_reducer()},
                           last}),
                  false);
  CHECK(running.wait());
  CHECK(delivered.values() == std::vector<std::string>(6, "10"));
  CHECK(delivered.messages()[0].sources == std::vector<SourceRange>{{"t", {0}, {40}, {49}}});
  CHECK(source.committed() == 100);
  CHECK(running.pipeline->report().skipped == 40);
}

TEST_CASE("a pipeline without a sink at its end is refused") {
  Source source;
  const auto refused =
      Pipeline::open(plan_of({{.kind = StagePlan::Kind::reduce, .name = "r", .reducer = count_reducer()}}),
                     {.source = source.backend.get(), .source_location = {}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::usage);
}
