// The checksum in three forms: slice-by-8 tables for any CPU, the SSE4.2 instruction, and folding by AVX-512.
//
// The instruction takes 8 bytes a cycle but answers after three, so one stream leaves two thirds of it idle. Long
// inputs are therefore read as three neighbouring streams whose checksums are joined at the end of each round: with
// crc(s, bytes) without the customary inversions, crc(s, ABC) = crc(s, A) * x^(8|BC|) + crc(0, B) * x^(8|C|) + crc(0,
// C) modulo the polynomial, and a product by a constant is one carry-less multiplication. Against joining by tables
// this needs no cache lines and no start-up.
//
// Folding (Gopal and others, Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction, Intel 2009)
// replaces the front of a message by something congruent to it further back: bytes A that B follows after a distance of
// D bytes go, and A * x^(8D) is added to B. The constants are made here, at compile time.
#include "leat/base/crc32c.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

#include "leat/base/cpu_features.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace leat {
namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78;  // reflected: bit 31 is x^0

constexpr std::uint32_t times_x(std::uint32_t value) {
  return (value >> 1) ^ ((value & 1) != 0 ? kPolynomial : 0);
}

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

// tables[n][b]: the checksum of the byte b followed by n zero bytes.
constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = times_x(value);
    tables[0][byte] = value;
  }
  for (std::size_t n = 1; n < 8; ++n) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[n - 1][byte];
      tables[n][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

std::uint32_t load_le32(const std::byte* from) {
  return std::to_integer<std::uint32_t>(from[0]) | std::to_integer<std::uint32_t>(from[1]) << 8 |
         std::to_integer<std::uint32_t>(from[2]) << 16 | std::to_integer<std::uint32_t>(from[3]) << 24;
}

#if defined(__x86_64__)

// Bytes of one of the three streams in a round. The long round makes the joining vanish, the short one serves what is
// left and small batches.
constexpr std::size_t kLongStreamBytes = 2048;
constexpr std::size_t kShortStreamBytes = 128;

constexpr std::uint32_t power_of_x(std::size_t exponent) {
  std::uint32_t value = 0x80000000;
  for (; exponent > 0; --exponent) value = times_x(value);
  return value;
}

// The factor that carries a checksum over `bytes` more bytes. 33 less, because the product of two reflected values
// stands one place low in 64 bits, and the instruction that reduces it multiplies by x^32.
constexpr std::uint32_t factor_over(std::size_t bytes) {
  return power_of_x(8 * bytes - 33);
}

std::uint64_t load_u64(const std::byte* from) {
  std::uint64_t value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

__attribute__((target("sse4.2,pclmul"))) inline std::uint64_t multiply(std::uint64_t crc, std::uint32_t factor) {
  const __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<long long>(crc)),
                                               _mm_cvtsi64_si128(static_cast<long long>(factor)), 0);
  return _mm_crc32_u64(0, static_cast<std::uint64_t>(_mm_cvtsi128_si64(product)));
}

// Takes rounds of three streams off the front of `at` while `size` allows it.
template <std::size_t kStreamBytes>
__attribute__((target("sse4.2,pclmul"))) inline std::uint64_t rounds(std::uint64_t crc, const std::byte*& at,
                                                                     std::size_t& size) {
  constexpr std::uint32_t kOverOne = factor_over(kStreamBytes);
  constexpr std::uint32_t kOverTwo = factor_over(2 * kStreamBytes);
  while (size >= 3 * kStreamBytes) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (const std::byte* const end = at + kStreamBytes; at != end; at += 8) {
      crc = _mm_crc32_u64(crc, load_u64(at));
      second = _mm_crc32_u64(second, load_u64(at + kStreamBytes));
      third = _mm_crc32_u64(third, load_u64(at + 2 * kStreamBytes));
    }
    crc = multiply(crc, kOverTwo) ^ multiply(second, kOverOne) ^ third;
    at += 2 * kStreamBytes;
    size -= 3 * kStreamBytes;
  }
  return crc;
}

__attribute__((target("sse4.2,pclmul"))) std::uint32_t crc32c_sse42(Bytes bytes, std::uint32_t seed) {
  const std::byte* at = bytes.data();
  std::size_t size = bytes.size();
  std::uint64_t crc = static_cast<std::uint32_t>(~seed);
  crc = rounds<kLongStreamBytes>(crc, at, size);
  crc = rounds<kShortStreamBytes>(crc, at, size);
  for (; size >= 8; size -= 8, at += 8) crc = _mm_crc32_u64(crc, load_u64(at));
  auto low = static_cast<std::uint32_t>(crc);
  for (; size > 0; --size, ++at) low = _mm_crc32_u8(low, std::to_integer<std::uint8_t>(*at));
  return ~low;
}

// x^exponent as the upper half of the 64 bits that one operand of a carry-less multiplication is.
constexpr long long upper_half(std::size_t exponent) {
  return std::bit_cast<long long>(std::uint64_t{power_of_x(exponent)} << 32);
}

constexpr std::size_t kVectorBytes = 64;

