// Fuzzes the codecs: any bytes as a frame must give an error or bytes within the limit, and any bytes that are
// compressed must come back. The first byte of the input chooses codec, direction and limit.
//
// Build, with the include directory that `meson setup` makes in the build directory:
//   clang++-19 -std=c++2b -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -DFMT_HEADER_ONLY=1
//     -Ibuild/include tests/fuzz/codec_fuzz.cc libcore/log/codec.cc libcore/base/error.cc -llz4 -lzstd -o codec_fuzz
#include <algorithm>
#include <cstdint>

#include "leat/log/codec.h"

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace leat;
  if (size == 0) return 0;
  const auto choice = data[0];
  const Codec codec = (choice & 1) != 0 ? Codec::lz4 : Codec::zstd;
  const Bytes input = std::as_bytes(std::span(data + 1, size - 1));
  std::vector<std::byte> plain;
  if ((choice & 2) != 0) {
    // Limits around 0, around a block of either format, and beyond both.
    const std::size_t limit = std::size_t{1} << (choice >> 3 & 31) % 22;
    const auto done = decompress(codec, input, limit, plain);
    ASSERT(plain.size() <= limit);
    ASSERT(done || done.error().code == Code::damaged);
    return 0;
  }
  std::vector<std::byte> packed;
  ASSERT(compress(codec, input, packed));
  ASSERT(decompress(codec, packed, input.size(), plain));
  ASSERT(std::ranges::equal(plain, input));
  ASSERT(input.empty() || !decompress(codec, packed, input.size() - 1, plain));
  return 0;
}
