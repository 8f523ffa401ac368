// `leat repair`: mends what can be mended in the log of a topic, and says before what goes.
#include "leat/log/repair.h"

#include <fmt/format.h>

#include <limits>

#include "leat/group/verify_offsets.h"
#include "leat/log/file_names.h"
#include "leat/log/verify.h"
#include "tools/commands.h"
#include "tools/interrupt.h"
#include "tools/local_directory.h"
#include "tools/options.h"
#include "tools/progress.h"

namespace leat::tools {
namespace {

class Repair : public Command {
 public:
  void add_options(OptionSet& options) override {
    add_topic(options, name_);
    add_partitions(options, partitions_, "only this partition (repeatable)");
    options.add_flag("--execute", execute_, "do it; without this, only say what would be done");
    add_list_format(options, format_);
  }

  Result<void> run(Context& context) override {
    TRY(check_name("topic", name_));
    const DataDir data_dir = TRY(open_local_directory(context, "repair"));
    bool falsely_deleted = false;
    std::vector<PartitionRepair> repairs = TRY(plan(data_dir, context, falsely_deleted));
    TRY(name_what_stays(data_dir));
    if (execute_ && !falsely_deleted) complete_indexes(data_dir, repairs);
    if (!execute_ || (!falsely_deleted && count_steps(repairs) == 0)) {
      TRY(print(data_dir, repairs, falsely_deleted));
      if (count_steps(repairs) > 0 || falsely_deleted) print_note("nothing was changed; --execute does it");
      return {};
    }
    TRY(context.confirm(question(repairs)));
    if (falsely_deleted) TRY(drop_false_state(data_dir, name_));
    auto executed = execute(data_dir, repairs);
    TRY(print(data_dir, repairs, falsely_deleted));
    return executed;
  }

 private:
  Result<std::vector<PartitionRepair>> plan(const DataDir& data_dir, const Context& context,
                                            bool& falsely_deleted) const {
    const Topic topic = TRY(Topic::open(data_dir, name_, Topic::Access::read));
    falsely_deleted = is_falsely_deleted(topic);
    std::vector<PartitionId> ids = partitions_;
    for (PartitionId id{0}; partitions_.empty() && id.value < topic.settings().partitions; id += 1) ids.push_back(id);
    const bool shows = progress_allowed() && !context.globals().quiet;
    Progress progress(shows ? static_cast<std::uint64_t>(log_bytes(data_dir, name_)) : 0, shows);
    std::vector<PartitionRepair> repairs;
    std::int64_t bytes_before = 0;
    std::int64_t bytes_now = 0;
    for (const PartitionId id : ids) {
      const PartitionSurvey survey = TRY(survey_partition(topic, id, [&](std::int64_t bytes) -> Result<void> {
        if (stop_requested()) return fail(Code::interrupted, "stopped");
        bytes_now = bytes_before + bytes;
        progress.update(static_cast<std::uint64_t>(bytes_now), std::chrono::steady_clock::now());
        return {};
      }));
      bytes_before = bytes_now;
      repairs.push_back(TRY(plan_repair(survey)));
    }
    return repairs;
  }

  // Lost entries cost time, no record: they are made again without being listed, or asked about. What goes wrong here
  // comes out when the log itself is repaired.
  void complete_indexes(const DataDir& data_dir, const std::vector<PartitionRepair>& repairs) const {
    auto topic = Topic::open(data_dir, name_, Topic::Access::write);
    for (std::size_t i = 0; topic && i < repairs.size(); ++i) {
      auto partition = Partition::open(*topic, repairs[i].id);
      if (partition) partition->index_closed_segments(std::numeric_limits<std::size_t>::max());
    }
  }

  // Leaves in `repairs` what was done.
  Result<void> execute(const DataDir& data_dir, std::vector<PartitionRepair>& repairs) const {
    Topic topic = TRY(Topic::open(data_dir, name_, Topic::Access::write));
    for (auto repair = repairs.begin(); repair != repairs.end(); ++repair) {
      if (repair->steps.empty()) continue;
      Partition partition = TRY(Partition::open(topic, repair->id));
      auto repaired = repair_partition(partition, *repair);
      for (const std::string& notice : partition.take_notices()) print_warning(notice);
      if (repaired) continue;
      repairs.erase(repair, repairs.end());
      return repaired;
    }
    return {};
  }

