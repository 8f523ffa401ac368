// Preloaded into leat-dynamic: faults that no kernel gives on demand, each at an exact call, and another wall clock.
//
//   LEAT_PRELOADED=FILE      counters and the disk model, shared by all processes that name it (struct shared, zeros at
//                            first)
//   LEAT_FAIL_ALLOCATION=N[+]  the Nth allocation since main() began fails, or all from there on
//   LEAT_CUT_TRANSFER=N:HOW  the Nth transfer of two bytes or more since then is cut; one: to one byte, half: to half,
//                            most: to all but one
//   LEAT_DISK=1              the disk model below; what follows up to LEAT_MISTAKE needs it
//   LEAT_FAIL_SYNC=N[:COUNT]  syncs number N to N+COUNT-1, counted over all processes, fail: what they were to make
//                            durable is lost
//   LEAT_KILL_AFTER=K        whoever a failed sync happens to is killed at its Kth call after it; 0: within the sync
//   LEAT_SYNC_US=T           each sync takes that long
//   LEAT_MISTAKE=HOW         a mistake for the tests to find; retry: a failed sync is done again and believed; cached:
//                            "past the page cache" reads the page cache
//   LEAT_CLOCK_OFFSET_MS=T   the wall clock is that far ahead (or back, when negative); the steady one is not
//
// The disk model is the page cache as Linux has it. A failed sync marks the pages clean: they read well, the disk has
// what was there before, and the next sync returns 0. Where the process dies within the sync, each descriptor that was
// open at the time is told once (errseq_t); elsewhere nobody else is told, which is worse. Reading with O_DIRECT shows
// what the disk has. Writing over lost bytes, and syncing, brings them back. Names and sizes are taken as durable.
// The library itself allocates nothing.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { kChunk = 4096, kChunks = 4096, kFiles = 256, kDescriptors = 256 };
enum { kFree = 0, kDirty = 1, kLost = 2 };

// Bytes of a file that are not on the disk, and what the disk has in their place.
struct chunk {
  uint64_t inode, start, length, state, born, dirtied;
  unsigned char old[kChunk];
};

// tests/crash/preload_sweep.py reads this.
struct shared {
  _Atomic uint64_t allocations, transfers, hits, syncs, failed, killed, overflow, used;
  _Atomic uint32_t locked, unused;
  uint64_t sequence;
  struct {
    uint64_t inode, error, seen;
  } files[kFiles];
  struct chunk chunks[kChunks];
};

static struct shared* shared;
static int counting, disk;
static long fail_allocation, allocations_on, cut_transfer, fail_sync, fail_syncs, kill_after = -1, sync_us;
static int64_t clock_offset_ns;
static char cut_how, mistake;
static _Atomic int steps_left = -1;
static uint64_t told[kDescriptors];  // the error of its file each descriptor has been told of
static long (*next_syscall)(long, ...);

