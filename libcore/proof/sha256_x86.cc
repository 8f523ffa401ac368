// The compression function for x86-64's instruction sets. Each function names the set it needs, so that the rest of the
// build runs anywhere.
#if defined(__x86_64__)

#include <immintrin.h>

#include <utility>

#include "leat/base/cpu_features.h"
#include "leat/proof/sha256_kernels.h"

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own intrinsics start from values that they leave open on purpose (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace leat {
namespace {

namespace avx512 {

#define TARGET_ENTRY __attribute__((target("avx512f,avx512bw")))
#define TARGET TARGET_ENTRY __attribute__((always_inline))

using Vec = __m512i;
constexpr std::size_t kLanes = 16;

TARGET inline Vec add(Vec a, Vec b) {
  return _mm512_add_epi32(a, b);
}
template <int kBits>
TARGET inline Vec rotate(Vec a) {
  return _mm512_ror_epi32(a, kBits);
}
template <int kBits>
TARGET inline Vec shift(Vec a) {
  return _mm512_srli_epi32(a, kBits);
}
// The last argument of these three is the truth table.
TARGET inline Vec xor3(Vec a, Vec b, Vec c) {
  return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}
TARGET inline Vec choose(Vec e, Vec f, Vec g) {
  return _mm512_ternarylogic_epi32(e, f, g, 0xca);
}
TARGET inline Vec majority(Vec a, Vec b, Vec c) {
  return _mm512_ternarylogic_epi32(a, b, c, 0xe8);
}
TARGET inline Vec splat(std::uint32_t word) {
  return _mm512_set1_epi32(static_cast<int>(word));
}
TARGET inline Vec load(const std::uint32_t* words) {
  return _mm512_load_si512(words);
}
TARGET inline void store(std::uint32_t* words, Vec a) {
  _mm512_store_si512(words, a);
}

// Row l becomes column l of a 16 x 16 matrix of words: pairs, then pairs of pairs within each quarter of a vector, then
// the quarters.
TARGET inline void load_block(const std::byte* const* blocks, std::size_t offset, Vec* w) {
  const Vec big_endian = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
  Vec rows[16];
  for (std::size_t l = 0; l < 16; ++l)
    rows[l] = _mm512_shuffle_epi8(_mm512_loadu_si512(blocks[l] + offset), big_endian);
  Vec fours[16];
  for (std::size_t l = 0; l < 16; l += 4) {
    const Vec low01 = _mm512_unpacklo_epi32(rows[l], rows[l + 1]);
    const Vec high01 = _mm512_unpackhi_epi32(rows[l], rows[l + 1]);
    const Vec low23 = _mm512_unpacklo_epi32(rows[l + 2], rows[l + 3]);
    const Vec high23 = _mm512_unpackhi_epi32(rows[l + 2], rows[l + 3]);
    fours[l] = _mm512_unpacklo_epi64(low01, low23);
    fours[l + 1] = _mm512_unpackhi_epi64(low01, low23);
    fours[l + 2] = _mm512_unpacklo_epi64(high01, high23);
    fours[l + 3] = _mm512_unpackhi_epi64(high01, high23);
  }
  for (std::size_t i = 0; i < 4; ++i) {
    const Vec even_low = _mm512_shuffle_i32x4(fours[i], fours[i + 4], 0x88);
    const Vec even_high = _mm512_shuffle_i32x4(fours[i + 8], fours[i + 12], 0x88);
    const Vec odd_low = _mm512_shuffle_i32x4(fours[i], fours[i + 4], 0xdd);
    const Vec odd_high = _mm512_shuffle_i32x4(fours[i + 8], fours[i + 12], 0xdd);
    w[i] = _mm512_shuffle_i32x4(even_low, even_high, 0x88);
    w[i + 4] = _mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
    w[i + 8] = _mm512_shuffle_i32x4(even_low, even_high, 0xdd);
    w[i + 12] = _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd);
  }
}

#include "leat/proof/sha256_lanes.inc"

#undef TARGET
#undef TARGET_ENTRY

}  // namespace avx512

namespace avx2 {

#define TARGET_ENTRY __attribute__((target("avx2")))
#define TARGET TARGET_ENTRY __attribute__((always_inline))

using Vec = __m256i;
constexpr std::size_t kLanes = 8;

TARGET inline Vec add(Vec a, Vec b) {
  return _mm256_add_epi32(a, b);
}
template <int kBits>
TARGET inline Vec rotate(Vec a) {
  return _mm256_or_si256(_mm256_srli_epi32(a, kBits), _mm256_slli_epi32(a, 32 - kBits));
}
template <int kBits>
TARGET inline Vec shift(Vec a) {
  return _mm256_srli_epi32(a, kBits);
}
TARGET inline Vec xor3(Vec a, Vec b, Vec c) {
  return _mm256_xor_si256(_mm256_xor_si256(a, b), c);
}
TARGET inline Vec choose(Vec e, Vec f, Vec g) {
  return _mm256_xor_si256(g, _mm256_and_si256(e, _mm256_xor_si256(f, g)));
}
// b ^ c is the next round's a ^ b: the compiler keeps it.
TARGET inline Vec majority(Vec a, Vec b, Vec c) {
  return _mm256_xor_si256(b, _mm256_and_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(b, c)));
}
TARGET inline Vec splat(std::uint32_t word) {
  return _mm256_set1_epi32(static_cast<int>(word));
}
TARGET inline Vec load(const std::uint32_t* words) {
  return _mm256_load_si256(reinterpret_cast<const Vec*>(words));
}
TARGET inline void store(std::uint32_t* words, Vec a) {
  _mm256_store_si256(reinterpret_cast<Vec*>(words), a);
}

// As above: an 8 x 8 matrix for each half of the block.
TARGET inline void load_block(const std::byte* const* blocks, std::size_t offset, Vec* w) {
  const Vec big_endian = _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
  for (std::size_t half = 0; half < 2; ++half) {
    Vec rows[8];
    for (std::size_t l = 0; l < 8; ++l) {
      const auto* const at = reinterpret_cast<const Vec*>(blocks[l] + offset + half * 32);
      rows[l] = _mm256_shuffle_epi8(_mm256_loadu_si256(at), big_endian);
    }
    Vec fours[8];
    for (std::size_t l = 0; l < 8; l += 4) {
      const Vec low01 = _mm256_unpacklo_epi32(rows[l], rows[l + 1]);
      const Vec high01 = _mm256_unpackhi_epi32(rows[l], rows[l + 1]);
      const Vec low23 = _mm256_unpacklo_epi32(rows[l + 2], rows[l + 3]);
      const Vec high23 = _mm256_unpackhi_epi32(rows[l + 2], rows[l + 3]);
      fours[l] = _mm256_unpacklo_epi64(low01, low23);
      fours[l + 1] = _mm256_unpackhi_epi64(low01, low23);
      fours[l + 2] = _mm256_unpacklo_epi64(high01, high23);
      fours[l + 3] = _mm256_unpackhi_epi64(high01, high23);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      w[half * 8 + i] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x20);
      w[half * 8 + i + 4] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x31);
    }
  }
}

