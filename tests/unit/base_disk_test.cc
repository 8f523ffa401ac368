#include "leat/base/disk.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

struct DiskFixture {
  DiskFixture() : root(must(Directory::open_root(temp.path()))) {}

  TempDir temp;
  Directory root;
};

mode_t mode_of(const std::string& path) {
  struct stat status{};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

struct Umask {
  explicit Umask(mode_t mask) : before(::umask(mask)) {}
  ~Umask() { ::umask(before); }
  mode_t before;
};

DiskCall failing_call = DiskCall::sync;

struct FailingCall {
  explicit FailingCall(DiskCall call) {
    failing_call = call;
    set_disk_fault_hook([](DiskCall made, std::string_view) { return made == failing_call ? EIO : 0; });
  }
  ~FailingCall() { set_disk_fault_hook(nullptr); }
};

}  // namespace

TEST_CASE("a planted symbolic link is refused, inside as well as to the outside") {
  DiskFixture disk;
  TempDir outside;
  write_file(outside / "secret", "secret");
  write_file(disk.temp / "real", "real");
  std::filesystem::create_directory(disk.temp / "directory");
  std::filesystem::create_symlink(outside / "secret", disk.temp / "out");
  std::filesystem::create_symlink("real", disk.temp / "in");
  std::filesystem::create_symlink(outside.path(), disk.temp / "out-directory");
  std::filesystem::create_symlink("directory", disk.temp / "in-directory");
  for (const char* name : {"out", "in"}) {
    for (const OpenMode mode : {OpenMode::read, OpenMode::read_write, OpenMode::create_new, OpenMode::create_or_open}) {
      CHECK(!disk.root.open_file(name, mode));
    }
  }
  for (const char* name : {"out-directory", "in-directory"}) {
    CHECK(!disk.root.open_directory(name));
    CHECK(!disk.root.make_directory(name));
  }
  CHECK(!disk.root.open_file("out-directory/secret", OpenMode::read));
  CHECK(read_file(outside / "secret") == "secret");
}

TEST_CASE("a directory that is moved away while it is opened is opened, or not there") {
  DiskFixture disk;
  TempDir elsewhere;
  const std::string here = disk.temp / "t", there = elsewhere / "t";
  std::filesystem::create_directory(here);
  std::atomic<bool> done = false;
  std::thread mover([&] {
    while (!done) {
      ::rename(here.c_str(), there.c_str());
      ::rename(there.c_str(), here.c_str());
    }
  });
  int opened = 0, absent = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto directory = disk.root.open_directory("t");
    opened += directory ? 1 : 0;
    absent += !directory && directory.error().code == Code::not_found ? 1 : 0;
    if (!directory && directory.error().code != Code::not_found) FAIL_CHECK(directory.error().message);
  }
  done = true;
  mover.join();
  CHECK(opened + absent == 20'000);
}

TEST_CASE("a dangling link is not created through") {
  DiskFixture disk;
  TempDir outside;
  std::filesystem::create_symlink(outside / "new", disk.temp / "link");
  CHECK(!disk.root.open_file("link", OpenMode::create_or_open));
  CHECK(!std::filesystem::exists(outside / "new"));
}

TEST_CASE("no name leads out of a directory") {
  DiskFixture disk;
  const Directory inner = must(disk.root.make_directory("inner"));
  write_file(disk.temp / "file", "x");
  for (const char* name : {"../file", "..", "/etc/passwd", "../inner/../file"}) {
    CAPTURE(name);
    CHECK(!inner.open_file(name, OpenMode::read));
  }
  CHECK(!inner.open_directory(".."));
  CHECK(!inner.open_file("../new", OpenMode::create_new));
  CHECK(!inner.make_directory("../new"));
  CHECK(!std::filesystem::exists(disk.temp / "new"));
}

TEST_CASE("what is created takes its mode from the root, whatever the umask") {
  for (const mode_t mask : {mode_t{0}, mode_t{077}, mode_t{022}}) {
    CAPTURE(mask);
    const Umask umask(mask);
    for (const auto& [root_mode, file_mode] : {std::pair<mode_t, mode_t>{0700, 0600}, {02770, 0660}, {0750, 0640}}) {
      TempDir temp;
      REQUIRE(::chmod(temp.path().c_str(), root_mode) == 0);
      const Directory root = must(Directory::open_root(temp.path()));
      const Directory inner = must(must(root.make_directory("a")).make_directory("b"));
      must(inner.open_file("new", OpenMode::create_new));
      must(inner.open_file("open", OpenMode::create_or_open));
      must(inner.replace_file("replaced", "x"));
      CHECK(mode_of(temp / "a") == root_mode);
      CHECK(mode_of(temp / "a/b") == root_mode);
      for (const char* name : {"a/b/new", "a/b/open", "a/b/replaced"}) CHECK(mode_of(temp / name) == file_mode);
    }
  }
}

