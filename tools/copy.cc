// leat copy: its flags, and the one call chain from one place to another.
#include "leat/backend/copy.h"

#include <fmt/format.h>

#include "tools/commands.h"
#include "tools/copy_place.h"
#include "tools/interrupt.h"
#include "tools/options.h"
#include "tools/progress.h"
#include "tools/several.h"

namespace leat::tools {
namespace {

// A waiting copy looks around this often at the latest.
constexpr Milliseconds kWait(1000);

const std::vector<Column> kColumns = {
    {"TOPIC", "topic"}, {"PARTITION", "partition"}, {"RECORDS", "records"}, {"FROM", "from"}, {"TO", "to"}};
const std::vector<Column> kConsumerColumns = {
    {"CONSUMER", "consumer"}, {"SOURCE OFFSET", "source_offset"}, {"OFFSET", "offset"}};

class CopyCommand final : public Command {
 public:
  void add_options(OptionSet& options) override {
    options
        .add_option("SRC", source_,
                    "where from: a data directory or kafka://HOST[:PORT]; a topic may follow behind a /")
        ->required();
    options
        .add_option("DST", destination_, "where to: a data directory, made if it is missing, or kafka://HOST[:PORT]")
        ->required();
    add_names(options, "TOPIC", topics_, "only these topics (default: all)");
    options.add_flag("-d,--disable-continuous", end_, "stop at the ends that are found instead of following");
    options.add_flag("--consumers", consumers_, "at the end, bring consumers to the same places at DST");
    options.add_flag("--merge", merge_, "topics at DST may hold other records, too");
    add_list_format(options, format_);
  }

  Result<void> run(Context& context) override {
    TRY(refuse_data_dir(context));
    const CopyPlace from = TRY(parse_copy_place(source_, looks_like_data_dir));
    const CopyPlace to = TRY(parse_copy_place(destination_, looks_like_data_dir));
    if (!to.topics.empty())
      return fail(Code::usage, fmt::format("DST: \"{}\" names topics, which keep their names", destination_));
    if (!from.topics.empty() && !topics_.empty())
      return fail(Code::usage, "topics are named behind SRC or at the end, not both");
    if (topics_.empty()) topics_ = from.topics;
    TRY(check_names("topic", topics_));

    // A cluster comes first: this process may have to hand over to another before it has done anything.
    std::unique_ptr<Backend> destination;
    if (to.is_kafka()) destination = TRY(context.open_backend_at(to.location));
    const auto source = TRY(context.open_backend_at(from.location));
    if (!destination) destination = TRY(context.open_backend_at(to.location, true));
    const auto copy = TRY(Copy::open(*source, *destination, {topics_, !end_, merge_, &stop_requested()}));
    const auto copied = copy_all(context, *copy);
    CopiedConsumers moved;
    Result<void> followed = {};
    if (consumers_ && copied) followed = copy_consumers(*copy, moved);
    TRY(print(*copy, moved));
    TRY(copied);
    return followed;
  }

 private:
  static Result<void> refuse_data_dir(const Context& context) {
    for (const SettingOrigin& setting : context.settings())
      if (setting.key == "data_dir" && setting.origin == "--data-dir")
        return fail(Code::usage, "--data-dir: copy takes its two places as SRC and DST");
    return {};
  }

  Result<void> copy_all(const Context& context, Copy& copy) const {
    const auto ahead = static_cast<std::uint64_t>(copy.offsets_ahead());
    const bool quiet = context.globals().quiet;
    Progress progress(ahead, progress_allowed() && !quiet, Progress::Unit::records);
    show_notices(copy, progress);
    for (;;) {
      const auto state = copy.step(kWait);
      show_notices(copy, progress);
      switch (TRY(state)) {
        case Fetch::State::records:
          progress.update(static_cast<std::uint64_t>(copy.records()), std::chrono::steady_clock::now());
          break;
        case Fetch::State::caught_up:
          progress.clear();
          break;
        case Fetch::State::ended:
        case Fetch::State::stopped:
          return {};
      }
    }
  }

  static void show_notices(Copy& copy, Progress& progress) {
    for (const std::string& notice : copy.take_notices()) {
      progress.clear();
      print_warning(notice);
    }
  }

  static Result<void> copy_consumers(Copy& copy, CopiedConsumers& moved) {
    moved = TRY(copy.copy_consumers());
    for (const CopiedConsumer& one : moved.stored) {
      print_note(fmt::format("consumer \"{}\" goes on at offset {} of partition {} of \"{}\" ({} at the source)",
                             one.consumer, one.next.value, one.partition.value, one.topic, one.at_source.value));
    }
    for (const std::string& sentence : moved.left) print_note(sentence);
    if (moved.failures.empty()) return {};
    for (const Error& error : moved.failures) print_error(error);
    const std::size_t count = moved.failures.size();
    return fail(Code::partial,
                fmt::format("{} consumer offset{} could not be brought over", count, count == 1 ? "" : "s"));
  }

  Result<void> print(const Copy& copy, const CopiedConsumers& moved) const {
    std::vector<Column> columns = kColumns;
    if (consumers_) columns.push_back({"", "consumers"});
    std::vector<std::vector<Cell>> rows;
    for (const CopiedPartition& one : copy.partitions()) {
      std::vector<Cell>& row =
          rows.emplace_back(std::vector<Cell>{cell(one.topic), cell(std::int64_t{one.partition.value}),
                                              cell(one.records), cell(one.from.value), cell(one.to.value)});
      if (!consumers_) continue;
      std::vector<std::vector<Cell>> consumers;
      for (const CopiedConsumer& moved_one : moved.stored) {
        if (moved_one.topic == one.topic && moved_one.partition == one.partition)
          consumers.push_back({cell(moved_one.consumer), cell(moved_one.at_source.value), cell(moved_one.next.value)});
      }
      row.push_back(array_cell(kConsumerColumns, consumers));
    }
    return print_rows(format_, columns, rows, "No topics found");
  }

  std::string source_;
  std::string destination_;
  std::vector<std::string> topics_;
  bool end_ = false;
  bool consumers_ = false;
  bool merge_ = false;
  ListFormat format_ = ListFormat::table;
};

}  // namespace

std::unique_ptr<Command> make_copy() {
  return std::make_unique<CopyCommand>();
}

}  // namespace leat::tools
