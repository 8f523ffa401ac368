#include "leat/base/percent.h"

#include <doctest/doctest.h>

using namespace leat;

TEST_CASE("percent-encoding becomes the bytes it stands for") {
  CHECK(percent_decode("") == "");
  CHECK(percent_decode("a+b") == "a+b");
  CHECK(percent_decode("a%2Fb%2f%00") == std::string_view("a/b/\0", 5));
  CHECK(percent_decode("%ff%FF") == "\xff\xff");
}

TEST_CASE("a percent sign without two digits is refused") {
  for (const char* text : {"%", "%2", "a%", "%2g", "%g2", "%%", "% 2"}) {
    CAPTURE(text);
    CHECK(percent_decode(text) == std::nullopt);
  }
}
