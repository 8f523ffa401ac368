// `leat bench groups`: how fast the members of a consumer group read together, and how long partitions are with nobody
// when a member is killed, leaves, or comes.
#include <fmt/format.h>

#include <algorithm>

#include "tools/bench.h"
#include "tools/bench_command.h"
#include "tools/bench_load.h"
#include "tools/bench_members.h"
#include "tools/bench_payload.h"
#include "tools/options.h"

namespace leat::tools {
namespace {

constexpr std::int64_t kRounds = 10;
constexpr std::int64_t kRoundsMax = 200;
// Nothing that is measured here should take longer; a benchmark that hangs says nothing.
constexpr Milliseconds kPatience = std::chrono::seconds(60);

// One run, seen from the first process.
class GroupsRun {
 public:
  GroupsRun(const Context& context, const BenchSettings& settings, BenchRun& run, MembersBoard& board)
      : context_(context),
        settings_(settings),
        run_(run),
        board_(board),
        keys_(keys_of_partitions(settings.topic.partitions)) {
    for (std::int64_t i = 0; i < settings.clients; ++i) living_.push_back(static_cast<std::size_t>(i));
    next_spare_ = living_.size();
  }

  // All members join, share out the partitions of an empty topic, and read the warm-up.
  Result<void> assemble() {
    for (const std::size_t i : living_) order_to_join(i);
    run_.give_orders();
    TRY(wait_for_balance());
    TRY(fill_topic(context_, run_, settings_, settings_.warmup));
    return run_.wait_until([&] { return records_read() >= settings_.warmup; });
  }

  // What they read together, from a moment on at which each holds its share and all records are there.
  Result<void> measure_reading(BenchReport& report) {
    TRY(order_all(MemberOrder::hold));
    TRY(fill_topic(context_, run_, settings_, *settings_.records));
    const std::int64_t begun_ns = steady_ns();
    const std::int64_t limit_ns = deadline_ns(begun_ns);
    run_.board().limit_ns.store(limit_ns);
    TRY(order_all(MemberOrder::read));
    {
      BenchProgress progress(context_, run_, 0, living_.size(), *settings_.records, settings_.record_bytes);
      TRY(run_.wait_until([&] { return records_read() >= *settings_.records || steady_ns() >= limit_ns; },
                          [&] { progress(); }));
    }
    TRY(order_all(MemberOrder::hold));
    run_.board().limit_ns.store(INT64_MAX);
    add_up(report, run_.reports(0, living_.size()));
    report.out_of_time = report.records < *settings_.records;
    std::int64_t last_ns = begun_ns;
    for (const std::size_t i : living_) last_ns = std::max(last_ns, board_.member(i).last_record_ns.load());
    report.seconds = static_cast<double>(last_ns - begun_ns) / 1e9;
    TRY(order_all(MemberOrder::read));
    // What is left would stand before the records that the rounds send.
    return run_.wait_until([&] { return records_read() >= *settings_.records; });
  }

  // In a round a member is killed and another comes, and a member leaves and comes again. How many rounds there were.
  Result<std::int64_t> measure_rounds(std::int64_t rounds) {
    producer_ = TRY(run_.backend().open_producer(run_.topic(), settings_.producer_options()));
    begin_load();
    const std::int64_t limit_ns = deadline_ns(steady_ns());
    std::int64_t done = 0;
    while (done < rounds && (done == 0 || steady_ns() < limit_ns)) {
      TRY(kill_one(static_cast<std::size_t>(done)));
      TRY(join(next_spare_++));
      const std::size_t leaving = TRY(leave_one(static_cast<std::size_t>(done)));
      TRY(join(leaving));
      ++done;
    }
    producer_.reset();
    return done;
  }

  std::vector<BenchLatency> latencies() const { return {takeover_, handover_, join_}; }

 private:
  std::int64_t deadline_ns(std::int64_t from_ns) const {
    return settings_.time_limit ? from_ns + std::chrono::nanoseconds(*settings_.time_limit).count() : INT64_MAX;
  }

  std::int64_t records_read() const {
    std::int64_t records = 0;
    for (const std::size_t i : living_) records += run_.report(i).progress.load(std::memory_order_acquire);
    return records;
  }

  void order_to_join(std::size_t i) {
    MemberBoard& member = board_.member(i);
    member.settled_ns.store(0);
    member.share.store(settings_.topic.partitions / std::ssize(living_));
    member.order.store(MemberOrder::read, std::memory_order_release);
  }

