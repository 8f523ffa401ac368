#include "leat/log/data_dir.h"

#include <sys/stat.h>

#include <filesystem>
#include <thread>

#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

std::string leat_toml(const std::string& version) {
  return "format_version = " + version + "\nid = \"00000000000000000000000000000000\"\n";
}

}  // namespace

TEST_CASE("a missing directory is not found unless it may be created, and then private") {
  TempDir temp;
  const std::string path = temp / "a/b";
  const auto missing = DataDir::open(path, {});
  REQUIRE(!missing);
  CHECK(missing.error().code == Code::not_found);
  CHECK(missing.error().message.find(path) != std::string::npos);
  CHECK(missing.error().hint.find("topic create") != std::string::npos);
  CHECK(!std::filesystem::exists(temp / "a"));
  must(DataDir::open(path, {.create = true}));
  struct stat status{};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0700);
  const std::string file = read_file(path + "/leat.toml");
  CHECK(file.starts_with("format_version = 1\nid = \""));
  must(DataDir::open(path, {}));
  must(DataDir::open(path, {.create = true}));
  CHECK(read_file(path + "/leat.toml") == file);
}

TEST_CASE("an empty directory becomes ours at creation only") {
  TempDir temp;
  CHECK(DataDir::open(temp.path(), {}).error().code == Code::configuration);
  CHECK(std::filesystem::is_empty(temp.path()));
  must(DataDir::open(temp.path(), {.create = true}));
  must(DataDir::open(temp.path(), {}));
}

TEST_CASE("a directory with something else in it is refused and never written to") {
  TempDir temp;
  write_file(temp / "thesis.txt", "x");
  for (const bool create : {false, true}) {
    const auto opened = DataDir::open(temp.path(), {.create = create});
    REQUIRE(!opened);
    CHECK(opened.error().code == Code::configuration);
    CHECK(opened.error().message.find(temp.path()) != std::string::npos);
  }
  CHECK(DataDir::open(temp.path(), {.create = true}).error().message.find("thesis.txt") != std::string::npos);
  CHECK(std::distance(std::filesystem::directory_iterator(temp.path()), {}) == 1);
}

TEST_CASE("what a creation that was killed left behind is no obstacle") {
  TempDir temp;
  write_file(temp / "leat.toml.4711.tmp", "form");
  std::filesystem::create_directory(temp / "lost+found");
  must(DataDir::open(temp.path(), {.create = true}));
}

TEST_CASE("a newer format is refused with file, line and column") {
  TempDir temp;
  write_file(temp / "leat.toml", "\n" + leat_toml("2"));
  for (const bool create : {false, true}) {
    const auto opened = DataDir::open(temp.path(), {.create = create});
    REQUIRE(!opened);
    CHECK(opened.error().code == Code::configuration);
    CHECK(opened.error().message.starts_with(temp / "leat.toml:2:"));
    CHECK(opened.error().message.find("newer") != std::string::npos);
  }
}

TEST_CASE("a damaged leat.toml is a matter of configuration and is not overwritten") {
  for (const std::string& content : {std::string(), std::string("format_version = "), leat_toml("0"), leat_toml("-1"),
                                     leat_toml("\"1\""), std::string("id = \"x\"\n"), std::string(5000, '#'),
                                     std::string("\0\0\0", 3), leat_toml("99999999999999999999")}) {
    CAPTURE(content);
    TempDir temp;
    write_file(temp / "leat.toml", content);
    const auto opened = DataDir::open(temp.path(), {.create = true});
    REQUIRE(!opened);
    CHECK(opened.error().code == Code::configuration);
    CHECK(opened.error().message.find(temp / "leat.toml") != std::string::npos);
    CHECK(read_file(temp / "leat.toml") == content);
  }
}

TEST_CASE("a place where no directory can be is told from one that is missing") {
  TempDir temp;
  write_file(temp / "file", "");
  const auto created = DataDir::open(temp / "file/data", {.create = true});
  REQUIRE(!created);
  CHECK(created.error().code == Code::exists);
}

TEST_CASE("topics are listed by name, other things are not") {
  TempDir temp;
  const DataDir data_dir = must(DataDir::open(temp / "data", {.create = true}));
  CHECK(must(data_dir.topic_names()).empty());
  CHECK(!std::filesystem::exists(temp / "data/topics"));
  must(create_topic(data_dir, "b", {}));
  must(create_topic(data_dir, "a", {}));
  std::filesystem::create_directory(temp / "data/topics/not a name");
  CHECK(must(data_dir.topic_names()) == std::vector<std::string>{"a", "b"});
}

TEST_CASE("an unknown topic suggests the nearest, a bad name is refused") {
  TempDir temp;
  const DataDir data_dir = must(DataDir::open(temp / "data", {.create = true}));
  CHECK(data_dir.open_topic("x").error().code == Code::not_found);
  must(create_topic(data_dir, "readings", {}));
  const auto near = data_dir.open_topic("readinsg");
  REQUIRE(!near);
  CHECK(near.error().code == Code::not_found);
  CHECK(near.error().hint.find("\"readings\"") != std::string::npos);
  CHECK(data_dir.open_topic("../topics/readings").error().code == Code::usage);
  must(data_dir.open_topic("readings"));
}

TEST_CASE("one lock on the directory at a time") {
  TempDir temp;
  const DataDir a = must(DataDir::open(temp / "data", {.create = true}));
  const DataDir b = must(DataDir::open(temp / "data", {.lock_timeout = Milliseconds(10)}));
  const auto lock = must(a.lock());
  const auto refused = b.lock();
  REQUIRE(!refused);
  CHECK(refused.error().code == Code::busy);
}

TEST_CASE("a directory that is being made by somebody else is waited for, an empty one is none") {
  TempDir temp;
  std::filesystem::create_directory(temp / "data");
  std::thread maker([&] {
    std::this_thread::sleep_for(Milliseconds(30));
    must(DataDir::open(temp / "data", {.create = true}));
  });
  const auto opened = DataDir::open(temp / "data", {});
  maker.join();
  CHECK(opened);
  // Whoever makes it has it locked, and may take its time.
  const Directory slow = must(Directory::open_root((std::filesystem::create_directory(temp / "slow"), temp / "slow")));
  std::optional lock(must(DirectoryLock::acquire(slow, Milliseconds(0))));
  std::thread slow_maker([&] {
    std::this_thread::sleep_for(Milliseconds(400));
    write_file(temp / "slow/leat.toml", read_file(temp / "data/leat.toml"));
    lock.reset();
  });
  CHECK(DataDir::open(temp / "slow", {}));
  slow_maker.join();
  std::filesystem::create_directory(temp / "empty");
  const auto empty = DataDir::open(temp / "empty", {});
  CHECK((!empty && empty.error().code == Code::configuration));
}
