#include "leat/pipe/packed_body.h"

#include <fmt/format.h>
#include <zlib.h>

#include <limits>
#include <span>
#include <vector>

#include "leat/log/codec.h"

namespace leat::pipe {
namespace {

// Rows are text that packs well at any level; a higher one would cost more time than the connection saves.
constexpr int kGzipLevel = 1;
constexpr int kGzipWindowBits = 15 + 16;  // the largest window, in the gzip form
constexpr int kMemoryLevel = 9;

Result<std::string> gzip(std::string_view plain) {
  z_stream stream{};
  const auto failed = [&] { return fail(Code::internal, fmt::format("zlib cannot pack {} bytes", plain.size())); };
  // zlib counts what it is given in 32 bits.
  if (plain.size() > std::numeric_limits<uInt>::max() / 2 ||
      deflateInit2(&stream, kGzipLevel, Z_DEFLATED, kGzipWindowBits, kMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK)
    return failed();
  std::string packed(deflateBound(&stream, plain.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));  // it is only read
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const int result = deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  if (result != Z_STREAM_END) return failed();
  return packed;
}

}  // namespace

Result<std::string> pack_body(HttpCompression compression, std::string_view plain) {
  ASSERT(compression != HttpCompression::none);
  if (compression == HttpCompression::gzip) return gzip(plain);
  std::vector<std::byte> packed;
  TRY(compress(compression == HttpCompression::lz4 ? Codec::lz4 : Codec::zstd, std::as_bytes(std::span(plain)),
               packed));
  return std::string(reinterpret_cast<const char*>(packed.data()), packed.size());
}

void append_percent_encoded(std::string& to, std::string_view text) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos) {
      to += c;
      continue;
    }
    to += '%';
    to += kDigits[static_cast<unsigned char>(c) >> 4];
    to += kDigits[static_cast<unsigned char>(c) & 0xF];
  }
}

}  // namespace leat::pipe
