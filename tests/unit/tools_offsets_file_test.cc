#include "tools/offsets_file.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

using namespace leat;
using namespace leat::tools;

namespace {

// The lines as they would be written, or the error.
std::string parsed(std::string_view text) {
  const auto lines = parse_offsets("next", text);
  if (!lines) {
    CHECK(lines.error().code == Code::bad_data);
    return lines.error().message;
  }
  std::string result;
  for (const OffsetsLine& line : *lines) {
    result += line.topic + ' ' + std::to_string(line.partition.value) + ' ' + std::to_string(line.next.value) + '\n';
  }
  return result;
}

}  // namespace

TEST_CASE("the lines of an offsets file are taken in their order") {
  CHECK(parsed("t 1 5\na 0 0\n") == "t 1 5\na 0 0\n");
  CHECK(parsed("t 0 9223372036854775807") == "t 0 9223372036854775807\n");
  CHECK(parsed("t 2147483647 1\n") == "t 2147483647 1\n");
}

TEST_CASE("comments, blanks and blank lines of an offsets file count for nothing") {
  CHECK(parsed("").empty());
  CHECK(parsed("\n# nothing\n  \t\n").empty());
  CHECK(parsed("\tt   0 5  # five\r\n\n#t 0 6\nt\t1 7#seven") == "t 0 5\nt 1 7\n");
}

TEST_CASE("a bad line of an offsets file is named with its number") {
  CHECK(parsed("t 0 1\n\nt 1\n") == "next:3: expected TOPIC PARTITION OFFSET, found 2 words");
  CHECK(parsed("t\n") == "next:1: expected TOPIC PARTITION OFFSET, found 1 word");
  CHECK(parsed("t 0 1 2\n") == "next:1: expected TOPIC PARTITION OFFSET, found 4 words");
  CHECK(parsed("# a comment\nt x 1\n") == "next:2: PARTITION: \"x\" is not a whole number");
  CHECK(parsed("t -1 1\n") == "next:1: PARTITION: \"-1\" is not a whole number");
  CHECK(parsed("t 2147483648 1\n") == "next:1: PARTITION: \"2147483648\" is too large");
  CHECK(parsed("t 0 +1\n") == "next:1: OFFSET: \"+1\" is not a whole number");
  CHECK(parsed("t 0 1.5\n") == "next:1: OFFSET: \"1.5\" is not a whole number");
  CHECK(parsed("t 0 9223372036854775808\n") == "next:1: OFFSET: \"9223372036854775808\" is too large");
  CHECK(parsed("../t 0 1\n").starts_with("next:1: topic name \"../t\" is not allowed"));
  CHECK(parsed(std::string_view("t\0 0 1\n", 7)).starts_with("next:1: topic name"));
}

TEST_CASE("a partition that stands twice in an offsets file is refused") {
  CHECK(parsed("t 0 1\nu 0 1\nt 1 1\nt 0 1\n") == "next:4: partition 0 of \"t\" stands in line 1 already");
}

TEST_CASE("what was written to an offsets file is read back") {
  char directory[] = "/tmp/leat-offsets-read-XXXXXX";
  REQUIRE(::mkdtemp(directory) != nullptr);
  const std::string path = std::string(directory) + "/next";
  const std::vector<Position> positions = {{"t", {10}, {5}}, {"a", {3}, {0}}};
  REQUIRE(write_offsets_file(path, positions));
  const auto lines = read_offsets_file(path);
  REQUIRE(lines);
  REQUIRE(lines->size() == 2);
  CHECK(lines->at(0).topic == "a");
  CHECK(lines->at(0).partition.value == 3);
  CHECK(lines->at(1).next.value == 5);

  std::ofstream(path) << "t 0 1\nnonsense\n";
  CHECK(read_offsets_file(path).error().message.starts_with(path + ":2: "));
  ::unlink(path.c_str());
  CHECK(read_offsets_file(path).error().code == Code::not_found);
  CHECK(read_offsets_file(directory).error().code == Code::not_found);
  CHECK(::rmdir(directory) == 0);
}