  // Returns when all have obeyed.
  Result<void> order_all(MemberOrder order) {
    for (const std::size_t i : living_) board_.member(i).order.store(order, std::memory_order_release);
    run_.give_orders();
    return run_.wait_until(
        [&] {
          return std::ranges::all_of(living_, [&](std::size_t i) {
            return board_.member(i).holding.load(std::memory_order_acquire) == (order == MemberOrder::hold);
          });
        },
        {}, kPatience, "waiting for the members");
  }

  // From now on the last process sends at the rate that was asked for.
  void begin_load() {
    run_.board().begin_ns.store(steady_ns());
    run_.board().records_due.store(1, std::memory_order_release);
    run_.give_orders();
  }

  std::vector<std::size_t> partitions_of(std::size_t member) {
    std::vector<std::size_t> owned;
    for (std::size_t p = 0; p < board_.partitions(); ++p) {
      if (board_.owned(member, p).load(std::memory_order_acquire)) owned.push_back(p);
    }
    return owned;
  }

  // Every partition has one owner, and no member more than one partition more than another.
  bool balanced() {
    const auto share = board_.partitions() / living_.size();
    std::vector<int> owners(board_.partitions());
    for (const std::size_t i : living_) {
      const std::vector<std::size_t> owned = partitions_of(i);
      if (owned.size() < share || owned.size() > share + 1) return false;
      for (const std::size_t p : owned) ++owners[p];
    }
    return std::ranges::all_of(owners, [](int count) { return count == 1; });
  }

  Result<void> wait_for_balance() {
    return run_.wait_until([this] { return balanced(); }, {}, kPatience, "sharing out the partitions");
  }

  Result<void> kill_one(std::size_t round) {
    const std::size_t victim = living_[round % living_.size()];
    const std::vector<std::size_t> lost = partitions_of(victim);
    const std::int64_t killed_ns = steady_ns();
    run_.kill_client(victim);
    for (const std::size_t p : lost) board_.owned(victim, p).store(false);
    std::erase(living_, victim);
    TRY(probe(lost, killed_ns, takeover_.histogram));
    return wait_for_balance();
  }

  Result<std::size_t> leave_one(std::size_t round) {
    const std::size_t leaving = living_[round % living_.size()];
    const std::vector<std::size_t> lost = partitions_of(leaving);
    MemberBoard& member = board_.member(leaving);
    member.order.store(MemberOrder::leave, std::memory_order_release);
    run_.give_orders();
    TRY(run_.wait_until([&] { return !member.joined.load(std::memory_order_acquire); }, {}, kPatience,
                        "the leaving of a member"));
    std::erase(living_, leaving);
    TRY(probe(lost, member.leave_begun_ns.load(), handover_.histogram));
    TRY(wait_for_balance());
    return leaving;
  }

  Result<void> join(std::size_t i) {
    living_.push_back(i);
    order_to_join(i);
    run_.give_orders();
    MemberBoard& member = board_.member(i);
    TRY(run_.wait_until([&] { return member.settled_ns.load(std::memory_order_acquire) != 0; }, {}, kPatience,
                        "the joining of a member"));
    join_.histogram.record(member.settled_ns.load() - member.join_begun_ns.load());
    return wait_for_balance();
  }

  // Sends a record to each of the partitions, and notes how long after `since_ns` another member had it.
  Result<void> probe(const std::vector<std::size_t>& partitions, std::int64_t since_ns, LatencyHistogram& histogram) {
    for (const std::size_t p : partitions) {
      PartitionBoard& asked = board_.partition(p);
      asked.arrived_ns.store(0);
      asked.probe.store(++probes_, std::memory_order_release);
      const std::string value = probe_value(probes_, static_cast<std::size_t>(settings_.record_bytes));
      TRY(producer_->send({.key = keys_[p], .value = value}));
    }
    TRY(producer_->flush());
    TRY(run_.wait_until(
        [&] {
          return std::ranges::all_of(partitions, [&](std::size_t p) {
            return board_.partition(p).arrived_ns.load(std::memory_order_acquire) != 0;
          });
        },
        {}, kPatience, "taking over the partitions of a member"));
    for (const std::size_t p : partitions) histogram.record(board_.partition(p).arrived_ns.load() - since_ns);
    return {};
  }

