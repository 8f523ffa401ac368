// `leat bench produce`: how fast processes append, and how long a record waits for its receipt.
#include <fmt/format.h>

#include "tools/bench.h"
#include "tools/bench_command.h"
#include "tools/bench_load.h"

namespace leat::tools {
namespace {

class BenchProduce final : public Command {
 public:
  void add_options(OptionSet& options) override {
    flags_.add_common(options, "processes that produce at once (default: 1)");
    flags_.add_pipeline(options);
    flags_.add_rate(options, "records a second, in all; the time of each begins when it was due");
    flags_.add_warmup(options);
  }

  Result<void> run(Context& context) override {
    const BenchSettings settings = TRY(flags_.settings(false));
    const auto clients = static_cast<std::size_t>(settings.clients);
    const auto run = TRY(
        BenchRun::start(context, "produce", clients, [&](BenchClient& client) { return produce(settings, client); }));
    TRY(run->create_topic(settings.topic));
    run->set_phase(BenchPhase::topic_made);
    TRY(run->wait_for(ClientState::ready, 0, clients));
    run->set_phase(BenchPhase::running);
    {
      BenchProgress progress(context, *run, 0, clients, settings.records, settings.record_bytes);
      TRY(run->wait_for(ClientState::done, 0, clients, [&] { progress(); }));
    }
    BenchReport report = TRY(begin_report(context, *run, "produce", settings));
    TRY(run->finish());
    add_up(report, run->reports(0, clients));
    report.sentence =
        fmt::format("{} of {} B by {} to {}", counted(report.records, "record"), settings.record_bytes,
                    counted(settings.clients, "process", "processes"), counted(settings.topic.partitions, "partition"));
    BenchLatency latency{"latency", "from sending a record to its receipt"};
    for (const ClientReport& client : run->reports(0, clients)) latency.histogram.merge(client.latency);
    report.latencies.push_back(latency);
    return print_report(report, flags_.format());
  }

 private:
  static Result<void> produce(const BenchSettings& settings, BenchClient& client) {
    Backend& backend = *TRY(client.open());
    const auto producer = TRY(backend.open_producer(client.topic(), settings.producer_options()));
    BenchLoad load(settings, client, *producer, false);
    TRY(load.warm_up());
    TRY(client.wait_for_begin());
    return load.run();
  }

  BenchFlags flags_{{.records = 1'000'000}};
};

}  // namespace

std::unique_ptr<Command> make_bench_produce() {
  return std::make_unique<BenchProduce>();
}

}  // namespace leat::tools
