#include "leat/base/file_lock.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

constexpr ByteRange kFirst{std::int64_t{1} << 40, 1};
constexpr ByteRange kSecond{(std::int64_t{1} << 40) + 1, 1};
constexpr ByteRange kBoth{std::int64_t{1} << 40, 2};

// Two opens of one file, as two processes have them.
struct TwoOpens {
  TwoOpens()
      : root(must(Directory::open_root(temp.path()))),
        a(must(root.open_file("f", OpenMode::create_or_open))),
        b(must(root.open_file("f", OpenMode::create_or_open))) {}

  TempDir temp;
  Directory root;
  File a;
  File b;
};

}  // namespace

TEST_CASE("an exclusive range excludes another open file, in its own bytes only") {
  TwoOpens files;
  CHECK(must(try_lock_range(files.a, kFirst, LockKind::exclusive)));
  CHECK(!must(try_lock_range(files.b, kFirst, LockKind::exclusive)));
  CHECK(!must(try_lock_range(files.b, kFirst, LockKind::shared)));
  CHECK(!must(try_lock_range(files.b, kBoth, LockKind::exclusive)));
  CHECK(must(try_lock_range(files.b, kSecond, LockKind::exclusive)));
  CHECK(must(try_lock_range(files.a, kFirst, LockKind::exclusive)));
  unlock_range(files.a, kFirst);
  CHECK(must(try_lock_range(files.b, kBoth, LockKind::exclusive)));
}

TEST_CASE("shared ranges go together and convert to exclusive only when alone") {
  TwoOpens files;
  CHECK(must(try_lock_range(files.a, kFirst, LockKind::shared)));
  CHECK(must(try_lock_range(files.b, kFirst, LockKind::shared)));
  CHECK(!must(try_lock_range(files.a, kFirst, LockKind::exclusive)));
  // A conversion that failed has not lost the lock that was there.
  unlock_range(files.b, kFirst);
  CHECK(!must(try_lock_range(files.b, kFirst, LockKind::exclusive)));
  CHECK(must(try_lock_range(files.a, kFirst, LockKind::exclusive)));
  CHECK(!must(try_lock_range(files.b, kFirst, LockKind::shared)));
  CHECK(must(try_lock_range(files.a, kFirst, LockKind::shared)));
  CHECK(must(try_lock_range(files.b, kFirst, LockKind::shared)));
}

TEST_CASE("whether a range is held elsewhere is asked without taking it") {
  TwoOpens files;
  CHECK(!must(lock_held_elsewhere(files.a, kBoth)));
  must(try_lock_range(files.a, kFirst, LockKind::shared));
  CHECK(!must(lock_held_elsewhere(files.a, kBoth)));
  CHECK(must(lock_held_elsewhere(files.b, kBoth)) == LockKind::shared);
  CHECK(!must(lock_held_elsewhere(files.b, kSecond)));
  CHECK(must(try_lock_range(files.a, kFirst, LockKind::exclusive)));
  CHECK(must(lock_held_elsewhere(files.b, kFirst)) == LockKind::exclusive);
}

TEST_CASE("closing the file releases its locks") {
  TwoOpens files;
  must(try_lock_range(files.a, kFirst, LockKind::exclusive));
  files.a = File();
  CHECK(must(try_lock_range(files.b, kFirst, LockKind::exclusive)));
}

TEST_CASE("waiting for a range ends with the timeout, or with the lock once it is free") {
  TwoOpens files;
  must(try_lock_range(files.a, kFirst, LockKind::exclusive));
  const auto start = std::chrono::steady_clock::now();
  CHECK(!must(lock_range(files.b, kFirst, LockKind::exclusive, Milliseconds(50))));
  CHECK(std::chrono::steady_clock::now() - start >= Milliseconds(50));
  std::thread release([&] {
    std::this_thread::sleep_for(Milliseconds(30));
    unlock_range(files.a, kFirst);
  });
  CHECK(must(lock_range(files.b, kFirst, LockKind::exclusive, Milliseconds(10'000))));
  release.join();
}

TEST_CASE("a lock that cannot be taken at all is an error, not a wait") {
  TwoOpens files;
  const File read_only = must(files.root.open_file("f", OpenMode::read));
  const auto locked = try_lock_range(read_only, kFirst, LockKind::exclusive);
  REQUIRE(!locked);
  CHECK(locked.error().message.find(files.a.path()) != std::string::npos);
}

TEST_CASE("a locked directory is busy and names the process that holds it") {
  TempDir temp;
  const Directory first = must(Directory::open_root(temp.path()));
  const Directory second = must(Directory::open_root(temp.path()));
  {
    const DirectoryLock lock = must(DirectoryLock::acquire(first, Milliseconds(0)));
    const auto refused = DirectoryLock::acquire(second, Milliseconds(20));
    REQUIRE(!refused);
    CHECK(refused.error().code == Code::busy);
    CHECK(refused.error().message.find(temp.path()) != std::string::npos);
    CHECK(refused.error().message.find(fmt::format("pid {}", ::getpid())) != std::string::npos);
  }
  DirectoryLock lock = must(DirectoryLock::acquire(second, Milliseconds(0)));
  DirectoryLock moved = std::move(lock);
  CHECK(!DirectoryLock::acquire(first, Milliseconds(0)));
  moved.release();
  CHECK(DirectoryLock::acquire(first, Milliseconds(0)));
}

TEST_CASE("a killed process leaves no lock behind") {
  TempDir temp;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto directory = Directory::open_root(temp.path());
    const auto lock = DirectoryLock::acquire(*directory, Milliseconds(0));
    if (lock && ::write(ready[1], "x", 1) == 1) ::pause();
    ::_exit(1);
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  const Directory directory = must(Directory::open_root(temp.path()));
  const auto refused = DirectoryLock::acquire(directory, Milliseconds(0));
  REQUIRE(!refused);
  CHECK(refused.error().message.find(fmt::format("pid {}", child)) != std::string::npos);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(DirectoryLock::acquire(directory, Milliseconds(0)));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("a process is described by its command, and by its number alone when it is gone") {
  CHECK(describe_process(::getpid()).starts_with(fmt::format("pid {} (", ::getpid())));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  CHECK(describe_process(child) == fmt::format("pid {}", child));
}

TEST_CASE("a child of fork() that outlives its parent's locks does not hold them") {
  TwoOpens files;
  const Directory other = must(Directory::open_root(files.temp.path()));
  auto a = std::optional(std::move(files.a));
  REQUIRE(must(try_lock_range(*a, kFirst, LockKind::exclusive)));
  auto lock = std::optional(must(DirectoryLock::acquire(files.root, Milliseconds(0))));
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  lock.reset();
  a.reset();
  // At once when the child has begun to run.
  CHECK(must(lock_range(files.b, kFirst, LockKind::exclusive, std::chrono::seconds(20))));
  CHECK(DirectoryLock::acquire(other, std::chrono::seconds(20)).has_value());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_CASE("a child of fork() can use what holds no lock, and nothing else") {
  TwoOpens files;
  REQUIRE(must(try_lock_range(files.a, kFirst, LockKind::exclusive)));
  const Directory locked = must(files.root.open_directory("."));
  {
    const DirectoryLock past = must(DirectoryLock::acquire(locked, Milliseconds(0)));
  }
  const pid_t child = ::fork();
  if (child == 0) {
    const bool good = files.root.open_file("f", OpenMode::read).has_value() && files.b.size().has_value() &&
                      !try_lock_range(files.a, kSecond, LockKind::exclusive) && !locked.list();
    ::_exit(good ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(must(lock_held_elsewhere(files.b, kFirst)) == LockKind::exclusive);
}
