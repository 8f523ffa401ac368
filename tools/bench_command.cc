#include "tools/bench_command.h"

#include <fmt/format.h>

#include "tools/bench_payload.h"
#include "tools/interrupt.h"

namespace leat::tools {
namespace {

// So often a filled topic is made durable, so that a signal never waits long.
constexpr std::int64_t kFillBytesPerFlush = 8 << 20;

}  // namespace

std::string counted(std::int64_t count, std::string_view what, std::string_view many) {
  std::string number = std::to_string(count);
  for (std::ptrdiff_t at = std::ssize(number) - 3; at > 0; at -= 3) number.insert(static_cast<std::size_t>(at), 1, ',');
  if (count == 1) return fmt::format("{} {}", number, what);
  return many.empty() ? fmt::format("{} {}s", number, what) : fmt::format("{} {}", number, many);
}

BenchProgress::BenchProgress(const Context& context, const BenchRun& run, std::size_t first, std::size_t count,
                             std::optional<std::int64_t> records, std::int64_t record_bytes)
    : run_(run),
      first_(first),
      count_(count),
      record_bytes_(record_bytes),
      progress_(static_cast<std::uint64_t>(records.value_or(0) * record_bytes),
                progress_allowed() && !context.globals().quiet) {}

void BenchProgress::operator()() {
  std::int64_t records = 0;
  for (const ClientReport& report : run_.reports(first_, count_)) {
    records += report.progress.load(std::memory_order_relaxed);
  }
  progress_.update(static_cast<std::uint64_t>(records * record_bytes_), std::chrono::steady_clock::now());
}

Result<void> fill_topic(const Context& context, BenchRun& run, const BenchSettings& settings, std::int64_t records) {
  const auto producer = TRY(run.backend().open_producer(run.topic(), settings.producer_options()));
  const PayloadSource payload(settings.payload, settings.record_bytes);
  Progress progress(static_cast<std::uint64_t>(records * settings.record_bytes),
                    progress_allowed() && !context.globals().quiet);
  std::int64_t unflushed_bytes = 0;
  for (std::int64_t i = 0; i < records; ++i) {
    TRY(producer->send({.value = payload.value(i)}));
    unflushed_bytes += settings.record_bytes;
    if (unflushed_bytes < kFillBytesPerFlush) continue;
    if (stop_requested()) return fail(Code::interrupted, "stopped");
    TRY(producer->flush());
    unflushed_bytes = 0;
    progress.update(static_cast<std::uint64_t>((i + 1) * settings.record_bytes), std::chrono::steady_clock::now());
  }
  return producer->flush();
}

Result<BenchReport> begin_report(const Context& context, BenchRun& run, std::string_view benchmark,
                                 const BenchSettings& settings) {
  BenchReport report;
  report.benchmark = benchmark;
  report.place = TRY(bench_place(context));
  report.settings = settings;
  report.disk_bytes = TRY(run.disk_bytes());
  return report;
}

}  // namespace leat::tools
