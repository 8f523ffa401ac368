// `leat topic add-partition|set|trim`: changes to a topic that exists.
#include <fmt/format.h>

#include <algorithm>

#include "leat/base/units.h"
#include "tools/commands.h"
#include "tools/options.h"
#include "tools/topic_rows.h"

namespace leat::tools {
namespace {

class TopicAddPartition : public Command {
 public:
  void add_options(OptionSet& options) override {
    add_topic(options, name_);
    add_count(options, "-c,--count", count_, "how many to add (default: 1)", 1);
  }

  Result<void> run(Context& context) override {
    TRY(check_name("topic", name_));
    const std::int64_t count = count_.value_or(1);
    if (count > kPartitionsMax) {
      return fail(Code::usage, fmt::format("--count: a topic has at most {} partitions", kPartitionsMax));
    }
    const auto backend = TRY(context.open_backend());
    TRY(backend->add_partitions(name_, static_cast<std::int32_t>(count)));
    const TopicInfo info = TRY(backend->describe_topic(name_));
    TRY(out().write(fmt::format("topic \"{}\" has {} partitions now\n", name_, info.settings.partitions)));
    print_warning(
        fmt::format("keys of topic \"{}\" map to other partitions from now on: records of a key written before stay "
                    "where they are",
                    name_));
    return {};
  }

 private:
  std::string name_;
  std::optional<std::int64_t> count_;
};

class TopicSet : public Command {
 public:
  void add_options(OptionSet& options) override {
    add_topic(options, name_);
    options.add_option("SETTING", changes_, "KEY=VALUE, like retention-time=7d or retention-records=none")
        ->required()
        ->type_name("");
    add_list_format(options, format_);
  }

  Result<void> run(Context& context) override {
    TRY(check_name("topic", name_));
    std::vector<std::pair<std::string, std::string>> pairs;
    TopicSettings trial;
    for (const std::string& change : changes_) {
      const std::size_t equals = change.find('=');
      if (equals == std::string::npos) {
        return fail(Code::usage, fmt::format("\"{}\" is not KEY=VALUE", change), "leat topic set --help");
      }
      pairs.emplace_back(change.substr(0, equals), change.substr(equals + 1));
      TRY(set_setting(trial, pairs.back().first, pairs.back().second));  // bad values before anything is opened
    }
    const auto backend = TRY(context.open_backend());
    TopicSettings before;
    const TopicSettings after = TRY(backend->set_topic(name_, [&](TopicSettings& settings) -> Result<void> {
      before = settings;
      for (const auto& [key, value] : pairs) TRY(set_setting(settings, key, value));
      return {};
    }));
    return print_changes(list_settings(before), list_settings(after), pairs);
  }

 private:
  using Texts = std::vector<std::pair<std::string_view, std::string>>;

  Result<void> print_changes(const Texts& before, const Texts& after,
                             const std::vector<std::pair<std::string, std::string>>& pairs) const {
    std::vector<std::vector<Cell>> rows;
    for (std::size_t i = 0; i < after.size(); ++i) {
      const bool named =
          std::any_of(pairs.begin(), pairs.end(), [&](const auto& pair) { return pair.first == after[i].first; });
      if (named) rows.push_back({cell(after[i].first), cell(before[i].second), cell(after[i].second)});
    }
    return print_rows(format_, {{"SETTING", "setting"}, {"PRIOR", "prior"}, {"NEW", "new"}}, rows, "");
  }

  std::string name_;
  std::vector<std::string> changes_;
  ListFormat format_ = ListFormat::table;
};

class TopicTrim : public Command {
 public:
  void add_options(OptionSet& options) override {
    add_topic(options, name_);
    auto* before = add_parsed(options, "--before", target_,
                              "remove records before this offset, or before this time (an epoch time as @1732150000)",
                              "OFFSET|TIME",
                              [](std::string_view name, const std::string& text) { return parse_before(name, text); });
    add_parsed(options, "--keep", target_, "keep the last N records of each partition", "N",
               [](std::string_view name, const std::string& text) -> Result<TrimTarget> {
                 return TrimTarget{TrimTarget::Kind::keep_records, TRY(parse_not_negative(name, text))};
               })
        ->excludes(before);
    add_partitions(options, partitions_, "only this partition (repeatable)");
    options.add_flag("-d,--dry-run", dry_run_, "only say what would be done");
    add_list_format(options, format_);
  }

