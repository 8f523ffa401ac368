// What the hardware allows: the barest programs that keep the same promise as leat.
//
//   limits append FILE COUNT BYTES         write at the end and fdatasync, one after the other
//   limits preallocated FILE COUNT BYTES   the same in a file whose blocks and size are there already
//   limits overwrite FILE COUNT BYTES      two slots of a written file in turn, each with fdatasync
//   limits lock FILE PROCESSES COUNT BYTES each process: lock, write, fdatasync, unlock
//   limits group FILE PROCESSES COUNT BYTES each process: write; one syncs for all that have written, and wakes them
#include <linux/futex.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <atomic>
#include <cstdint>
#include <string_view>

#include "measure.h"

namespace {

using bench::must;

int open_file(const char* path, int flags) {
  const int fd = ::open(path, O_CREAT | O_RDWR | O_CLOEXEC | flags, 0644);
  must(fd >= 0, path);
  return fd;
}

void write_all(int fd, const std::string& bytes) {
  must(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()), "write");
}

void write_at(int fd, const std::string& bytes, off_t position) {
  must(::pwrite(fd, bytes.data(), bytes.size(), position) == static_cast<ssize_t>(bytes.size()), "pwrite");
}

void sync(int fd) {
  must(::fdatasync(fd) == 0, "fdatasync");
}

void append(char** argv) {
  const int fd = open_file(argv[2], O_APPEND);
  const std::string record(static_cast<std::size_t>(bench::number(argv, 4)), 'x');
  bench::time_each(bench::number(argv, 3), [&] {
    write_all(fd, record);
    sync(fd);
  });
}

void preallocated(char** argv) {
  const int fd = open_file(argv[2], 0);
  const long count = bench::number(argv, 3);
  const std::string record(static_cast<std::size_t>(bench::number(argv, 4)), 'x');
  must(::posix_fallocate(fd, 0, static_cast<off_t>(record.size()) * 2 * count + 4096) == 0, "posix_fallocate");
  must(::fsync(fd) == 0, "fsync");
  off_t position = 0;
  bench::time_each(count, [&] {
    write_at(fd, record, position);
    position += static_cast<off_t>(record.size());
    sync(fd);
  });
}

void overwrite(char** argv) {
  const int fd = open_file(argv[2], 0);
  write_at(fd, std::string(4096, 'y'), 0);
  must(::fsync(fd) == 0, "fsync");
  const std::string record(static_cast<std::size_t>(bench::number(argv, 4)), 'x');
  off_t slot = 0;
  bench::time_each(bench::number(argv, 3), [&] {
    write_at(fd, record, slot);
    slot = static_cast<off_t>(record.size()) - slot;
    sync(fd);
  });
}

void lock(char** argv) {
  const long count = bench::number(argv, 4);
  const std::string record(static_cast<std::size_t>(bench::number(argv, 5)), 'x');
  bench::time_crew(bench::number(argv, 3), count, [&](int) {
    // A descriptor of its own, or the lock would be shared.
    const int fd = open_file(argv[2], O_APPEND);
    return [fd, count, record] {
      for (long i = 0; i < count; ++i) {
        must(::flock(fd, LOCK_EX) == 0, "flock");
        write_all(fd, record);
        sync(fd);
        must(::flock(fd, LOCK_UN) == 0, "flock");
      }
    };
  });
}

// What the processes of a group commit share.
struct Group {
  std::atomic_flag writing;
  std::atomic<std::int64_t> written;  // bytes
  std::atomic<std::int64_t> durable;  // of them
  std::atomic_flag syncing;
  std::atomic<std::uint32_t> turn;  // counts syncs; a futex
};

void commit(Group& group, int fd, const std::string& record) {
  while (group.writing.test_and_set()) ::sched_yield();
  const std::int64_t position = group.written.load();
  write_at(fd, record, position);
  const std::int64_t end = position + static_cast<std::int64_t>(record.size());
  group.written.store(end);
  group.writing.clear();
  for (;;) {
    const std::uint32_t turn = group.turn.load();
    if (group.durable.load() >= end) return;
    if (group.syncing.test_and_set()) {
      ::syscall(SYS_futex, &group.turn, FUTEX_WAIT, turn, nullptr, nullptr, 0);
      continue;
    }
    if (group.durable.load() < end) {
      const std::int64_t upto = group.written.load();
      sync(fd);
      group.durable.store(upto);
    }
    group.syncing.clear();
    group.turn.fetch_add(1);
    ::syscall(SYS_futex, &group.turn, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
  }
}

void group(char** argv) {
  const long processes = bench::number(argv, 3);
  const long count = bench::number(argv, 4);
  const std::string record(static_cast<std::size_t>(bench::number(argv, 5)), 'x');
  void* page = ::mmap(nullptr, sizeof(Group), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  must(page != MAP_FAILED, "mmap");
  Group& shared = *new (page) Group{};
  const int fd = open_file(argv[2], 0);
  must(::posix_fallocate(fd, 0, static_cast<off_t>(record.size()) * processes * count + 4096) == 0, "posix_fallocate");
  must(::fsync(fd) == 0, "fsync");
  bench::time_crew(processes, count, [&](int) {
    return [&shared, fd, count, record] {
      for (long i = 0; i < count; ++i) commit(shared, fd, record);
    };
  });
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 2 ? argv[1] : "";
  if (what == "append") return append(argv), 0;
  if (what == "preallocated") return preallocated(argv), 0;
  if (what == "overwrite") return overwrite(argv), 0;
  if (what == "lock") return lock(argv), 0;
  if (what == "group") return group(argv), 0;
  bench::die("limits append|preallocated|overwrite|lock|group FILE ...");
}
