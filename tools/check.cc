// `leat check consumer|store`: plug-ins for monitoring systems.
#include "tools/check.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/base/units.h"
#include "leat/log/topic_settings.h"
#include "tools/check_verdict.h"
#include "tools/commands.h"
#include "tools/interrupt.h"
#include "tools/options.h"

namespace leat::tools {
namespace {

constexpr const char* kConsumer = "consumer";
constexpr const char* kStore = "store";

enum class CheckFormat { nagios, json };

Result<void> print_verdict(CheckFormat format, const Verdict& verdict) {
  if (format == CheckFormat::nagios) return out().write(plugin_line(verdict) + "\n");
  std::vector<Column> columns = {{"", "status"}, {"", "exit"}, {"", "message"}};
  std::vector<Cell> row = {cell(to_string(verdict.health)), cell(static_cast<std::int64_t>(verdict.health)),
                           cell(verdict.message)};
  for (const Figure& figure : verdict.figures) {
    columns.push_back({"", figure.key});
    row.push_back({"", figure.json});
  }
  return print_rows(ListFormat::json, columns, {row}, "");
}

// The verdict that `error` leaves, and the next step for people.
Result<Health> print_failure(CheckFormat format, std::string_view subject, const Error& error) {
  const Verdict verdict = judge_failure(subject, error);
  TRY(print_verdict(format, verdict));
  TRY(out().flush());  // what merges both streams is to see the verdict first
  if (!error.hint.empty()) print_note("hint: " + error.hint);
  return verdict.health;
}

// Reads what comes first from `start` on. Listings show what they can; only reading meets damage.
Result<void> read_once(Backend& backend, const std::string& topic, PartitionId partition, StartAt start) {
  const auto reader = TRY(backend.open_reader({.topics = {{topic, {partition}}}, .start = start, .follow = false}));
  TRY(reader->next(Milliseconds(0)));
  return {};
}

// What the two have in common: how a verdict is told.
class Check : public Command {
 public:
  explicit Check(const char* subject) : subject_(subject) {}

  void add_options(OptionSet& options) override {
    constexpr std::array<std::pair<std::string_view, CheckFormat>, 2> kFormats = {
        {{"nagios", CheckFormat::nagios}, {"json", CheckFormat::json}}};
    add_choice(options, "-O,--output", format_, kFormats, "print a line for monitoring systems (default) or JSON");
  }

  Result<void> run(Context& context) override {
    const Result<Verdict> verdict = examine(context);
    if (verdict) {
      health_ = verdict->health;
      return print_verdict(format_, *verdict);
    }
    if (verdict.error().code == Code::interrupted) return std::unexpected(verdict.error());
    health_ = TRY(print_failure(format_, subject_, verdict.error()));
    return {};
  }

  int exit_status() const override { return static_cast<int>(health_); }

 protected:
  virtual Result<Verdict> examine(Context& context) = 0;

  // A warning that is critical already is a slip.
  static Result<void> check_order(const char* warn_name, std::optional<std::int64_t> warn, const char* crit_name,
                                  std::optional<std::int64_t> crit) {
    if (!warn || !crit || *warn <= *crit) return {};
    return fail(Code::usage, fmt::format("{} {} is above {} {}", warn_name, *warn, crit_name, *crit));
  }

 private:
  const char* const subject_;
  CheckFormat format_ = CheckFormat::nagios;
  Health health_ = Health::unknown;
};

class CheckConsumer : public Check {
 public:
  CheckConsumer() : Check(kConsumer) {}

  void add_options(OptionSet& options) override {
    add_name(options, name_, "name of the consumer");
    add_count(options, "--lag-warn", limits_.lag_warn, "warning when more records than this are unread");
    add_count(options, "--lag-crit", limits_.lag_crit, "critical when more records than this are unread");
    add_duration(options, "--age-crit", limits_.age_crit,
                 "critical when records are unread and the last commit is older than this");
    add_text(options, "-t,--topic", topic_, "only its partitions of this topic", "TOPIC");
    Check::add_options(options);
  }

 private:
  Result<Verdict> examine(Context& context) override {
    TRY(check_name("consumer", name_));
    if (topic_) TRY(check_name("topic", *topic_));
    TRY(check_order("--lag-warn", limits_.lag_warn, "--lag-crit", limits_.lag_crit));
    const auto backend = TRY(context.open_backend());
    ConsumerDescription consumer = TRY(backend->describe_consumer(name_));
    if (topic_) {
      std::erase_if(consumer.partitions,
                    [&](const ConsumerPartition& partition) { return partition.topic != *topic_; });
      if (consumer.partitions.empty()) return fail_without_partitions(*backend);
    }
    for (ConsumerPartition& partition : consumer.partitions) TRY(try_to_read(*backend, partition));
    return judge_consumer(name_, consumer.partitions, limits_, now_ms());
  }