TEST_CASE("as root, what is created belongs to the owner of the root directory") {
  if (::geteuid() != 0) return;
  TempDir temp;
  REQUIRE(::chown(temp.path().c_str(), 12345, 12346) == 0);
  const Directory root = must(Directory::open_root(temp.path()));
  must(must(root.make_directory("a")).open_file("f", OpenMode::create_new));
  for (const char* name : {"a", "a/f"}) {
    struct stat status{};
    REQUIRE(::stat((temp / name).c_str(), &status) == 0);
    CHECK(status.st_uid == 12345);
    CHECK(status.st_gid == 12346);
  }
}

TEST_CASE("a new root is private with all its missing parents, and those that exist stay as they are") {
  TempDir temp;
  REQUIRE(::chmod(temp.path().c_str(), 0755) == 0);
  const Umask umask(0);
  must(Directory::make_root(temp / "a/b/c"));
  for (const char* name : {"a", "a/b", "a/b/c"}) CHECK(mode_of(temp / name) == 0700);
  CHECK(mode_of(temp.path()) == 0755);
  must(Directory::make_root(temp / "a/b/c"));
  write_file(temp / "file", "");
  CHECK(!Directory::make_root(temp / "file/x"));
}

TEST_CASE("replacing a file leaves the old or the new content and nothing beside it, whatever fails") {
  DiskFixture disk;
  must(disk.root.replace_file("f", "old"));
  for (const DiskCall call : {DiskCall::open, DiskCall::write, DiskCall::sync, DiskCall::rename}) {
    {
      const FailingCall failing(call);
      const auto replaced = disk.root.replace_file("f", "new");
      REQUIRE(!replaced);
      CHECK(replaced.error().code == Code::io);
    }
    CHECK(read_file(disk.temp / "f") == "old");
    CHECK(must(disk.root.list()) == std::vector<std::string>{"f"});
  }
  must(disk.root.replace_file("f", "new"));
  CHECK(read_file(disk.temp / "f") == "new");
  must(disk.root.replace_file("f", ""));
  CHECK(read_file(disk.temp / "f").empty());
  CHECK(must(disk.root.list()) == std::vector<std::string>{"f"});
}

TEST_CASE("reading stops at the end of a file and past it reads nothing") {
  DiskFixture disk;
  write_file(disk.temp / "f", "hello");
  const File file = must(disk.root.open_file("f", OpenMode::read));
  std::string into(10, '.');
  const auto bytes = std::as_writable_bytes(std::span(into));
  CHECK(must(file.read_at(bytes, 2)) == 3);
  CHECK(into == "llo.......");
  CHECK(must(file.read_at(bytes, 5)) == 0);
  CHECK(must(file.read_at(bytes, 1'000'000)) == 0);
  CHECK(must(file.read_at(bytes.first(0), 0)) == 0);
  CHECK(must(file.size()) == 5);
}

TEST_CASE("a small file is read whole, a larger one than expected refused") {
  DiskFixture disk;
  write_file(disk.temp / "f", "hello");
  CHECK(must(disk.root.read_file("f", 5)) == "hello");
  CHECK(disk.root.read_file("f", 4).error().code == Code::configuration);
  CHECK(disk.root.read_file("missing", 5).error().code == Code::not_found);
  CHECK(disk.root.read_file("missing", 5).error().message.find(disk.temp / "missing") != std::string::npos);
}

TEST_CASE("many pieces are written one behind the other, empty ones among them") {
  DiskFixture disk;
  for (const std::size_t count : {1, 63, 64, 65, 200, 1000}) {
    CAPTURE(count);
    std::vector<std::string> texts;
    std::string expected = "head";
    for (std::size_t i = 0; i < count; ++i) {
      texts.push_back(i % 3 == 1 ? "" : std::to_string(i) + ",");
      expected += texts.back();
    }
    std::vector<Bytes> pieces;
    for (const std::string& text : texts) pieces.push_back(as_bytes(text));
    write_file(disk.temp / "f", "head");
    must(must(disk.root.open_file("f", OpenMode::read_write)).write_at(pieces, 4));
    CHECK(read_file(disk.temp / "f") == expected);
  }
}

TEST_CASE("a hundred empty pieces before the first byte are no failure") {
  DiskFixture disk;
  const File file = must(disk.root.open_file("f", OpenMode::create_new));
  std::vector<Bytes> pieces(100);
  must(file.write_at(pieces, 0));
  CHECK(must(file.size()) == 0);
  pieces.push_back(as_bytes("x"));
  must(file.write_at(pieces, 0));
  CHECK(read_file(disk.temp / "f") == "x");
  must(file.write_at(std::span<const Bytes>{}, 0));
}

