// What the records of a benchmark hold: the same in every run. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tools/bench_options.h"

namespace leat::tools {

// Values cut from one long text, so that none costs anything to make. Values near each other have nothing in common but
// their words.
class PayloadSource {
 public:
  PayloadSource(BenchPayload kind, std::int64_t record_bytes);

  // The value of record `number`. Lives as long as the source.
  std::string_view value(std::int64_t number) const {
    const std::uint64_t at = static_cast<std::uint64_t>(number) * step_ % kStarts;
    return std::string_view(text_).substr(at, record_bytes_);
  }

 private:
  static constexpr std::uint64_t kStarts = 1 << 20;

  std::size_t record_bytes_;
  std::uint64_t step_;
  std::string text_;
};

// Stamps at the head of a value, for whoever measures on the other end.
inline constexpr std::size_t kStampBytes = 16;
struct Stamp {
  std::int64_t sent_ns = 0;  // steady time; 0 where nothing is to be measured
  std::int64_t number = 0;
};
void put_stamp(std::string& value, Stamp stamp);
// Precondition: the value is at least kStampBytes long.
Stamp get_stamp(std::string_view value);

}  // namespace leat::tools
