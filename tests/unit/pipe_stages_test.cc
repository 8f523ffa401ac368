// Single stages: order, pairing, batches, what they acknowledge.
#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "leat/pipe/builtin.h"
#include "leat/pipe/stage.h"
#include "tests/support/pipe_fixture.h"

using namespace leat;
using namespace leat::pipe;
using namespace leat::test;
using namespace std::chrono_literals;

namespace {

// A mapper made of a function from a message to an outcome.
using Decide = std::function<Outcome(const Message&)>;
class FunctionMapper final : public Mapper {
 public:
  explicit FunctionMapper(Decide decide) : decide_(std::move(decide)) {}
  Result<void> map(std::span<const Message> messages, std::vector<Outcome>& outcomes,
                   const std::atomic<bool>&) override {
    for (const Message& one : messages) outcomes.push_back(decide_(one));
    return {};
  }

 private:
  Decide decide_;
};

MakeMapper mapper(const Decide& decide) {
  return [decide](const WorkSurroundings&) -> Result<std::unique_ptr<Mapper>> {
    return std::make_unique<FunctionMapper>(decide);
  };
}

Outcome changed(const Message& message, std::string value) {
  Outcome outcome{Outcome::Kind::changed};
  outcome.message = {.key = message.key, .value = std::move(value), .timestamp = message.timestamp};
  return outcome;
}

// A stage under test, a sink behind it, and what is acknowledged.
struct Line {
  Lifeline lifeline;
  Delivered put_aside;
  std::atomic<bool> halt = false;
  ErrorStage errors{std::make_unique<KeepingSink>(put_aside), {2, 1ms, 1ms}, halt, [](const std::string&) {}};
  std::atomic<bool> stopping = false;
  std::mutex mutex;
  std::vector<SourceRange> acknowledged;
  StageSurroundings shared{.lifeline = &lifeline,
                           .errors = &errors,
                           .acknowledge =
                               [this](std::span<const Message> messages) {
                                 const std::lock_guard lock(mutex);
                                 for (const Message& one : messages)
                                   acknowledged.insert(acknowledged.end(), one.sources.begin(), one.sources.end());
                               },
                           .stopping = &stopping,
                           .notice = [](const std::string&) {},
                           .retry = {2, 1ms, 1ms},
                           .channel = {.records = 16}};
  std::vector<std::unique_ptr<Stage>> stages;
  Delivered delivered;

  ~Line() {
    lifeline.halt();
    for (const auto& stage : stages) stage->join();
  }

  void add(Result<std::unique_ptr<Stage>> stage) { stages.push_back(must(std::move(stage))); }
  void add_sink(const ReduceOptions& options = {{.wait = 0ms}}, const Answer& answer = {}) {
    stages.push_back(make_sink_stage("sink", options, std::make_unique<KeepingSink>(delivered, answer), shared));
  }
  void start() {
    for (std::size_t i = 0; i < stages.size(); ++i)
      stages[i]->start(i + 1 < stages.size() ? &stages[i + 1]->inlet() : nullptr);
  }
  void push(std::vector<Message> messages) {
    std::vector<Item> items;
    for (Message& one : messages) items.push_back({std::move(one)});
    CHECK(stages.front()->inlet().push_all(items));
  }
  // Whether the barrier came through.
  bool flush(bool end = true) {
    const auto barrier = std::make_shared<Barrier>(Barrier::What{.is_end = end});
    stages.front()->inlet().push(barrier);
    return barrier->wait(5s);
  }
  std::set<std::int64_t> done(std::int32_t partition = 0) {
    const std::lock_guard lock(mutex);
    std::set<std::int64_t> offsets;
    for (const SourceRange& one : acknowledged) {
      for (std::int64_t at = one.first.value; one.partition.value == partition && at <= one.last.value; ++at)
        CHECK(offsets.insert(at).second);
    }
    return offsets;
  }
};

std::vector<Message> numbered(std::int64_t count) {
  std::vector<Message> all;
  for (std::int64_t i = 0; i < count; ++i) all.push_back(message(i, std::to_string(i)));
  return all;
}

// Sleeps a little, so that workers overtake each other.
Outcome after_a_while(const Message& one) {
  thread_local std::minstd_rand random(static_cast<unsigned>(std::hash<std::thread::id>{}(std::this_thread::get_id())));
  std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
  return changed(one, *one.value + "!");
}

std::vector<std::size_t> sizes(const Delivered& delivered) {
  std::vector<std::size_t> sizes;
  for (const auto& batch : delivered.batches()) sizes.push_back(batch.size());
  return sizes;
}

}  // namespace

