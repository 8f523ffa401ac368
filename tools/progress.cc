#include "tools/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "leat/base/units.h"
#include "tools/config.h"
#include "tools/output.h"

namespace leat::tools {
namespace {

using namespace std::chrono_literals;
constexpr Milliseconds kShownAfter = 1s;
constexpr Milliseconds kShownEvery = 200ms;

std::string amount(std::uint64_t count, Progress::Unit unit) {
  return unit == Progress::Unit::bytes ? format_size_short(static_cast<std::int64_t>(count))
                                       : fmt::format("{:L}", count);
}

}  // namespace

std::string progress_line(std::uint64_t done, std::uint64_t total, Milliseconds elapsed, Progress::Unit unit) {
  const double seconds = std::max(0.001, std::chrono::duration<double>(elapsed).count());
  const double per_second = static_cast<double>(done) / seconds;
  std::string line = fmt::format("  {} of {}{}  {}%  {}/s", amount(done, unit), amount(total, unit),
                                 unit == Progress::Unit::bytes ? "" : " records",
                                 static_cast<int>(100.0 * static_cast<double>(done) / static_cast<double>(total)),
                                 amount(static_cast<std::uint64_t>(per_second), unit));
  if (per_second >= 1) {
    const double left = static_cast<double>(total - done) / per_second;
    line += fmt::format("  {} left", format_age(Milliseconds(static_cast<std::int64_t>(left * 1000))));
  }
  return line;
}

bool progress_allowed() {
  const auto terminal = process_environment("TERM");
  return stderr_is_terminal() && !process_environment("NO_COLOR") && terminal && *terminal != "dumb";
}

ProgressLine::ProgressLine(bool wanted)
    : wanted_(wanted), shown_(std::chrono::steady_clock::now() + kShownAfter - kShownEvery) {}

bool ProgressLine::due(SteadyTime now) const {
  return wanted_ && now - shown_ >= kShownEvery;
}

void ProgressLine::put(const std::string& line, SteadyTime now) {
  shown_ = now;
  visible_ = true;
  std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
  std::fflush(stderr);
}

void ProgressLine::clear() {
  if (!visible_) return;
  visible_ = false;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
}

Progress::Progress(std::uint64_t total, bool wanted, Unit unit)
    : total_(total), unit_(unit), begun_(std::chrono::steady_clock::now()), line_(wanted && total > 0) {}

void Progress::update(std::uint64_t done, SteadyTime now) {
  if (!line_.due(now)) return;
  const auto elapsed = std::chrono::duration_cast<Milliseconds>(now - begun_);
  // A file may have grown since its size was asked for.
  line_.put(progress_line(std::min(done, total_), total_, elapsed, unit_), now);
}

}  // namespace leat::tools
