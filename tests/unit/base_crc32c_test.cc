#include "leat/base/crc32c.h"

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <vector>

namespace leat {
namespace {

// One bit at a time, straight from the definition: the reference all forms are held against.
std::uint32_t crc32c_by_bits(Bytes bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const std::byte byte : bytes) {
    crc ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
  }
  return ~crc;
}

std::vector<std::byte> random_bytes(std::size_t count) {
  std::mt19937 random(20);
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

std::vector<Crc32cKind> kinds_here() {
  std::vector<Crc32cKind> kinds;
  for (const Crc32cKind kind : {Crc32cKind::portable, Crc32cKind::sse42, Crc32cKind::avx512}) {
    if (crc32c_supports(kind)) kinds.push_back(kind);
  }
  return kinds;
}

struct Vector {
  std::vector<std::byte> bytes;
  std::uint32_t crc;
};

std::vector<Vector> rfc3720_vectors() {
  std::vector<std::byte> rising(32);
  std::vector<std::byte> falling(32);
  for (std::size_t i = 0; i < 32; ++i) {
    rising[i] = static_cast<std::byte>(i);
    falling[i] = static_cast<std::byte>(31 - i);
  }
  constexpr std::array<unsigned char, 48> kReadCommand = {
      0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
      0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0,    0};
  const auto command = std::as_bytes(std::span(kReadCommand));
  return {{std::vector(32, std::byte{0}), 0x8a9136aa},
          {std::vector(32, std::byte{0xff}), 0x62a8ab43},
          {rising, 0x46dd794e},
          {falling, 0x113fdb5c},
          {{command.begin(), command.end()}, 0xd9963a56}};
}

TEST_CASE("the examples of RFC 3720 have the checksums printed there") {
  for (const Vector& vector : rfc3720_vectors()) {
    CHECK(crc32c(vector.bytes) == vector.crc);
    for (const Crc32cKind kind : kinds_here()) CHECK(crc32c(kind, vector.bytes) == vector.crc);
  }
  CHECK(crc32c(as_bytes("123456789")) == 0xe3069283);
  for (const Crc32cKind kind : kinds_here()) CHECK(crc32c(kind, as_bytes("123456789")) == 0xe3069283);
}

TEST_CASE("no bytes leave the checksum as it was") {
  CHECK(crc32c({}) == 0);
  CHECK(crc32c({}, 0x12345678) == 0x12345678);
  for (const Crc32cKind kind : kinds_here()) CHECK(crc32c(kind, {}, 0x12345678) == 0x12345678);
}

TEST_CASE("all forms agree with the definition at every length and alignment around their block sizes") {
  const std::vector<std::byte> bytes = random_bytes(20'000);
  std::vector<std::size_t> lengths;
  for (std::size_t length = 0; length <= 1200; ++length) lengths.push_back(length);
  for (std::size_t middle : {6 * 1024, 2 * 6 * 1024, 6 * 1024 + 3 * 128, 6 * 1024 + 6 * 128}) {
    for (std::size_t length = middle - 9; length <= middle + 9; ++length) lengths.push_back(length);
  }
  lengths.push_back(19'991);
  for (const std::size_t length : lengths) {
    const Bytes part(bytes.data() + length % 9, length);
    const std::uint32_t expected = crc32c_by_bits(part);
    REQUIRE_MESSAGE(crc32c(part) == expected, length);
    for (const Crc32cKind kind : kinds_here()) REQUIRE_MESSAGE(crc32c(kind, part) == expected, length);
  }
}

TEST_CASE("a checksum can be continued at any point, by any form") {
  const std::vector<std::byte> bytes = random_bytes(13'000);
  const std::uint32_t whole = crc32c_by_bits(bytes);
  for (std::size_t cut = 0; cut <= bytes.size(); cut += 61) {
    const Bytes front(bytes.data(), cut);
    const Bytes back(bytes.data() + cut, bytes.size() - cut);
    REQUIRE(crc32c(back, crc32c(front)) == whole);
    for (const Crc32cKind kind : kinds_here()) {
      REQUIRE(crc32c(kind, back, crc32c(front)) == whole);
      REQUIRE(crc32c(back, crc32c(kind, front)) == whole);
    }
  }
}

TEST_CASE("a flipped bit anywhere changes the checksum") {
  std::vector<std::byte> bytes = random_bytes(7000);
  const std::uint32_t whole = crc32c(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; bit += 13) {
    const auto mask = static_cast<std::byte>(1 << (bit % 8));
    bytes[bit / 8] ^= mask;
    REQUIRE(crc32c(bytes) != whole);
    bytes[bit / 8] ^= mask;
  }
  CHECK(crc32c(bytes) == whole);
}

}  // namespace
}  // namespace leat