#include "leat/proof/sha256_lanes.inc"

#undef TARGET
#undef TARGET_ENTRY

}  // namespace avx2

namespace sha_ni {

#define TARGET_ENTRY __attribute__((target("sha,sse4.1,ssse3")))
#define TARGET TARGET_ENTRY __attribute__((always_inline))

// The instructions keep the state as the words f e b a and h g d c, lowest first.
struct State {
  __m128i feba;
  __m128i hgdc;
};

template <std::size_t kLanes>
TARGET inline State load(const std::uint32_t* state, std::size_t lane) {
  const auto word = [&](std::size_t w) { return static_cast<int>(state[w * kLanes + lane]); };
  return {_mm_setr_epi32(word(5), word(4), word(1), word(0)), _mm_setr_epi32(word(7), word(6), word(3), word(2))};
}

template <std::size_t kLanes>
TARGET inline void store(std::uint32_t* state, std::size_t lane, const State& from) {
  alignas(16) std::uint32_t words[8];
  _mm_store_si128(reinterpret_cast<__m128i*>(words), from.feba);
  _mm_store_si128(reinterpret_cast<__m128i*>(words + 4), from.hgdc);
  constexpr std::size_t kPlaces[8] = {3, 2, 7, 6, 1, 0, 5, 4};
  for (std::size_t w = 0; w < 8; ++w) state[w * kLanes + lane] = words[kPlaces[w]];
}

// Rounds 4 * kFour and the next three. w holds 16 words of the message schedule, four a vector.
template <std::size_t kFour>
TARGET inline void four_rounds(State& state, __m128i* w) {
  constexpr std::size_t kNow = kFour % 4;
  constexpr std::size_t kNext = (kFour + 1) % 4;
  if constexpr (kFour >= 4) {
    const __m128i nine_on = _mm_alignr_epi8(w[(kFour + 3) % 4], w[(kFour + 2) % 4], 4);
    w[kNow] = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w[kNow], w[kNext]), nine_on), w[(kFour + 3) % 4]);
  }
  const auto* const k = reinterpret_cast<const __m128i*>(kSha256Rounds.data() + 4 * kFour);
  const __m128i sum = _mm_add_epi32(w[kNow], _mm_load_si128(k));
  state.hgdc = _mm_sha256rnds2_epu32(state.hgdc, state.feba, sum);
  state.feba = _mm_sha256rnds2_epu32(state.feba, state.hgdc, _mm_shuffle_epi32(sum, 0x0e));
}

