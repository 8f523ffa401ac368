// Bounds-checked cursors over big-endian integers and the zigzag varints of Kafka's record format (the same as Protocol
// Buffers' sint32/sint64). Knows no layout.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace leat {

using Bytes = std::span<const std::byte>;

inline Bytes as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The integer stored big-endian at `from`; the caller has checked that sizeof(T) bytes are there.
template <std::integral T>
T load_be(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (std::endian::native == std::endian::little && sizeof(T) > 1) {
    using U = std::make_unsigned_t<T>;
    if constexpr (sizeof(T) == 2) value = static_cast<T>(__builtin_bswap16(static_cast<U>(value)));
    if constexpr (sizeof(T) == 4) value = static_cast<T>(__builtin_bswap32(static_cast<U>(value)));
    if constexpr (sizeof(T) == 8) value = static_cast<T>(__builtin_bswap64(static_cast<U>(value)));
  }
  return value;
}

// Stores `value` big-endian at `to`, which has room for sizeof(T) bytes.
template <std::integral T>
void store_be(std::byte* to, T value) {
  if constexpr (std::endian::native == std::endian::little && sizeof(T) > 1) {
    using U = std::make_unsigned_t<T>;
    if constexpr (sizeof(T) == 2) value = static_cast<T>(__builtin_bswap16(static_cast<U>(value)));
    if constexpr (sizeof(T) == 4) value = static_cast<T>(__builtin_bswap32(static_cast<U>(value)));
    if constexpr (sizeof(T) == 8) value = static_cast<T>(__builtin_bswap64(static_cast<U>(value)));
  }
  std::memcpy(to, &value, sizeof value);
}

inline std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
inline std::int64_t unzigzag(std::uint64_t raw) {
  return static_cast<std::int64_t>(raw >> 1) ^ -static_cast<std::int64_t>(raw & 1);
}

// Bytes that `value` takes as a zigzag varint: 1 to 10.
inline std::size_t varint_size(std::int64_t value) {
  const int bits = 64 - std::countl_zero(zigzag(value) | 1);
  return static_cast<std::size_t>((bits + 6) / 7);
}

// Writes `value` as a zigzag varint at `to` (room for 10 bytes) and returns the byte behind it.
inline std::byte* put_varint(std::byte* to, std::int64_t value) {
  std::uint64_t raw = zigzag(value);
  while (raw >= 0x80) {
    *to++ = static_cast<std::byte>(raw | 0x80);
    raw >>= 7;
  }
  *to++ = static_cast<std::byte>(raw);
  return to;
}

// Reads forward through bytes it does not own. Every read says nullopt instead of running past the end, and leaves the
// cursor where it was.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  std::size_t remaining() const { return static_cast<std::size_t>(end_ - at_); }

  template <std::integral T>
  std::optional<T> be() {
    if (remaining() < sizeof(T)) return std::nullopt;
    const T value = load_be<T>(at_);
    at_ += sizeof(T);
    return value;
  }

  // A zigzag varint of at most ten bytes; overlong or truncated is nullopt.
  std::optional<std::int64_t> varint() {
    std::uint64_t raw = 0;
    const std::byte* at = at_;
    for (unsigned shift = 0; shift < 64 && at != end_; shift += 7) {
      const auto byte = static_cast<std::uint64_t>(*at++);
      if (shift == 63 && byte > 1) return std::nullopt;
      raw |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        at_ = at;
        return unzigzag(raw);
      }
    }
    return std::nullopt;
  }

  // A byte that is there, some that are, and stepping behind them.
  std::uint64_t peek(std::size_t i) const { return static_cast<std::uint64_t>(at_[i]); }
  Bytes first(std::size_t count) const { return {at_, count}; }
  void skip(std::size_t count) { at_ += count; }

  // The next `count` bytes; they live as long as what the reader was made from.
  std::optional<Bytes> take(std::size_t count) {
    if (remaining() < count) return std::nullopt;
    const Bytes taken{at_, count};
    at_ += count;
    return taken;
  }

 private:
  const std::byte* at_;
  const std::byte* end_;
};

}  // namespace leat
