#include "leat/base/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "leat/base/ascii.h"
#include "leat/base/hex.h"

namespace leat {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Takes decimal digits off the front of `text`: their value, or nothing when there are none or they do not fit.
std::optional<std::int64_t> take_digits(std::string_view& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || text.empty() || !is_digit(text.front())) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

// Exactly `count` digits off the front.
std::optional<int> take_fixed(std::string_view& text, std::size_t count) {
  if (text.size() < count || !std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(count), is_digit)) {
    return std::nullopt;
  }
  int value = 0;
  for (const char c : text.substr(0, count)) value = value * 10 + (c - '0');
  text.remove_prefix(count);
  return value;
}

bool take_char(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

// A decimal number with at most six digits behind the point, as millionths are enough for any size or duration.
struct Decimal {
  std::int64_t whole = 0;
  std::int64_t millionths = 0;
};

std::optional<Decimal> take_decimal(std::string_view& text) {
  const auto whole = take_digits(text);
  if (!whole) return std::nullopt;
  Decimal decimal{*whole, 0};
  if (take_char(text, ".")) {
    std::int64_t scale = 100000;
    if (text.empty() || !is_digit(text.front())) return std::nullopt;
    while (!text.empty() && is_digit(text.front())) {
      if (scale == 0) return std::nullopt;
      decimal.millionths += (text.front() - '0') * scale;
      scale /= 10;
      text.remove_prefix(1);
    }
  }
  return decimal;
}

// decimal * unit, rounded down, when it fits.
std::optional<std::int64_t> scale(Decimal decimal, std::int64_t unit) {
  std::int64_t whole = 0;
  std::int64_t sum = 0;
  // unit is at most 2^40, so the fraction's product stays below 2^60.
  const std::int64_t fraction = decimal.millionths * unit / 1000000;
  if (__builtin_mul_overflow(decimal.whole, unit, &whole) || __builtin_add_overflow(whole, fraction, &sum)) {
    return std::nullopt;
  }
  return sum;
}

struct Unit {
  std::string_view name;
  std::int64_t value;
};

constexpr std::array<Unit, 14> kSizeUnits = {{{"", 1},
                                              {"b", 1},
                                              {"kb", 1000},
                                              {"mb", 1000000},
                                              {"gb", 1000000000},
                                              {"tb", 1000000000000},
                                              {"k", 1LL << 10},
                                              {"m", 1LL << 20},
                                              {"g", 1LL << 30},
                                              {"t", 1LL << 40},
                                              {"kib", 1LL << 10},
                                              {"mib", 1LL << 20},
                                              {"gib", 1LL << 30},
                                              {"tib", 1LL << 40}}};

// From the largest down, as format_duration() takes them apart.
constexpr std::array<Unit, 6> kDurationUnits = {
    {{"w", 604800000}, {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}}};

std::optional<std::int64_t> find_unit(std::span<const Unit> units, std::string_view name) {
  for (const Unit& unit : units) {
    if (unit.name == name) return unit.value;
  }
  return std::nullopt;
}

}  // namespace

Result<std::int64_t> parse_size(std::string_view text) {
  const auto bad = [&] {
    return fail(Code::usage,
                fmt::format("\"{}\" is not a size: expected a number and a unit, like 4096, 64KiB or 10MB", text));
  };
  std::string_view rest = text;
  const auto number = take_decimal(rest);
  if (!number) return bad();
  take_char(rest, " ");
  std::string unit_name;
  std::transform(rest.begin(), rest.end(), std::back_inserter(unit_name), ascii_lower);
  const auto unit = find_unit(kSizeUnits, unit_name);
  if (!unit || (*unit == 1 && number->millionths != 0)) return bad();
  const auto bytes = scale(*number, *unit);
  if (!bytes) return fail(Code::usage, fmt::format("\"{}\" is too large a size", text));
  return *bytes;
}

