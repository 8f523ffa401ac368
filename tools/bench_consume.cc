// `leat bench consume`: how fast processes read what is there, and how long one call for records takes.
#include <fmt/format.h>

#include <algorithm>

#include "tools/bench.h"
#include "tools/bench_command.h"
#include "tools/bench_load.h"

namespace leat::tools {
namespace {

class BenchConsume final : public Command {
 public:
  void add_options(OptionSet& options) override {
    flags_.add_common(options, "processes that read all of the records, each for itself (default: 1)");
    flags_.add_rate(options, "records a second that each process reads at most");
    flags_.add_warmup(options);
  }

  Result<void> run(Context& context) override {
    const BenchSettings settings = TRY(flags_.settings(true));
    const auto clients = static_cast<std::size_t>(settings.clients);
    const auto run = TRY(
        BenchRun::start(context, "consume", clients, [&](BenchClient& client) { return consume(settings, client); }));
    TRY(run->create_topic(settings.topic));
    TRY(fill_topic(context, *run, settings, *settings.records));
    run->set_phase(BenchPhase::topic_made);
    TRY(run->wait_for(ClientState::ready, 0, clients));
    run->set_phase(BenchPhase::running);
    {
      BenchProgress progress(context, *run, 0, clients, *settings.records * settings.clients, settings.record_bytes);
      TRY(run->wait_for(ClientState::done, 0, clients, [&] { progress(); }));
    }
    BenchReport report = TRY(begin_report(context, *run, "consume", settings));
    TRY(run->finish());
    add_up(report, run->reports(0, clients));
    report.has_pipeline = false;
    report.rate_meaning = "so many at most in each process; a time begins when the call was due";
    report.sentence =
        fmt::format("{} of {} B by {} from {}", counted(report.records, "record"), settings.record_bytes,
                    counted(settings.clients, "process", "processes"), counted(settings.topic.partitions, "partition"));
    BenchLatency latency{"fetch", "one call that returns the records of a batch"};
    for (const ClientReport& client : run->reports(0, clients)) latency.histogram.merge(client.latency);
    report.latencies.push_back(latency);
    return print_report(report, flags_.format());
  }

 private:
  static Result<void> consume(const BenchSettings& settings, BenchClient& client) {
    Backend& backend = *TRY(client.open());
    ReadOptions options;
    options.topics = {{client.topic()}};
    options.start = {StartAt::Kind::beginning};
    options.follow = false;
    options.stop = &client.board().stop;
    TRY(warm_up(settings, *TRY(backend.open_reader(options))));
    const auto reader = TRY(backend.open_reader(options));
    TRY(client.wait_for_begin());
    return measure(settings, client, *reader);
  }

  // The first records, once before they count.
  static Result<void> warm_up(const BenchSettings& settings, Reader& reader) {
    for (std::int64_t records = 0; records < settings.warmup;) {
      const Fetch fetch = TRY(next(reader));
      if (fetch.state == Fetch::State::ended) break;
      records += std::ssize(fetch.records);
    }
    return {};
  }

  static Result<Fetch> next(Reader& reader) {
    const Fetch fetch = TRY(reader.next(Milliseconds(0)));
    if (fetch.state == Fetch::State::stopped) return fail(Code::interrupted, "stopped");
    return fetch;
  }

  static Result<void> measure(const BenchSettings& settings, BenchClient& client, Reader& reader) {
    ClientReport& report = client.report();
    const std::int64_t limit_ns =
        settings.time_limit ? client.board().begin_ns.load() + std::chrono::nanoseconds(*settings.time_limit).count()
                            : INT64_MAX;
    const SendSchedule schedule(client.board().begin_ns.load(), settings.rate.value_or(1), 0, 1);
    client.begin_measuring(client.board().begin_ns.load());
    for (std::int64_t before = steady_ns(); !report.out_of_time;) {
      if (settings.rate) {
        before = schedule.due_ns(report.records);
        report.out_of_time = before >= limit_ns && report.records < *settings.records;
        TRY(client.sleep_until(std::min(before, limit_ns)));
        if (report.out_of_time) break;
      }
      const Fetch fetch = TRY(next(reader));
      if (fetch.state == Fetch::State::ended) break;
      const std::int64_t fetched = steady_ns();
      report.latency.record(fetched - before);
      for (const RecordView& record : fetch.records) report.bytes += std::ssize(record.value.value_or(""));
      report.records += std::ssize(fetch.records);
      report.progress.store(report.records, std::memory_order_relaxed);
      report.out_of_time = fetched >= limit_ns;
      before = steady_ns();
    }
    client.end_measuring();
    return {};
  }

  BenchFlags flags_{{.records = 1'000'000}};
};

}  // namespace

std::unique_ptr<Command> make_bench_consume() {
  return std::make_unique<BenchConsume>();
}

}  // namespace leat::tools