// Two independent streams in step keep the unit busy that one leaves waiting for itself.
template <std::size_t kFour, std::size_t kLanes>
TARGET inline void four_rounds_of_each(State* state, __m128i (*w)[4]) {
  for (std::size_t l = 0; l < kLanes; ++l) four_rounds<kFour>(state[l], w[l]);
}

template <std::size_t kLanes, std::size_t... kFour>
TARGET inline void compress(std::uint32_t* words, const std::byte* const* blocks, std::size_t count,
                            std::index_sequence<kFour...>) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  State state[kLanes];
  for (std::size_t l = 0; l < kLanes; ++l) state[l] = load<kLanes>(words, l);
  for (std::size_t offset = 0; offset < count * kSha256BlockBytes; offset += kSha256BlockBytes) {
    State before[kLanes];
    __m128i w[kLanes][4];
    for (std::size_t l = 0; l < kLanes; ++l) {
      before[l] = state[l];
      const auto* const block = reinterpret_cast<const __m128i*>(blocks[l] + offset);
      for (std::size_t i = 0; i < 4; ++i) w[l][i] = _mm_shuffle_epi8(_mm_loadu_si128(block + i), big_endian);
    }
    (four_rounds_of_each<kFour, kLanes>(state, w), ...);
    for (std::size_t l = 0; l < kLanes; ++l) {
      state[l].feba = _mm_add_epi32(state[l].feba, before[l].feba);
      state[l].hgdc = _mm_add_epi32(state[l].hgdc, before[l].hgdc);
    }
  }
  for (std::size_t l = 0; l < kLanes; ++l) store<kLanes>(words, l, state[l]);
}

TARGET_ENTRY void compress_one(std::uint32_t* state, const std::byte* const* blocks, std::size_t count) {
  compress<1>(state, blocks, count, std::make_index_sequence<16>{});
}

TARGET_ENTRY void compress_two(std::uint32_t* state, const std::byte* const* blocks, std::size_t count) {
  compress<2>(state, blocks, count, std::make_index_sequence<16>{});
}

#undef TARGET
#undef TARGET_ENTRY

}  // namespace sha_ni
}  // namespace

// As the C library found them when the program started.
bool cpu_has_sha_ni() {
  return CPU_FEATURE_ACTIVE(SHA) && CPU_FEATURE_ACTIVE(SSE4_1);
}
bool cpu_has_avx2() {
  return CPU_FEATURE_ACTIVE(AVX2);
}
bool cpu_has_avx512() {
  return CPU_FEATURE_ACTIVE(AVX512F) && CPU_FEATURE_ACTIVE(AVX512BW);
}

void sha256_compress_sha_ni(std::uint32_t* state, const std::byte* const* blocks, std::size_t count) {
  sha_ni::compress_one(state, blocks, count);
}
void sha256_compress_sha_ni_twice(std::uint32_t* state, const std::byte* const* blocks, std::size_t count) {
  sha_ni::compress_two(state, blocks, count);
}
void sha256_compress_avx2(std::uint32_t* state, const std::byte* const* blocks, std::size_t count) {
  avx2::compress(state, blocks, count);
}
void sha256_compress_avx512(std::uint32_t* state, const std::byte* const* blocks, std::size_t count) {
  avx512::compress(state, blocks, count);
}

}  // namespace leat

#endif