static long call(long number, ...) {
  va_list list;
  va_start(list, number);
  long a[6];
  for (int i = 0; i < 6; ++i) a[i] = va_arg(list, long);
  va_end(list);
  return next_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static long number(const char* name) {
  const char* text = getenv(name);
  return text == NULL ? 0 : strtol(text, NULL, 10);
}

__attribute__((constructor)) static void begin(void) {
  next_syscall = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  const char* text = getenv("LEAT_FAIL_ALLOCATION");
  fail_allocation = number("LEAT_FAIL_ALLOCATION");
  allocations_on = text != NULL && strchr(text, '+') != NULL;
  cut_transfer = number("LEAT_CUT_TRANSFER");
  if ((text = getenv("LEAT_CUT_TRANSFER")) != NULL && (text = strchr(text, ':')) != NULL) cut_how = text[1];
  fail_sync = number("LEAT_FAIL_SYNC");
  fail_syncs = 1;
  if ((text = getenv("LEAT_FAIL_SYNC")) != NULL && (text = strchr(text, ':')) != NULL)
    fail_syncs = strtol(text + 1, NULL, 10);
  if (getenv("LEAT_KILL_AFTER") != NULL) kill_after = number("LEAT_KILL_AFTER");
  sync_us = number("LEAT_SYNC_US");
  disk = getenv("LEAT_DISK") != NULL;
  if ((text = getenv("LEAT_MISTAKE")) != NULL) mistake = text[0];
  clock_offset_ns = (int64_t)number("LEAT_CLOCK_OFFSET_MS") * 1000000;
  const char* path = getenv("LEAT_PRELOADED");
  if (path == NULL) return;
  const int fd = (int)call(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
  if (fd < 0) abort();
  void* base = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) abort();
  call(SYS_close, fd);
  shared = base;
}

// What the loader and static constructors do is not counted: main() begins here.
static int (*program)(int, char**, char**);
static int counted_main(int count, char** words, char** environment) {
  counting = 1;
  return program(count, words, environment);
}

int __libc_start_main(int (*main_function)(int, char**, char**), int count, char** words, void (*init)(void),
                      void (*fini)(void), void (*loader)(void), void* stack) {
  program = main_function;
  int (*next)(int (*)(int, char**, char**), int, char**, void (*)(void), void (*)(void), void (*)(void), void*) =
      (int (*)(int (*)(int, char**, char**), int, char**, void (*)(void), void (*)(void), void (*)(void), void*))dlsym(
          RTLD_NEXT, "__libc_start_main");
  return next(counted_main, count, words, init, fini, loader, stack);
}

// ---- Allocations

extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);

static int refused(void) {
  if (!counting || shared == NULL) return 0;
  const long n = (long)atomic_fetch_add(&shared->allocations, 1) + 1;
  if (fail_allocation == 0 || n < fail_allocation || (n > fail_allocation && !allocations_on)) return 0;
  atomic_fetch_add(&shared->hits, 1);
  errno = ENOMEM;
  return 1;
}

