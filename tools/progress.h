// How far long work has come: one line on a terminal's stderr that is written over again and again, and nothing
// elsewhere.
#pragma once

#include <cstdint>
#include <string>

#include "leat/base/clock.h"

namespace leat::tools {

// The line's text: "  45.2 MiB of 1.2 GiB  3%  120 MiB/s  12s left". Pure. Precondition: done <= total, total > 0.
std::string progress_line(std::uint64_t done, std::uint64_t total, Milliseconds elapsed);

// Whether this process may show any: stderr is a terminal that is not dumb, and NO_COLOR is not set.
bool progress_allowed();

// Shows itself only after a second, and a few times a second from then on.
class Progress {
 public:
  // Work of `total_bytes`; `wanted` is false where nothing may be shown. Nothing is shown for an unknown total (0).
  Progress(std::uint64_t total_bytes, bool wanted);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(std::uint64_t done_bytes, SteadyTime now);
  // Takes the line off the terminal, so that something else can be printed.
  void clear();

 private:
  const std::uint64_t total_bytes_;
  const bool wanted_;
  const SteadyTime begun_;
  SteadyTime shown_;
  bool visible_ = false;
};

}  // namespace leat::tools
