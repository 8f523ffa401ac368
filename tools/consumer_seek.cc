// `leat consumer seek`: where a consumer goes on reading.
#include <fmt/format.h>

#include <algorithm>

#include "leat/base/units.h"
#include "leat/log/topic_settings.h"
#include "tools/commands.h"
#include "tools/offsets_file.h"
#include "tools/options.h"

namespace leat::tools {
namespace {

class ConsumerSeek : public Command {
 public:
  void add_options(OptionSet& options) override {
    add_name(options, name_, "name of the consumer");
    auto* to = add_parsed(options, "--to", target_,
                          "the next record to read: an offset, so many on or back, or the first of a time (an epoch "
                          "time as @1732150000)",
                          "start|end|N|+N|-N|TIME",
                          [](std::string_view name, const std::string& text) { return parse_target(name, text); });
    auto* file = add_text(options, "--to-file", file_,
                          "lines TOPIC PARTITION OFFSET, as consume --offsets-out writes them", "FILE")
                     ->excludes(to);
    add_text(options, "-t,--topic", topic_, "only on this topic; makes the consumer where there is none", "TOPIC")
        ->excludes(file);
    add_partitions(options, partitions_, "only this partition of the topic (repeatable)")->excludes(file);
    options.add_flag("-d,--dry-run", dry_run_, "only say what would be done");
    add_list_format(options, format_);
  }

  Result<void> run(Context& context) override {
    TRY(check_name("consumer", name_));
    if (topic_) TRY(check_name("topic", *topic_));
    if (!target_ && !file_) {
      return fail(Code::usage, "one of --to and --to-file is needed", "leat consumer seek --help");
    }
    if (!partitions_.empty() && !topic_) {
      return fail(Code::usage, "--partition needs --topic", "leat consumer seek --help");
    }
    const std::vector<SeekRequest> requests = TRY(make_requests());
    const auto backend = TRY(context.open_backend());
    // Who names the partitions may mean a consumer that has read nothing yet.
    const bool create = topic_ || file_;
    const auto plan = TRY(backend->seek_consumer(name_, requests, create, false));
    if (dry_run_ || std::none_of(plan.begin(), plan.end(), moves)) return print(plan);
    TRY(context.confirm(question(plan)));
    return print(TRY(backend->seek_consumer(name_, requests, create, true)));
  }

 private:
  static bool moves(const SeekResult& seek) { return seek.prior != seek.next; }

  // "5" is an offset, "+5" and "-5" are distances; "-5m" is a time.
  static Result<SeekTarget> parse_target(std::string_view name, const std::string& text) {
    using Kind = SeekTarget::Kind;
    if (text == "start") return SeekTarget{Kind::start};
    if (text == "end") return SeekTarget{Kind::end};
    const bool sign = text.starts_with('+') || text.starts_with('-');
    if (sign && text.size() > 1 && text.find_first_not_of("0123456789", 1) == std::string::npos) {
      const std::int64_t distance = TRY(parse_count(name, std::string_view(text).substr(1)));
      return SeekTarget{Kind::shift, text.front() == '-' ? -distance : distance};
    }
    const OffsetOrTime place = TRY(parse_offset_or_time(name, text, "start, end, +10, -10, "));
    if (const auto* offset = std::get_if<Offset>(&place)) return SeekTarget{Kind::offset, offset->value};
    return SeekTarget{Kind::time, std::get<TimestampMs>(place).value};
  }

  Result<std::vector<SeekRequest>> make_requests() const {
    std::vector<SeekRequest> requests;
    if (!file_) {
      requests.push_back({topic_, partitions_, *target_});
      return requests;
    }
    for (OffsetsLine& line : TRY(read_offsets_file(*file_))) {
      requests.push_back({std::move(line.topic), {line.partition}, {SeekTarget::Kind::offset, line.next.value}});
    }
    return requests;
  }

  std::string question(const std::vector<SeekResult>& plan) const {
    constexpr std::size_t kShown = 3;
    std::vector<std::string> moved;
    for (const SeekResult& seek : plan) {
      if (!moves(seek)) continue;
      moved.push_back(fmt::format("{} {} from {} to {}", seek.topic, seek.partition.value,
                                  seek.prior ? std::to_string(seek.prior->value) : "-", seek.next.value));
    }
    const std::size_t count = moved.size();
    moved.resize(std::min(count, kShown));
    return fmt::format("move consumer \"{}\" on {} {} ({}{})?", name_, count, count == 1 ? "partition" : "partitions",
                       fmt::join(moved, ", "), count > kShown ? fmt::format(", {} more", count - kShown) : "");
  }

  Result<void> print(const std::vector<SeekResult>& seeks) const {
    std::vector<std::vector<Cell>> rows;
    rows.reserve(seeks.size());
    for (const SeekResult& seek : seeks) {
      rows.push_back({cell(seek.topic), cell(std::int64_t{seek.partition.value}),
                      seek.prior ? cell(seek.prior->value) : null_cell(), cell(seek.next.value)});
    }
    return print_rows(format_, {{"TOPIC", "topic"}, {"PARTITION", "partition"}, {"PRIOR", "prior"}, {"NEW", "new"}},
                      rows, "No offsets found");
  }

  std::string name_;
  std::optional<SeekTarget> target_;
  std::optional<std::string> file_;
  std::optional<std::string> topic_;
  std::vector<PartitionId> partitions_;
  bool dry_run_ = false;
  ListFormat format_ = ListFormat::table;
};

}  // namespace

std::unique_ptr<Command> make_consumer_seek() {
  return std::make_unique<ConsumerSeek>();
}

}  // namespace leat::tools