std::string format_size(std::int64_t bytes) {
  constexpr std::array<std::string_view, 4> kNames = {"KiB", "MiB", "GiB", "TiB"};
  std::string_view name = "B";
  for (const std::string_view next : kNames) {
    if (bytes == 0 || bytes % 1024 != 0) break;
    bytes /= 1024;
    name = next;
  }
  return fmt::format("{}{}", bytes, name);
}

std::string format_size_short(std::int64_t bytes) {
  constexpr std::array<std::string_view, 4> kNames = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  std::int64_t unit = 1024;
  for (std::size_t i = 0;; ++i, unit *= 1024) {
    // In tenths of the unit, rounded; split so that it cannot overflow.
    const std::int64_t tenths = bytes / unit * 10 + (bytes % unit * 10 + unit / 2) / unit;
    if (tenths < 10240 || i + 1 == kNames.size()) return fmt::format("{}.{} {}", tenths / 10, tenths % 10, kNames[i]);
  }
}

Result<Milliseconds> parse_duration(std::string_view text) {
  const auto bad = [&] {
    return fail(
        Code::usage,
        fmt::format("\"{}\" is not a duration: expected numbers with units, like 150ms, 2s, 1h30m or 7d", text));
  };
  if (text == "0") return Milliseconds(0);
  std::int64_t total = 0;
  std::string_view rest = text;
  if (rest.empty()) return bad();
  while (!rest.empty()) {
    const auto number = take_decimal(rest);
    if (!number) return bad();
    std::size_t length = 0;
    while (length < rest.size() && !is_digit(rest[length])) ++length;
    const auto unit = find_unit(kDurationUnits, rest.substr(0, length));
    rest.remove_prefix(length);
    if (!unit || number->millionths * *unit % 1000000 != 0) return bad();
    const auto part = scale(*number, *unit);
    if (!part || __builtin_add_overflow(total, *part, &total)) {
      return fail(Code::usage, fmt::format("\"{}\" is too long a duration", text));
    }
  }
  return Milliseconds(total);
}

std::string format_duration(Milliseconds duration) {
  std::int64_t left = duration.count();
  if (left == 0) return "0s";
  std::string text;
  if (left < 0) {
    text = "-";
    left = -left;
  }
  for (const Unit& unit : kDurationUnits) {
    if (unit.name == "w") continue;  // who asked for 7d is not to be told 1w
    if (left / unit.value > 0) text += fmt::format("{}{}", left / unit.value, unit.name);
    left %= unit.value;
  }
  return text;
}

std::string format_age(Milliseconds age) {
  std::int64_t left = std::max<std::int64_t>(age.count(), 0);
  for (std::size_t i = 1; i + 2 < kDurationUnits.size(); ++i) {
    const Unit& unit = kDurationUnits[i];
    const Unit& next = kDurationUnits[i + 1];
    if (left < unit.value) continue;
    const std::int64_t smaller = left % unit.value / next.value;
    std::string text = fmt::format("{}{}", left / unit.value, unit.name);
    if (smaller > 0) text += fmt::format(" {}{}", smaller, next.name);
    return text;
  }
  return fmt::format("{}s", left / 1000);
}

namespace {

// An RFC 3339 date, or date and time, without a zone meaning UTC.
std::optional<TimestampMs> parse_rfc3339(std::string_view text) {
  const auto year = take_fixed(text, 4);
  if (!year || !take_char(text, "-")) return std::nullopt;
  const auto month = take_fixed(text, 2);
  if (!month || !take_char(text, "-")) return std::nullopt;
  const auto day = take_fixed(text, 2);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  std::int64_t ms = std::int64_t{std::chrono::sys_days(date).time_since_epoch().count()} * 86400000;
  if (text.empty()) return TimestampMs{ms};

  if (!take_char(text, "Tt ")) return std::nullopt;
  const auto hour = take_fixed(text, 2);
  if (!hour || !take_char(text, ":")) return std::nullopt;
  const auto minute = take_fixed(text, 2);
  if (!minute || *hour > 23 || *minute > 59) return std::nullopt;
  ms += *hour * 3600000LL + *minute * 60000LL;
  if (take_char(text, ":")) {
    const auto second = take_fixed(text, 2);
    if (!second || *second > 60) return std::nullopt;  // 60 is a leap second
    ms += *second * 1000LL;
    if (take_char(text, ".,")) {
      int scale = 100;
      if (text.empty() || !is_digit(text.front())) return std::nullopt;
      for (; !text.empty() && is_digit(text.front()); text.remove_prefix(1), scale /= 10) {
        ms += (text.front() - '0') * scale;
      }
    }
  }
  if (text.empty() || text == "Z" || text == "z") return TimestampMs{ms};
  const bool east = text.front() == '+';
  if (!take_char(text, "+-")) return std::nullopt;
  const auto zone_hour = take_fixed(text, 2);
  if (!zone_hour || !take_char(text, ":")) return std::nullopt;
  const auto zone_minute = take_fixed(text, 2);
  if (!zone_minute || *zone_hour > 23 || *zone_minute > 59 || !text.empty()) return std::nullopt;
  const std::int64_t zone_ms = *zone_hour * 3600000LL + *zone_minute * 60000LL;
  return TimestampMs{east ? ms - zone_ms : ms + zone_ms};
}

}  // namespace