TEST_CASE("several workers keep the order of what they are given, and each result with its record") {
  Line line;
  line.add(make_map_stage("m", {.workers = 7}, mapper(after_a_while), line.shared));
  line.add_sink();
  line.start();
  line.push(numbered(2000));
  REQUIRE(line.flush());
  const auto messages = line.delivered.messages();
  REQUIRE(messages.size() == 2000);
  for (std::int64_t i = 0; i < 2000; ++i) {
    CHECK(messages[static_cast<std::size_t>(i)].value == std::to_string(i) + "!");
    CHECK(messages[static_cast<std::size_t>(i)].sources == message(i, "").sources);
  }
  CHECK(line.done().size() == 2000);
  CHECK(line.delivered.closed == 1);
}

TEST_CASE("workers of partitions keep the order inside each, and a slow one holds nobody else up") {
  Line line;
  std::atomic<bool> open = false;
  line.add(make_map_stage("m", {.workers = 3, .per_partition = true}, mapper([&](const Message& one) {
                            while (one.sources[0].partition.value == 0 && !open) std::this_thread::sleep_for(1ms);
                            return after_a_while(one);
                          }),
                          line.shared));
  line.add_sink();
  line.start();
  std::vector<Message> all;
  line.push({message(0, "0", {}, 0)});
  for (std::int64_t i = 0; i < 200; ++i)
    for (const std::int32_t partition : {1, 2}) all.push_back(message(i, std::to_string(i), {}, partition));
  line.push(all);
  for (int waited = 0; line.delivered.messages().size() < 400 && waited < 5000; ++waited)
    std::this_thread::sleep_for(1ms);
  CHECK(line.delivered.messages().size() == 400);
  open = true;
  REQUIRE(line.flush());
  std::map<std::int32_t, std::int64_t> next;
  for (const Message& one : line.delivered.messages())
    CHECK(one.sources[0].first.value == next[one.sources[0].partition.value]++);
  CHECK(next == std::map<std::int32_t, std::int64_t>{{0, 1}, {1, 200}, {2, 200}});
}

TEST_CASE("what is left out or refused is done with; the refused are put aside as they were read") {
  Line line;
  line.add(make_map_stage("first", {}, mapper([](const Message& one) { return changed(one, "was " + *one.value); }),
                          line.shared));
  line.add(make_map_stage("second", {.workers = 2}, mapper([](const Message& one) -> Outcome {
                            if (*one.value == "was 3") return {Outcome::Kind::dropped};
                            if (*one.value == "was 5") return Outcome::refuse("odd");
                            return {};
                          }),
                          line.shared));
  line.add_sink();
  line.start();
  line.push(numbered(8));
  REQUIRE(line.flush());
  CHECK(line.delivered.values() == std::vector<std::string>{"was 0", "was 1", "was 2", "was 4", "was 6", "was 7"});
  CHECK(line.put_aside.values() == std::vector<std::string>{"5"});
  CHECK(line.done().size() == 8);
  CHECK(line.stages[1]->figures().refused == 1);
  CHECK(line.stages[1]->figures().dropped == 1);
}

TEST_CASE("a batch is sent when it is full, at once, and otherwise when its time has come") {
  Line line;
  line.add_sink({{.records = 10, .wait = 200ms}});
  line.start();
  const SteadyTime begun = std::chrono::steady_clock::now();
  line.push(numbered(35));
  while (line.delivered.batches().size() < 3 && std::chrono::steady_clock::now() - begun < 5s)
    std::this_thread::sleep_for(1ms);
  CHECK(std::chrono::steady_clock::now() - begun < 150ms);
  CHECK(sizes(line.delivered) == std::vector<std::size_t>{10, 10, 10});
  while (line.delivered.batches().size() < 4 && std::chrono::steady_clock::now() - begun < 5s)
    std::this_thread::sleep_for(1ms);
  CHECK(std::chrono::steady_clock::now() - begun >= 200ms);
  CHECK(sizes(line.delivered) == std::vector<std::size_t>{10, 10, 10, 5});
  REQUIRE(line.flush());
}

TEST_CASE("a batch holds no more bytes than it may, but one message always fits") {
  Line line;
  line.add_sink({{.bytes = 10, .wait = 10s}});
  line.start();
  line.push(
      {message(0, "aaaa"), message(1, "bbbb"), message(2, "cccc"), message(3, std::string(50, 'd')), message(4, "e")});
  REQUIRE(line.flush());
  CHECK(sizes(line.delivered) == std::vector<std::size_t>{2, 1, 1, 1});
}

TEST_CASE("by key, each has a batch of its own; null is a key, too, and not the empty one") {
  Line line;
  line.stages.push_back(
      make_reduce_stage("count", {{.records = 3, .wait = 10s}, GroupBy::key}, must(count_reducer()({})), line.shared));
  line.add_sink();
  line.start();
  line.push({message(0, "a", "x"), message(1, "b", "y"), message(2, "c", "x"), message(3, "d"), message(4, "e", ""),
             message(5, "f", "x"), message(6, "g", "x")});
  REQUIRE(line.flush());
  std::vector<std::string> found;
  for (const Message& one : line.delivered.messages()) found.push_back(one.key.value_or("(null)") + "=" + *one.value);
  CHECK(found == std::vector<std::string>{"x=3", "y=1", "(null)=1", "=1", "x=1"});
  CHECK(line.delivered.messages()[0].sources ==
        std::vector<SourceRange>{{"t", {0}, {0}, {0}}, {"t", {0}, {2}, {2}}, {"t", {0}, {5}, {5}}});
  CHECK(line.done().size() == 7);
}