  // What consumers have stored is theirs to set anew.
  Result<void> name_what_stays(const DataDir& data_dir) const {
    Verification verification{.report = [](const Finding& finding) {
      if (finding.level != Finding::Level::damage) return;
      print_warning(fmt::format("{}: damaged at byte {}: {}; {}", finding.path, finding.byte.value_or(0), finding.what,
                                finding.meaning));
      print_note("hint: " + finding.hint);
    }};
    return verify_offsets(verification, data_dir, name_);
  }

  static std::size_t count_steps(const std::vector<PartitionRepair>& repairs) {
    std::size_t steps = 0;
    for (const PartitionRepair& repair : repairs) steps += repair.steps.size();
    return steps;
  }

  std::string question(const std::vector<PartitionRepair>& repairs) const {
    std::int64_t lost = 0;
    for (const PartitionRepair& repair : repairs) {
      for (const RepairStep& step : repair.steps) lost += step.end - step.first;
    }
    if (lost == 0) return fmt::format("repair topic \"{}\", which loses no record?", name_);
    return fmt::format("repair topic \"{}\" and give up {} offset{} that cannot be read?", name_, lost,
                       lost == 1 ? "" : "s");
  }

  static std::string_view action_text(RepairStep::Action action) {
    switch (action) {
      case RepairStep::Action::fill:
        return "replace";
      case RepairStep::Action::cut:
        return "cut";
      case RepairStep::Action::restore:
        return "restore";
      case RepairStep::Action::bridge:
        return "new segment";
      case RepairStep::Action::start:
        return "store start";
      case RepairStep::Action::unmark:
        return "remove";
    }
    return "";
  }

  Result<void> print(const DataDir& data_dir, const std::vector<PartitionRepair>& repairs, bool falsely_deleted) const {
    static const std::vector<Column> columns = {
        {"PARTITION", "partition"}, {"ACTION", "action"}, {"PATH", "path"},
        {"BYTE", "byte"},           {"BYTES", "bytes"},   {"FIRST LOST", "first_lost"},
        {"LAST LOST", "last_lost"}, {"FILLER", "filler"}, {"KEPT", "kept"},
        {"KEPT IN", "kept_in"},     {"WHY", "why"}};
    RowPrinter rows(format_, columns);
    if (falsely_deleted) {
      TRY(rows.add(row({.action = RepairStep::Action::unmark,
                        .path = TRY(data_dir.open_topic(name_)).path_of(kStateFile),
                        .why = "it says that the topic was deleted, which is not so"})));
    }
    for (const PartitionRepair& repair : repairs) {
      for (const RepairStep& step : repair.steps) TRY(rows.add(row(step)));
    }
    TRY(rows.finish("Nothing to repair"));
    return out().flush();
  }

  static std::vector<Cell> row(const RepairStep& step) {
    const auto yes_or_no = [](bool yes) { return Cell{yes ? "yes" : "no", yes ? "true" : "false"}; };
    const bool has_bytes = step.to > step.from;
    const bool loses = step.end > step.first;
    const bool fills = step.action == RepairStep::Action::fill || step.action == RepairStep::Action::bridge;
    return {step.partition ? cell(std::int64_t{step.partition->value}) : null_cell(),
            cell(action_text(step.action)),
            cell(step.path),
            fills || has_bytes ? cell(step.from) : null_cell(),
            cell(step.to - step.from),
            loses ? cell(step.first.value) : null_cell(),
            loses ? cell(step.end.value - 1) : null_cell(),
            yes_or_no(fills),
            yes_or_no(has_bytes),
            step.kept_in.empty() ? null_cell() : cell(step.kept_in),
            cell(step.why)};
  }

  std::string name_;
  std::vector<PartitionId> partitions_;
  bool execute_ = false;
  ListFormat format_ = ListFormat::table;
};

}  // namespace

std::unique_ptr<Command> make_repair() {
  return std::make_unique<Repair>();
}

}  // namespace leat::tools
