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

std::string size(std::uint64_t bytes) {
  return format_size_short(static_cast<std::int64_t>(bytes));
}

}  // namespace

std::string progress_line(std::uint64_t done, std::uint64_t total, Milliseconds elapsed) {
  const double seconds = std::max(0.001, std::chrono::duration<double>(elapsed).count());
  const double bytes_per_second = static_cast<double>(done) / seconds;
  std::string line = fmt::format("  {} of {}  {}%  {}/s", size(done), size(total),
                                 static_cast<int>(100.0 * static_cast<double>(done) / static_cast<double>(total)),
                                 size(static_cast<std::uint64_t>(bytes_per_second)));
  if (bytes_per_second >= 1) {
    const double left = static_cast<double>(total - done) / bytes_per_second;
    line += fmt::format("  {} left", format_age(Milliseconds(static_cast<std::int64_t>(left * 1000))));
  }
  return line;
}

bool progress_allowed() {
  const auto terminal = process_environment("TERM");
  return stderr_is_terminal() && !process_environment("NO_COLOR") && terminal && *terminal != "dumb";
}

Progress::Progress(std::uint64_t total_bytes, bool wanted)
    : total_bytes_(total_bytes),
      wanted_(wanted && total_bytes > 0),
      begun_(std::chrono::steady_clock::now()),
      shown_(begun_ + kShownAfter - kShownEvery) {}

void Progress::update(std::uint64_t done_bytes, SteadyTime now) {
  if (!wanted_ || now - shown_ < kShownEvery) return;
  shown_ = now;
  visible_ = true;
  const auto elapsed = std::chrono::duration_cast<Milliseconds>(now - begun_);
  // A file may have grown since its size was asked for.
  const std::string line = progress_line(std::min(done_bytes, total_bytes_), total_bytes_, elapsed);
  std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
  std::fflush(stderr);
}

void Progress::clear() {
  if (!visible_) return;
  visible_ = false;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
}

}  // namespace leat::tools
