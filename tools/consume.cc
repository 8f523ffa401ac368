// `leat consume`: its flags, and the chain from them to a session.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "leat/log/topic_settings.h"
#include "tools/commands.h"
#include "tools/consume_range.h"
#include "tools/consume_session.h"
#include "tools/consume_size.h"
#include "tools/interrupt.h"
#include "tools/offsets_file.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/record_output.h"

namespace leat::tools {
namespace {

constexpr Milliseconds kOffsetFlush = std::chrono::seconds(2);
constexpr const char* kRangeGroup = "Which records";
constexpr const char* kDurableGroup = "Durable consumers";
constexpr const char* kOutputGroup = "Output";

// The words of an array of names, each with the value of its place; for options that have no default of their own.
template <class T, std::size_t N>
std::array<std::pair<std::string_view, std::optional<T>>, N> choices_of(const std::array<std::string_view, N>& names) {
  std::array<std::pair<std::string_view, std::optional<T>>, N> choices;
  for (std::size_t i = 0; i < N; ++i) choices[i] = {names[i], static_cast<T>(i)};
  return choices;
}

class Consume final : public Command {
 public:
  void add_options(OptionSet& options) override {
    add_names(options, "TOPIC", topics_, "the topics to read")->required();
    add_range_options(options);
    add_durable_options(options);
    add_output_options(options);
  }

  Result<void> run(Context& context) override {
    TRY(check());
    const ConsumeRange range = TRY(resolve_range(range_));
    RecordOutput output = TRY(RecordOutput::make(output_, stdout_is_terminal()));
    const auto backend = TRY(context.open_backend());
    return consume(context, *backend, range, std::move(output));
  }

 private:
  void add_range_options(OptionSet& options) {
    const auto in_group = [](Option* option) { option->group(kRangeGroup); };
    in_group(options.add_flag("-B,--beginning", range_.beginning, "start at the beginning of the log"));
    in_group(add_count(options, "-H,--head", range_.head, "start N records after the beginning"));
    in_group(add_count(options, "-T,--tail", range_.tail, "start with the last N records of each partition"));
    in_group(add_count(options, "--start", range_.start, "start at offset N"));
    in_group(add_time(options, "--since", range_.since, "start with the first record of this time"));
    in_group(add_count(options, "--end", range_.end, "end behind offset N of each partition"));
    in_group(add_time(options, "--until", range_.until, "leave out records of this time and later"));
    in_group(options.add_flag("-d,--disable-continuous", no_follow_, "end when all that is there now has been read"));
    in_group(add_count(options, "-n,--count", records_max_, "end after N records in total"));
    in_group(add_duration(options, "--idle-timeout", idle_timeout_, "end when nothing came for so long"));
    in_group(add_partitions(options, partitions_, "read this partition only (repeatable)"));
    in_group(options.add_flag("-A,--all-partitions", all_partitions_, "read all partitions, as is the default"));
    in_group(add_text(options, "--key-filter", key_filter_, "only records with exactly this key", "KEY"));
    constexpr std::array<std::pair<std::string_view, Isolation>, 2> kIsolations = {
        {{"read_committed", Isolation::read_committed}, {"read_uncommitted", Isolation::read_uncommitted}}};
    in_group(
        add_choice(options, "--isolation", isolation_, kIsolations, "show records before they are durable, or not"));
    in_group(
        options.add_flag("--strict", strict_, "fail when the start has been trimmed away, instead of going on behind"));
  }

