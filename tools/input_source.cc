#include "tools/input_source.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace leat::tools {
namespace {

// A pipe gives at most 64 KiB a read; for files, larger blocks than this bring nothing measurable.
constexpr std::size_t kBlockBytes = 256 << 10;

// Keeps the signals that ask to stop out between looking at the stop flag and waiting: one that came in between would
// otherwise be noticed only with the next byte of input.
class SignalsHeld {
 public:
  SignalsHeld() {
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &held, &before_);
  }
  ~SignalsHeld() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

  const sigset_t* before() const { return &before_; }

 private:
  sigset_t before_;
};

timespec time_left(SteadyTime until) {
  using namespace std::chrono;
  if (until == SteadyTime::min()) return {0, 0};
  const auto left = std::max(duration_cast<nanoseconds>(until - std::chrono::steady_clock::now()), nanoseconds(0));
  return {static_cast<time_t>(left.count() / 1'000'000'000), static_cast<long>(left.count() % 1'000'000'000)};
}

}  // namespace

Result<InputCheck> check_inputs(std::span<const std::string> files, int stdin_fd) {
  InputCheck check{.total_bytes = 0};
  for (const std::string& file : files) {
    struct stat status{};
    const bool is_stdin = file == "-";
    if ((is_stdin ? ::fstat(stdin_fd, &status) : ::stat(file.c_str(), &status)) != 0)
      return fail_errno(errno, is_stdin ? "stdin" : file);
    if (S_ISDIR(status.st_mode)) return fail(Code::not_found, (is_stdin ? "stdin" : file) + ": is a directory");
    if (!is_stdin && ::access(file.c_str(), R_OK) != 0) return fail_errno(errno, file);
    if (S_ISCHR(status.st_mode) && is_stdin && ::isatty(stdin_fd) == 1) check.terminal = true;
    if (!S_ISREG(status.st_mode)) {
      check.total_bytes.reset();
    } else if (check.total_bytes) {
      *check.total_bytes += static_cast<std::uint64_t>(status.st_size);
    }
  }
  return check;
}

InputSource::InputSource(std::vector<std::string> files, int stdin_fd, const std::atomic<bool>* stop)
    : files_(std::move(files)), stdin_fd_(stdin_fd), stop_(stop) {}

InputSource::~InputSource() {
  close();
}

void InputSource::close() {
  if (fd_ >= 0 && fd_ != stdin_fd_) ::close(fd_);
  fd_ = -1;
}

Result<bool> InputSource::open_next() {
  close();
  begin_ = end_ = 0;
  file_offset_ = 0;
  complete_ = false;
  if (next_file_ == files_.size()) return false;
  const std::string& file = files_[next_file_++];
  if (file == "-") {
    name_ = "stdin";
    fd_ = stdin_fd_;
  } else {
    name_ = file;
    do {  // a FIFO waits here for its writer
      fd_ = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
      if (fd_ < 0 && errno == EINTR && stop_ != nullptr && stop_->load()) return false;
    } while (fd_ < 0 && errno == EINTR);
    if (fd_ < 0) return fail_errno(errno, name_);
  }
  struct stat status{};
  if (::fstat(fd_, &status) != 0) return fail_errno(errno, name_);
  if (S_ISDIR(status.st_mode)) return fail(Code::not_found, name_ + ": is a directory");
  regular_ = S_ISREG(status.st_mode);
  return true;
}

void InputSource::consume(std::size_t count) {
  ASSERT(count <= end_ - begin_);
  begin_ += count;
  file_offset_ += count;
  consumed_total_ += count;
}

// At least half a block of free space behind the window, and a byte for the terminator. A window that has to grow at
// all is a record longer than a block: double, so that the copying stays linear.
void InputSource::make_room() {
  const std::size_t used = end_ - begin_;
  if (capacity_ == 0) {
    capacity_ = kBlockBytes + 1;
    buffer_ = std::make_unique_for_overwrite<char[]>(capacity_);
  }
  if (begin_ != 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, used);
    begin_ = 0;
    end_ = used;
  }
  if (capacity_ - 1 - end_ >= kBlockBytes / 2) return;
  const std::size_t wanted = capacity_ * 2;
  auto larger = std::make_unique_for_overwrite<char[]>(wanted);
  std::memcpy(larger.get(), buffer_.get(), end_);
  buffer_ = std::move(larger);
  capacity_ = wanted;
}

Result<InputSource::Fill> InputSource::wait_readable(std::optional<SteadyTime> until) const {
  pollfd polled{.fd = fd_, .events = POLLIN, .revents = 0};
  // Most of the time there is something, and one call is enough.
  if (::poll(&polled, 1, 0) > 0) return Fill::more;
  if (until && *until == SteadyTime::min()) return Fill::idle;
  SignalsHeld signals;
  for (;;) {
    if (stop_ != nullptr && stop_->load()) return Fill::stopped;
    timespec left{};
    if (until) left = time_left(*until);
    const int ready = ::ppoll(&polled, 1, until ? &left : nullptr, signals.before());
    if (ready > 0) return Fill::more;
    if (ready == 0) return Fill::idle;
    if (errno != EINTR) return fail_errno(errno, name_);
  }
}

Result<InputSource::Fill> InputSource::fill(std::optional<SteadyTime> until) {
  ASSERT(is_open() && !complete_);
  for (;;) {
    if (stop_ != nullptr && stop_->load()) return Fill::stopped;
    if (!regular_) {
      const Fill waited = TRY(wait_readable(until));
      if (waited != Fill::more) return waited;
    }
    make_room();
    const ssize_t got = ::read(fd_, buffer_.get() + end_, capacity_ - 1 - end_);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return fail_errno(errno, name_);
    if (got == 0) complete_ = true;
    end_ += static_cast<std::size_t>(got);
    filled_at_ = now_ms();
    return Fill::more;
  }
}

}  // namespace leat::tools
