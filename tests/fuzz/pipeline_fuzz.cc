// Fuzzes pipeline files: any text gives a plan that is within its limits, or an error that names file, line and column
// (only what is not there at all has no place). What was taken is written anew from its keys and values, and is taken
// again as the same plan.
#include <fmt/format.h>

#include <map>
#include <set>

#include "leat/base/toml.h"
#include "leat/pipe/clickhouse_options.h"
#include "leat/pipe/http_options.h"
#include "leat/pipe/pipeline_file.h"
#include "tests/fuzz/fuzz.h"

namespace leat::fuzz {
namespace {

using namespace leat::pipe;

constexpr std::string_view kPath = "FILE";

// The keys alone: what they open needs the network.
Result<SinkPlan> plan_http(SettingsTable& table) {
  const HttpOptions options = TRY(parse_http_options(table));
  return SinkPlan{fmt::format("{} {} {}", options.method, options.shown_url, options.headers.size()), {}};
}

Result<SinkPlan> plan_clickhouse(SettingsTable& table) {
  const ClickhouseOptions options = TRY(parse_clickhouse_options(table));
  ASSERT(!clickhouse_table_name(options).empty());
  return SinkPlan{fmt::format("{} {} {}", options.url, clickhouse_table_name(options), options.settings.size()), {}};
}

std::span<const SinkKind> all_kinds() {
  static const std::vector<SinkKind> kinds = [] {
    const auto local = local_sink_kinds();
    std::vector<SinkKind> all(local.begin(), local.end());
    all.push_back({"http", plan_http});
    all.push_back({"clickhouse", plan_clickhouse});
    return all;
  }();
  return kinds;
}

void check_stage(const StagePlan& stage) {
  const bool maps = stage.kind < StagePlan::Kind::reduce;
  ASSERT(!stage.name.empty() && stage.name != "error");
  ASSERT(static_cast<bool>(stage.mapper) == maps);
  ASSERT(static_cast<bool>(stage.reducer) == (stage.kind == StagePlan::Kind::reduce));
  ASSERT(stage.sink.has_value() == (stage.kind == StagePlan::Kind::sink));
  ASSERT(stage.workers >= 1 && stage.batches.limits.records >= 1 && stage.batches.limits.bytes >= 1);
  ASSERT(stage.batches.limits.wait.count() >= 0);
}

std::string describe(const PipelinePlan& plan) {
  std::string text =
      fmt::format("{} {} [{}] {} {} {}/{} {} {} {} {} {} {} {}\n", plan.location, plan.group,
                  fmt::join(plan.topics, ","), static_cast<int>(plan.reset.kind), static_cast<int>(plan.isolation),
                  plan.queue.records, plan.queue.bytes, plan.error ? plan.error->shown : "-", plan.retry.retries,
                  plan.retry.backoff.count(), plan.retry.backoff_max.count(), static_cast<int>(plan.undeliverable),
                  plan.commit_every.count(), plan.shutdown_timeout.count());
  for (const PartitionId partition : plan.partitions) text += fmt::format("{} ", partition.value);
  for (const StagePlan& stage : plan.stages) {
    const BatchLimits& limits = stage.batches.limits;
    text += fmt::format("{} {} {} {} {}/{}/{} {} {} {}\n", static_cast<int>(stage.kind), stage.name, stage.shown,
                        stage.workers, limits.records, limits.bytes, limits.wait.count(),
                        static_cast<int>(stage.batches.group_by), static_cast<int>(stage.batches.on_shutdown),
                        stage.sink ? stage.sink->shown : "-");
  }
  return text;
}

// "FILE:LINE:COLUMN: ", with a line and a column that the text has; or "FILE: ", where something is missing.
void check_refusal(const Error& error, std::string_view text) {
  ASSERT(error.code == Code::configuration);
  std::string_view message = error.message;
  ASSERT(message.starts_with(kPath));
  message.remove_prefix(kPath.size());
  if (message.starts_with(": ")) {
    ASSERT(message.find("missing") != std::string_view::npos);
    return;
  }
  unsigned line = 0;
  unsigned column = 0;
  int length = 0;
  ASSERT(std::sscanf(std::string(message).c_str(), ":%u:%u: %n", &line, &column, &length) == 2 && length > 0);
  ASSERT(line >= 1 && column >= 1 && static_cast<std::size_t>(length) < message.size());
  ASSERT(line <= static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1 && column <= text.size() + 1);
}

std::string value_text(const TomlEntry& entry) {
  if (const auto* text = std::get_if<std::string>(&entry.value)) return toml_quote(*text);
  if (const auto* number = std::get_if<std::int64_t>(&entry.value)) return fmt::format("{}", *number);
  return std::get<bool>(entry.value) ? "true" : "false";
}

// One table's keys: arrays are put together again, and what is behind a dot belongs to a table inside.
std::string table_text(const std::vector<std::pair<std::string, const TomlEntry*>>& keys) {
  std::map<std::string, std::string> arrays;
  std::string text;
  for (const auto& [key, entry] : keys) {
    const std::size_t dot = key.find('.');
    const std::size_t bracket = key.find('[');
    if (bracket < dot) {
      arrays[key.substr(0, bracket)] += value_text(*entry) + ", ";
    } else if (dot != std::string::npos) {
      text += fmt::format("{}.{} = {}\n", toml_quote(key.substr(0, dot)), toml_quote(key.substr(dot + 1)),
                          value_text(*entry));
    } else {
      text += fmt::format("{} = {}\n", toml_quote(key), value_text(*entry));
    }
  }
  for (const auto& [key, values] : arrays) text += fmt::format("{} = [{}]\n", toml_quote(key), values);
  return text;
}

// The file written anew, its tables in another order; nullopt where a table is empty.
std::optional<std::string> written_anew(std::string_view text) {
  const auto entries = must(parse_toml(text, kPath, TomlArrays::flattened));
  std::map<std::string, std::vector<std::pair<std::string, const TomlEntry*>>> tables;
  std::size_t stages = 0;
  for (const TomlEntry& entry : entries) {
    if (std::holds_alternative<std::monostate>(entry.value)) return std::nullopt;
    const std::size_t dot = entry.key.find('.');
    ASSERT(dot != std::string::npos);
    const std::string table = entry.key.substr(0, dot);
    if (table.starts_with("stage[")) stages = std::max<std::size_t>(stages, std::stoul(table.substr(6)) + 1);
    tables[table].emplace_back(entry.key.substr(dot + 1), &entry);
  }
  std::string anew;
  for (const auto* name : {"commit", "error", "source"})
    if (const auto table = tables.find(name); table != tables.end())
      anew += fmt::format("[{}]\n{}", name, table_text(table->second));
  for (std::size_t i = 0; i < stages; ++i) anew += "[[stage]]\n" + table_text(tables.at(fmt::format("stage[{}]", i)));
  return anew;
}

void check_file(std::string_view text) {
  const auto plan = parse_pipeline(text, kPath, all_kinds());
  if (!plan) return check_refusal(plan.error(), text);
  ASSERT(!plan->topics.empty() && !plan->group.empty() && !plan->stages.empty());
  ASSERT(plan->stages.back().kind == StagePlan::Kind::sink);
  ASSERT(plan->commit_every.count() >= 0 && plan->shutdown_timeout.count() >= 0);
  std::set<std::string> names;
  for (const StagePlan& stage : plan->stages) {
    check_stage(stage);
    ASSERT(names.insert(stage.name).second);
  }
  const auto anew = written_anew(text);
  if (anew) ASSERT(describe(must(parse_pipeline(*anew, kPath, all_kinds()))) == describe(*plan));
}

void check(Source input) {
  const std::string source = "[source]\ntopics = [\"t\"]\ngroup = \"g\"\n";
  const std::string sink = "\n[[stage]]\nkind = \"sink\"\nsink = \"stdout\"\n";
  switch (input.byte() % 6) {
    case 0:
      return check_file(input.rest());
    case 1:
      return check_file(source + "[[stage]]\n" + std::string(input.rest()) + sink);
    case 2:
      return check_file(source + "[[stage]]\nkind = \"reduce\"\n" + std::string(input.rest()));
    case 3:
      return check_file(source + sink + "[error]\n" + std::string(input.rest()));
    case 4:
      return check_file(source + "[[stage]]\nkind = \"sink\"\nsink = \"http\"\nurl = \"http://h/\"\n" +
                        std::string(input.rest()));
    default:
      return check_file("[source]\n" + std::string(input.rest()) + sink);
  }
}

}  // namespace
}  // namespace leat::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leat::fuzz::check(leat::fuzz::Source(data, size));
  return 0;
}