TEST_CASE("each call that is made to fail names the path") {
  DiskFixture disk;
  write_file(disk.temp / "f", "x");
  const File file = must(disk.root.open_file("f", OpenMode::read_write));
  const auto fails = [&](DiskCall call, auto work) {
    const FailingCall failing(call);
    const auto result = work();
    REQUIRE(!result);
    CHECK(result.error().code == Code::io);
    CHECK(result.error().message.find(disk.temp.path()) != std::string::npos);
  };
  std::byte byte{};
  fails(DiskCall::open, [&] { return disk.root.open_file("f", OpenMode::read); });
  fails(DiskCall::open, [&] { return disk.root.open_directory("d"); });
  fails(DiskCall::read, [&] { return file.read_at({&byte, 1}, 0); });
  fails(DiskCall::write, [&] { return file.write_at(as_bytes("y"), 0); });
  fails(DiskCall::sync, [&] { return file.sync_data(); });
  fails(DiskCall::sync, [&] { return disk.root.sync(); });
  fails(DiskCall::truncate, [&] { return file.truncate(0); });
  fails(DiskCall::rename, [&] { return disk.root.rename("f", disk.root, "g"); });
  fails(DiskCall::unlink, [&] { return disk.root.unlink("f"); });
  fails(DiskCall::make_directory, [&] { return disk.root.make_directory("d"); });
  fails(DiskCall::list, [&] { return disk.root.list(); });
  fails(DiskCall::map, [&] { return Mapping::map(file, 1, false); });
  CHECK(read_file(disk.temp / "f") == "x");
}

TEST_CASE("a tree is removed with all below it, and links in it are not followed") {
  DiskFixture disk;
  TempDir outside;
  write_file(outside / "keep", "x");
  const Directory b = must(must(disk.root.make_directory("a")).make_directory("b"));
  must(b.replace_file("f", "x"));
  must(disk.root.replace_file("a-file", "x"));
  std::filesystem::create_directory_symlink(outside.path(), disk.temp / "a/b/link");
  must(disk.root.remove_tree("a"));
  CHECK(must(disk.root.list()) == std::vector<std::string>{"a-file"});
  CHECK(read_file(outside / "keep") == "x");
  must(disk.root.remove_tree("a"));
  must(disk.root.remove_tree("a-file"));
  CHECK(must(disk.root.list()).empty());
  must(disk.root.unlink("missing"));
  must(disk.root.remove_directory("missing"));
}

TEST_CASE("a tree is removed while another makes files in it") {
  DiskFixture disk;
  for (int i = 0; i < 50; ++i) {
    const Directory tree = must(disk.root.make_directory("tree"));
    std::thread maker([&tree] {
      for (int n = 0; tree.open_file(std::to_string(n), OpenMode::create_new); ++n)
        std::this_thread::sleep_for(std::chrono::microseconds(50));
    });
    const auto removed = disk.root.remove_tree("tree");
    CHECK(removed);
    maker.join();
  }
}

TEST_CASE("a file that was replaced or a directory that was moved away is told from the one that is open") {
  DiskFixture disk;
  must(disk.root.replace_file("f", "1"));
  const File file = must(disk.root.open_file("f", OpenMode::read));
  CHECK(disk.root.names_file("f", file));
  const FileIdentity identity = must(file.identity());
  CHECK(must(must(disk.root.open_file("f", OpenMode::read)).identity()) == identity);
  must(disk.root.replace_file("f", "2"));
  CHECK(!disk.root.names_file("f", file));
  CHECK(must(must(disk.root.open_file("f", OpenMode::read)).identity()) != identity);
  const Directory inner = must(disk.root.make_directory("inner"));
  CHECK(inner.still_in(disk.root, "inner"));
  must(disk.root.rename("inner", disk.root, "moved"));
  CHECK(!inner.still_in(disk.root, "inner"));
  CHECK(inner.still_in(disk.root, "moved"));
}

TEST_CASE("a file is created once, and what allocates space is counted") {
  DiskFixture disk;
  must(disk.root.open_file("f", OpenMode::create_new));
  CHECK(!disk.root.open_file("f", OpenMode::create_new));
  CHECK(disk.root.open_file("f", OpenMode::create_or_open));
  CHECK(disk.root.open_file("g", OpenMode::read).error().code == Code::not_found);
  const std::int64_t before = must(disk.root.allocated_bytes());
  must(must(disk.root.make_directory("d")).replace_file("big", std::string(100'000, 'x')));
  CHECK(must(disk.root.allocated_bytes()) >= before + 100'000);
}

TEST_CASE("what stands in a file's place and is none is refused by name, and not waited for") {
  DiskFixture disk;
  std::filesystem::create_directory(disk.temp / "directory");
  REQUIRE(::mkfifo((disk.temp / "pipe").c_str(), 0600) == 0);
  for (const OpenMode mode : {OpenMode::read, OpenMode::read_write, OpenMode::create_or_open, OpenMode::direct_read}) {
    const auto pipe = disk.root.open_file("pipe", mode);
    REQUIRE(!pipe);
    CHECK(pipe.error().message.find("pipe") != std::string::npos);
    CHECK(!disk.root.open_file("directory", mode));
  }
  CHECK(disk.root.open_file("pipe", OpenMode::read).error().code == Code::configuration);
}