TEST_CASE("by partition, what a batch is made from is one range of it") {
  Line line;
  line.stages.push_back(make_reduce_stage("lines", {{.records = 2, .wait = 10s}, GroupBy::partition},
                                          must(lines_reducer()({})), line.shared));
  line.add_sink();
  line.start();
  line.push({message(0, "a", {}, 0), message(7, "b", {}, 1), message(1, "c", {}, 0), message(8, "d", {}, 1)});
  REQUIRE(line.flush());
  const auto messages = line.delivered.messages();
  REQUIRE(messages.size() == 2);
  CHECK(messages[0].value == "a\nc\n");
  CHECK(messages[0].sources == std::vector<SourceRange>{{"t", {0}, {0}, {1}}});
  CHECK(messages[1].sources == std::vector<SourceRange>{{"t", {1}, {7}, {8}}});
  CHECK(messages[0].timestamp == TimestampMs{1001});
}

TEST_CASE("a sink in the middle passes on what it has delivered, but for what it refused") {
  Line line;
  Delivered middle;
  line.stages.push_back(make_sink_stage(
      "middle", {{.records = 4, .wait = 10s}},
      std::make_unique<KeepingSink>(
          middle, [](std::span<const Message>, auto&) -> Result<Delivery> { return Delivery{{{1, "no"}}}; }),
      line.shared));
  line.stages.push_back(
      make_reduce_stage("count", {{.records = 100, .wait = 10s}}, must(count_reducer()({})), line.shared));
  line.add_sink();
  line.start();
  line.push(numbered(8));
  REQUIRE(line.flush());
  CHECK(middle.messages().size() == 6);
  CHECK(line.delivered.values() == std::vector<std::string>{"6"});
  CHECK(line.put_aside.values() == std::vector<std::string>{"1", "5"});
  CHECK(line.done().size() == 8);
  CHECK(middle.closed == 1);
}

TEST_CASE("a stage that drops at shutdown acknowledges nothing of what it had collected") {
  Line line;
  line.add_sink({{.records = 10, .wait = 10s}, GroupBy::none, OnShutdown::drop});
  line.start();
  line.push(numbered(25));
  while (line.delivered.batches().size() < 2) std::this_thread::sleep_for(1ms);
  line.stopping = true;
  REQUIRE(line.flush());
  CHECK(line.delivered.messages().size() == 20);
  CHECK(line.done().size() == 20);
}

TEST_CASE("a barrier sends what is open and lets the stage go on") {
  Line line;
  line.add(make_map_stage("m", {.workers = 3}, mapper(after_a_while), line.shared));
  line.stages.push_back(
      make_reduce_stage("count", {{.records = 100, .wait = 10s}}, must(count_reducer()({})), line.shared));
  line.add_sink({{.records = 100, .wait = 10s}});
  line.start();
  line.push(numbered(30));
  REQUIRE(line.flush(false));
  CHECK(line.delivered.values() == std::vector<std::string>{"30"});
  CHECK(line.done().size() == 30);
  std::vector<Message> more;
  for (std::int64_t i = 30; i < 35; ++i) more.push_back(message(i, "x"));
  line.push(more);
  REQUIRE(line.flush(true));
  CHECK(line.delivered.values() == std::vector<std::string>{"30", "5"});
}

TEST_CASE("what fails for good in one stage ends all of them") {
  Line line;
  line.add(make_map_stage("m", {.workers = 2}, mapper(after_a_while), line.shared));
  line.add_sink({{.records = 5, .wait = 1ms}},
                [](auto, auto&) -> Result<Delivery> { return fail(Code::permission, "no"); });
  line.start();
  std::vector<Item> items;
  for (std::int64_t i = 0; i < 5000; ++i) items.push_back({message(i, "x")});
  CHECK_FALSE(line.stages.front()->inlet().push_all(items));
  for (const auto& stage : line.stages) stage->join();
  REQUIRE(line.lifeline.failure());
  CHECK(line.lifeline.failure()->code == Code::permission);
  CHECK(line.done().empty());
}

TEST_CASE("a stage whose programs cannot be started leaves nothing behind that is told of the end") {
  for (const bool per_partition : {false, true}) {
    Line line;
    int made = 0;
    const auto stage = make_map_stage(
        "m", {.workers = 3, .per_partition = per_partition},
        [&](const WorkSurroundings& surroundings) -> Result<std::unique_ptr<Mapper>> {
          if (++made == 2) return fail(Code::not_found, "no program");
          return mapper(after_a_while)(surroundings);
        },
        line.shared);
    REQUIRE(!stage);
    CHECK(stage.error().code == Code::not_found);
    line.lifeline.halt();
  }
}
