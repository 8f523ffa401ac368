// `leat inspect verify`: everything that is not as it should be in a data directory, or in a topic.
#include <fmt/format.h>

#include "leat/base/units.h"
#include "leat/group/verify_offsets.h"
#include "leat/log/verify.h"
#include "tools/commands.h"
#include "tools/interrupt.h"
#include "tools/local_directory.h"
#include "tools/options.h"
#include "tools/progress.h"

namespace leat::tools {
namespace {

class InspectVerify : public Command {
 public:
  void add_options(OptionSet& options) override {
    topic_option_ =
        options.add_option("TOPIC", topic_, "the topic (default: all, and what belongs to none)")->type_name("");
    add_partitions(options, partitions_, "only this partition (repeatable)");
    options.add_flag("--deep", deep_, "read every batch, record and index entry");
    add_list_format(options, format_);
  }

  Result<void> run(Context& context) override {
    if (topic_option_->count() != 0) TRY(check_name("topic", topic_));
    if (topic_.empty() && !partitions_.empty())
      return fail(Code::usage, "--partition needs the topic", "leat inspect verify --help");
    const DataDir data_dir = TRY(open_local_directory(context, "inspect"));
    const auto begun = std::chrono::steady_clock::now();
    const std::vector<std::string> topics =
        topic_.empty() ? TRY(data_dir.topic_names()) : std::vector<std::string>{topic_};

    std::uint64_t total = 0;
    if (deep_ && progress_allowed() && !context.globals().quiet) {
      for (const std::string& name : topics) total += static_cast<std::uint64_t>(log_bytes(data_dir, name));
    }
    Progress progress(total, total > 0);
    RowPrinter rows(format_, columns());
    Result<void> printed;
    Verification verification{.deep = deep_,
                              .report =
                                  [&](const Finding& finding) {
                                    progress.clear();
                                    if (printed) printed = print(finding, rows);
                                  },
                              .progress = [&](std::int64_t bytes) -> Result<void> {
                                if (stop_requested()) return fail(Code::interrupted, "stopped");
                                progress.update(static_cast<std::uint64_t>(bytes), std::chrono::steady_clock::now());
                                return {};
                              }};
    TRY(verify(verification, data_dir, topics));
    progress.clear();
    TRY(std::move(printed));
    TRY(rows.finish(deep_ ? "Nothing found" : "Nothing found; --deep reads every record"));
    TRY(out().flush());
    if (context.globals().verbose) print_counts(verification.counts, std::chrono::steady_clock::now() - begun);
    return verdict();
  }

 private:
  Result<void> verify(Verification& verification, const DataDir& data_dir, const std::vector<std::string>& topics) {
    if (topic_.empty()) TRY(verify_root(verification, data_dir));
    for (const std::string& name : topics) {
      auto verified = verify_topic(verification, data_dir, name, partitions_);
      // One of all that is deleted in the meantime is not missed.
      if (!verified && !(topic_.empty() && verified.error().code == Code::not_found)) return verified;
    }
    if (!partitions_.empty()) return {};
    return verify_offsets(verification, data_dir,
                          topic_.empty() ? std::nullopt : std::optional<std::string_view>(topic_));
  }

  // What a program wants to tell findings apart by, people see in the path.
  const std::vector<Column>& columns() const {
    static const std::vector<Column> for_people = {{"CLASS", ""}, {"PATH", ""},    {"BYTE", ""},   {"OFFSET", ""},
                                                   {"WHAT", ""},  {"MEANING", ""}, {"REPAIR", ""}, {"HINT", ""}};
    static const std::vector<Column> for_programs = {{"", "class"},  {"", "topic"},  {"", "partition"}, {"", "path"},
                                                     {"", "byte"},   {"", "offset"}, {"", "what"},      {"", "meaning"},
                                                     {"", "repair"}, {"", "hint"}};
    return format_ == ListFormat::json ? for_programs : for_people;
  }

  Result<void> print(const Finding& finding, RowPrinter& rows) {
    const bool is_damage = finding.level == Finding::Level::damage;
    const std::string hint = finding.repairable ? fmt::format("leat repair {}", finding.topic) : finding.hint;
    if (is_damage && damage_++ == 0) hint_ = hint;
    std::vector<Cell> row = {cell(is_damage ? "damage" : "note")};
    if (format_ == ListFormat::json) {
      row.push_back(finding.topic.empty() ? null_cell() : cell(finding.topic));
      row.push_back(finding.partition ? cell(std::int64_t{finding.partition->value}) : null_cell());
    }
    row.push_back(cell(finding.path));
    row.push_back(optional_cell(finding.byte));
    row.push_back(finding.offset ? cell(finding.offset->value) : null_cell());
    row.push_back(cell(finding.what));
    row.push_back(cell(finding.meaning));
    row.push_back({finding.repairable ? "yes" : "-", finding.repairable ? "true" : "false"});
    row.push_back(hint.empty() ? null_cell() : cell(hint));
    return rows.add(std::move(row));
  }

  static void print_counts(const VerifyCounts& counts, std::chrono::steady_clock::duration took) {
    const double seconds = std::max(0.001, std::chrono::duration<double>(took).count());
    const auto rate = static_cast<std::int64_t>(static_cast<double>(counts.bytes) / seconds);
    print_note(fmt::format("{} segments, {} batches, {} records, {} in {:.3f} s: {}/s", counts.segments, counts.batches,
                           counts.records, format_size_short(counts.bytes), seconds, format_size_short(rate)));
  }

  Result<void> verdict() const {
    if (damage_ == 0) return {};
    return fail(Code::damaged, damage_ == 1 ? "1 place is damaged" : fmt::format("{} places are damaged", damage_),
                hint_);
  }

  Option* topic_option_ = nullptr;
  std::string topic_;
  std::vector<PartitionId> partitions_;
  bool deep_ = false;
  ListFormat format_ = ListFormat::table;
  std::int64_t damage_ = 0;
  std::string hint_;  // of the first damage
};

}  // namespace

std::unique_ptr<Command> make_inspect_verify() {
  return std::make_unique<InspectVerify>();
}

}  // namespace leat::tools