Result<TimestampMs> parse_time(std::string_view text, TimestampMs now) {
  if (text == "now") return now;
  if (text.starts_with('-')) {
    if (const auto back = parse_duration(text.substr(1))) return now - back->count();
  } else if (!text.empty() && std::all_of(text.begin(), text.end(), is_digit)) {
    std::string_view rest = text;
    if (const auto number = take_digits(rest)) {
      if (text.size() == 10) return TimestampMs{*number * 1000};
      if (text.size() == 13) return TimestampMs{*number};
      if (text.size() == 16) return TimestampMs{*number / 1000};
      if (text.size() == 19) return TimestampMs{*number / 1000000};
    }
    return fail(Code::usage, fmt::format("\"{}\" is not a time: since 1970, seconds have 10 digits, milliseconds 13, "
                                         "microseconds 16, nanoseconds 19",
                                         text));
  } else if (const auto time = parse_rfc3339(text)) {
    return *time;
  }
  return fail(Code::usage,
              fmt::format("\"{}\" is not a time: expected 2026-11-21T03:37:22Z, seconds or milliseconds since "
                          "1970, now, or -1h",
                          text));
}

std::string format_time(TimestampMs time) {
  using namespace std::chrono;
  // Years 0000 to 9999; a record may carry any 64-bit number.
  constexpr std::int64_t kFirstMs = -62167219200000;
  constexpr std::int64_t kEndMs = 253402300800000;
  if (time.value < kFirstMs || time.value >= kEndMs) return fmt::format("{}ms", time.value);
  const sys_time<milliseconds> at{milliseconds(time.value)};
  const auto midnight = floor<days>(at);
  const year_month_day date{midnight};
  const hh_mm_ss clock{at - midnight};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

Result<std::int64_t> parse_count(std::string_view what, std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range)
    return fail(Code::usage, fmt::format("{}: \"{}\" is too large", what, text));
  if (error != std::errc{} || end != text.data() + text.size()) {
    return fail(Code::usage, fmt::format("{}: \"{}\" is not a whole number", what, text));
  }
  return value;
}

Result<std::string> unescape(std::string_view what, std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes += text[i];
      continue;
    }
    const char escape = i + 1 < text.size() ? text[i + 1] : '\0';
    const bool at_end = i + 1 == text.size();
    ++i;
    if (!at_end && escape == 't') {
      bytes += '\t';
    } else if (!at_end && escape == 'n') {
      bytes += '\n';
    } else if (!at_end && escape == '0') {
      bytes += '\0';
    } else if (!at_end && escape == '\\') {
      bytes += '\\';
    } else if (escape == 'x' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
      bytes += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      return fail(Code::usage,
                  fmt::format("{}: \"{}\" has an unknown escape: \\t \\n \\0 \\xNN and \\\\ are known", what, text));
    }
  }
  return bytes;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // Optimal string alignment: swapping two neighbours is the commonest slip and counts once. Three rows are kept.
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, above);
    std::swap(above, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace leat
