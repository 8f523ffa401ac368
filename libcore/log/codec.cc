// One frame in, one frame out. The contexts of both libraries are expensive to make (zstd's holds megabytes), so each
// thread keeps its own; exceptions do not arise, both are C.
#include "leat/log/codec.h"

#include <fmt/format.h>
#include <lz4frame.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

namespace leat {
namespace {

// Measured on batches of 64 KiB (JSON readings, log lines, hex): level 1 packs as tightly as Kafka's default of 3
// (ratios 20.96, 4.30, 2.02 against 21.48, 4.11, 1.97) in a third to all of the time. Readers take any level.
constexpr int kZstdLevel = 1;

// The most plain bytes a packed byte can stand for: a length byte of LZ4 adds 255 to a match. zstd needs four bytes at
// least (header and one repeated byte) for a block, of 128 KiB at most. What a frame claims beyond that is not
// reserved.
constexpr std::size_t kLz4RatioMax = 255;
constexpr std::size_t kZstdBlockBytesMin = 4;
constexpr std::size_t kZstdBlockPlainBytesMax = 128 << 10;

constexpr std::uint32_t kLz4Magic = 0x184d2204;
constexpr std::uint32_t kZstdMagic = 0xfd2fb528;

std::unexpected<Error> damaged(Codec codec, std::string_view what) {
  return fail(Code::damaged, fmt::format("{} frame: {}", to_string(codec), what));
}

std::unexpected<Error> too_large(Codec codec, std::size_t plain_bytes_max) {
  return damaged(codec, fmt::format("holds more than the limit of {} bytes", plain_bytes_max));
}

// Both formats open with a little-endian number; skippable and legacy frames open with others.
bool opens_with(Bytes packed, std::uint32_t magic) {
  if (packed.size() < 4) return false;
  const std::array expected{static_cast<std::byte>(magic & 0xff), static_cast<std::byte>(magic >> 8 & 0xff),
                            static_cast<std::byte>(magic >> 16 & 0xff), static_cast<std::byte>(magic >> 24)};
  return std::equal(expected.begin(), expected.end(), packed.begin());
}

// Room for an unknown plain size, to be doubled until it fits. At least 1, so that doubling grows it.
std::size_t first_guess(std::size_t packed_bytes, std::size_t plain_bytes_max) {
  return std::min(plain_bytes_max, std::max<std::size_t>(packed_bytes * 4, 64 << 10));
}

Result<void> compress_lz4(Bytes plain, std::vector<std::byte>& out) {
  LZ4F_preferences_t preferences{};
  preferences.frameInfo.blockSizeID = LZ4F_max64KB;
  preferences.frameInfo.blockMode = LZ4F_blockIndependent;
  preferences.frameInfo.contentSize = plain.size();  // lets the reader take its memory at once
  const std::size_t before = out.size();
  const std::size_t bound = LZ4F_compressFrameBound(plain.size(), &preferences);
  out.resize(before + bound);
  // Keeps its state on the stack: there is no context to reuse.
  const std::size_t packed = LZ4F_compressFrame(out.data() + before, bound, plain.data(), plain.size(), &preferences);
  if (LZ4F_isError(packed) != 0) {
    out.resize(before);
    return fail(Code::internal,
                fmt::format("lz4 cannot compress {} bytes: {}", plain.size(), LZ4F_getErrorName(packed)));
  }
  out.resize(before + packed);
  return {};
}

struct FreeZstdCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

Result<void> compress_zstd(Bytes plain, std::vector<std::byte>& out) {
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeZstdCompressor> context(ZSTD_createCCtx());
  if (!context) return fail(Code::internal, "zstd: no memory for a compression context");
  const std::size_t before = out.size();
  const std::size_t bound = ZSTD_compressBound(plain.size());
  out.resize(before + bound);
  const std::size_t packed =
      ZSTD_compressCCtx(context.get(), out.data() + before, bound, plain.data(), plain.size(), kZstdLevel);
  if (ZSTD_isError(packed) != 0) {
    out.resize(before);
    return fail(Code::internal,
                fmt::format("zstd cannot compress {} bytes: {}", plain.size(), ZSTD_getErrorName(packed)));
  }
  out.resize(before + packed);
  return {};
}

struct FreeLz4Decompressor {
  void operator()(LZ4F_dctx* context) const { LZ4F_freeDecompressionContext(context); }
};

using Lz4Decompressor = std::unique_ptr<LZ4F_dctx, FreeLz4Decompressor>;

Lz4Decompressor make_lz4_decompressor() {
  LZ4F_dctx* context = nullptr;
  if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)) != 0) return nullptr;
  return Lz4Decompressor(context);
}

