// `leat bench e2e`: how long it takes from sending a record until a process that follows the topic has it.
#include <fmt/format.h>

#include "tools/bench.h"
#include "tools/bench_command.h"
#include "tools/bench_load.h"
#include "tools/options.h"

namespace leat::tools {
namespace {

constexpr std::int64_t kFollowersMax = 256;
// How often a follower asks whether there is more to come.
constexpr Milliseconds kWait = std::chrono::milliseconds(50);

class BenchEndToEnd final : public Command {
 public:
  void add_options(OptionSet& options) override {
    flags_.add_common(options, "processes that produce at once (default: 1)");
    add_count(options, "--followers", followers_, "processes that follow the topic, each all of it (default: 1)", 1);
    flags_.add_pipeline(options);
    flags_.add_rate(options, "records a second, in all; the time of each begins when it was due");
    flags_.add_warmup(options);
  }

  Result<void> run(Context& context) override {
    const BenchSettings settings = TRY(flags_.settings(false));
    const std::int64_t followers_wanted = followers_.value_or(1);
    if (followers_wanted > kFollowersMax) {
      return fail(Code::usage, fmt::format("--followers: {} is not between 1 and {}", followers_wanted, kFollowersMax));
    }
    const auto producers = static_cast<std::size_t>(settings.clients);
    const auto followers = static_cast<std::size_t>(followers_wanted);
    const auto run = TRY(BenchRun::start(context, "e2e", producers + followers, [&](BenchClient& client) {
      return client.number() < producers ? produce(settings, client) : follow(settings, client);
    }));
    TRY(run->create_topic(settings.topic));
    run->set_phase(BenchPhase::topic_made);
    TRY(run->wait_for(ClientState::ready, 0, run->count()));
    run->set_phase(BenchPhase::running);
    TRY(wait_for_end(context, *run, settings));

    BenchReport report = TRY(begin_report(context, *run, "e2e", settings));
    TRY(run->finish());
    report_followers(*run, report);
    report.counts = {{"followers", followers_wanted}};
    report.sentence =
        fmt::format("{} of {} B by {} to {}, followed by {}", counted(report.records, "record"), settings.record_bytes,
                    counted(settings.clients, "process", "processes"), counted(settings.topic.partitions, "partition"),
                    counted(followers_wanted, "process", "processes"));
    return print_report(report, flags_.format());
  }

 private:
  static Result<void> produce(const BenchSettings& settings, BenchClient& client) {
    Backend& backend = *TRY(client.open());
    const auto producer = TRY(backend.open_producer(client.topic(), settings.producer_options()));
    BenchLoad load(settings, client, *producer, true);
    TRY(load.warm_up());
    TRY(client.wait_for_begin());
    return load.run();
  }

  // Reads the warm-up before it begins: what comes behind it counts.
  static Result<void> follow(const BenchSettings& settings, BenchClient& client) {
    Backend& backend = *TRY(client.open());
    ReadOptions options;
    options.topics = {{client.topic()}};
    options.start = {StartAt::Kind::beginning};
    options.stop = &client.board().stop;
    const auto reader = TRY(backend.open_reader(options));
    for (std::int64_t records = 0; records < settings.warmup;) records += std::ssize(TRY(next(*reader)).records);
    TRY(client.wait_for_begin());
    ClientReport& report = client.report();
    client.begin_measuring(client.board().begin_ns.load());
    for (;;) {
      const std::int64_t due = client.board().records_due.load(std::memory_order_acquire);
      if (due != 0 && report.records >= due) break;
      const Fetch fetch = TRY(next(*reader));
      const std::int64_t now = steady_ns();
      for (const RecordView& record : fetch.records) {
        report.latency.record(now - get_stamp(*record.value).sent_ns);
        report.bytes += std::ssize(*record.value);
        ++report.records;
      }
      // The last record is the end, whenever it is found out that it was the last.
      if (!fetch.records.empty()) report.ended_ns = now;
    }
    const std::int64_t ended_ns = report.ended_ns;
    client.end_measuring();
    report.ended_ns = ended_ns;
    return {};
  }

  static Result<Fetch> next(Reader& reader) {
    const Fetch fetch = TRY(reader.next(kWait));
    if (fetch.state == Fetch::State::stopped) return fail(Code::interrupted, "stopped");
    return fetch;
  }

  // The followers are told how many records there were once the producers are through.
  static Result<void> wait_for_end(const Context& context, BenchRun& run, const BenchSettings& settings) {
    const auto producers = static_cast<std::size_t>(settings.clients);
    BenchProgress progress(context, run, 0, producers, settings.records, settings.record_bytes);
    TRY(run.wait_for(ClientState::done, 0, producers, [&] { progress(); }));
    std::int64_t records = 0;
    for (const ClientReport& report : run.reports(0, producers)) records += report.records;
    if (records == 0) return fail(Code::usage, "--time-limit: it was over before the first record was due");
    run.board().records_due.store(records, std::memory_order_release);
    return run.wait_for(ClientState::done, producers, run.count() - producers, [&] { progress(); });
  }

  static void report_followers(const BenchRun& run, BenchReport& report) {
    const auto producers = static_cast<std::size_t>(report.settings.clients);
    add_up(report, run.reports(0, run.count()));
    // The clock runs until the last record is with every follower; each of them counts once.
    report.records = 0;
    report.bytes = 0;
    BenchLatency followed{"latency", "from sending a record until a follower has it"};
    BenchLatency acknowledged{"acknowledged", "from sending a record to its receipt"};
    acknowledged.draw = false;
    for (const ClientReport& client : run.reports(0, producers)) {
      report.records += client.records;
      report.bytes += client.bytes;
      acknowledged.histogram.merge(client.latency);
    }
    for (const ClientReport& client : run.reports(producers, run.count() - producers)) {
      followed.histogram.merge(client.latency);
    }
    report.latencies = {followed, acknowledged};
  }

  BenchFlags flags_{{.records = 10'000, .record_bytes_min = kStampBytes, .pipeline = 1, .warmup = 100}};
  std::optional<std::int64_t> followers_;
};

}  // namespace

std::unique_ptr<Command> make_bench_e2e() {
  return std::make_unique<BenchEndToEnd>();
}

}  // namespace leat::tools
