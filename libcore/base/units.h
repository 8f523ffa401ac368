// Sizes, durations and times as people write them (cli.md, "Conventions"), to and from numbers. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "leat/base/clock.h"
#include "leat/base/error.h"
#include "leat/base/types.h"

namespace leat {

// "4096", "2KiB", "10MB", "1GiB", "1.5MiB": bytes. B, KB/MB/GB/TB are powers of 1000, KiB/MiB/GiB/TiB (and K, M, G, T)
// of 1024; case-insensitive. Errors: usage.
Result<std::int64_t> parse_size(std::string_view text);
// The largest binary unit that divides evenly: "1GiB", "64KiB", "1000B".
std::string format_size(std::int64_t bytes);
// For people: three significant digits in binary units, "562.8 KiB", "17 B".
std::string format_size_short(std::int64_t bytes);

// "150ms", "2s", "5m", "1h", "2d", "1w", "1h30m": milliseconds. A number without a unit is refused, except 0. Errors:
// usage.
Result<Milliseconds> parse_duration(std::string_view text);
// The shortest exact form: "150ms", "2s", "1h30m".
std::string format_duration(Milliseconds duration);
// An age in two units at most, as Fluvio prints it: "0s", "4m 14s", "2h 3m", "5d 1h".
std::string format_age(Milliseconds age);

// RFC 3339 ("2026-11-21T03:37:22.123Z", "2026-11-21 03:37", "2026-11-21"; no zone means UTC), epoch seconds, milli-,
// micro- or nanoseconds by their 10, 13, 16 or 19 digits, "now", or "-1h" before `now`. Errors: usage.
Result<TimestampMs> parse_time(std::string_view text, TimestampMs now);
// UTC with milliseconds: "2026-11-21T03:37:22.123Z".
std::string format_time(TimestampMs time);

// A non-negative or signed decimal count that fits; `what` names it in the error. Errors: usage.
Result<std::int64_t> parse_count(std::string_view what, std::string_view text);

// "\t \n \0 \\ \xNN" in flags that take separators become the bytes they name; an unknown escape is refused. Errors:
// usage.
Result<std::string> unescape(std::string_view what, std::string_view text);

// Of `candidates`, the one nearest to `word` by edit distance, or empty when none is near enough to suggest.
template <class Range>
std::string_view nearest(std::string_view word, const Range& candidates);
std::size_t edit_distance(std::string_view a, std::string_view b);

template <class Range>
std::string_view nearest(std::string_view word, const Range& candidates) {
  std::string_view best;
  std::size_t best_distance = word.size() / 3 + 2;
  for (const auto& candidate : candidates) {
    const std::string_view view{candidate};
    // Every letter that one has more costs one at least.
    if (std::max(view.size(), word.size()) - std::min(view.size(), word.size()) >= best_distance) continue;
    const std::size_t distance = edit_distance(word, view);
    if (distance < best_distance) {
      best_distance = distance;
      best = view;
    }
  }
  return best;
}

}  // namespace leat
