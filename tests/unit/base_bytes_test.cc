#include "leat/base/bytes.h"

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <vector>

namespace leat {
namespace {

template <class... Values>
std::vector<std::byte> bytes_of(Values... values) {
  return {static_cast<std::byte>(values)...};
}

std::vector<std::byte> varint_of(std::int64_t value) {
  std::array<std::byte, 10> room{};
  std::byte* const end = put_varint(room.data(), value);
  return {room.data(), end};
}

TEST_CASE("integers are stored with the highest byte first") {
  std::array<std::byte, 8> room{};
  store_be(room.data(), std::int64_t{0x0102030405060708});
  for (std::size_t i = 0; i < 8; ++i) CHECK(std::to_integer<std::size_t>(room[i]) == i + 1);
  CHECK(load_be<std::int64_t>(room.data()) == 0x0102030405060708);
  CHECK(load_be<std::uint32_t>(room.data()) == 0x01020304);
  CHECK(load_be<std::int16_t>(room.data()) == 0x0102);
  CHECK(load_be<std::int8_t>(room.data()) == 1);
}

TEST_CASE("negative integers come back as they were") {
  std::array<std::byte, 8> room{};
  store_be(room.data(), std::int64_t{-2});
  CHECK(load_be<std::int64_t>(room.data()) == -2);
  store_be(room.data(), std::numeric_limits<std::int32_t>::min());
  CHECK(load_be<std::int32_t>(room.data()) == std::numeric_limits<std::int32_t>::min());
  store_be(room.data(), std::int16_t{-1});
  CHECK(load_be<std::int16_t>(room.data()) == -1);
  store_be(room.data(), std::int8_t{-128});
  CHECK(load_be<std::int8_t>(room.data()) == -128);
}

TEST_CASE("zigzag puts small magnitudes first, whatever their sign") {
  CHECK(zigzag(0) == 0);
  CHECK(zigzag(-1) == 1);
  CHECK(zigzag(1) == 2);
  CHECK(zigzag(-2) == 3);
  CHECK(zigzag(std::numeric_limits<std::int64_t>::max()) == std::numeric_limits<std::uint64_t>::max() - 1);
  CHECK(zigzag(std::numeric_limits<std::int64_t>::min()) == std::numeric_limits<std::uint64_t>::max());
}

TEST_CASE("varints have the bytes of Protocol Buffers' sint64") {
  CHECK(varint_of(0) == bytes_of(0x00));
  CHECK(varint_of(-1) == bytes_of(0x01));
  CHECK(varint_of(63) == bytes_of(0x7e));
  CHECK(varint_of(-64) == bytes_of(0x7f));
  CHECK(varint_of(64) == bytes_of(0x80, 0x01));
  CHECK(varint_of(300) == bytes_of(0xd8, 0x04));
  CHECK(varint_of(std::numeric_limits<std::int32_t>::max()) == bytes_of(0xfe, 0xff, 0xff, 0xff, 0x0f));
  CHECK(varint_of(std::numeric_limits<std::int64_t>::min()) ==
        bytes_of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01));
}

TEST_CASE("every varint is as long as varint_size says and reads back") {
  std::vector<std::int64_t> values = {0, std::numeric_limits<std::int64_t>::min(),
                                      std::numeric_limits<std::int64_t>::max()};
  for (int shift = 0; shift < 63; ++shift) {
    for (const std::int64_t near : {-1, 0, 1}) {
      values.push_back((std::int64_t{1} << shift) + near);
      values.push_back(-(std::int64_t{1} << shift) + near);
    }
  }
  for (const std::int64_t value : values) {
    const std::vector<std::byte> stored = varint_of(value);
    CHECK(stored.size() == varint_size(value));
    ByteReader reader(stored);
    CHECK(reader.varint() == value);
    CHECK(reader.remaining() == 0);
  }
}

TEST_CASE("a varint that is cut off is not read and the reader stays where it was") {
  const std::vector<std::byte> stored = varint_of(std::numeric_limits<std::int64_t>::min());
  for (std::size_t size = 0; size < stored.size(); ++size) {
    ByteReader reader(Bytes(stored.data(), size));
    CHECK_FALSE(reader.varint());
    CHECK(reader.remaining() == size);
  }
}

TEST_CASE("a varint of more than 64 bits is not read") {
  ByteReader eleven(as_bytes("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"));
  CHECK_FALSE(eleven.varint());
  CHECK(eleven.remaining() == 11);
  ByteReader overflow(as_bytes("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"));
  CHECK_FALSE(overflow.varint());
}

TEST_CASE("a reader never gives bytes it does not have") {
  const auto bytes = bytes_of(1, 2, 3, 4, 5);
  ByteReader reader(bytes);
  CHECK(reader.be<std::int16_t>() == 0x0102);
  CHECK_FALSE(reader.be<std::int32_t>());
  CHECK_FALSE(reader.take(4));
  CHECK_FALSE(reader.take(std::numeric_limits<std::size_t>::max()));
  CHECK(reader.remaining() == 3);
  const auto taken = reader.take(3);
  REQUIRE(taken);
  CHECK(taken->data() == bytes.data() + 2);
  CHECK(reader.remaining() == 0);
  CHECK(reader.take(0));
  CHECK_FALSE(reader.be<std::int8_t>());
}

TEST_CASE("text and bytes are views of the same memory") {
  const std::string_view text("a\0b", 3);
  CHECK(as_bytes(text).size() == 3);
  CHECK(as_text(as_bytes(text)) == text);
  CHECK(as_text(as_bytes(text)).data() == text.data());
}

}  // namespace
}  // namespace leat
