#include "tools/command_line.h"

#include <doctest/doctest.h>

#include "tools/arguments.h"
#include "tools/commands.h"
#include "tools/help.h"
#include "tools/options.h"

using namespace leat;
using namespace leat::tools;
using Words = std::vector<std::string>;
using Kind = Selection::Kind;

namespace {

Result<Selection> select(const Words& words) {
  return select_command(words, command_table());
}

// What is left in the values after `arguments` have been parsed.
struct Parse {
  std::optional<std::string> text;
  std::vector<std::string> texts;
  std::optional<std::int64_t> count;
  std::vector<PartitionId> partitions;
  std::vector<std::string> names;
  ListFormat format = ListFormat::table;
  bool flag = false;
  Result<Parsed> result;

  explicit Parse(Words arguments) {
    OptionSet options("leat test");
    options.add_help(Option::Kind::short_help, "-h", "");
    options.add_help(Option::Kind::long_help, "--help", "");
    auto* one = add_text(options, "-k,--key-separator", text, "", "SEP");
    add_texts(options, "-H,--header", texts, "", "K=V");
    add_count(options, "-n,--count", count, "", 1)->excludes(one);
    add_partitions(options, partitions, "");
    add_names(options, "NAME", names, "")->required();
    add_list_format(options, format);
    options.add_flag("-d,--dry-run", flag, "");
    result = parse_arguments(options, std::move(arguments));
  }
  std::string error() const { return result ? "" : result.error().message; }
  std::string hint() const { return result ? "" : result.error().hint; }
};

}  // namespace

TEST_CASE("a command is found among global flags before and after it") {
  const auto selection = select({"-qD", "/x", "--color=never", "topic", "-v", "list", "-O", "json"});
  REQUIRE(selection);
  REQUIRE(selection->kind == Kind::command);
  CHECK(full_name(*selection->row) == "leat topic list");
  CHECK(selection->arguments == Words{"-qD", "/x", "--color=never", "-v", "-O", "json"});
}

TEST_CASE("the value of a global flag is not taken for the command") {
  CHECK(full_name(*select({"-D", "topic", "produce", "t"})->row) == "leat produce");
  CHECK(full_name(*select({"--data-dir", "topic", "produce", "t"})->row) == "leat produce");
  CHECK(full_name(*select({"-Dtopic", "produce", "t"})->row) == "leat produce");
  CHECK(select({"-D"}).error().message == "-D needs a value");
}

TEST_CASE("without a command there is an overview, a group or the version") {
  CHECK(select({})->kind == Kind::overview);
  CHECK(select({"-h"})->kind == Kind::overview);
  CHECK(select({"-V"})->kind == Kind::version);
  CHECK(select({"--version"})->kind == Kind::version);
  CHECK(select({"-D", "V"})->kind == Kind::overview);
  CHECK(select({"topic"})->kind == Kind::group);
  CHECK_FALSE(select({"topic"})->help);
  CHECK(select({"topic", "-h"})->help);
  CHECK(select({"topic", "--help"})->help);
}

TEST_CASE("a word that is no command suggests the nearest") {
  CHECK(select({"prodcue"}).error().code == Code::usage);
  CHECK(select({"prodcue"}).error().hint == "did you mean \"leat produce\"?");
  CHECK(select({"topics"}).error().hint == "did you mean \"leat topic\"?");
  CHECK(select({"topic", "craete"}).error().hint == "did you mean \"leat topic create\"?");
  CHECK(select({"xyzzyx"}).error().hint == "leat help");
  CHECK(select({"topic", "xyzzyx"}).error().hint == "leat help topic");
  CHECK(select({"--nonsense", "topic"}).error().message == "unknown flag --nonsense before the command");
}

TEST_CASE("every command of the table can be asked for and explains itself") {
  for (const CommandRow& row : command_table()) {
    CAPTURE(full_name(row));
    const auto selection =
        row.group.empty() ? select({std::string(row.name)}) : select({std::string(row.group), std::string(row.name)});
    REQUIRE(selection);
    CHECK(selection->row == &row);
    const auto command = row.make();
    GlobalFlags flags;
    OptionSet options(full_name(row));
    declare_options(options, *command, flags);
    const std::string help = command_text(row, options, true);
    CHECK(help.find("Examples:\n  ") < help.find("Usage: leat "));
    CHECK(help.find(row.summary) != std::string::npos);
    CHECK(row.examples.find(full_name(row)) != std::string_view::npos);
    CHECK_FALSE(row.summary.ends_with('.'));
    CHECK(command_text(row, options, false).starts_with("Usage: "));
  }
}

TEST_CASE("an option takes one value each time it is given") {
  const Parse parse({"-H", "a=b", "name", "-H", "c=d", "-p", "0", "-p3", "other"});
  REQUIRE(parse.result);
  CHECK(parse.texts == Words{"a=b", "c=d"});
  CHECK(parse.names == Words{"name", "other"});
  CHECK(parse.partitions == std::vector<PartitionId>{{0}, {3}});
}

TEST_CASE("values are taken as they are") {
  CHECK(Parse({"x", "-k", ""}).text == "");
  CHECK(Parse({"x", "--key-separator="}).text == "");
  CHECK(Parse({"--key-separator=", "x"}).names == Words{"x"});
  CHECK(Parse({"x", "-k", "{}"}).text == "{}");
  CHECK(Parse({"x", "-k", "[a,b]"}).text == "[a,b]");
  CHECK(Parse({"x", "-H", "[a,b]"}).texts == Words{"[a,b]"});
  CHECK(Parse({"x", "-k", "-1h"}).text == "-1h");
  CHECK(Parse({"x", "-k=a"}).text == "=a");
  CHECK(Parse({"x", "-n", "010"}).count == 10);
}

TEST_CASE("what is wrong is said with the name of the flag") {
  CHECK(Parse({"x", "-k"}).error() == "--key-separator needs a value");
  CHECK(Parse({"x", "-k", "a", "-k", "b"}).error() == "--key-separator is given more than once");
  CHECK(Parse({"x", "-n", "1x"}).error() == "--count: \"1x\" is not a whole number");
  CHECK(Parse({"x", "-n", "0"}).error() == "--count: 0 is too small: at least 1 is needed");
  CHECK(Parse({"x", "-p", "-1"}).error() == "--partition: \"-1\" is not a partition");
  CHECK(Parse({"x", "-n", "1", "-k", "a"}).error() == "--key-separator and --count exclude each other");
  CHECK(Parse({"x", "-O", "yaml"}).error() == "--output: \"yaml\" is not allowed: expected one of table|json");
  CHECK(Parse({}).error() == "NAME is required");
  CHECK(Parse({"[a,b]"}).error() == "unexpected argument \"[a,b]\"");
  CHECK(Parse({}).hint() == "leat test --help");
}

TEST_CASE("an unknown flag is named before what is missing and suggests the nearest") {
  CHECK(Parse({"--drty-run"}).error() == "unknown flag --drty-run");
  CHECK(Parse({"--drty-run=3"}).hint() == "did you mean \"--dry-run\"?");
  CHECK(Parse({"-dz"}).error() == "unknown flag -z");
  CHECK(Parse({"-z"}).hint() == "leat test --help");
}

TEST_CASE("help is recognised before anything else is asked for") {
  CHECK(*Parse({"-h"}).result == Parsed::short_help);
  CHECK(*Parse({"--help", "--bogus"}).result == Parsed::long_help);
}
