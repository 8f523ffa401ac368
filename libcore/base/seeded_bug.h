// Mistakes for the tests to find. In leat itself there are none: seeded() is a constant false, and what depends on it
// is not compiled in. The program leat-seeded of the tests is built with LEAT_SEEDED_BUGS from the files that ask here;
// it makes the mistake that its environment names (tests/support/seeded_bugs.cc). tests/crash/seeded_bugs.py shows
// which sweep catches which.
#pragma once

#include <cstdint>
#include <span>

#include "leat/base/bytes.h"

namespace leat {

enum class SeededBug {
  acknowledge_before_write,
  no_fdatasync,
  no_directory_sync,
  no_crc_check,
  no_tail_cut,
  sync_retried,
};

#ifdef LEAT_SEEDED_BUGS
bool seeded(SeededBug bug);
// Takes a copy of `pieces` and writes them when the process ends in order.
void write_at_exit(int fd, std::span<const Bytes> pieces, std::int64_t position);
#else
constexpr bool seeded(SeededBug /*bug*/) {
  return false;
}
inline void write_at_exit(int /*fd*/, std::span<const Bytes> /*pieces*/, std::int64_t /*position*/) {}
#endif

}  // namespace leat