Result<void> decompress_lz4(Bytes packed, std::size_t plain_bytes_max, std::vector<std::byte>& out) {
  if (!opens_with(packed, kLz4Magic)) return damaged(Codec::lz4, "does not start with its magic number");
  // Taken out while in use: a context is kept only after a whole frame. liblz4 1.9.4 does not forget the size a broken
  // frame promised, and would find the next good frame that promises none too short.
  thread_local Lz4Decompressor kept;
  Lz4Decompressor context = kept ? std::move(kept) : make_lz4_decompressor();
  if (!context) return fail(Code::internal, "lz4: no memory for a decompression context");

  LZ4F_frameInfo_t info{};
  std::size_t taken = packed.size();
  if (const std::size_t hint = LZ4F_getFrameInfo(context.get(), &info, packed.data(), &taken);
      LZ4F_isError(hint) != 0) {
    return damaged(Codec::lz4, LZ4F_getErrorName(hint));
  }
  if (info.contentSize > plain_bytes_max) return too_large(Codec::lz4, plain_bytes_max);
  const bool size_is_known = info.contentSize != 0 && info.contentSize / kLz4RatioMax <= packed.size();
  out.resize(size_is_known ? static_cast<std::size_t>(info.contentSize) : first_guess(packed.size(), plain_bytes_max));

  std::size_t plain = 0;
  while (true) {
    std::size_t source = packed.size() - taken;
    std::size_t room = out.size() - plain;
    const std::size_t hint =
        LZ4F_decompress(context.get(), out.data() + plain, &room, packed.data() + taken, &source, nullptr);
    if (LZ4F_isError(hint) != 0) return damaged(Codec::lz4, LZ4F_getErrorName(hint));
    taken += source;
    plain += room;
    if (hint == 0) break;
    if (source != 0 || room != 0) continue;
    // Standing still: it wants room, or bytes that are not there.
    if (plain < out.size()) return damaged(Codec::lz4, "ends early");
    if (out.size() == plain_bytes_max) return too_large(Codec::lz4, plain_bytes_max);
    out.resize(std::min(plain_bytes_max, out.size() * 2));
  }
  if (taken != packed.size()) return damaged(Codec::lz4, fmt::format("{} bytes follow it", packed.size() - taken));
  out.resize(plain);
  kept = std::move(context);
  return {};
}

struct FreeZstdDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// In one go into memory of the frame's size, or of doubled sizes where it does not tell (Java's streams do not): unlike
// zstd's own streaming that takes no memory for a window the header merely claims.
Result<void> decompress_zstd(Bytes packed, std::size_t plain_bytes_max, std::vector<std::byte>& out) {
  if (!opens_with(packed, kZstdMagic)) return damaged(Codec::zstd, "does not start with its magic number");
  const std::size_t frame_bytes = ZSTD_findFrameCompressedSize(packed.data(), packed.size());
  if (ZSTD_isError(frame_bytes) != 0) return damaged(Codec::zstd, ZSTD_getErrorName(frame_bytes));
  if (frame_bytes != packed.size()) {
    return damaged(Codec::zstd, fmt::format("{} bytes follow it", packed.size() - frame_bytes));
  }
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeZstdDecompressor> context(ZSTD_createDCtx());
  if (!context) return fail(Code::internal, "zstd: no memory for a decompression context");

  const unsigned long long claimed = ZSTD_getFrameContentSize(packed.data(), packed.size());
  if (claimed == ZSTD_CONTENTSIZE_ERROR) return damaged(Codec::zstd, "has a damaged header");
  const bool size_is_known = claimed != ZSTD_CONTENTSIZE_UNKNOWN;
  if (size_is_known && claimed > plain_bytes_max) return too_large(Codec::zstd, plain_bytes_max);
  if (size_is_known && claimed / kZstdBlockPlainBytesMax > packed.size() / kZstdBlockBytesMin) {
    return damaged(Codec::zstd, fmt::format("claims {} bytes in {}", claimed, packed.size()));
  }
  out.resize(size_is_known ? static_cast<std::size_t>(claimed) : first_guess(packed.size(), plain_bytes_max));
  while (true) {
    const std::size_t plain = ZSTD_decompressDCtx(context.get(), out.data(), out.size(), packed.data(), packed.size());
    if (ZSTD_isError(plain) == 0) {
      out.resize(plain);
      return {};
    }
    const bool wants_room = ZSTD_getErrorCode(plain) == ZSTD_error_dstSize_tooSmall;
    if (!wants_room || size_is_known) return damaged(Codec::zstd, ZSTD_getErrorName(plain));
    if (out.size() == plain_bytes_max) return too_large(Codec::zstd, plain_bytes_max);
    out.resize(std::min(plain_bytes_max, out.size() * 2));
  }
}

}  // namespace

std::string_view to_string(Codec codec) {
  switch (codec) {
    case Codec::none:
      return "none";
    case Codec::lz4:
      return "lz4";
    case Codec::zstd:
      return "zstd";
  }
  return "unknown";
}

std::optional<Codec> parse_codec(std::string_view name) {
  for (const Codec codec : {Codec::none, Codec::lz4, Codec::zstd}) {
    if (name == to_string(codec)) return codec;
  }
  return std::nullopt;
}

Result<void> compress(Codec codec, Bytes plain, std::vector<std::byte>& out) {
  ASSERT(codec == Codec::lz4 || codec == Codec::zstd);
  return codec == Codec::lz4 ? compress_lz4(plain, out) : compress_zstd(plain, out);
}

Result<void> decompress(Codec codec, Bytes packed, std::size_t plain_bytes_max, std::vector<std::byte>& out) {
  ASSERT(codec == Codec::lz4 || codec == Codec::zstd);
  return codec == Codec::lz4 ? decompress_lz4(packed, plain_bytes_max, out)
                             : decompress_zstd(packed, plain_bytes_max, out);
}

}  // namespace leat
