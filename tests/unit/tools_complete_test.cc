#include "tools/complete.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "tools/commands.h"

using namespace leat;
using namespace leat::tools;
using Words = std::vector<std::string>;

namespace {

Words complete(const Words& before, const std::string& current) {
  NameSources sources;
  sources.topics = [](const std::optional<std::string>& dir) {
    return Words{"t1", "t2", "in:" + dir.value_or("usual")};
  };
  sources.consumers = [](const std::optional<std::string>&) { return Words{"c1", "c2"}; };
  return complete_line(before, current, command_table(), sources);
}

// The words without their descriptions.
Words words(Words candidates) {
  for (std::string& candidate : candidates) candidate = candidate.substr(0, candidate.find('\t'));
  return candidates;
}

bool offers(const Words& candidates, const std::string& word) {
  return std::find(candidates.begin(), candidates.end(), word) != candidates.end();
}

}  // namespace

TEST_CASE("commands and groups are offered first, each once") {
  Words first = words(complete({}, ""));
  CHECK(offers(first, "produce"));
  CHECK(std::count(first.begin(), first.end(), "topic") == 1);
  CHECK_FALSE(offers(first, "create"));
  CHECK(words(complete({}, "consume")) == Words{"consume", "consumer"});
  CHECK(words(complete({"-D", "/x", "-q", "topic"}, "de")) == Words{"describe", "delete"});
  CHECK(offers(words(complete({"help"}, "")), "topic"));
  CHECK(offers(words(complete({"help", "topic"}, "")), "create"));
}

TEST_CASE("flags of the command and global ones are offered behind a dash, hidden ones are not") {
  CHECK(words(complete({"topic", "create"}, "--retention-r")) == Words{"--retention-records"});
  CHECK(offers(words(complete({"topic", "create"}, "-")), "--data-dir"));
  CHECK(offers(words(complete({}, "-")), "--data-dir"));
  CHECK(complete({"completions"}, "--for").empty());
  CHECK(complete({"topic", "list", "--"}, "--").empty());
}

TEST_CASE("topic names come from the directory that the line names") {
  CHECK(complete({"topic", "delete"}, "") == Words{"t1", "t2", "in:usual"});
  CHECK(complete({"topic", "delete", "t1"}, "t") == Words{"t1", "t2"});
  CHECK(complete({"-D", "/x", "consume"}, "in") == Words{"in:/x"});
  CHECK(complete({"consume", "t1", "-qD/y"}, "in") == Words{"in:/y"});
  CHECK(complete({"consume", "--data-dir=/z"}, "in") == Words{"in:/z"});
  CHECK(complete({"produce", "t1"}, "").empty());
  CHECK(complete({"topic", "create"}, "").empty());
}

TEST_CASE("copy is offered directories, then the topics of the one it copies from") {
  CHECK(complete({"copy"}, "") == Words{":dirs"});
  CHECK(complete({"copy", "/a"}, "") == Words{":dirs"});
  CHECK(complete({"copy", "/a", "/b"}, "in") == Words{"in:/a"});
  CHECK(complete({"copy", "-d", "/a", "/b", "t1"}, "t") == Words{"t1", "t2"});
}

TEST_CASE("consumer names are offered to consumer commands and to --consumer") {
  CHECK(complete({"consumer", "delete"}, "") == Words{"c1", "c2"});
  CHECK(complete({"consume", "t1", "-c"}, "") == Words{"c1", "c2"});
  CHECK(complete({"consume", "t1", "-Bdc"}, "c2") == Words{"c2"});
  CHECK(complete({"consumer", "list", "-t"}, "t") == Words{"t1", "t2"});
}

TEST_CASE("a flag's value is one of its choices, a file or a directory") {
  CHECK(complete({"topic", "list", "-O"}, "") == Words{"table", "json"});
  CHECK(complete({"topic", "list"}, "--output=j") == Words{"--output=json"});
  CHECK(complete({"--color"}, "a") == Words{"auto", "always"});
  CHECK(complete({"produce", "t1", "-f"}, "/etc") == Words{":files"});
  CHECK(complete({"-D"}, "") == Words{":dirs"});
  CHECK(complete({"topic", "set", "t1"}, "clean") == Words{"cleanup=", ":nospace"});
}

TEST_CASE("half a line of nonsense offers nothing and does no harm") {
  CHECK(complete({"nonsense"}, "").empty());
  CHECK(complete({"topic", "nonsense", "x"}, "").empty());
  CHECK(complete({"consume", "--bogus", "-Z9"}, "--bogus=").empty());
  CHECK(complete({"-"}, "").empty());
}
