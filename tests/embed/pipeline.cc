// A program outside this tree that runs a pipeline of its own parts: readings of sensors are parsed in parallel, what
// is no number is refused, batches of one sensor become their mean, and a sink of the program's prints the means. The
// offsets of the readings are committed behind that: a second run has nothing left to do.
#include <leat/backend/backend.h>
#include <leat/pipe/pipeline.h>

#include <charconv>
#include <cstdio>
#include <map>
#include <optional>
#include <string>

namespace {

using namespace leat::pipe;

std::optional<double> number_in(std::string_view text) {
  double number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

// Lets numbers pass.
class Parser final : public Mapper {
 public:
  leat::Result<void> map(std::span<const Message> messages, std::vector<Outcome>& outcomes,
                         const std::atomic<bool>&) override {
    for (const Message& message : messages)
      outcomes.push_back(message.value && number_in(*message.value) ? Outcome{} : Outcome::refuse("not a number"));
    return {};
  }
};

// The mean of a batch, which holds readings of one sensor only.
class Mean final : public Reducer {
 public:
  leat::Result<Outcome> reduce(std::span<const Message> batch, const std::atomic<bool>&) override {
    double sum = 0;
    for (const Message& message : batch) sum += *number_in(*message.value);
    Outcome outcome{Outcome::Kind::changed};
    outcome.message.key = batch.front().key;
    outcome.message.value = std::to_string(sum / static_cast<double>(batch.size()));
    return outcome;
  }
};

// Keeps what it is given, by key.
class Keep final : public Sink {
 public:
  explicit Keep(std::multimap<std::string, std::string>& to) : to_(&to) {}

  leat::Result<Delivery> deliver(std::span<const Message> batch, const std::atomic<bool>&) override {
    for (const Message& message : batch) to_->emplace(message.key.value_or(""), message.value.value_or(""));
    return Delivery{};
  }

 private:
  std::multimap<std::string, std::string>* to_;
};

SinkPlan keep(std::string shown, std::multimap<std::string, std::string>& to) {
  return {std::move(shown),
          [&to](const SinkSurroundings&) -> leat::Result<std::unique_ptr<Sink>> { return std::make_unique<Keep>(to); }};
}

PipelinePlan plan_into(std::multimap<std::string, std::string>& means,
                       std::multimap<std::string, std::string>& refused) {
  PipelinePlan plan;
  plan.topics = {"readings"};
  plan.group = "means";
  plan.reset = {leat::StartAt::Kind::beginning};
  plan.stages.push_back({.kind = StagePlan::Kind::par_map,
                         .name = "parse",
                         .workers = 2,
                         .mapper = [](const WorkSurroundings&) -> leat::Result<std::unique_ptr<Mapper>> {
                           return std::make_unique<Parser>();
                         }});
  plan.stages.push_back({.kind = StagePlan::Kind::reduce,
                         .name = "mean",
                         .batches = {.limits = {.records = 100}, .group_by = GroupBy::key},
                         .reducer = [](const WorkSurroundings&) -> leat::Result<std::unique_ptr<Reducer>> {
                           return std::make_unique<Mean>();
                         }});
  plan.stages.push_back({.kind = StagePlan::Kind::sink, .name = "keep", .sink = keep("means", means)});
  plan.error = keep("refused readings", refused);
  return plan;
}

leat::Result<void> produce(leat::Backend& backend) {
  leat::TopicSettings settings;
  settings.partitions = 3;
  TRY(backend.create_topic("readings", settings));
  const auto producer = TRY(backend.open_producer("readings", {}));
  for (int number = 0; number < 300; ++number) {
    const std::string sensor = "sensor-" + std::to_string(number % 3), reading = std::to_string(number);
    TRY(producer->send({.key = sensor, .value = reading}));
  }
  TRY(producer->send({.key = "sensor-0", .value = "warm"}));
  return producer->flush();
}

leat::Result<void> process(leat::Backend& backend) {
  std::multimap<std::string, std::string> means, refused;
  const auto pipeline = TRY(Pipeline::open(plan_into(means, refused),
                                           {.source = &backend,
                                            .source_location = {},
                                            .notice = [](const std::string& sentence) { std::puts(sentence.c_str()); },
                                            .follow = false}));
  TRY(pipeline->run());
  const PipelineReport report = pipeline->report();
  std::printf("%d read, %d refused, %d open\n", static_cast<int>(report.read), static_cast<int>(report.errors),
              static_cast<int>(report.open));
  for (const auto& [sensor, mean] : means) std::printf("%s: %s\n", sensor.c_str(), mean.c_str());
  for (const auto& [sensor, value] : refused) std::printf("%s: \"%s\" refused\n", sensor.c_str(), value.c_str());
  return {};
}

leat::Result<void> run(const std::string& directory) {
  const auto backend = TRY(leat::open_backend(directory, {.create = true}));
  TRY(produce(*backend));
  TRY(process(*backend));
  return process(*backend);
}

}  // namespace

int main(int, char** argv) {
  const auto done = run(argv[1]);
  if (!done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
