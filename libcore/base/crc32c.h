// CRC-32C (Castagnoli, RFC 3720 appendix B.4), the checksum of Kafka's record batches and of leat's own slots. Pure.
#pragma once

#include <cstdint>

#include "leat/base/bytes.h"

namespace leat {

// The checksum of `bytes` following bytes whose checksum was `seed` (0 at the start):
// crc32c(ab) == crc32c(b, crc32c(a)). Uses the CPU's instruction where it has one, chosen once at run time.
std::uint32_t crc32c(Bytes bytes, std::uint32_t seed = 0);

// The table-driven form, for CPUs without the instruction and for checking the other one.
std::uint32_t crc32c_portable(Bytes bytes, std::uint32_t seed = 0);

}  // namespace leat