// Each 16 bytes of `from`, carried over kDistance bytes and added to those of `to`. The bytes are two halves of 64
// bits, the front one of which stands 64 places higher; and products stand one place low, as above.
template <std::size_t kDistance>
__attribute__((target("avx512f,vpclmulqdq"), always_inline)) inline __m512i fold(__m512i from, __m512i to) {
  constexpr long long kFront = upper_half(8 * kDistance + 63);
  constexpr long long kBack = upper_half(8 * kDistance - 1);
  const __m512i factors = _mm512_set4_epi64(kBack, kFront, kBack, kFront);
  const __m512i front = _mm512_clmulepi64_epi128(from, factors, 0x00);
  const __m512i back = _mm512_clmulepi64_epi128(from, factors, 0x11);
  return _mm512_xor_si512(_mm512_xor_si512(front, back), to);
}

__attribute__((target("avx512f,vpclmulqdq,sse4.2,pclmul"))) std::uint32_t crc32c_avx512(Bytes bytes,
                                                                                        std::uint32_t seed) {
  constexpr std::size_t kVectors = 4;  // as many as hide how long a multiplication takes
  constexpr std::size_t kRoundBytes = kVectors * kVectorBytes;
  if (bytes.size() < 2 * kRoundBytes) return crc32c_sse42(bytes, seed);
  const auto load = [&](std::size_t at)
                        __attribute__((target("avx512f"))) { return _mm512_loadu_si512(bytes.data() + at); };
  __m512i v[kVectors];
  for (std::size_t i = 0; i < kVectors; ++i) v[i] = load(i * kVectorBytes);
  v[0] = _mm512_xor_si512(v[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128(static_cast<int>(~seed))));
  std::size_t at = kRoundBytes;
  for (; bytes.size() - at >= kRoundBytes; at += kRoundBytes) {
    for (std::size_t i = 0; i < kVectors; ++i) v[i] = fold<kRoundBytes>(v[i], load(at + i * kVectorBytes));
  }
  const __m512i half = fold<2 * kVectorBytes>(v[0], v[2]);
  const __m512i other_half = fold<2 * kVectorBytes>(v[1], v[3]);
  std::array<std::byte, kVectorBytes> folded;
  _mm512_storeu_si512(folded.data(), fold<kVectorBytes>(half, other_half));
  std::uint64_t crc = 0;
  for (std::size_t i = 0; i < kVectorBytes; i += 8) crc = _mm_crc32_u64(crc, load_u64(folded.data() + i));
  return crc32c_sse42(bytes.subspan(at), ~static_cast<std::uint32_t>(crc));
}

#endif

std::uint32_t crc32c_portable(Bytes bytes, std::uint32_t seed) {
  const std::byte* at = bytes.data();
  std::size_t size = bytes.size();
  std::uint32_t crc = ~seed;
  for (; size >= 8; size -= 8, at += 8) {
    const std::uint32_t low = load_le32(at) ^ crc;
    const std::uint32_t high = load_le32(at + 4);
    crc = kTables[7][low & 0xff] ^ kTables[6][(low >> 8) & 0xff] ^ kTables[5][(low >> 16) & 0xff] ^
          kTables[4][low >> 24] ^ kTables[3][high & 0xff] ^ kTables[2][(high >> 8) & 0xff] ^
          kTables[1][(high >> 16) & 0xff] ^ kTables[0][high >> 24];
  }
  for (; size > 0; --size, ++at) crc = (crc >> 8) ^ kTables[0][(crc ^ std::to_integer<std::uint32_t>(*at)) & 0xff];
  return ~crc;
}

using Checksum = std::uint32_t (*)(Bytes, std::uint32_t);

Checksum form_of([[maybe_unused]] Crc32cKind kind) {
#if defined(__x86_64__)
  if (kind == Crc32cKind::avx512) return crc32c_avx512;
  if (kind == Crc32cKind::sse42) return crc32c_sse42;
#endif
  return crc32c_portable;
}

Checksum fastest() {
  for (const Crc32cKind kind : {Crc32cKind::avx512, Crc32cKind::sse42}) {
    if (crc32c_supports(kind)) return form_of(kind);
  }
  return form_of(Crc32cKind::portable);
}

}  // namespace

bool crc32c_supports(Crc32cKind kind) {
  if (kind == Crc32cKind::portable) return true;
#if defined(__x86_64__)
  const bool sse42 = CPU_FEATURE_ACTIVE(SSE4_2) && CPU_FEATURE_ACTIVE(PCLMULQDQ);
  return sse42 && (kind == Crc32cKind::sse42 || (CPU_FEATURE_ACTIVE(AVX512F) && CPU_FEATURE_ACTIVE(VPCLMULQDQ)));
#else
  return false;
#endif
}

std::uint32_t crc32c(Bytes bytes, std::uint32_t seed) {
  static const Checksum checksum = fastest();
  return checksum(bytes, seed);
}

std::uint32_t crc32c(Crc32cKind kind, Bytes bytes, std::uint32_t seed) {
  return form_of(kind)(bytes, seed);
}

}  // namespace leat
