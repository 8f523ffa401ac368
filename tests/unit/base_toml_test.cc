#include "leat/base/toml.h"

#include <doctest/doctest.h>

using namespace leat;

TEST_CASE("entries come in the order of their lines with tables flattened") {
  const auto entries = parse_toml("zero = 1\n[b]\ntext = \"x\"\n[a]\nyes = true\n[a.deep]\n  n = -7\n", "f.toml");
  REQUIRE(entries);
  REQUIRE(entries->size() == 4);
  CHECK((*entries)[0].key == "zero");
  CHECK(std::get<std::int64_t>((*entries)[0].value) == 1);
  CHECK((*entries)[1].key == "b.text");
  CHECK(std::get<std::string>((*entries)[1].value) == "x");
  CHECK((*entries)[2].key == "a.yes");
  CHECK(std::get<bool>((*entries)[2].value));
  CHECK((*entries)[3].key == "a.deep.n");
  CHECK((*entries)[3].line == 7);
  CHECK((*entries)[3].column == 7);
  CHECK((*entries)[3].key_line == 7);
  CHECK((*entries)[3].key_column == 3);
}

TEST_CASE("documents in the form of our own files are read as any others, whatever is changed in them") {
  const std::string_view text =
      "# what it is\n\nformat_version = 1\nid = \"0a1b\"\nis-so = true\nnot_so = false\nzero = 0\n"
      "large = 9223372036854775807\n\n[a]\ntext = \"# it's = [a]\"\nzero = 1\n[b-1]\nempty = \"\"\n";
  // A comment that is not ASCII is none of theirs.
  const auto check = [](const std::string& document) {
    const auto read = parse_toml(document, "f");
    const auto same = parse_toml(document + "# \u00e9\n", "f");
    REQUIRE_MESSAGE(read.has_value() == same.has_value(), document);
    if (read) REQUIRE_MESSAGE(*read == *same, document);
  };
  REQUIRE(parse_toml(text, "f")->size() == 9);
  for (const std::string_view tail : {"[c]\n", "[a]\n", "[a]\nx = 1\n", "[id]\nx = 1\n", "[a.b]\nx = 1\n",
                                      "[zero]\nx = 1\n", "a = 1\n", "[c]\n[d]\nx = 1\n", "[]\nx = 1\n"}) {
    check(std::string(text) + std::string(tail));
    check(std::string(tail) + std::string(text));
  }
  const std::string_view letters = "\n\r\t =\"'#.[]{}\\+-_0179aeintxT:,\x7f\xc3";
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed(text);
    check(changed.erase(i, 1) + "\n");
    for (const char letter : letters) {
      check(std::string(text.substr(0, i)) + letter + std::string(text.substr(i + 1)) + "\n");
      check(std::string(text.substr(0, i)) + letter + std::string(text.substr(i)));
    }
  }
}

TEST_CASE("an empty document and comments give no entries") {
  REQUIRE(parse_toml("", "f"));
  CHECK(parse_toml("", "f")->empty());
  CHECK(parse_toml("# nothing\n\n", "f")->empty());
}

TEST_CASE("a table without keys is an entry without a value") {
  const auto entries = parse_toml("[a]\n[a.b]\n[c]\nd = 1\n", "f");
  REQUIRE(entries);
  REQUIRE(entries->size() == 2);
  CHECK((*entries)[0].key == "a.b");
  CHECK(std::holds_alternative<std::monostate>((*entries)[0].value));
  CHECK((*entries)[0].line == 2);
  CHECK((*entries)[1].key == "c.d");
}

TEST_CASE("a syntax error names file, line and column") {
  for (const std::string text : {"a = 1\nb = \n", "a = 1\na = 2\n", "a = \"x\n", "a == 1", "[a\n", "a = \"\xff\"\n"}) {
    CAPTURE(text);
    const auto entries = parse_toml(text, "dir/f.toml");
    REQUIRE_FALSE(entries);
    CHECK(entries.error().code == Code::configuration);
    CHECK(entries.error().message.starts_with("dir/f.toml:"));
  }
  CHECK(parse_toml("a = 1\nb = \n", "f").error().message.starts_with("f:2:"));
}

