#include "tools/bench_load.h"

#include <algorithm>

namespace leat::tools {

std::int64_t share_of_records(std::int64_t total, std::size_t number, std::int64_t clients) {
  return total / clients + (static_cast<std::int64_t>(number) < total % clients ? 1 : 0);
}

BenchLoad::BenchLoad(const BenchSettings& settings, BenchClient& client, Producer& producer, bool stamped)
    : settings_(settings),
      client_(client),
      producer_(producer),
      stamped_(stamped),
      payload_(settings.payload, settings.record_bytes),
      sent_ns_(static_cast<std::size_t>(settings.pipeline)) {}

Result<void> BenchLoad::warm_up() {
  const std::int64_t records = share_of_records(settings_.warmup, client_.number(), settings_.clients);
  for (std::int64_t i = 0; i < records; ++i) {
    if (client_.stopped()) return fail(Code::interrupted, "stopped");
    TRY(send(i, 0));
    if ((i + 1) % settings_.pipeline == 0) TRY(producer_.flush());
  }
  return producer_.flush();
}

Result<void> BenchLoad::run() {
  acknowledged_before_ = producer_.acknowledged();
  const std::int64_t records =
      settings_.records ? share_of_records(*settings_.records, client_.number(), settings_.clients) : INT64_MAX;
  const std::int64_t begin_ns = client_.board().begin_ns.load();
  const std::int64_t limit_ns =
      settings_.time_limit ? begin_ns + std::chrono::nanoseconds(*settings_.time_limit).count() : INT64_MAX;
  const SendSchedule schedule(begin_ns, settings_.rate.value_or(1), client_.number(), settings_.clients);

  client_.begin_measuring(begin_ns);
  for (std::int64_t i = 0; i < records; ++i) {
    if (sent_ - noted_ == settings_.pipeline) TRY(flush());
    std::int64_t sent_ns = steady_ns();
    if (settings_.rate && std::max(schedule.due_ns(i), sent_ns) < limit_ns) {
      if (schedule.due_ns(i) > sent_ns) TRY(wait_until_due(schedule.due_ns(i)));
      sent_ns = schedule.due_ns(i);
    } else if (settings_.rate || sent_ns >= limit_ns) {
      client_.report().out_of_time = true;
      break;
    }
    TRY(send_one(i, sent_ns));
  }
  TRY(flush());
  client_.end_measuring();
  client_.report().records = noted_;
  client_.report().bytes = noted_ * settings_.record_bytes;
  return {};
}

Result<void> BenchLoad::send_one(std::int64_t i, std::int64_t sent_ns) {
  sent_ns_[static_cast<std::size_t>(sent_ % settings_.pipeline)] = sent_ns;
  ++sent_;
  TRY(send(i, sent_ns));
  note_acknowledged();
  return {};
}

// Nothing waits for company while there is nothing else to do.
Result<void> BenchLoad::wait_until_due(std::int64_t due_ns) {
  if (sent_ != noted_) TRY(flush());
  return client_.sleep_until(due_ns);
}

Result<void> BenchLoad::send(std::int64_t number, std::int64_t stamp_ns) {
  const std::string_view value =
      payload_.value(number * settings_.clients + static_cast<std::int64_t>(client_.number()));
  if (!stamped_) return producer_.send({.value = value});
  value_.assign(value);
  put_stamp(value_, {stamp_ns, number});
  return producer_.send({.value = value_});
}

Result<void> BenchLoad::flush() {
  if (client_.stopped()) return fail(Code::interrupted, "stopped");
  if (sent_ == noted_) return {};
  TRY(producer_.flush());
  note_acknowledged();
  client_.report().progress.store(noted_, std::memory_order_relaxed);
  return {};
}

// Receipts come in the order of sending.
void BenchLoad::note_acknowledged() {
  const std::int64_t acknowledged = producer_.acknowledged() - acknowledged_before_;
  if (acknowledged == noted_) return;
  const std::int64_t now = steady_ns();
  for (; noted_ < acknowledged; ++noted_) {
    client_.report().latency.record(now - sent_ns_[static_cast<std::size_t>(noted_ % settings_.pipeline)]);
  }
}

}  // namespace leat::tools