  const Context& context_;
  const BenchSettings& settings_;
  BenchRun& run_;
  MembersBoard& board_;
  std::vector<std::string> keys_;
  std::unique_ptr<Producer> producer_;
  std::vector<std::size_t> living_;
  std::size_t next_spare_ = 0;
  std::int64_t probes_ = 0;
  BenchLatency takeover_{"takeover",
                         "from the killing of a member until another one gets the next record of its partitions"};
  BenchLatency handover_{"handover",
                         "from the leaving of a member until another one gets the next record of its partitions"};
  BenchLatency join_{"join", "from the joining of a member until it has its share of the partitions"};
};

class BenchGroups final : public Command {
 public:
  void add_options(OptionSet& options) override {
    flags_.add_common(options, "members of the group, each a process (default: 4)");
    add_count(options, "--rounds", rounds_,
              "so often a member is killed and replaced, and one leaves and comes again (default: 10)", 1);
    flags_.add_rate(options, "records a second that come during the rounds (default: none)");
    flags_.add_warmup(options);
  }

  Result<void> run(Context& context) override {
    const BenchSettings settings = TRY(flags_.settings(true));
    const std::int64_t rounds = rounds_.value_or(kRounds);
    if (rounds > kRoundsMax) {
      return fail(Code::usage, fmt::format("--rounds: {} is not between 1 and {}", rounds, kRoundsMax));
    }
    if (settings.topic.partitions < settings.clients) {
      return fail(Code::usage, fmt::format("--partitions: {} for {} members leave some without any",
                                           counted(settings.topic.partitions, "partition"), settings.clients));
    }
    // Who is killed does not come again: another takes its place.
    const auto members = static_cast<std::size_t>(settings.clients + rounds);
    MembersBoard board(members, static_cast<std::size_t>(settings.topic.partitions));
    const std::size_t processes = members + (settings.rate ? 1 : 0);
    const auto run = TRY(BenchRun::start(context, "groups", processes, [&](BenchClient& client) {
      return client.number() < members ? live_as_member(client, board) : send_at_rate(settings, client);
    }));
    TRY(run->create_topic(settings.topic));
    run->set_phase(BenchPhase::topic_made);
    TRY(run->wait_for(ClientState::ready, 0, processes));
    run->set_phase(BenchPhase::running);

    BenchReport figures;
    GroupsRun groups(context, settings, *run, board);
    TRY(groups.assemble());
    TRY(groups.measure_reading(figures));
    const std::int64_t done = TRY(groups.measure_rounds(rounds));
    BenchReport report = TRY(begin_report(context, *run, "groups", settings));
    TRY(run->finish());
    complete(report, figures);
    report.counts = {{"rounds", done}};
    report.latencies = groups.latencies();
    report.sentence =
        fmt::format("{} of {} B read by {} from {}; then {}", counted(report.records, "record"), settings.record_bytes,
                    counted(settings.clients, "member"), counted(settings.topic.partitions, "partition"),
                    counted(done, "round of kill, join, leave, join", "rounds of kill, join, leave, join"));
    return print_report(report, flags_.format());
  }

 private:
  // The load of the rounds, until the end.
  static Result<void> send_at_rate(BenchSettings settings, BenchClient& client) {
    settings.clients = 1;
    settings.records.reset();
    settings.time_limit.reset();
    Backend& backend = *TRY(client.open());
    const auto producer = TRY(backend.open_producer(client.topic(), settings.producer_options()));
    BenchLoad load(settings, client, *producer, false);
    TRY(client.wait_for_begin());
    TRY(client.wait_until([&] { return client.board().records_due.load(std::memory_order_acquire) != 0; }));
    return load.run();
  }

  static void complete(BenchReport& report, const BenchReport& figures) {
    report.has_pipeline = false;
    report.rate_meaning = "so many come during the rounds";
    report.records = figures.records;
    report.bytes = figures.bytes;
    report.seconds = figures.seconds;
    report.out_of_time = figures.out_of_time;
    report.cpu_user_seconds = figures.cpu_user_seconds;
    report.cpu_system_seconds = figures.cpu_system_seconds;
    report.memory_peak_bytes = figures.memory_peak_bytes;
  }

  BenchFlags flags_{
      {.records = 1'000'000, .clients = 4, .clients_min = 2, .partitions = 8, .record_bytes_min = kStampBytes}};
  std::optional<std::int64_t> rounds_;
};

}  // namespace

std::unique_ptr<Command> make_bench_groups() {
  return std::make_unique<BenchGroups>();
}

}  // namespace leat::tools