  void add_durable_options(OptionSet& options) {
    const auto in_group = [](Option* option) { option->group(kDurableGroup); };
    in_group(add_text(options, "-c,--consumer", consumer_, "remember under this name how far it was read", "NAME"));
    constexpr std::array<std::pair<std::string_view, std::optional<OffsetStrategy>>, 3> kStrategies = {
        {{"auto", OffsetStrategy::automatic}, {"manual", OffsetStrategy::manual}, {"none", OffsetStrategy::none}}};
    in_group(add_choice(options, "--offset-strategy", strategy_, kStrategies,
                        "commit what was written out (auto), or nothing; none does not claim partitions either"));
    in_group(add_duration(options, "--offset-flush", offset_flush_, "how often auto commits (default: 2s)"));
    in_group(options.add_flag("--reset", reset_, "start where the start flag says, not at the stored offset"));
    in_group(add_text(options, "--offsets-out", offsets_out_, "at the end, write the next offsets to FILE", "FILE"));
  }

  void add_output_options(OptionSet& options) {
    const auto in_group = [](Option* option) { option->group(kOutputGroup); };
    in_group(add_choice(options, "-O,--output", output_.format, choices_of<OutputFormat>(kOutputFormatNames),
                        "how records are printed (default: dynamic)"));
    in_group(options.add_flag("-k,--key-value", output_.keys, "print [KEY] before the value"));
    in_group(add_text(options, "-F,--format", output_.record_template,
                      "a line with {{key}} {{value}} {{offset}} {{partition}} {{time}} {{topic}}", "TEMPLATE"));
    in_group(add_choice(options, "--framing", output_.framing, choices_of<ValueFraming>(kValueFramingNames),
                        "values only, told apart like this"));
    in_group(options.add_flag("--unbuffered", unbuffered_, "write each record at once"));
  }

  // What the flags say together, before anything is opened.
  Result<void> check() const {
    for (std::size_t i = 0; i < topics_.size(); ++i) {
      if (std::find(topics_.begin(), topics_.begin() + static_cast<std::ptrdiff_t>(i), topics_[i]) !=
          topics_.begin() + static_cast<std::ptrdiff_t>(i)) {
        return fail(Code::usage, fmt::format("topic \"{}\" is given twice", topics_[i]));
      }
    }
    if (consumer_) {
      TRY(check_name("consumer", *consumer_));
    } else {
      const char* const flag = strategy_       ? "--offset-strategy"
                               : offset_flush_ ? "--offset-flush"
                               : reset_        ? "--reset"
                                               : nullptr;
      if (flag != nullptr) return fail(Code::usage, fmt::format("{} needs a consumer: -c NAME", flag));
    }
    if (offset_flush_ && strategy_.value_or(OffsetStrategy::automatic) != OffsetStrategy::automatic) {
      return fail(Code::usage, "--offset-flush is for --offset-strategy auto: the others commit nothing");
    }
    if (offsets_out_) TRY(check_offsets_file(*offsets_out_));
    return {};
  }

  ReadOptions read_options(const ConsumeRange& range) const {
    ReadOptions options;
    std::vector<PartitionId> partitions = partitions_;
    std::sort(partitions.begin(), partitions.end());
    partitions.erase(std::unique(partitions.begin(), partitions.end()), partitions.end());
    for (const std::string& topic : topics_) options.topics.push_back({topic, partitions});
    options.start = range.start;
    options.end = range.end;
    options.follow = !no_follow_;
    options.merge_by_time = no_follow_;
    options.isolation = isolation_;
    options.strict = strict_;
    options.stop = &stop_requested();
    return options;
  }

  Result<void> consume(Context& context, Backend& backend, const ConsumeRange& range, RecordOutput output) {
    std::unique_ptr<Reader> reader;
    GroupReader* group = nullptr;
    if (consumer_) {
      auto joined = TRY(backend.join_group(*consumer_, group_options(range)));
      group = joined.get();
      reader = std::move(joined);
    } else {
      reader = TRY(backend.open_reader(read_options(range)));
    }
    say_where(context, range, group);

    const OutputFormat format = output.format();
    ConsumeSession session(*reader, group, std::move(output), out(), session_options(context, backend, range, group));
    Result<Ending> ending = session.run();
    if (ending && format == OutputFormat::none) ending = print_counts(session.totals(), *ending);
    if (offsets_out_) {
      auto written = write_offsets_file(*offsets_out_, session.positions());
      if (!written && ending) return written;
      if (!written) print_warning(written.error().message);
    }
    if (!ending) return std::unexpected(std::move(ending).error());
    if (*ending == Ending::stopped) return fail(Code::interrupted, "interrupted");
    if (*ending == Ending::broken) {
      // Locks are given back before the end, not by it.
      reader.reset();
      die_by_signal(SIGPIPE);
    }
    return {};
  }

