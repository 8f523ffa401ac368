#include "leat/pipe/pipeline_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <thread>

#include "leat/base/units.h"
#include "leat/log/topic_settings.h"
#include "leat/pipe/builtin.h"
#include "leat/pipe/program.h"
#include "leat/pipe/sinks.h"

namespace leat::pipe {
namespace {

using Kind = StagePlan::Kind;

constexpr std::array<std::pair<std::string_view, Kind>, 5> kKinds = {{{"par_map", Kind::par_map},
                                                                      {"map", Kind::map},
                                                                      {"filter", Kind::filter},
                                                                      {"reduce", Kind::reduce},
                                                                      {"sink", Kind::sink}}};
constexpr std::array<std::pair<std::string_view, GroupBy>, 2> kGroups = {
    {{"key", GroupBy::key}, {"partition", GroupBy::partition}}};
constexpr std::array<std::pair<std::string_view, OnShutdown>, 2> kShutdowns = {
    {{"flush", OnShutdown::flush}, {"drop", OnShutdown::drop}}};
constexpr std::array<std::pair<std::string_view, Framing>, 3> kFramings = {
    {{"json", Framing::json}, {"lines", Framing::lines}, {"u32be", Framing::u32be}}};
constexpr std::array<std::pair<std::string_view, Missing>, 3> kMissing = {
    {{"error", Missing::refuse}, {"drop", Missing::drop}, {"null", Missing::null}}};
constexpr std::array<std::pair<std::string_view, bool>, 2> kTargets = {{{"value", false}, {"key", true}}};
constexpr std::array<std::pair<std::string_view, StartAt::Kind>, 2> kResets = {
    {{"earliest", StartAt::Kind::beginning}, {"latest", StartAt::Kind::end}}};
constexpr std::array<std::pair<std::string_view, Isolation>, 2> kIsolations = {
    {{"read_committed", Isolation::read_committed}, {"read_uncommitted", Isolation::read_uncommitted}}};
constexpr std::array<std::pair<std::string_view, Undeliverable>, 2> kUndeliverable = {
    {{"stop", Undeliverable::stop}, {"error", Undeliverable::error}}};

constexpr std::int64_t kWorkersMax = 1024;
constexpr std::int64_t kRecordsMax = 10'000'000;
constexpr std::int64_t kBytesMax = std::int64_t{1} << 30;

std::int64_t processors() {
  return std::max(1U, std::thread::hardware_concurrency());
}

// ---- [source], [commit], [error] ----

// "kafka://broker/ingest" is the topic ingest of kafka://broker.
Result<void> split_url(SettingsTable& table, PipelinePlan& plan, std::string& topic) {
  if (topic.find("://") == std::string::npos) return {};
  const std::size_t slash = topic.rfind('/');
  if (slash < topic.find("://") + 3)
    return table.refuse("topics", fmt::format("\"{}\" names no topic: expected URL/TOPIC", topic));
  const std::string location = topic.substr(0, slash);
  if (!plan.location.empty() && plan.location != location)
    return table.refuse("topics", fmt::format("one pipeline reads one place, not {} and {}", plan.location, location));
  plan.location = location;
  topic.erase(0, slash + 1);
  return {};
}

Result<void> read_topics(SettingsTable& table, PipelinePlan& plan) {
  plan.location = TRY(table.text_or("data_dir", ""));
  plan.topics = TRY(table.texts("topics"));
  if (plan.topics.empty()) return table.refuse_missing("topics");
  for (std::string& topic : plan.topics) {
    TRY(split_url(table, plan, topic));
    if (const auto valid = check_name("topic", topic); !valid) return table.refuse("topics", valid.error().message);
    if (std::ranges::count(plan.topics, topic) > 1)
      return table.refuse("topics", fmt::format("topic \"{}\" is given twice", topic));
  }
  return {};
}

Result<void> read_source(SettingsTable table, PipelinePlan& plan) {
  if (!table.exists()) return table.refuse_table("[source] is missing");
  TRY(read_topics(table, plan));
  for (const std::int64_t partition : TRY(table.counts("partitions", 0, kPartitionsMax - 1)))
    plan.partitions.push_back({static_cast<std::int32_t>(partition)});
  plan.group = TRY(table.text("group"));
  if (const auto valid = check_name("consumer", plan.group); !valid)
    return table.refuse("group", valid.error().message);
  plan.reset = {TRY(table.choice_or("reset", StartAt::Kind::end, kResets))};
  plan.isolation = TRY(table.choice_or("isolation", Isolation::read_committed, kIsolations));
  plan.queue.records = static_cast<std::size_t>(TRY(table.count_or("queue_records", 10'000, 1, kRecordsMax)));
  plan.queue.bytes = static_cast<std::size_t>(TRY(table.size_or("queue_bytes", 16 << 20, 1, kBytesMax)));
  return table.finish();
}

Result<void> read_commit(SettingsTable table, PipelinePlan& plan) {
  plan.commit_every = TRY(table.duration_or("every", plan.commit_every));
  plan.shutdown_timeout = TRY(table.duration_or("shutdown_timeout", plan.shutdown_timeout));
  return table.finish();
}

Result<SinkPlan> read_sink(SettingsTable& table, std::span<const SinkKind> kinds) {
  const std::string name = TRY(table.text("sink"));
  const auto kind = std::ranges::find(kinds, name, &SinkKind::name);
  if (kind != kinds.end()) return kind->plan(table);
  std::vector<std::string_view> names;
  for (const SinkKind& one : kinds) names.push_back(one.name);
  return table.refuse_word("sink", name, names);
}

Result<void> read_error(SettingsTable table, PipelinePlan& plan, std::span<const SinkKind> kinds) {
  plan.retry.retries = TRY(table.count_or("retries", plan.retry.retries, 0, 1'000'000));
  plan.retry.backoff = TRY(table.duration_or("backoff", plan.retry.backoff));
  plan.retry.backoff_max = TRY(table.duration_or("backoff_max", plan.retry.backoff_max));
  plan.undeliverable = TRY(table.choice_or("undeliverable", plan.undeliverable, kUndeliverable));
  if (table.has("sink")) plan.error = TRY(read_sink(table, kinds));
  if (!plan.error && plan.undeliverable == Undeliverable::error)
    return table.refuse("undeliverable", "\"error\" needs a sink in [error]");
  return table.finish();
}

// ---- [[stage]] ----

class StageReader {
 public:
  StageReader(SettingsTable& table, StagePlan& stage, std::span<const SinkKind> kinds)
      : table_(&table), stage_(&stage), kinds_(kinds) {}

  Result<void> read(std::size_t index) {
    if (!table_->has("kind")) return table_->refuse_missing("kind");
    stage_->kind = TRY(table_->choice_or("kind", Kind::map, kKinds));
    stage_->name = TRY(table_->text_or("name", fmt::format("{}-{}", index + 1, name_of(stage_->kind))));
    if (stage_->name.empty() || stage_->name == "error") return table_->refuse("name", "is not a name for a stage");
    if (stage_->kind == Kind::par_map && index > 0)
      return table_->refuse("kind", "a par_map is the first stage: behind it, records of all partitions come together");
    if (stage_->kind == Kind::reduce || stage_->kind == Kind::sink) {
      TRY(read_batches());
    } else {
      TRY(read_map());
    }
    return table_->finish();
  }

 private:
  Result<void> read_map() {
    const std::int64_t fallback = stage_->kind == Kind::par_map ? processors() : 1;
    stage_->workers = static_cast<std::size_t>(TRY(table_->count_or("concurrency", fallback, 1, kWorkersMax)));
    if (TRY(has_program())) {
      const ProgramOptions options = TRY(read_program());
      stage_->mapper = program_mapper(options);
      return {};
    }
    const bool filters = stage_->kind == Kind::filter;
    const std::string name = TRY(table_->text("builtin"));
    if (name == "template" && !filters) return read_template();
    if (name == "json_field") return filters ? read_json_filter() : read_json_field();
    constexpr std::array<std::string_view, 2> kMappers = {"json_field", "template"};
    return table_->refuse_word("builtin", name, std::span(kMappers).first(filters ? 1 : 2));
  }

  // Whether the stage is a program and not a built-in; it is one of them.
  Result<bool> has_program() {
    const bool program = table_->has("command");
    if (program && table_->has("builtin"))
      return table_->refuse("builtin", "a stage is a built-in or a command, not both");
    if (!program && !table_->has("builtin")) return table_->refuse_table("\"builtin\" or \"command\" is missing");
    return program;
  }

  Result<ProgramOptions> read_program() {
    ProgramOptions options;
    options.words = TRY(read_command(*table_, "command"));
    options.framing = TRY(table_->choice_or("framing", Framing::json, kFramings));
    options.timeout = TRY(table_->duration_or("timeout", options.timeout));
    if (options.timeout <= Milliseconds(0)) return table_->refuse("timeout", "must be longer than nothing");
    options.restarts.retries = TRY(table_->count_or("restarts", options.restarts.retries, 0, 1'000'000));
    options.filters = stage_->kind == Kind::filter;
    stage_->shown = fmt::format("command {}", fmt::join(options.words, " "));
    return options;
  }

  Result<void> read_template() {
    const std::string text = TRY(table_->text("template"));
    auto made = RecordTemplate::parse("template", text, false);
    if (!made) return table_->refuse("template", made.error().message, made.error().hint);
    stage_->mapper = template_mapper(*made);
    stage_->shown = fmt::format("template {}", text);
    return {};
  }

  Result<std::vector<std::string>> read_path() {
    const std::string field = TRY(table_->text("field"));
    std::vector<std::string> path(1);
    for (const char c : field) {
      if (c == '.') {
        path.emplace_back();
      } else {
        path.back() += c;
      }
    }
    if (std::ranges::any_of(path, &std::string::empty))
      return table_->refuse("field", fmt::format("\"{}\" is not a member's name, or several with dots between", field));
    stage_->shown = fmt::format("json_field {}", field);
    return path;
  }

  Result<void> read_json_field() {
    JsonFieldOptions options{.path = TRY(read_path())};
    options.to_key = TRY(table_->choice_or("to", false, kTargets));
    options.missing = TRY(table_->choice_or("missing", Missing::refuse, kMissing));
    if (options.to_key) stage_->shown += " to key";
    stage_->mapper = json_field_mapper(options);
    return {};
  }

  Result<void> read_json_filter() {
    JsonFilterOptions options{.path = TRY(read_path())};
    options.equals = TRY(table_->texts("equals"));
    const auto others = TRY(table_->texts("not_equals"));
    if (!options.equals.empty() && !others.empty())
      return table_->refuse("not_equals", "\"equals\" and \"not_equals\" exclude each other");
    if (!others.empty()) {
      options.equals = others;
      options.negated = true;
    }
    if (!options.equals.empty())
      stage_->shown += fmt::format(" {} {}", options.negated ? "not" : "=", fmt::join(options.equals, " | "));
    stage_->mapper = json_field_filter(options);
    return {};
  }

  Result<void> read_batches() {
    const bool has_sink = table_->has("sink");
    if (stage_->kind == Kind::sink && !has_sink) return table_->refuse_missing("sink");
    // What nobody collects is sent on as it comes.
    BatchLimits& limits = stage_->batches.limits;
    const Milliseconds wait = stage_->kind == Kind::sink ? Milliseconds(0) : limits.wait;
    limits.records = static_cast<std::size_t>(TRY(table_->count_or("max_records", 1000, 1, kRecordsMax)));
    limits.bytes = static_cast<std::size_t>(TRY(table_->size_or("max_bytes", 1 << 20, 1, kBytesMax)));
    limits.wait = TRY(table_->duration_or("max_wait", wait));
    stage_->batches.group_by = TRY(table_->choice_or("group_by", GroupBy::none, kGroups));
    stage_->batches.on_shutdown = TRY(table_->choice_or("on_shutdown", OnShutdown::flush, kShutdowns));
    if (has_sink) {
      stage_->kind = Kind::sink;
      if (table_->has("builtin")) return table_->refuse("builtin", "a stage has a sink or a built-in, not both");
      stage_->sink = TRY(read_sink(*table_, kinds_));
      stage_->shown = stage_->sink->shown;
      return {};
    }
    return read_reducer();
  }

  Result<void> read_reducer() {
    if (TRY(has_program())) {
      const ProgramOptions options = TRY(read_program());
      if (options.framing == Framing::lines)
        return table_->refuse("framing", "a batch is not a line: expected json or u32be");
      stage_->reducer = program_reducer(options);
      return {};
    }
    const std::string name = TRY(table_->text("builtin"));
    stage_->shown = name;
    if (name == "count") {
      stage_->reducer = count_reducer();
    } else if (name == "lines") {
      stage_->reducer = lines_reducer();
    } else {
      constexpr std::array<std::string_view, 2> kReducers = {"count", "lines"};
      return table_->refuse_word("builtin", name, kReducers);
    }
    return {};
  }

  SettingsTable* table_;
  StagePlan* stage_;
  std::span<const SinkKind> kinds_;
};

// ---- The whole ----

// The number in "stage[7].kind"; nullopt for any other key.
std::optional<std::size_t> stage_index(std::string_view key) {
  constexpr std::string_view kBegin = "stage[";
  std::size_t index = 0;
  if (!key.starts_with(kBegin)) return std::nullopt;
  const auto parsed = std::from_chars(key.data() + kBegin.size(), key.data() + key.size(), index);
  const bool closed = parsed.ec == std::errc() && parsed.ptr != key.data() + key.size() && *parsed.ptr == ']';
  return closed ? std::optional(index) : std::nullopt;
}

Result<void> read_stages(std::string_view path, std::span<const TomlEntry> entries, PipelinePlan& plan,
                         std::span<const SinkKind> kinds) {
  std::size_t count = 0;
  for (const TomlEntry& entry : entries)
    if (const auto index = stage_index(entry.key)) count = std::max(count, *index + 1);
  if (count == 0) return fail(Code::configuration, fmt::format("{}: [[stage]] is missing", path));
  for (std::size_t i = 0; i < count; ++i) {
    SettingsTable table(path, fmt::format("stage[{}]", i), entries);
    StagePlan stage;
    TRY(StageReader(table, stage, kinds).read(i));
    if (std::ranges::find(plan.stages, stage.name, &StagePlan::name) != plan.stages.end())
      return table.refuse("name", fmt::format("two stages are called \"{}\"", stage.name));
    if (i + 1 == count && stage.kind != Kind::sink)
      return table.refuse_table("the last stage must have a sink, or what it makes goes nowhere");
    plan.stages.push_back(std::move(stage));
  }
  return {};
}

Result<void> check_top(std::string_view path, std::span<const TomlEntry> entries) {
  constexpr std::array<std::string_view, 4> kTables = {"source", "stage", "error", "commit"};
  for (const TomlEntry& entry : entries) {
    const std::string_view name = std::string_view(entry.key).substr(0, entry.key.find_first_of(".["));
    const auto refuse = [&](std::string_view what, std::string hint = {}) {
      return fail(Code::configuration, fmt::format("{}:{}:{}: {}", path, entry.key_line, entry.key_column, what),
                  std::move(hint));
    };
    if (std::ranges::find(kTables, name) == kTables.end()) {
      const std::string_view near = nearest(name, kTables);
      return refuse(fmt::format("unknown key \"{}\"", name),
                    near.empty() ? std::string() : fmt::format("did you mean [{}]?", near));
    }
    const bool is_stage = name == "stage";
    if (is_stage ? !stage_index(entry.key) : entry.key.size() > name.size() && entry.key[name.size()] == '[')
      return refuse(fmt::format("expected {}", is_stage ? "[[stage]]" : fmt::format("[{}]", name)));
    if (entry.key == name && !std::holds_alternative<std::monostate>(entry.value))
      return refuse(fmt::format("expected a table [{}]", name));
  }
  return {};
}

}  // namespace

Result<PipelinePlan> parse_pipeline(std::string_view text, std::string_view path, std::span<const SinkKind> kinds) {
  const auto entries = TRY(parse_toml(text, path, TomlArrays::flattened));
  TRY(check_top(path, entries));
  PipelinePlan plan;
  TRY(read_source(SettingsTable(path, "source", entries), plan));
  TRY(read_stages(path, entries, plan, kinds));
  TRY(read_error(SettingsTable(path, "error", entries), plan, kinds));
  TRY(read_commit(SettingsTable(path, "commit", entries), plan));
  return plan;
}

std::string_view name_of(StagePlan::Kind kind) {
  return std::ranges::find(kKinds, kind, &std::pair<std::string_view, Kind>::second)->first;
}

std::string_view name_of(GroupBy by) {
  const auto found = std::ranges::find(kGroups, by, &std::pair<std::string_view, GroupBy>::second);
  return found == kGroups.end() ? "none" : found->first;
}

}  // namespace leat::pipe
