#include "leat/log/codec.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <thread>

namespace leat {
namespace {

using Buffer = std::vector<std::byte>;

Buffer from_hex(std::string_view hex) {
  Buffer bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

Buffer buffer_of(std::string_view text) {
  return {as_bytes(text).begin(), as_bytes(text).end()};
}

Buffer random_bytes(std::size_t count) {
  std::mt19937 random(7);
  Buffer bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// Text as logs have it: compresses well, but not to nothing.
Buffer log_lines(std::size_t count) {
  std::mt19937 random(7);
  std::string text;
  while (text.size() < count) {
    text += "{\"sensor\":" + std::to_string(random() % 4) + ",\"reading\":" + std::to_string(random() % 10'000) + "}\n";
  }
  return buffer_of(std::string_view(text).substr(0, count));
}

Buffer compressed(Codec codec, Bytes plain) {
  Buffer packed;
  REQUIRE(compress(codec, plain, packed));
  return packed;
}

std::string fault_of(Codec codec, Bytes packed, std::size_t limit = 1 << 20) {
  Buffer plain;
  const auto done = decompress(codec, packed, limit, plain);
  if (done) return "";
  CHECK(done.error().code == Code::damaged);
  CHECK(plain.size() <= limit);
  return done.error().message;
}

constexpr Codec kPackingCodecs[] = {Codec::lz4, Codec::zstd};

TEST_CASE("codecs have names that parse back") {
  for (const Codec codec : {Codec::none, Codec::lz4, Codec::zstd}) CHECK(parse_codec(to_string(codec)) == codec);
  CHECK(to_string(Codec::lz4) == "lz4");
  CHECK_FALSE(parse_codec("gzip"));
  CHECK_FALSE(parse_codec("LZ4"));
  CHECK_FALSE(parse_codec(""));
}

TEST_CASE("what is compressed comes back, at every size around a block") {
  const Buffer lines = log_lines(300'000);
  const Buffer noise = random_bytes(300'000);
  for (const Codec codec : kPackingCodecs) {
    for (const Buffer& source : {lines, noise, Buffer(300'000)}) {
      for (const std::size_t size : {0, 1, 12, 13, 100, 65535, 65536, 65537, 131072, 131073, 300'000}) {
        const Bytes plain(source.data(), size);
        Buffer back(17, std::byte{9});
        REQUIRE(decompress(codec, compressed(codec, plain), size, back));
        REQUIRE(std::ranges::equal(back, plain));
      }
    }
  }
}

TEST_CASE("compressed bytes are appended to what is there") {
  for (const Codec codec : kPackingCodecs) {
    const Buffer lines = log_lines(1000);
    Buffer out = buffer_of("header");
    REQUIRE(compress(codec, lines, out));
    const Buffer alone = compressed(codec, lines);
    REQUIRE(out.size() == 6 + alone.size());
    CHECK(as_text(out).substr(0, 6) == "header");
    CHECK(std::ranges::equal(Bytes(out).subspan(6), alone));
    CHECK(alone.size() < lines.size() / 2);
  }
}

TEST_CASE("an LZ4 frame is what Kafka's clients expect: version 1, independent blocks of 64 KiB, no content checksum") {
  const Buffer packed = compressed(Codec::lz4, log_lines(200'000));
  CHECK(load_be<std::uint32_t>(packed.data()) == 0x04224d18);
  CHECK(packed[4] == std::byte{0x68});  // version 01, independent, with content size
  CHECK(packed[5] == std::byte{0x40});  // 64 KiB
}

TEST_CASE("a zstd frame carries its content size and no checksum") {
  const Buffer packed = compressed(Codec::zstd, log_lines(200'000));
  CHECK(load_be<std::uint32_t>(packed.data()) == 0x28b52ffd);
  CHECK((packed[4] & std::byte{0xc0}) != std::byte{0});  // a content size field of 4 bytes
  CHECK((packed[4] & std::byte{0x04}) == std::byte{0});
}

// Made with python3-lz4 and python3-zstandard.
TEST_CASE("frames of other writers are read: without content size, with linked blocks, with checksums") {
  struct Frame {
    Codec codec;
    const char* hex;
  };
  for (const auto& [codec, hex] :
       {Frame{Codec::lz4, "04224d186040820c0000003c616263030050626361626300000000"},
        Frame{Codec::lz4, "04224d187440bd0c0000003c6162630300506263616263083a63b600000000fee029ab"},
        Frame{Codec::zstd, "28b52ffd00004d00001861626301007e6e08"},
        Frame{Codec::zstd, "28b52ffd24184d00001861626301007e6e0848c3d30e"}}) {
    Buffer plain;
    REQUIRE(decompress(codec, from_hex(hex), 24, plain));
    CHECK(as_text(plain) == "abcabcabcabcabcabcabcabc");
    CHECK(fault_of(codec, from_hex(hex), 23) != "");
  }
}

TEST_CASE("a zstd frame that does not tell its size is read to the end and no further than the limit") {
  const Buffer million =
      from_hex("28b52ffd00505400001000000100fbff39c00202001000020010000200100002001000020010000200100003001000");
  Buffer plain;
  REQUIRE(decompress(Codec::zstd, million, 1 << 20, plain));
  CHECK(plain == Buffer(1 << 20));
  CHECK(fault_of(Codec::zstd, million, (1 << 20) - 1).find("limit of 1048575 bytes") != std::string::npos);
  CHECK(fault_of(Codec::zstd, million, 0).find("limit of 0 bytes") != std::string::npos);
}

TEST_CASE("an LZ4 frame that does not tell its size is read to the end and no further than the limit") {
  Buffer packed = from_hex("04224d18604082");
  const Buffer noise = random_bytes(65536);
  for (int block = 0; block < 5; ++block) {
    const Buffer size = from_hex("00000180");  // 65536 bytes, stored as they are
    packed.insert(packed.end(), size.begin(), size.end());
    packed.insert(packed.end(), noise.begin(), noise.end());
  }
  packed.insert(packed.end(), 4, std::byte{0});
  Buffer plain;
  REQUIRE(decompress(Codec::lz4, packed, 5 * 65536, plain));
  REQUIRE(plain.size() == 5 * 65536);
  CHECK(std::ranges::equal(Bytes(plain).subspan(4 * 65536), noise));
  CHECK(fault_of(Codec::lz4, packed, 5 * 65536 - 1).find("limit of 327679 bytes") != std::string::npos);
}

TEST_CASE("a bomb stops at the limit without taking memory for what it claims") {
  const std::size_t limit = 1 << 16;
  for (const Codec codec : kPackingCodecs) {
    const Buffer bomb = compressed(codec, Buffer(8 << 20));
    CHECK(bomb.size() < (8 << 20) / 200);
    Buffer plain;
    CHECK_FALSE(decompress(codec, bomb, limit, plain));
    CHECK(plain.capacity() <= limit);
  }
}

TEST_CASE("a claimed size that the bytes cannot hold is not reserved") {
  Buffer plain;
  // 100 MiB in 15 bytes and an end mark, and 3 MiB in the first 20 bytes of a zstd frame.
  CHECK_FALSE(decompress(Codec::lz4, from_hex("04224d1868400000400600000000a600000000"), 128 << 20, plain));
  CHECK(plain.capacity() <= 1 << 20);
  CHECK_FALSE(decompress(Codec::zstd, from_hex("28b52ffda000000006010000"), 128 << 20, plain));
  CHECK(plain.capacity() <= 1 << 20);
  CHECK(fault_of(Codec::lz4, from_hex("04224d1868400000000000010000b700000000")).find("limit") != std::string::npos);
}

TEST_CASE("a frame cut at any byte is damaged") {
  for (const Codec codec : kPackingCodecs) {
    const Buffer whole = compressed(codec, log_lines(3000));
    for (std::size_t size = 0; size < whole.size(); ++size) {
      REQUIRE_MESSAGE(fault_of(codec, Bytes(whole).first(size)) != "", size);
    }
  }
}

TEST_CASE("a frame with anything behind it is damaged, be it another frame") {
  for (const Codec codec : kPackingCodecs) {
    const Buffer one = compressed(codec, log_lines(300));
    Buffer tailed = one;
    tailed.push_back(std::byte{0});
    CHECK(fault_of(codec, tailed).find("1 bytes follow it") != std::string::npos);
    Buffer twice = one;
    twice.insert(twice.end(), one.begin(), one.end());
    CHECK(fault_of(codec, twice).find("follow it") != std::string::npos);
  }
}

TEST_CASE("bytes that are no frame are damaged, and the message names the codec") {
  for (const Codec codec : kPackingCodecs) {
    const std::string name(to_string(codec));
    for (const Buffer& bytes : {Buffer{}, buffer_of("a"), buffer_of("plain text, not a frame"), Buffer(100),
                                from_hex("502a4d18040000000000000000"),  // a skippable frame
                                compressed(codec == Codec::lz4 ? Codec::zstd : Codec::lz4, log_lines(100))}) {
      CHECK(fault_of(codec, bytes).rfind(name + " frame: ", 0) == 0);
    }
  }
}

TEST_CASE("flipped bits give an error or some bytes within the limit, and the next frame is read as ever") {
  const Buffer lines = log_lines(2000);
  for (const Codec codec : kPackingCodecs) {
    const Buffer whole = compressed(codec, lines);
    Buffer bytes = whole;
    Buffer plain;
    std::size_t refused = 0;
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
      bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
      if (!decompress(codec, bytes, 4000, plain)) ++refused;
      CHECK(plain.size() <= 4000);
      bytes[bit / 8] = whole[bit / 8];
    }
    CHECK(refused > 0);
    REQUIRE(decompress(codec, whole, 4000, plain));
    CHECK(plain == lines);
  }
}

TEST_CASE("a broken frame that promised a size does not spoil the next one that promises none") {
  const Buffer whole = compressed(Codec::lz4, log_lines(2000));
  const Buffer without_size = from_hex("04224d186040820c0000003c616263030050626361626300000000");
  for (const std::size_t cut : {15UZ, 20UZ, whole.size() - 4, whole.size() - 1}) {
    CHECK(fault_of(Codec::lz4, Bytes(whole).first(cut)) != "");
    CHECK(fault_of(Codec::lz4, without_size) == "");
  }
}

TEST_CASE("threads compress and decompress side by side") {
  const Buffer lines = log_lines(100'000);
  std::array<bool, 4> good{};
  std::vector<std::thread> threads;
  threads.reserve(good.size());
  for (std::size_t t = 0; t < good.size(); ++t) {
    threads.emplace_back([&lines, &ok = good[t], codec = kPackingCodecs[t % 2]] {
      Buffer packed;
      Buffer plain;
      ok = true;
      for (int round = 0; round < 20; ++round) {
        packed.clear();
        ok = ok && compress(codec, lines, packed) && decompress(codec, packed, lines.size(), plain) && plain == lines;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const bool ok : good) CHECK(ok);
}

}  // namespace
}  // namespace leat
