// How far long work has come: one line on a terminal's stderr that is written over again and again, and nothing
// elsewhere.
#pragma once

#include <cstdint>
#include <string>

#include "leat/base/clock.h"

namespace leat::tools {

// Whether this process may show any: stderr is a terminal that is not dumb, and NO_COLOR is not set.
bool progress_allowed();

// One line of stderr that is written over again and again: after a second, and a few times a second from then on.
class ProgressLine {
 public:
  // `wanted` is false where nothing may be shown.
  explicit ProgressLine(bool wanted);
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  bool due(SteadyTime now) const;
  void put(const std::string& line, SteadyTime now);
  // Takes the line off the terminal, so that something else can be printed.
  void clear();

 private:
  const bool wanted_;
  SteadyTime shown_;
  bool visible_ = false;
};

// Work whose end is known.
class Progress {
 public:
  enum class Unit { bytes, records };

  // Work of `total`; `wanted` is false where nothing may be shown. Nothing is shown for an unknown total (0).
  Progress(std::uint64_t total, bool wanted, Unit unit = Unit::bytes);

  void update(std::uint64_t done, SteadyTime now);
  // As ProgressLine::clear().
  void clear() { line_.clear(); }

 private:
  const std::uint64_t total_;
  const Unit unit_;
  const SteadyTime begun_;
  ProgressLine line_;
};

// The line's text: "  45.2 MiB of 1.2 GiB  3%  120 MiB/s  12s left", or "  45,210 of 1,000,000 records ...". Pure.
// Precondition: done <= total, total > 0.
std::string progress_line(std::uint64_t done, std::uint64_t total, Milliseconds elapsed,
                          Progress::Unit unit = Progress::Unit::bytes);

}  // namespace leat::tools