  Result<void> run(Context& context) override {
    TRY(check_name("topic", name_));
    if (!target_) return fail(Code::usage, "one of --before and --keep is needed", "leat topic trim --help");
    const auto backend = TRY(context.open_backend());
    const auto plan = TRY(backend->trim_topic(name_, *target_, partitions_, false));
    const std::int64_t removed = count_removed(plan);
    TRY(name_losers(*backend, plan));
    if (!dry_run_ && removed > 0) {
      TRY(context.confirm(
          fmt::format("remove {} {} from topic \"{}\"?", removed, removed == 1 ? "record" : "records", name_)));
      return print(TRY(backend->trim_topic(name_, *target_, partitions_, true)));
    }
    return print(plan);
  }

 private:
  static Result<std::int64_t> parse_not_negative(std::string_view name, const std::string& text) {
    const std::int64_t number = TRY(parse_count(name, text));
    if (number < 0) return fail(Code::usage, fmt::format("{}: must not be negative", name));
    return number;
  }

  static Result<TrimTarget> parse_before(std::string_view name, const std::string& text) {
    const OffsetOrTime place = TRY(parse_offset_or_time(name, text));
    if (const auto* offset = std::get_if<Offset>(&place)) {
      return TrimTarget{TrimTarget::Kind::before_offset, offset->value};
    }
    return TrimTarget{TrimTarget::Kind::before_time, std::get<TimestampMs>(place).value};
  }

  static std::int64_t count_removed(const std::vector<TrimResult>& plan) {
    std::int64_t removed = 0;
    for (const TrimResult& trim : plan) removed += trim.new_start - trim.prior_start;
    return removed;
  }

  // Says which consumers have not read everything that goes.
  Result<void> name_losers(Backend& backend, const std::vector<TrimResult>& plan) const {
    ConsumerOffsets consumers = TRY(backend.consumer_offsets(false));
    keep_those_on(name_, consumers);
    for (const UnreadableOffsets& unreadable : consumers.unreadable)
      print_warning(
          fmt::format("what consumer \"{}\" has read is not known: {}", unreadable.consumer, unreadable.error.message));
    for (const ConsumerOffset& offset : consumers.offsets) {
      for (const TrimResult& trim : plan) {
        if (trim.partition != offset.partition || offset.next >= trim.new_start) continue;
        const std::int64_t unread = trim.new_start - std::max(offset.next, trim.prior_start);
        if (unread <= 0) continue;
        print_warning(fmt::format("consumer \"{}\" {} {} unread {} of partition {}", offset.consumer,
                                  dry_run_ ? "would lose" : "loses", unread, unread == 1 ? "record" : "records",
                                  trim.partition.value));
      }
    }
    return {};
  }

  Result<void> print(const std::vector<TrimResult>& trims) const {
    std::vector<std::vector<Cell>> rows;
    rows.reserve(trims.size());
    for (const TrimResult& trim : trims) {
      rows.push_back(
          {cell(std::int64_t{trim.partition.value}), cell(trim.prior_start.value), cell(trim.new_start.value)});
    }
    return print_rows(format_, {{"PARTITION", "partition"}, {"PRIOR-START", "prior_start"}, {"NEW-START", "new_start"}},
                      rows, "No partitions found");
  }

  std::string name_;
  std::optional<TrimTarget> target_;
  std::vector<PartitionId> partitions_;
  bool dry_run_ = false;
  ListFormat format_ = ListFormat::table;
};

}  // namespace

std::unique_ptr<Command> make_topic_add_partition() {
  return std::make_unique<TopicAddPartition>();
}

std::unique_ptr<Command> make_topic_set() {
  return std::make_unique<TopicSet>();
}

std::unique_ptr<Command> make_topic_trim() {
  return std::make_unique<TopicTrim>();
}

}  // namespace leat::tools
