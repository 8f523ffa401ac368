#include "tools/process_metrics.h"

#include "leat/pipe/pipeline_file.h"
#include "tools/prometheus.h"

namespace leat::tools {
namespace {

using pipe::StageReport;

// Messages that have come to the stage and are not through it.
std::int64_t behind(const StageReport& stage) {
  const bool reduces = stage.kind == pipe::StagePlan::Kind::reduce;
  const std::int64_t done = reduces ? stage.batch_records : stage.out + stage.dropped + stage.refused;
  return stage.queued + std::max<std::int64_t>(stage.in - done, 0);
}

}  // namespace

std::string metrics_text(const pipe::PipelineReport& report, std::string_view group) {
  PrometheusText text;
  const Label of_group{"group", group};
  const auto one = [&](std::string_view name, std::string_view type, std::string_view help, std::int64_t value) {
    text.family(name, type, help);
    text.sample({of_group}, value);
  };
  const auto each = [&](std::string_view name, std::string_view type, std::string_view help, const auto& value) {
    text.family(name, type, help);
    for (const StageReport& stage : report.stages)
      text.sample({of_group, {"stage", stage.name}, {"kind", pipe::name_of(stage.kind)}}, value(stage));
  };
  one("leat_process_records_read_total", "counter", "Records read.", report.read);
  one("leat_process_records_skipped_total", "counter", "Records that an earlier run had delivered.", report.skipped);
  one("leat_process_records_open", "gauge", "Records read that are not done with.", report.open);
  one("leat_process_errors_total", "counter", "Records that the error stage has.", report.errors);
  one("leat_process_commits_total", "counter", "Commits of offsets.", report.commits);
  each("leat_process_stage_in_total", "counter", "Messages taken.", [](const auto& s) { return s.in; });
  each("leat_process_stage_out_total", "counter", "Messages passed on or delivered.",
       [](const auto& s) { return s.out; });
  each("leat_process_stage_dropped_total", "counter", "Messages left out.", [](const auto& s) { return s.dropped; });
  each("leat_process_stage_refused_total", "counter", "Messages refused.", [](const auto& s) { return s.refused; });
  each("leat_process_stage_retries_total", "counter", "Deliveries tried again.",
       [](const auto& s) { return s.retries; });
  each("leat_process_stage_restarts_total", "counter", "Programs started again.",
       [](const auto& s) { return s.restarts; });
  each("leat_process_stage_batches_total", "counter", "Batches sent.", [](const auto& s) { return s.batches; });
  each("leat_process_stage_batch_records_total", "counter", "Messages in these batches.",
       [](const auto& s) { return s.batch_records; });
  each("leat_process_stage_queued", "gauge", "Messages that wait before the stage.",
       [](const auto& s) { return s.queued; });
  each("leat_process_stage_behind", "gauge", "Messages that wait before the stage or are in it.", behind);
  text.family("leat_process_source_lag", "gauge", "Records of a partition that are not done with, read or not.");
  for (const ConsumerPartition& partition : report.partitions) {
    if (!partition.lag) continue;
    const std::string id = std::to_string(partition.partition.value);
    text.sample({of_group, {"topic", partition.topic}, {"partition", id}}, *partition.lag);
  }
  return text.text();
}

}  // namespace leat::tools
