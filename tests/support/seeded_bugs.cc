// The half of base/seeded_bug.h that is there in leat-seeded alone: LEAT_SEEDED_BUG names the mistake to make.
#include "leat/base/seeded_bug.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string_view>
#include <utility>
#include <vector>

namespace leat {
namespace {

constexpr std::array<std::string_view, 6> kNames = {
    "acknowledge-before-write", "no-fdatasync", "no-directory-sync", "no-crc-check", "no-tail-cut", "sync-retried"};

// -1: none. A name that is not known ends the program: it would make no mistake, and a test would show nothing.
int chosen() {
  const char* const name = std::getenv("LEAT_SEEDED_BUG");
  if (name == nullptr) return -1;
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<int>(i);
  std::fprintf(stderr, "leat-seeded: no mistake is called %s\n", name);
  std::abort();
}

class Postponed {
 public:
  Postponed(int fd, std::vector<std::byte> bytes, std::int64_t position)
      : fd_(fd), bytes_(std::move(bytes)), position_(position) {}
  Postponed(const Postponed&) = delete;
  Postponed& operator=(const Postponed&) = delete;
  ~Postponed() {
    if (::pwrite(fd_, bytes_.data(), bytes_.size(), position_) < 0) std::abort();
  }

 private:
  int fd_;
  std::vector<std::byte> bytes_;
  std::int64_t position_;
};

}  // namespace

bool seeded(SeededBug bug) {
  static const int made = chosen();
  return made == static_cast<int>(bug);
}

void write_at_exit(int fd, std::span<const Bytes> pieces, std::int64_t position) {
  std::vector<std::byte> bytes;
  for (const Bytes piece : pieces) bytes.insert(bytes.end(), piece.begin(), piece.end());
  static std::deque<Postponed> postponed;
  postponed.emplace_back(::dup(fd), std::move(bytes), position);
}

}  // namespace leat
