#include "leat/base/text.h"

#include <doctest/doctest.h>

using namespace leat;

namespace {

std::string json(std::string_view text) {
  std::string to;
  append_json_string(to, text);
  return to;
}

}  // namespace

TEST_CASE("a JSON string escapes what JSON asks for and nothing else") {
  CHECK(json("") == "\"\"");
  CHECK(json("plain \xc3\xa9 /") == "\"plain \xc3\xa9 /\"");
  CHECK(json("a\"b\\c") == "\"a\\\"b\\\\c\"");
  CHECK(json("\n\r\t") == "\"\\n\\r\\t\"");
  CHECK(json(std::string_view("\0\x1f\x7f", 3)) == "\"\\u0000\\u001f\x7f\"");
}

TEST_CASE("any bytes make a JSON string: those that are no UTF-8 are shown") {
  CHECK(json_string("caf\xc3\xa9 \"au lait\"") == "\"caf\xc3\xa9 \\\"au lait\\\"\"");
  CHECK(json_string("caf\xe9\n") == "\"caf\\\\xe9\\\\x0a\"");
}

TEST_CASE("UTF-8 is told from what only looks like it") {
  for (const std::string text : {"", "ascii", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf",
                                 "\xee\x80\x80", "\xf4\x8f\xbf\xbf", "eight bytes and then \xc3\xa9"}) {
    CAPTURE(text);
    CHECK(is_utf8(text));
  }
  for (const std::string text :
       {"\x80", "\xc3", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xff", "\xe2\x82", "\xe2\x28\xa1", "twelve bytes \xff!"}) {
    CAPTURE(text);
    CHECK_FALSE(is_utf8(text));
  }
}

TEST_CASE("what a terminal would act on is escaped and what it shows is not") {
  CHECK(escape_controls("plain \xc3\xa9") == "plain \xc3\xa9");
  CHECK(escape_controls("\033[2J") == "\\x1b[2J");
  CHECK(escape_controls("a\nb\tc\x7f") == "a\\x0ab\\x09c\\x7f");
  CHECK(escape_controls("\xc2\x9b"
                        "2J") == "\\xc2\\x9b2J");
  CHECK(escape_controls("\xc2\xa0") == "\xc2\xa0");
  CHECK(escape_controls("\xff") == "\\xff");
}
