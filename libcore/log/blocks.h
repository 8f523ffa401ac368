// How much of a log is read, searched, copied or set aside at a time. Tests that fuzz are built with small blocks: so
// the small files they make span several, as large files do.
#pragma once

#include <cstddef>
#include <cstdint>

namespace leat {

#ifdef LEAT_SMALL_BLOCKS
inline constexpr std::size_t kCopyBlockBytes = 4 << 10;
inline constexpr std::size_t kSearchBlockBytes = 1 << 10;
inline constexpr std::size_t kWalkFirstBlockBytes = 256;
inline constexpr std::size_t kWalkFirstHeadersBytes = 256;
inline constexpr std::size_t kWalkCheckedBlockBytes = 2 << 10;
inline constexpr std::size_t kWalkHeaderBlockBytes = 256;
inline constexpr std::int64_t kReservedBytes = 4 << 10;
inline constexpr std::int64_t kIndexDueBytes = 32 << 10;
#else
// Copies, and reads past the page cache: a multiple of what O_DIRECT has to be aligned to.
inline constexpr std::size_t kCopyBlockBytes = 1 << 20;
// The search for a batch behind a bad place.
inline constexpr std::size_t kSearchBlockBytes = 1 << 20;
// A walk begins with little, for whoever looks for one record, and reads more each time it goes on.
inline constexpr std::size_t kWalkFirstBlockBytes = 16 << 10;
// The index leads to within 4 KiB of any batch.
inline constexpr std::size_t kWalkFirstHeadersBytes = 4 << 10;
inline constexpr std::size_t kWalkCheckedBlockBytes = 256 << 10;
// A walk over headers reads little more than the headers when batches are large, and whole blocks when they are small.
inline constexpr std::size_t kWalkHeaderBlockBytes = 16 << 10;
// The room that is made for small appends.
inline constexpr std::int64_t kReservedBytes = 1 << 20;
// After so many bytes the index of the active segment is extended.
inline constexpr std::int64_t kIndexDueBytes = 1 << 20;
#endif

}  // namespace leat