  SessionOptions session_options(const Context& context, Backend& backend, const ConsumeRange& range,
                                 const GroupReader* group) const {
    SessionOptions options;
    options.records_max = records_max_;
    options.until = range.until;
    options.idle_timeout = idle_timeout_;
    options.key_filter = key_filter_;
    options.track = offsets_out_.has_value();
    options.unbuffered = unbuffered_;
    options.verbose = context.globals().verbose;
    options.stop = &stop_requested();
    if (group != nullptr && strategy() == OffsetStrategy::automatic) {
      options.commit_every = offset_flush_.value_or(kOffsetFlush);
    }
    if (stderr_is_terminal() && !stdout_is_terminal() && !context.globals().quiet && no_follow_) {
      options.ahead = session_size(backend, read_options(range), records_max_, group);
    }
    if (group != nullptr && offsets_out_) options.starts = group->positions();
    return options;
  }

  OffsetStrategy strategy() const { return strategy_.value_or(OffsetStrategy::automatic); }

  GroupOptions group_options(const ConsumeRange& range) const {
    GroupOptions options;
    options.read = read_options(range);
    // The session commits itself, because it alone knows what has been written out.
    options.strategy = strategy() == OffsetStrategy::none ? OffsetStrategy::none : OffsetStrategy::manual;
    options.store_start = strategy() == OffsetStrategy::automatic;
    options.reset = reset_;
    options.description = fmt::format("leat consume {} -c {}", fmt::join(topics_, " "), *consumer_);
    return options;
  }

  void say_where(const Context& context, const ConsumeRange& range, const GroupReader* group) const {
    if (stderr_is_terminal() || context.globals().verbose) {
      print_note(status_sentence(topics_, range.start));
      if (group != nullptr && !reset_) {
        const std::size_t partitions = group->positions().size();
        for (const std::string& sentence :
             resume_sentences(*consumer_, group->resumed(), partitions, topics_.size() > 1)) {
          print_note(sentence);
        }
      }
    }
    const bool nothing_stored = group == nullptr || group->resumed().empty();
    if (stderr_is_terminal() && no_follow_ && range.start.kind == StartAt::Kind::end && nothing_stored) {
      print_note(fmt::format("hint: -d alone prints nothing, as no record is newer than now: leat consume {} -Bd",
                             fmt::join(topics_, " ")));
    }
  }

  static Result<Ending> print_counts(const SessionTotals& totals, Ending ending) {
    TRY(out().write(fmt::format("{} records, {} bytes\n", totals.records, totals.bytes)));
    TRY(out().flush());
    return ending;
  }

  std::vector<std::string> topics_;
  std::vector<PartitionId> partitions_;
  bool all_partitions_ = false;
  RangeFlags range_;
  bool no_follow_ = false;
  std::optional<std::int64_t> records_max_;
  std::optional<Milliseconds> idle_timeout_;
  std::optional<std::string> key_filter_;
  Isolation isolation_ = Isolation::read_committed;
  bool strict_ = false;
  std::optional<std::string> consumer_;
  std::optional<OffsetStrategy> strategy_;
  std::optional<Milliseconds> offset_flush_;
  bool reset_ = false;
  std::optional<std::string> offsets_out_;
  OutputFlags output_;
  bool unbuffered_ = false;
};

}  // namespace

std::unique_ptr<Command> make_consume() {
  return std::make_unique<Consume>();
}

}  // namespace leat::tools
