// In place of process_away.cc, in leat-net: a pipeline, what it says, its progress line and its metrics.
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <mutex>

#include "leat/pipe/network_sinks.h"
#include "leat/pipe/pipeline_file.h"
#include "leat/pipe/sinks.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/process.h"
#include "tools/process_graph.h"
#include "tools/process_metrics.h"
#include "tools/process_progress.h"
#include "tools/whole_file.h"

namespace leat::tools {
namespace {

constexpr std::size_t kFileBytesMax = 4 << 20;

std::vector<pipe::SinkKind> sink_kinds() {
  const auto local = pipe::local_sink_kinds();
  std::vector<pipe::SinkKind> kinds(local.begin(), local.end());
  const auto network = pipe::network_sink_kinds();
  kinds.insert(kinds.end(), network.begin(), network.end());
  return kinds;
}

// The end of each partition's log, and with it the lag behind it.
void add_lag(Backend& backend, const pipe::PipelinePlan& plan, pipe::PipelineReport& report) {
  for (const std::string& topic : plan.topics) {
    const auto partitions = backend.partitions(topic);
    if (!partitions) continue;
    for (ConsumerPartition& read : report.partitions) {
      const auto found = std::ranges::find(*partitions, read.partition, &PartitionInfo::partition);
      if (read.topic != topic || found == partitions->end()) continue;
      read.end = found->end;
      read.lag = std::max<std::int64_t>(*read.end - read.next.value_or(*read.end), 0);
    }
  }
}

// What a running pipeline says, from whichever of its threads.
class Voice {
 public:
  explicit Voice(const Globals& globals) : verbose_(globals.verbose), progress_(!globals.quiet) {}

  void warn(const std::string& sentence) {
    const std::lock_guard lock(mutex_);
    progress_.clear();
    print_warning(sentence);
  }
  void note(const std::string& sentence) {
    const std::lock_guard lock(mutex_);
    progress_.clear();
    print_note(sentence);
  }
  void event(const std::string& sentence) {
    if (verbose_) note(sentence);
  }
  void show(const pipe::Pipeline& pipeline) {
    const SteadyTime now = std::chrono::steady_clock::now();
    const std::lock_guard lock(mutex_);
    if (progress_.due(now)) progress_.update(pipeline.report(), now);
  }
  void end() {
    const std::lock_guard lock(mutex_);
    progress_.clear();
  }

 private:
  bool verbose_;
  std::mutex mutex_;
  ProcessProgress progress_;
};

Result<void> print_graph(const pipe::PipelinePlan& plan, GraphFormat format) {
  return out().write(format == GraphFormat::json ? graph_json(plan) : graph_text(plan));
}

Result<void> run_pipeline(const Context& context, const ProcessSettings& settings, const pipe::PipelinePlan& plan) {
  const std::string location = plan.location.empty() ? context.globals().data_dir : plan.location;
  const auto backend = TRY(context.open_backend_at(location));
  Voice voice(context.globals());
  pipe::Pipeline* running = nullptr;
  const pipe::PipelineSurroundings surroundings{
      .source = backend.get(),
      .source_location = location,
      .open_backend = [&context](const std::string& place) { return context.open_backend_at(place); },
      .notice = [&voice](const std::string& sentence) { voice.warn(sentence); },
      .event = [&voice](const std::string& sentence) { voice.event(sentence); },
      .tick = [&voice, &running] { voice.show(*running); },
      .follow = !settings.no_follow,
      .description = fmt::format("leat process {}", settings.path),
      .stop = &stop_requested()};
  const auto pipeline = TRY(pipe::Pipeline::open(plan, surroundings));
  running = pipeline.get();
  std::unique_ptr<MetricsServer> metrics;
  if (settings.metrics) {
    metrics = TRY(serve_metrics(*settings.metrics, [&] {
      auto report = pipeline->report();
      add_lag(*backend, plan, report);
      return metrics_text(report, plan.group);
    }));
    voice.note(fmt::format("metrics at {}/metrics", metrics->url()));
    if (!metrics->loopback()) voice.warn("other machines can reach the metrics, and anybody may read them");
  }
  auto ran = pipeline->run();
  voice.end();
  const pipe::PipelineReport report = pipeline->report();
  voice.event(fmt::format("{} records read, {} put aside, {} delivered by an earlier run, {} commits", report.read,
                          report.errors, report.skipped, report.commits));
  if (!ran && ran.error().code == Code::interrupted) voice.warn(ran.error().message);
  return ran;
}

}  // namespace

Result<void> process_pipeline(Context& context, const ProcessSettings& settings) {
  const std::string text = TRY(read_whole_file(settings.path, kFileBytesMax));
  const pipe::PipelinePlan plan = TRY(pipe::parse_pipeline(text, shown_path(settings.path), sink_kinds()));
  if (settings.check) return print_graph(plan, settings.format);
  auto ran = run_pipeline(context, settings, plan);
  // As everywhere, nobody is told that nobody listens.
  if (!ran && ran.error().code == Code::not_found && ran.error().message == pipe::kNobodyReads) die_by_signal(SIGPIPE);
  return ran;
}

}  // namespace leat::tools
