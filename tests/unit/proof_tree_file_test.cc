#include "leat/proof/tree_file.h"

#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

struct TreeFixture : LogFixture {
  Directory partition = must(must(must(data_dir.topics()).open_directory("t")).open_directory("0"));
  TreeFiles files = must(TreeFiles::open_to_write(partition));

  std::string path(const std::string& name) const { return partition_path("tree/" + name); }
};

Hash hash_of(std::uint64_t number) {
  return sha256(std::as_bytes(std::span(&number, 1)));
}
std::vector<Hash> hashes(std::uint64_t first, std::size_t count) {
  std::vector<Hash> made;
  for (std::uint64_t i = first; i < first + count; ++i) made.push_back(hash_of(i));
  return made;
}

}  // namespace

TEST_CASE("what was written to a level is read back, and what was not is missing") {
  TreeFixture f;
  CHECK(must(f.files.count(8)) == 0);
  must(f.files.write(8, 0, hashes(0, 3)));
  must(f.files.write(8, 3, hashes(3, 2)));
  must(f.files.write(16, 0, hashes(100, 1)));
  must(f.files.sync());
  CHECK(must(f.files.count(8)) == 5);
  const TreeFiles reader = must(TreeFiles::open(f.partition));
  const auto read = must(reader.read(8, 1, 6));
  REQUIRE(read.size() == 6);
  for (std::uint64_t i = 0; i < 4; ++i) CHECK(*read[i] == hash_of(i + 1));
  CHECK(!read[4]);
  CHECK(!read[5]);
  CHECK(*must(reader.read(16, 0, 1))[0] == hash_of(100));
  CHECK(!must(reader.read(24, 0, 1))[0]);
}

TEST_CASE("without a directory all is missing, and nothing is made by looking") {
  LogFixture f;
  const Directory partition = must(must(must(f.data_dir.topics()).open_directory("t")).open_directory("0"));
  const TreeFiles files = must(TreeFiles::open(partition));
  CHECK(must(files.count(8)) == 0);
  CHECK(!must(files.read(8, 0, 1))[0]);
  CHECK(!must(files.kept_leaves(0)));
  CHECK(!std::filesystem::exists(f.partition_path("tree")));
}

TEST_CASE("an entry with a flipped bit, or in another's place, is missing and the others stay") {
  TreeFixture f;
  must(f.files.write(8, 0, hashes(0, 3)));
  const std::string good = read_file(f.path("8"));
  REQUIRE(good.size() == 3 * 36);
  for (std::size_t byte = 36; byte < 72; ++byte) {
    write_file(f.path("8"), good);
    flip_byte(f.path("8"), byte);
    const auto read = must(f.files.read(8, 0, 3));
    CHECK(read[0]);
    CHECK(!read[1]);
    CHECK(read[2]);
  }
  write_file(f.path("8"), good.substr(36, 36) + good.substr(0, 36) + std::string(36, '\0'));
  for (const auto& hash : must(f.files.read(8, 0, 3))) CHECK(!hash);
  write_file(f.path("16"), good);
  CHECK(!must(f.files.read(16, 0, 1))[0]);
}

TEST_CASE("cutting forgets every level from a block on") {
  TreeFixture f;
  must(f.files.write(8, 0, hashes(0, 600)));
  must(f.files.write(16, 0, hashes(1000, 2)));
  must(f.files.cut(300));
  CHECK(must(f.files.count(8)) == 300);
  CHECK(must(f.files.count(16)) == 1);
  must(f.files.cut(0));
  CHECK(must(f.files.count(8)) == 0);
  CHECK(must(f.files.count(16)) == 0);
}

TEST_CASE(
    "leaves are kept until their block is gone, those of a signed tree for good, and damaged ones count as none") {
  TreeFixture f;
  must(f.files.keep_leaves(3, {hashes(0, 255), false}));
  must(f.files.keep_leaves(4, {hashes(0, 1), true}));
  must(f.files.keep_leaves(5, {hashes(0, 7), false}));
  CHECK(must(f.files.kept_leaves(3))->hashes == hashes(0, 255));
  CHECK(!must(f.files.kept_leaves(3))->is_signed);
  CHECK(must(f.files.kept_leaves(4))->is_signed);
  CHECK(must(f.files.unfinished_signed_blocks(5)) == std::vector<std::uint64_t>{4});
  CHECK(must(f.files.unfinished_signed_blocks(4)).empty());
  must(f.files.keep_leaves(4, {hashes(0, 256), true}));
  CHECK(must(f.files.unfinished_signed_blocks(5)).empty());
  must(f.files.drop_leaves_before(5));
  CHECK(!must(f.files.kept_leaves(3)));
  CHECK(must(f.files.kept_leaves(4)));
  CHECK(must(f.files.kept_leaves(5)));
  const std::string good = read_file(f.path("5.leaves"));
  for (std::size_t byte = 0; byte < good.size(); ++byte) {
    write_file(f.path("5.leaves"), good);
    flip_byte(f.path("5.leaves"), byte);
    CHECK(!must(f.files.kept_leaves(5)));
  }
  write_file(f.path("6.leaves"), good);
  CHECK(!must(f.files.kept_leaves(6)));
  write_file(f.path("5.leaves"), std::string(1 << 20, 'x'));
  CHECK(!must(f.files.kept_leaves(5)));
}