void* malloc(size_t size) {
  return refused() ? NULL : __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  return refused() ? NULL : __libc_calloc(count, size);
}
void* realloc(void* old, size_t size) {
  return refused() ? NULL : __libc_realloc(old, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  return refused() ? NULL : __libc_memalign(alignment, size);
}
int posix_memalign(void** into, size_t alignment, size_t size) {
  if (refused()) return ENOMEM;
  return (*into = __libc_memalign(alignment, size)) == NULL ? ENOMEM : 0;
}

// ---- A call that may be the last one

static void die(void) {
  atomic_fetch_add(&shared->killed, 1);
  call(SYS_kill, call(SYS_getpid), SIGKILL);
}

static void step(void) {
  if (atomic_load(&steps_left) < 0) return;
  if (atomic_fetch_sub(&steps_left, 1) <= 1) die();
}

// ---- The disk model

static void lock(void) {
  uint32_t open = 0;
  while (!atomic_compare_exchange_weak(&shared->locked, &open, 1)) {
    open = 0;
    call(SYS_sched_yield);
  }
}

static void unlock(void) {
  atomic_store(&shared->locked, 0);
}

static int models_disk(void) {
  return shared != NULL && disk;
}

// The inode of a data file, 0 for what is not modelled.
static uint64_t inode_of(int fd) {
  struct stat status;
  if (!models_disk() || fd < 3) return 0;
  return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? (uint64_t)status.st_ino : 0;
}

// Lock held. The place of a file's error, NULL when the table is full.
static uint64_t* errors_of(uint64_t inode) {
  for (int i = 0; i < kFiles; ++i) {
    if (shared->files[i].inode == 0) shared->files[i].inode = inode;
    if (shared->files[i].inode == inode) return &shared->files[i].error;
  }
  atomic_store(&shared->overflow, 1);
  return NULL;
}

// A descriptor opened once somebody has been told of an error is not told of it.
static void opened(int fd) {
  const uint64_t inode = inode_of(fd);
  if (inode == 0 || fd >= kDescriptors) return;
  lock();
  const uint64_t* errors = errors_of(inode);
  told[fd] = errors == NULL ? 0 : *errors;
  unlock();
}

// Lock held. What is on the disk in place of [start, start + length), before it is written over.
static void note_write(int fd, uint64_t inode, uint64_t start, uint64_t length) {
  const uint64_t now = ++shared->sequence;
  for (uint64_t i = 0; i < shared->used; ++i) {
    struct chunk* c = &shared->chunks[i];
    if (c->state == kLost && c->inode == inode && c->start < start + length && start < c->start + c->length) {
      c->state = kDirty;
      c->dirtied = now;
    }
  }
  uint64_t i = 0;
  while (length > 0) {
    while (i < kChunks && shared->chunks[i].state != kFree) ++i;
    if (i == kChunks) {
      atomic_store(&shared->overflow, 1);
      return;
    }
    struct chunk* c = &shared->chunks[i];
    const uint64_t part = length < kChunk ? length : kChunk;
    *c = (struct chunk){.inode = inode, .start = start, .length = part, .state = kDirty, .born = now, .dirtied = now};
    // Where the descriptor cannot read, or the file ends, there are zeros.
    call(SYS_pread64, fd, c->old, part, start);
    if (i >= shared->used) shared->used = i + 1;
    start += part;
    length -= part;
  }
}

static void note_truncate(uint64_t inode, uint64_t size) {
  for (uint64_t i = 0; i < shared->used; ++i) {
    struct chunk* c = &shared->chunks[i];
    if (c->state == kFree || c->inode != inode) continue;
    if (c->start >= size)
      c->state = kFree;
    else if (c->start + c->length > size)
      c->length = size - c->start;
  }
}

// Lock held. The latest lost bytes first, so that the oldest of what was there before is what is left.
static void show_disk(uint64_t inode, unsigned char* into, uint64_t position, uint64_t length) {
  uint64_t below = UINT64_MAX;
  for (;;) {
    struct chunk* latest = NULL;
    for (uint64_t i = 0; i < shared->used; ++i) {
      struct chunk* c = &shared->chunks[i];
      if (c->state != kLost || c->inode != inode || c->start >= position + length || position >= c->start + c->length)
        continue;
      const uint64_t order = c->born * kChunks + i;
      if (order < below && (latest == NULL || order > latest->born * kChunks + (uint64_t)(latest - shared->chunks)))
        latest = c;
    }
    if (latest == NULL) return;
    below = latest->born * kChunks + (uint64_t)(latest - shared->chunks);
    for (uint64_t i = 0; i < latest->length; ++i) {
      const uint64_t at = latest->start + i;
      if (at >= position && at < position + length) into[at - position] = latest->old[i];
    }
  }
}

static void nap(void) {
  const struct timespec time = {sync_us / 1000000, sync_us % 1000000 * 1000};
  if (sync_us > 0) call(SYS_nanosleep, &time, NULL);
}

// Whether this sync loses what it was to make durable; else what had been written before it began becomes durable.
static int sync_fails(int fd, uint64_t inode) {
  const long n = (long)atomic_fetch_add(&shared->syncs, 1) + 1;
  const int fails = fail_sync > 0 && n >= fail_sync && n < fail_sync + fail_syncs;
  lock();
  const uint64_t began = shared->sequence;
  unlock();
  nap();
  lock();
  uint64_t* errors = inode == 0 ? NULL : errors_of(inode);
  for (uint64_t i = 0; i < shared->used; ++i) {
    struct chunk* c = &shared->chunks[i];
    if (inode != 0 && c->inode == inode && c->state == kDirty && c->dirtied <= began) c->state = fails ? kLost : kFree;
  }
  int result = fails;
  if (errors != NULL && fails) {
    ++*errors;
    if (fd < kDescriptors) told[fd] = *errors;
  } else if (errors != NULL && kill_after == 0 && fd < kDescriptors && told[fd] != *errors) {
    told[fd] = *errors;
    result = 1;
  }
  unlock();
  if (fails) {
    atomic_fetch_add(&shared->failed, 1);
    atomic_fetch_add(&shared->hits, 1);
    if (kill_after == 0) die();
    if (kill_after > 0) atomic_store(&steps_left, (int)kill_after);
  }
  return result;
}

static int synced(long system_call, int fd) {
  step();
  if (shared == NULL) return (int)call(system_call, fd);
  const uint64_t inode = inode_of(fd);
  if (sync_fails(fd, inode) && mistake != 'r') {
    errno = EIO;
    return -1;
  }
  return (int)call(system_call, fd);
}

int fdatasync(int fd) {
  return synced(SYS_fdatasync, fd);
}
int fsync(int fd) {
  return synced(SYS_fsync, fd);
}

int ftruncate(int fd, off_t size) {
  step();
  const uint64_t inode = inode_of(fd);
  if (inode == 0) return (int)call(SYS_ftruncate, fd, size);
  lock();
  const int result = (int)call(SYS_ftruncate, fd, size);
  if (result == 0) note_truncate(inode, (uint64_t)size);
  unlock();
  return result;
}
int ftruncate64(int fd, off64_t size) {
  return ftruncate(fd, size);
}

long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long a[6];
  for (int i = 0; i < 6; ++i) a[i] = va_arg(list, long);
  va_end(list);
  step();
  const long result = next_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  if (number == SYS_openat2 && result >= 0) {
    const int error = errno;
    opened((int)result);
    errno = error;
  }
  return result;
}

