// CRC-32C (Castagnoli, RFC 3720 appendix B.4), the checksum of Kafka's record batches and of leat's own slots. Pure.
#pragma once

#include <cstdint>

#include "leat/base/bytes.h"

namespace leat {

// The checksum of `bytes` following bytes whose checksum was `seed` (0 at the start):
// crc32c(ab) == crc32c(b, crc32c(a)). Uses the fastest form that the CPU has, chosen once at run time.
std::uint32_t crc32c(Bytes bytes, std::uint32_t seed = 0);

// The forms: tables for any CPU; the SSE4.2 instruction; carry-less multiplication in registers of 512 bits.
enum class Crc32cKind { portable, sse42, avx512 };
bool crc32c_supports(Crc32cKind kind);

// The same by a chosen form, which must be supported here: for tests and measurements.
std::uint32_t crc32c(Crc32cKind kind, Bytes bytes, std::uint32_t seed = 0);

}  // namespace leat