TEST_CASE("a value that none of our files has is an error with its place") {
  CHECK(parse_toml("\na = [1]\n", "f").error().message ==
        "f:2:5: a: expected text, a whole number, true or false, found an array");
  CHECK(parse_toml("a = 1.5\n", "f").error().message.find("found a fraction") != std::string::npos);
  CHECK(parse_toml("a = 2026-11-21\n", "f").error().message.find("found a date or time") != std::string::npos);
}

TEST_CASE("arrays of values and of tables are numbered where a file has them") {
  const auto entries = parse_toml("a = [\"x\", 2, []]\n[[t]]\nk = 1\n[[t]]\n[[t]]\nl = [[true], [{ m = 3 }]]\n", "f",
                                  TomlArrays::flattened);
  REQUIRE(entries);
  std::string keys;
  for (const TomlEntry& entry : *entries)
    keys += entry.key + "@" + std::to_string(entry.line) + ":" + std::to_string(entry.column) + " ";
  CHECK(keys == "a[0]@1:6 a[1]@1:11 a[2]@1:14 t[0].k@3:5 t[1]@4:1 t[2].l[0][0]@6:7 t[2].l[1][0].m@6:21 ");
  CHECK(std::get<std::string>(entries->at(0).value) == "x");
  CHECK(std::holds_alternative<std::monostate>(entries->at(2).value));
  CHECK(std::holds_alternative<std::monostate>(entries->at(4).value));
  const auto bracket = parse_toml("\"a[0]\" = 1\n", "f", TomlArrays::flattened);
  REQUIRE_FALSE(bracket);
  CHECK(bracket.error().message == "f:1:1: key \"a[0]\" must not contain a dot or a bracket");
}

TEST_CASE("a key with a dot in quotes is refused instead of standing for a table") {
  const auto entries = parse_toml("\"a.b\" = 1\n", "f");
  REQUIRE_FALSE(entries);
  CHECK(entries.error().message.find("must not contain a dot") != std::string::npos);
}

TEST_CASE("quoted text reads back as it was") {
  const std::string text = "a\"b\\c\n\t\x01\x7f/\xc3\xa9";
  const auto entries = parse_toml("k = " + toml_quote(text), "f");
  REQUIRE(entries);
  CHECK(std::get<std::string>(entries->at(0).value) == text);
}

TEST_CASE("points in text and in comments do not count as the parts of a key") {
  const std::string points(101, '.');
  for (const std::string& text :
       {points, "\"" + points, points + "\\", "'''" + points + "\n" + points, "#" + points, "\n\n" + points}) {
    CAPTURE(text);
    const auto entries = parse_toml("k = " + toml_quote(text) + " # " + points, "f");
    REQUIRE(entries);
    CHECK(std::get<std::string>(entries->at(0).value) == text);
  }
  for (const std::string& value :
       {"'" + points + "'", "'''" + points + "\n" + points + "'''", R"(""")" + points + R"(""""")",
        R"("""\""")" + points + R"(""")", "''''" + points + "'''"}) {
    CAPTURE(value);
    CHECK(parse_toml("a = 1\nk = " + value + "\nl = 2\n", "f"));
  }
}

TEST_CASE("a key of more parts than the parser can go down by is refused with its place") {
  std::string key = "a";
  for (int i = 0; i < 101; ++i) key += ".a";
  const std::string what = ": more than 100 points in a line";
  CHECK(parse_toml(key + " = 1\n", "f").error().message == "f:1:202" + what);
  CHECK(parse_toml("k = '''\n\n'''\n# ' \"\n[" + key + "]\n", "f").error().message == "f:5:203" + what);
  CHECK(parse_toml("k = \"\\\"\"\n\"\"." + key + " = 1\n", "f").error().message == "f:2:203" + what);
  CHECK(parse_toml("k = \"\"\"\n\"\"\"\"\"\n" + key + " = 1\n", "f").error().message == "f:3:202" + what);
}