int fcntl(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  const long argument = va_arg(list, long);
  va_end(list);
  step();
  return (int)call(SYS_fcntl, fd, command, argument);
}
int fcntl64(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  const long argument = va_arg(list, long);
  va_end(list);
  return fcntl(fd, command, argument);
}

// Memory is no disk that could lose anything, and leat knows it; with the model it is one.
int fstatfs(int fd, struct statfs* status) {
  const int result = (int)call(SYS_fstatfs, fd, status);
  if (result == 0 && models_disk()) status->f_type = 0xEF53;  // ext4
  return result;
}
int fstatfs64(int fd, struct statfs64* status) {
  return fstatfs(fd, (struct statfs*)status);
}

// ---- Transfers

// How many bytes of a transfer that could move `size` are let through.
static size_t allowed(size_t size) {
  if (!counting || shared == NULL || size < 2) return size;
  const long n = (long)atomic_fetch_add(&shared->transfers, 1) + 1;
  if (n != cut_transfer) return size;
  atomic_fetch_add(&shared->hits, 1);
  return cut_how == 'o' ? 1 : cut_how == 'h' ? size / 2 : size - 1;
}

// The bytes a read of `size` would get now. Waits for some.
static size_t available(int fd, size_t size) {
  struct pollfd ready = {.fd = fd, .events = POLLIN};
  int bytes = 0;
  if (call(SYS_ppoll, &ready, 1, NULL, NULL, 0) < 0 || call(SYS_ioctl, fd, FIONREAD, &bytes) < 0 || bytes < 0)
    return size;
  return (size_t)bytes < size ? (size_t)bytes : size;
}

ssize_t read(int fd, void* into, size_t size) {
  step();
  const size_t most = counting && cut_transfer > 0 && fd == 0 ? available(fd, size) : size;
  const size_t part = allowed(most);
  return call(SYS_read, fd, into, part < most ? part : size);
}

// Past the page cache the kernel stops early at the end of a file only.
static int is_direct(int fd) {
  return (call(SYS_fcntl, fd, F_GETFL, 0) & O_DIRECT) != 0;
}

ssize_t pread(int fd, void* into, size_t size, off_t position) {
  step();
  const int direct = is_direct(fd);
  size_t part = size;
  struct stat status;
  if (!direct && counting && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
    const size_t left = position < status.st_size ? (size_t)(status.st_size - position) : 0;
    const size_t most = left < size ? left : size;
    const size_t let = allowed(most);
    if (let < most) part = let;
  }
  const ssize_t count = call(SYS_pread64, fd, into, part, position);
  const uint64_t inode = direct && mistake != 'c' ? inode_of(fd) : 0;
  if (inode != 0 && count > 0) {
    lock();
    show_disk(inode, into, (uint64_t)position, (uint64_t)count);
    unlock();
  }
  return count;
}
ssize_t pread64(int fd, void* into, size_t size, off64_t position) {
  return pread(fd, into, size, position);
}

