#include "tools/bench_payload.h"

#include <array>
#include <cstring>

#include "leat/base/error.h"

namespace leat::tools {
namespace {

constexpr std::array<std::string_view, 32> kWords = {
    "sensor",  "temperature", "ok",      "started", "humidity", "pressure", "room",   "north",
    "south",   "value",       "changed", "from",    "to",       "warning",  "level",  "water",
    "pump",    "valve",       "open",    "closed",  "battery",  "low",      "normal", "reading",
    "request", "answered",    "in",      "ms",      "user",     "session",  "order",  "paid"};

// splitmix64 (Steele, Lea, Flood 2014): good enough to have no pattern, and the same everywhere.
class Numbers {
 public:
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_ = 1;
};

void append_bytes(std::string& to, Numbers& numbers) {
  std::array<char, 8> bytes;
  const std::uint64_t number = numbers.next();
  std::memcpy(bytes.data(), &number, sizeof number);
  to.append(bytes.data(), bytes.size());
}

// Words, and a number now and then, as in a log.
void append_word(std::string& to, Numbers& numbers) {
  const std::uint64_t number = numbers.next();
  to += number % 4 == 0 ? std::to_string(number >> 50) : std::string(kWords[(number >> 8) % kWords.size()]);
  to += ' ';
}

}  // namespace

PayloadSource::PayloadSource(BenchPayload kind, std::int64_t record_bytes)
    : record_bytes_(static_cast<std::size_t>(record_bytes)),
      // Odd, so that the starts go through all there are before one comes again.
      step_(static_cast<std::uint64_t>(record_bytes) | 1) {
  Numbers numbers;
  const std::size_t bytes = kStarts + record_bytes_;
  text_.reserve(bytes + 32);
  while (text_.size() < bytes) kind == BenchPayload::text ? append_word(text_, numbers) : append_bytes(text_, numbers);
}

void put_stamp(std::string& value, Stamp stamp) {
  ASSERT(value.size() >= kStampBytes);
  std::memcpy(value.data(), &stamp.sent_ns, 8);
  std::memcpy(value.data() + 8, &stamp.number, 8);
}

Stamp get_stamp(std::string_view value) {
  ASSERT(value.size() >= kStampBytes);
  Stamp stamp;
  std::memcpy(&stamp.sent_ns, value.data(), 8);
  std::memcpy(&stamp.number, value.data() + 8, 8);
  return stamp;
}

}  // namespace leat::tools