  // The consumer is stuck where the record that it is to read next is damaged.
  static Result<void> try_to_read(Backend& backend, ConsumerPartition& partition) {
    if (partition.lag.value_or(0) == 0) return {};
    const StartAt start =
        partition.next ? StartAt{StartAt::Kind::offset, partition.next->value} : StartAt{StartAt::Kind::beginning};
    const auto read = read_once(backend, partition.topic, partition.partition, start);
    if (read) return {};
    if (read.error().code != Code::damaged) return std::unexpected(read.error());
    partition.lag.reset();
    return {};
  }

  Result<Verdict> fail_without_partitions(Backend& backend) const {
    TRY(backend.describe_topic(*topic_));  // a topic that is not there is more likely a slip of the finger
    return fail(Code::not_found, fmt::format("consumer \"{}\" not found on topic \"{}\"", name_, *topic_),
                fmt::format("leat consumer describe {}", name_));
  }

  std::string name_;
  ConsumerLimits limits_;
  std::optional<std::string> topic_;
};

class CheckStore : public Check {
 public:
  CheckStore() : Check(kStore) {}

  void add_options(OptionSet& options) override {
    add_percent(options, "--disk-warn", limits_.disk_warn, "warning when more than this part of the disk is used");
    add_percent(options, "--disk-crit", limits_.disk_crit, "critical when more than this part of the disk is used");
    Check::add_options(options);
  }

 private:
  static void add_percent(OptionSet& options, const char* name, std::optional<std::int64_t>& value, const char* help) {
    add_parsed(options, name, value, help, "PCT",
               [](std::string_view option, const std::string& text) { return parse_percent(option, text); });
  }

  static Result<std::int64_t> parse_percent(std::string_view option, std::string_view text) {
    if (text.ends_with('%')) text.remove_suffix(1);
    const std::int64_t percent = TRY(parse_count(option, text));
    if (percent >= 0 && percent <= 100) return percent;
    return fail(Code::usage, fmt::format("{} is no percentage: 0 to 100 is", percent));
  }

  Result<Verdict> examine(Context& context) override {
    TRY(check_order("--disk-warn", limits_.disk_warn, "--disk-crit", limits_.disk_crit));
    const auto backend = TRY(context.open_backend());
    StoreFindings findings;
    for (const std::string& name : TRY(backend->topic_names())) {
      if (stop_requested()) return fail(Code::interrupted, "stopped");
      auto looked = look_at(*backend, name, findings);
      if (looked) continue;
      if (looked.error().code == Code::not_found) {
        const auto names = TRY(backend->topic_names());
        if (std::ranges::find(names, name) == names.end()) continue;  // deleted meanwhile
        looked.error().code = Code::damaged;                          // a part of it is missing
      }
      findings.failures.push_back(looked.error());
    }
    const auto space = backend->disk_space();
    if (space) {
      findings.disk_space = *space;
    } else if (space.error().code != Code::usage) {
      findings.failures.push_back(space.error());
    }
    return judge_store(findings, limits_);
  }

  // Everything is counted, and both ends of each partition are read. What is in between is too much for a check that is
  // made every minute.
  static Result<void> look_at(Backend& backend, const std::string& name, StoreFindings& findings) {
    const TopicInfo info = TRY(backend.describe_topic(name));
    const auto partitions = TRY(backend.partitions(name));
    ++findings.topics;
    findings.partitions += std::ssize(partitions);
    findings.records += info.records;
    if (info.bytes < 0) findings.bytes.reset();
    if (findings.bytes) *findings.bytes += info.bytes;
    for (const PartitionInfo& partition : partitions) {
      auto read = read_once(backend, name, partition.partition, {StartAt::Kind::beginning});
      if (read) read = read_once(backend, name, partition.partition, {StartAt::Kind::before_end, 1});
      if (read) continue;
      if (read.error().code == Code::not_found) return read;
      findings.failures.push_back(read.error());
    }
    return {};
  }

  StoreLimits limits_;
};

}  // namespace

int refuse_check(std::string_view name, const Error& error) {
  const std::string_view subject = name == kConsumer || name == kStore ? name : kCheckGroup;
  const Result<Health> health = print_failure(CheckFormat::nagios, subject, error);
  if (!health) print_error(error);
  return static_cast<int>(health.value_or(Health::unknown));
}

std::unique_ptr<Command> make_check_consumer() {
  return std::make_unique<CheckConsumer>();
}

std::unique_ptr<Command> make_check_store() {
  return std::make_unique<CheckStore>();
}

}  // namespace leat::tools
