#include "leat/base/base64.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace leat {

namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNoDigit = 64;

constexpr std::array<std::uint8_t, 256> make_digits() {
  std::array<std::uint8_t, 256> digits{};
  digits.fill(kNoDigit);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i)
    digits[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  return digits;
}
constexpr std::array<std::uint8_t, 256> kDigits = make_digits();

std::uint32_t byte_at(std::string_view bytes, std::size_t i) {
  return static_cast<unsigned char>(bytes[i]);
}

}  // namespace

void append_base64(std::string& to, std::string_view bytes) {
  to.reserve(to.size() + (bytes.size() + 2) / 3 * 4);
  std::size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    const std::uint32_t word = byte_at(bytes, i) << 16 | byte_at(bytes, i + 1) << 8 | byte_at(bytes, i + 2);
    for (int shift = 18; shift >= 0; shift -= 6) to += kAlphabet[word >> shift & 63];
  }
  if (const std::size_t left = bytes.size() - i; left > 0) {
    const std::uint32_t word = byte_at(bytes, i) << 16 | (left == 2 ? byte_at(bytes, i + 1) << 8 : 0);
    to += kAlphabet[word >> 18];
    to += kAlphabet[word >> 12 & 63];
    to += left == 2 ? kAlphabet[word >> 6 & 63] : '=';
    to += '=';
  }
}

std::string encode_base64(std::string_view bytes) {
  std::string text;
  append_base64(text, bytes);
  return text;
}

std::string encode_base64url(std::string_view bytes) {
  std::string text = encode_base64(bytes);
  text.erase(std::ranges::find(text, '='), text.end());
  std::ranges::replace(text, '+', '-');
  std::ranges::replace(text, '/', '_');
  return text;
}

std::optional<std::string_view> decode_base64_in_place(char* text, std::size_t size) {
  if (size % 4 != 0) return std::nullopt;
  char* to = text;
  for (std::size_t at = 0; at < size; at += 4) {
    std::uint32_t bits = 0;
    std::size_t digits = 4;
    if (at + 4 == size && text[at + 3] == '=') digits = text[at + 2] == '=' ? 2 : 3;
    for (std::size_t i = 0; i < digits; ++i) {
      const std::uint8_t digit = kDigits[static_cast<unsigned char>(text[at + i])];
      if (digit == kNoDigit) return std::nullopt;
      bits |= std::uint32_t{digit} << (18 - 6 * i);
    }
    const std::size_t bytes = digits - 1;
    if ((bits & (0xFFFFFFU >> (8 * bytes))) != 0) return std::nullopt;  // bits that belong to no byte
    for (std::size_t i = 0; i < bytes; ++i) *to++ = static_cast<char>(bits >> (16 - 8 * i));
  }
  return std::string_view(text, static_cast<std::size_t>(to - text));
}

std::optional<std::string> decode_base64(std::string_view text) {
  std::string bytes(text);
  const auto decoded = decode_base64_in_place(bytes.data(), bytes.size());
  if (!decoded) return std::nullopt;
  bytes.resize(decoded->size());
  return bytes;
}

std::optional<std::string> decode_any_base64(std::string_view text) {
  std::string standard(text);
  std::ranges::replace(standard, '-', '+');
  std::ranges::replace(standard, '_', '/');
  if (!standard.ends_with('=')) standard.append((4 - standard.size() % 4) % 4, '=');
  return decode_base64(standard);
}

}  // namespace leat