ssize_t write(int fd, const void* from, size_t size) {
  step();
  return call(SYS_write, fd, from, allowed(size));
}

// The first `size` bytes of the pieces; returns how many pieces hold them.
static int first_of(struct iovec* pieces, int count, size_t size) {
  for (int i = 0; i < count; ++i) {
    if (pieces[i].iov_len >= size) {
      pieces[i].iov_len = size;
      return i + 1;
    }
    size -= pieces[i].iov_len;
  }
  return count;
}

static size_t total(const struct iovec* pieces, int count) {
  size_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += pieces[i].iov_len;
  return bytes;
}

ssize_t pwritev(int fd, const struct iovec* pieces, int count, off_t position) {
  step();
  struct iovec some[1024];
  memcpy(some, pieces, sizeof(struct iovec) * (size_t)count);
  const size_t bytes = total(pieces, count);
  const size_t part = allowed(bytes);
  if (part < bytes) count = first_of(some, count, part);
  const uint64_t inode = inode_of(fd);
  if (inode == 0) return call(SYS_pwritev, fd, some, count, position, 0);
  lock();
  note_write(fd, inode, (uint64_t)position, part);
  const ssize_t written = call(SYS_pwritev, fd, some, count, position, 0);
  unlock();
  return written;
}
ssize_t pwritev64(int fd, const struct iovec* pieces, int count, off64_t position) {
  return pwritev(fd, pieces, count, position);
}
ssize_t pwritev2(int fd, const struct iovec* pieces, int count, off_t position, int flags) {
  return flags == 0 && position >= 0 ? pwritev(fd, pieces, count, position)
                                     : call(SYS_pwritev2, fd, pieces, count, position, 0, flags);
}
ssize_t pwritev64v2(int fd, const struct iovec* pieces, int count, off64_t position, int flags) {
  return pwritev2(fd, pieces, count, position, flags);
}

ssize_t pwrite(int fd, const void* from, size_t size, off_t position) {
  const struct iovec piece = {(void*)from, size};
  return pwritev(fd, &piece, 1, position);
}
ssize_t pwrite64(int fd, const void* from, size_t size, off64_t position) {
  return pwrite(fd, from, size, position);
}

ssize_t writev(int fd, const struct iovec* pieces, int count) {
  step();
  struct iovec some[1024];
  memcpy(some, pieces, sizeof(struct iovec) * (size_t)count);
  const size_t bytes = total(pieces, count);
  const size_t part = allowed(bytes);
  if (part < bytes) count = first_of(some, count, part);
  return call(SYS_writev, fd, some, count);
}

ssize_t preadv(int fd, const struct iovec* pieces, int count, off_t position) {
  step();
  struct iovec some[1024];
  memcpy(some, pieces, sizeof(struct iovec) * (size_t)count);
  const size_t bytes = total(pieces, count);
  const size_t part = is_direct(fd) ? bytes : allowed(bytes);
  if (part < bytes) count = first_of(some, count, part);
  return call(SYS_preadv, fd, some, count, position, 0);
}
ssize_t preadv64(int fd, const struct iovec* pieces, int count, off64_t position) {
  return preadv(fd, pieces, count, position);
}

// ---- The wall clock

int clock_gettime(clockid_t clock, struct timespec* time) {
  if (call(SYS_clock_gettime, clock, time) != 0) return -1;
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return 0;
  const int64_t now = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + clock_offset_ns;
  time->tv_sec = now / 1000000000;
  time->tv_nsec = now % 1000000000;
  return 0;
}

int gettimeofday(struct timeval* restrict time, void* restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  *time = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
  return 0;
}

time_t time(time_t* into) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (into != NULL) *into = now.tv_sec;
  return now.tv_sec;
}
