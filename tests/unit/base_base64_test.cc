#include "leat/base/base64.h"

#include <doctest/doctest.h>

#include <array>
#include <utility>

using namespace leat;

TEST_CASE("base64 follows RFC 4648's test vectors, both ways") {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kVectors{{{"", ""},
                                                                                   {"f", "Zg=="},
                                                                                   {"fo", "Zm8="},
                                                                                   {"foo", "Zm9v"},
                                                                                   {"foob", "Zm9vYg=="},
                                                                                   {"fooba", "Zm9vYmE="},
                                                                                   {"foobar", "Zm9vYmFy"},
                                                                                   {"\xff\xfe\xfd", "//79"}}};
  for (const auto& [bytes, text] : kVectors) {
    CHECK(encode_base64(bytes) == text);
    CHECK(decode_base64(text) == bytes);
    CHECK(decode_any_base64(text) == bytes);
  }
}

TEST_CASE("base64 appends to what is there") {
  std::string text = "x:";
  append_base64(text, "foo");
  CHECK(text == "x:Zm9v");
}

TEST_CASE("base64 in a URL has an alphabet of its own and no padding") {
  CHECK(encode_base64url("\xff\xfe\xfd\xfc") == "__79_A");
  CHECK(decode_any_base64("__79_A") == "\xff\xfe\xfd\xfc");
  CHECK(decode_any_base64("//79/A==") == "\xff\xfe\xfd\xfc");
  CHECK(decode_base64("__79_A") == std::nullopt);
}

TEST_CASE("what no encoder writes is not base64") {
  for (const char* text :
       {"Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "=m9v", "Z=9v", "Zm=v", "Zm9v\n", " m9v", "Zm9v===="}) {
    CAPTURE(text);
    CHECK(decode_base64(text) == std::nullopt);
  }
  for (const char* text : {"Z", "Zg=", "Zg===", "Zh", "=", "Zm9v=", "Z g="}) {
    CAPTURE(text);
    CHECK(decode_any_base64(text) == std::nullopt);
  }
}
