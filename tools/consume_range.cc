#include "tools/consume_range.h"

#include <fmt/core.h>

#include <array>
#include <limits>

#include "leat/base/units.h"

namespace leat::tools {
namespace {

Result<void> check_one_start(const RangeFlags& flags) {
  const std::array<std::pair<std::string_view, bool>, 5> starts = {{{"--beginning", flags.beginning},
                                                                    {"--head", flags.head.has_value()},
                                                                    {"--tail", flags.tail.has_value()},
                                                                    {"--start", flags.start.has_value()},
                                                                    {"--since", flags.since.has_value()}}};
  std::string_view first;
  for (const auto& [name, given] : starts) {
    if (!given) continue;
    if (!first.empty()) {
      return fail(Code::usage, fmt::format("{} and {} exclude each other: reading starts at one place", first, name));
    }
    first = name;
  }
  return {};
}

StartAt start_of(const RangeFlags& flags) {
  using Kind = StartAt::Kind;
  if (flags.beginning) return {Kind::beginning, 0};
  if (flags.head) return {Kind::after_beginning, *flags.head};
  if (flags.tail) return {Kind::before_end, *flags.tail};
  if (flags.start) return {Kind::offset, *flags.start};
  if (flags.since) return {Kind::time, flags.since->value};
  return {Kind::end, 0};
}

}  // namespace

Result<ConsumeRange> resolve_range(const RangeFlags& flags) {
  TRY(check_one_start(flags));
  ConsumeRange range;
  range.start = start_of(flags);
  range.until = flags.until;
  if (flags.end) {
    if (flags.start && *flags.end < *flags.start) {
      return fail(Code::usage, fmt::format("--end {} is before --start {}", *flags.end, *flags.start));
    }
    // The largest offset there can be has none behind it; no log reaches it.
    if (*flags.end != std::numeric_limits<std::int64_t>::max()) range.end = Offset{*flags.end + 1};
  }
  if (flags.since && flags.until && *flags.until < *flags.since) {
    return fail(Code::usage,
                fmt::format("--until {} is before --since {}", format_time(*flags.until), format_time(*flags.since)));
  }
  return range;
}

std::string status_sentence(const std::vector<std::string>& topics, const StartAt& start) {
  std::string names;
  for (const std::string& topic : topics) names += fmt::format("{}'{}'", names.empty() ? "" : ", ", topic);
  std::string place;
  switch (start.kind) {
    case StartAt::Kind::beginning:
      place = "from the beginning of log";
      break;
    case StartAt::Kind::end:
      place = "from the end of log";
      break;
    case StartAt::Kind::after_beginning:
      place = fmt::format("{} after the beginning of log", start.value);
      break;
    case StartAt::Kind::before_end:
      place = fmt::format("{} before the end of log", start.value);
      break;
    case StartAt::Kind::offset:
      place = fmt::format("from offset {}", start.value);
      break;
    case StartAt::Kind::time:
      place = fmt::format("from {}", format_time({start.value}));
      break;
  }
  return fmt::format("Consuming records from {} starting {}", names, place);
}

std::vector<std::string> resume_sentences(std::string_view consumer, std::span<const Position> resumed,
                                          std::size_t partitions, bool several_topics) {
  std::vector<std::string> sentences;
  for (const Position& position : resumed) {
    std::string sentence = fmt::format("{} resumes at {}", consumer, position.next.value);
    if (partitions > 1) sentence += fmt::format(" in partition {}", position.partition.value);
    if (several_topics) sentence += fmt::format(" of '{}'", position.topic);
    sentences.push_back(std::move(sentence));
  }
  return sentences;
}

}  // namespace leat::tools
