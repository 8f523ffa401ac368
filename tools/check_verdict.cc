#include "tools/check_verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "leat/base/units.h"
#include "tools/output.h"

namespace leat::tools {
namespace {

std::string count_of(std::int64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string in_capitals(std::string_view word) {
  std::string capitals(word);
  std::transform(capitals.begin(), capitals.end(), capitals.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return capitals;
}

// A store of which a part could not be looked at may be worse than a warning, not than critical.
Health worse(Health a, Health b) {
  const auto rank = [](Health health) {
    return health == Health::critical ? 3 : health == Health::unknown ? 2 : static_cast<int>(health);
  };
  return rank(a) < rank(b) ? b : a;
}

// Raises `health` by what `value` is above. The limit that decided, for the message.
std::optional<std::int64_t> apply(Health& health, std::int64_t value, std::optional<std::int64_t> warn,
                                  std::optional<std::int64_t> crit) {
  if (crit && value > *crit) {
    health = worse(health, Health::critical);
    return crit;
  }
  if (warn && value > *warn) {
    health = worse(health, Health::warning);
    return warn;
  }
  return std::nullopt;
}

// A monitoring system shows one line: some of many, and how many more there are.
std::string join_some(const std::vector<std::string>& sentences) {
  constexpr std::size_t kShown = 3;
  std::string text = fmt::format(
      "{}", fmt::join(sentences.begin(),
                      sentences.begin() + static_cast<std::ptrdiff_t>(std::min(sentences.size(), kShown)), "; "));
  if (sentences.size() > kShown) text += fmt::format("; {} more", sentences.size() - kShown);
  return text;
}

std::string limit_text(std::optional<std::int64_t> limit, std::string_view unit = "") {
  return limit ? fmt::format("{}{}", *limit, unit) : std::string();
}

// Performance data knows seconds.
std::string seconds_text(std::int64_t ms) {
  return fmt::format("{}", static_cast<double>(ms) / 1000);
}

Figure count_figure(const std::string& key, std::int64_t count, std::string_view unit = "") {
  return {key, std::to_string(count), fmt::format("{}={}{};;;0", key, count, unit)};
}

// What the readable partitions of a consumer come to.
struct Backlog {
  std::int64_t partitions = 0;  // that can be read
  std::int64_t lagging = 0;
  std::int64_t never_committed = 0;  // of those that lag: there is no commit to tell an age from
  std::int64_t ageless = 0;          // likewise: there is one, and the backend cannot know of when
  std::int64_t lag = 0;
  std::int64_t age_ms = 0;
  std::vector<std::string> unreadable = {};
};

Backlog add_up(std::span<const ConsumerPartition> partitions, TimestampMs now) {
  Backlog backlog;
  for (const ConsumerPartition& partition : partitions) {
    if (!partition.lag) {
      backlog.unreadable.push_back(
          fmt::format("partition {} of \"{}\" cannot be read", partition.partition.value, partition.topic));
      continue;
    }
    ++backlog.partitions;
    if (*partition.lag == 0) continue;
    ++backlog.lagging;
    backlog.lag += *partition.lag;
    if (partition.committed_at) {
      backlog.age_ms = std::max(backlog.age_ms, now - *partition.committed_at);
    } else {
      ++(partition.next ? backlog.ageless : backlog.never_committed);
    }
  }
  return backlog;
}

// What is used of the disk in tenths of a per cent: what is shown is what is compared.
std::int64_t used_tenths(const DiskSpace& space) {
  const double used = static_cast<double>(space.total - space.available) / static_cast<double>(space.total);
  return std::llround(used * 1000);
}

}  // namespace

std::string_view to_string(Health health) {
  switch (health) {
    case Health::ok:
      return "ok";
    case Health::warning:
      return "warning";
    case Health::critical:
      return "critical";
    case Health::unknown:
      break;
  }
  return "unknown";
}

Verdict judge_consumer(std::string_view name, std::span<const ConsumerPartition> partitions,
                       const ConsumerLimits& limits, TimestampMs now) {
  const Backlog backlog = add_up(partitions, now);
  const std::optional<std::int64_t> age_crit = limits.age_crit ? std::optional(limits.age_crit->count()) : std::nullopt;
  Verdict verdict{.subject = "consumer", .message = std::string(name)};
  std::string& message = verdict.message;
  if (backlog.lagging > 0) {
    message +=
        fmt::format(" is {} behind on {}", count_of(backlog.lag, "record"), count_of(backlog.lagging, "partition"));
  } else {
    message += fmt::format(" is up to date on {}", count_of(backlog.partitions, "partition"));
  }
  if (const auto limit = apply(verdict.health, backlog.lag, limits.lag_warn, limits.lag_crit)) {
    message += fmt::format(" (limit {})", *limit);
  }
  if (backlog.never_committed > 0) {
    const bool all = backlog.never_committed == backlog.lagging;
    message += all ? ", never committed" : fmt::format(", {} of them never committed", backlog.never_committed);
  }
  if (apply(verdict.health, backlog.age_ms, std::nullopt, age_crit)) {
    const Milliseconds age(backlog.age_ms);
    message += fmt::format(", last commit {} ago (limit {})",
                           age < Milliseconds(1000) ? format_duration(age) : format_age(age),
                           format_duration(*limits.age_crit));
  }
  if (backlog.ageless > 0 && age_crit) {
    verdict.health = worse(verdict.health, Health::unknown);
    message += ", how old the last commit is cannot be told";
  }
  if (!backlog.unreadable.empty()) {
    verdict.health = Health::critical;
    const std::string unreadable = join_some(backlog.unreadable);
    message = backlog.partitions == 0 ? fmt::format("{}: {}", name, unreadable) : unreadable + "; " + message;
  }
  const Figure age =
      backlog.ageless > 0
          ? Figure{"age_ms", "null", ""}
          : Figure{"age_ms", std::to_string(backlog.age_ms),
                   fmt::format("age={}s;;{};0", seconds_text(backlog.age_ms), age_crit ? seconds_text(*age_crit) : "")};
  verdict.figures = {
      {"lag", std::to_string(backlog.lag),
       fmt::format("lag={};{};{};0", backlog.lag, limit_text(limits.lag_warn), limit_text(limits.lag_crit))},
      age,
      {"partitions", std::to_string(partitions.size()), ""}};
  return verdict;
}

Verdict judge_store(const StoreFindings& findings, const StoreLimits& limits) {
  Verdict verdict{.subject = "store"};
  verdict.message = fmt::format("{}, {}, {}", count_of(findings.topics, "topic"),
                                count_of(findings.partitions, "partition"), count_of(findings.records, "record"));
  if (findings.bytes) verdict.message += ", " + format_size_short(*findings.bytes);
  verdict.figures = {count_figure("topics", findings.topics), count_figure("partitions", findings.partitions),
                     count_figure("records", findings.records),
                     findings.bytes ? count_figure("bytes", *findings.bytes, "B") : Figure{"bytes", "null", ""}};
  std::vector<std::string> failures;
  for (const Error& error : findings.failures) {
    verdict.health = worse(verdict.health, judge_failure("store", error).health);
    failures.push_back(error.message);
  }
  if (!failures.empty()) verdict.message = join_some(failures) + "; " + verdict.message;
  if (!findings.disk_space || findings.disk_space->total <= 0) {
    verdict.figures.push_back({"disk_used_pct", "null", ""});
    if (!limits.disk_warn && !limits.disk_crit) return verdict;
    verdict.health = worse(verdict.health, Health::unknown);
    verdict.message += ", how full the disk is cannot be told";
    return verdict;
  }
  const std::int64_t tenths = used_tenths(*findings.disk_space);
  const std::string used = fmt::format("{}.{}", tenths / 10, tenths % 10);
  const auto in_tenths = [](std::optional<std::int64_t> percent) {
    return percent ? std::optional(*percent * 10) : std::nullopt;
  };
  verdict.message += fmt::format(", disk {}% used", used);
  if (const auto limit = apply(verdict.health, tenths, in_tenths(limits.disk_warn), in_tenths(limits.disk_crit))) {
    verdict.message += fmt::format(" (limit {}%)", *limit / 10);
  }
  verdict.figures.push_back(
      {"disk_used_pct", used,
       fmt::format("disk_used={}%;{};{};0;100", used, limit_text(limits.disk_warn), limit_text(limits.disk_crit))});
  return verdict;
}

Verdict judge_failure(std::string_view subject, const Error& error) {
  return {.subject = std::string(subject),
          .health = error.code == Code::damaged ? Health::critical : Health::unknown,
          .message = error.message};
}

std::string plugin_line(const Verdict& verdict) {
  std::string message;
  for (const char c : escape_controls(verdict.message)) {
    message += c == '|' ? std::string("\\x7c") : std::string(1, c);  // performance data begins there
  }
  std::string line =
      fmt::format("LEAT {} {} - {}", in_capitals(verdict.subject), in_capitals(to_string(verdict.health)), message);
  std::string_view separator = " | ";
  for (const Figure& figure : verdict.figures) {
    if (figure.perfdata.empty()) continue;
    line += separator;
    line += figure.perfdata;
    separator = " ";
  }
  return line;
}

}  // namespace leat::tools
