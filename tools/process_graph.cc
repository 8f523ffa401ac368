#include "tools/process_graph.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/base/units.h"
#include "leat/pipe/pipeline_file.h"
#include "tools/output.h"

namespace leat::tools {
namespace {

using pipe::StagePlan;

bool has_batches(const StagePlan& stage) {
  return stage.kind == StagePlan::Kind::reduce || stage.kind == StagePlan::Kind::sink;
}

std::string source_text(const pipe::PipelinePlan& plan) {
  const char* const reset = plan.reset.kind == StartAt::Kind::beginning ? "earliest" : "latest";
  std::string text = fmt::format("{}", fmt::join(plan.topics, ", "));
  if (!plan.location.empty()) text += fmt::format(" of {}", plan.location);
  if (!plan.partitions.empty()) {
    text += ", partitions";
    for (const PartitionId partition : plan.partitions) text += fmt::format(" {}", partition.value);
  }
  return text + fmt::format(", group {}, from {}", plan.group, reset);
}

std::string batches_text(const StagePlan& stage) {
  const pipe::BatchLimits& limits = stage.batches.limits;
  std::string text =
      fmt::format("batches of {} records or {}", limits.records, format_size(static_cast<std::int64_t>(limits.bytes)));
  text +=
      limits.wait > Milliseconds(0) ? fmt::format(", or after {}", format_duration(limits.wait)) : ", or what there is";
  if (stage.batches.group_by != pipe::GroupBy::none)
    text += fmt::format(", by {}", pipe::name_of(stage.batches.group_by));
  if (stage.batches.on_shutdown == pipe::OnShutdown::drop) text += ", dropped at shutdown";
  return text;
}

std::string work_text(const StagePlan& stage) {
  if (has_batches(stage)) return batches_text(stage);
  const std::string workers = fmt::format("{} worker{}", stage.workers, stage.workers == 1 ? "" : "s");
  return stage.kind == StagePlan::Kind::par_map ? workers + ", in order in each partition" : workers + ", in order";
}

Cell count_cell(bool has, std::size_t count) {
  return has ? cell(static_cast<std::int64_t>(count)) : null_cell();
}

}  // namespace

std::string graph_text(const pipe::PipelinePlan& plan) {
  std::size_t width = std::string_view("source").size();
  for (const StagePlan& stage : plan.stages) width = std::max(width, stage.name.size());
  const auto line = [&](std::string_view name, std::string_view what) {
    return fmt::format("  {:<{}}  {}\n", name, width, escape_controls(what));
  };
  std::string text = line("source", source_text(plan));
  for (const StagePlan& stage : plan.stages) {
    text += line("|", "");
    text.replace(text.rfind('|') + 1, std::string::npos, "\n");
    text += line(stage.name, fmt::format("{}: {}", pipe::name_of(stage.kind), stage.shown));
    text += line("", work_text(stage));
  }
  text +=
      "\n" + line("error", plan.error ? plan.error->shown : std::string("nowhere: a record that is refused ends it"));
  return text;
}

std::string graph_json(const pipe::PipelinePlan& plan) {
  const std::vector<Column> columns = {{"", "name"},        {"", "kind"},        {"", "does"},
                                       {"", "concurrency"}, {"", "max_records"}, {"", "max_bytes"},
                                       {"", "max_wait_ms"}, {"", "group_by"},    {"", "on_shutdown"}};
  std::vector<std::vector<Cell>> rows;
  const auto plain = [&](std::string_view name, std::string_view kind, const Cell& does) {
    rows.push_back({cell(name), cell(kind), does});
    while (rows.back().size() < columns.size()) rows.back().push_back(null_cell());
  };
  plain("source", "source", cell(source_text(plan)));
  for (const StagePlan& stage : plan.stages) {
    const bool batches = has_batches(stage);
    const bool drops = stage.batches.on_shutdown == pipe::OnShutdown::drop;
    rows.push_back(
        {cell(stage.name), cell(pipe::name_of(stage.kind)), cell(stage.shown), count_cell(!batches, stage.workers),
         count_cell(batches, stage.batches.limits.records), count_cell(batches, stage.batches.limits.bytes),
         batches ? cell(stage.batches.limits.wait.count()) : null_cell(),
         batches && stage.batches.group_by != pipe::GroupBy::none ? cell(pipe::name_of(stage.batches.group_by))
                                                                  : null_cell(),
         batches ? cell(drops ? "drop" : "flush") : null_cell()});
  }
  plain("error", "error", plan.error ? cell(plan.error->shown) : null_cell());
  std::string json = "[";
  for (const auto& row : rows) json += (json.size() > 1 ? ",\n " : "") + json_object(columns, row);
  return json + "]\n";
}

}  // namespace leat::tools
