#include "tools/bench_members.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/log/partitioner.h"
#include "tools/bench_payload.h"

namespace leat::tools {
namespace {

// A member that has its share waits for records this long before it looks at its orders again; one that waits for its
// share looks more often, as that is what is measured.
constexpr Milliseconds kWait = std::chrono::milliseconds(5);
constexpr Milliseconds kWaitForShare = std::chrono::milliseconds(1);
// While records come, what is owned is told this often.
constexpr std::int64_t kTellEveryNs = 1'000'000;
// In no record of words or numbers: it would have to be sent nearly three centuries after boot.
constexpr std::int64_t kProbeMark = -0x70726F6265;

class Member {
 public:
  Member(BenchClient& client, MembersBoard& board)
      : client_(client), board_(board), own_(board.member(client.number())) {}

  Result<void> live() {
    Backend& backend = *TRY(client_.open());
    TRY(client_.wait_for_begin());
    for (;;) {
      TRY(client_.wait_until([this] { return own_.order.load(std::memory_order_acquire) == MemberOrder::read; }));
      TRY(join(backend));
      while (own_.order.load(std::memory_order_acquire) != MemberOrder::leave) {
        TRY(own_.order.load(std::memory_order_acquire) == MemberOrder::hold ? hold() : read());
      }
      TRY(leave());
    }
  }

 private:
  Result<void> join(Backend& backend) {
    GroupOptions options;
    options.read.topics = {{client_.topic()}};
    options.read.start = {StartAt::Kind::beginning};
    options.read.stop = &client_.board().stop;
    options.description = "leat bench groups";
    own_.settled_ns.store(0);
    own_.join_begun_ns.store(steady_ns());
    group_ = TRY(backend.join_group(client_.topic(), options));
    own_.joined.store(true, std::memory_order_release);
    tell_partitions(steady_ns());
    return {};
  }

  Result<void> read() {
    if (steady_ns() >= client_.board().limit_ns.load(std::memory_order_relaxed)) {
      return client_.wait_until([this] { return own_.order.load(std::memory_order_acquire) != MemberOrder::read; });
    }
    const bool settled = own_.settled_ns.load(std::memory_order_relaxed) != 0;
    const Fetch fetch = TRY(group_->next(settled ? kWait : kWaitForShare));
    if (fetch.state == Fetch::State::stopped) return fail(Code::interrupted, "stopped");
    const std::int64_t now = steady_ns();
    if (!fetch.records.empty()) take(fetch, now);
    if (fetch.records.empty() || !settled || now - told_ns_ > kTellEveryNs) tell_partitions(now);
    return {};
  }

  void take(const Fetch& fetch, std::int64_t now) {
    ClientReport& report = client_.report();
    std::int64_t records = 0;
    for (const RecordView& record : fetch.records) {
      const std::string_view value = record.value.value_or("");
      if (const std::int64_t number = probe_number(value); number != 0) {
        take_probe(record.partition, number, now);
      } else {
        report.bytes += std::ssize(value);
        ++records;
      }
    }
    if (records == 0) return;
    report.records += records;
    own_.last_record_ns.store(now, std::memory_order_relaxed);
    report.progress.store(report.records, std::memory_order_release);
  }

  // Those of earlier rounds come again where nothing was committed behind them.
  void take_probe(PartitionId partition, std::int64_t number, std::int64_t now) {
    PartitionBoard& asked = board_.partition(static_cast<std::size_t>(partition.value));
    if (asked.probe.load(std::memory_order_acquire) != number) return;
    std::int64_t not_yet = 0;
    if (asked.arrived_ns.compare_exchange_strong(not_yet, now)) client_.tell_news();
  }

  void tell_partitions(std::int64_t now) {
    told_ns_ = now;
    const std::vector<Position> positions = group_->positions();
    bool changed = false;
    for (std::size_t p = 0; p < board_.partitions(); ++p) {
      const bool owned = std::ranges::any_of(positions, [&](const Position& position) {
        return position.partition.value == static_cast<std::int32_t>(p);
      });
      changed |= board_.owned(client_.number(), p).exchange(owned, std::memory_order_acq_rel) != owned;
    }
    if (own_.settled_ns.load(std::memory_order_relaxed) == 0 && std::ssize(positions) >= own_.share.load()) {
      own_.settled_ns.store(now, std::memory_order_release);
      changed = true;
    }
    if (changed) client_.tell_news();
  }

  // Processor time is that of reading, from the order to read until the next one to hold.
  Result<void> hold() {
    ClientReport& report = client_.report();
    if (report.begun_ns == 0) {
      report.records = report.bytes = 0;  // that was the warm-up
      report.progress.store(0);
    } else if (report.ended_ns == 0) {
      client_.end_measuring();
    }
    // Nobody is to read this again in the place of a member that is killed.
    TRY(group_->commit(group_->positions()));
    own_.holding.store(true, std::memory_order_release);
    client_.tell_news();
    TRY(client_.wait_until([this] { return own_.order.load(std::memory_order_acquire) != MemberOrder::hold; }));
    own_.holding.store(false, std::memory_order_release);
    if (report.begun_ns == 0) client_.begin_measuring(steady_ns());
    return {};
  }

  Result<void> leave() {
    own_.leave_begun_ns.store(steady_ns());
    TRY(group_->leave());
    group_.reset();
    for (std::size_t p = 0; p < board_.partitions(); ++p) board_.owned(client_.number(), p).store(false);
    own_.joined.store(false, std::memory_order_release);
    client_.tell_news();
    return {};
  }

  BenchClient& client_;
  MembersBoard& board_;
  MemberBoard& own_;
  std::unique_ptr<GroupReader> group_;
  std::int64_t told_ns_ = 0;
};

}  // namespace

Result<void> live_as_member(BenchClient& client, MembersBoard& board) {
  return Member(client, board).live();
}

std::string probe_value(std::int64_t number, std::size_t bytes) {
  std::string value(bytes, '.');
  put_stamp(value, {kProbeMark, number});
  return value;
}

std::int64_t probe_number(std::string_view value) {
  if (value.size() < kStampBytes) return 0;
  const Stamp stamp = get_stamp(value);
  return stamp.sent_ns == kProbeMark ? stamp.number : 0;
}

std::vector<std::string> keys_of_partitions(std::int32_t partitions) {
  std::vector<std::string> keys(static_cast<std::size_t>(partitions));
  std::size_t left = keys.size();
  for (std::int64_t i = 0; left > 0; ++i) {
    std::string key = std::to_string(i);
    const PartitionId partition = partition_for_key(std::as_bytes(std::span(key)), partitions);
    std::string& place = keys[static_cast<std::size_t>(partition.value)];
    if (!place.empty()) continue;
    place = std::move(key);
    --left;
  }
  return keys;
}

}  // namespace leat::tools
