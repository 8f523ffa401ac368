#include "leat/pipe/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "leat/pipe/quiet_write.h"

namespace leat::pipe {
namespace {

constexpr Milliseconds kLook(10);
constexpr Milliseconds kPatience(1000);
constexpr int kListenMs = 100;
constexpr std::size_t kErrorLineMax = 8 << 10;  // longer lines are told in parts

struct Ends {
  Descriptor read;
  Descriptor write;
};

Result<Ends> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno(errno, "no pipe for a program");
  return Ends{Descriptor(ends[0]), Descriptor(ends[1])};
}

// What posix_spawn is told, freed at the end.
class Plan {
 public:
  Plan() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
    sigset_t defaults;
    ::sigemptyset(&defaults);
    for (const int signal : {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM}) ::sigaddset(&defaults, signal);
    ::posix_spawnattr_setsigdefault(&attributes_, &defaults);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }

  void use(const Descriptor& from, int as) { ::posix_spawn_file_actions_adddup2(&actions_, from.get(), as); }

  // 0, or an errno.
  int spawn(std::vector<std::string> words, pid_t& pid) const {
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    return ::posix_spawnp(&pid, pointers.front(), &actions_, &attributes_, pointers.data(), ::environ);
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

std::vector<std::string> shell_words(const std::string& line) {
  return {"/bin/sh", "-c", line};
}

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(const ChildOptions& options) {
  ASSERT(!options.words.empty());
  std::unique_ptr<ChildProcess> child(new ChildProcess(options));
  TRY(child->spawn());
  return child;
}

Result<void> ChildProcess::spawn() {
  Plan plan;
  Ends in = TRY(make_pipe());
  plan.use(in.read, STDIN_FILENO);
  Ends out;
  if (options_.takes_output) {
    out = TRY(make_pipe());
    plan.use(out.write, STDOUT_FILENO);
  }
  Ends errors;
  if (options_.on_error_line) {
    errors = TRY(make_pipe());
    plan.use(errors.write, STDERR_FILENO);
  }
  if (const int failed = plan.spawn(options_.words, pid_); failed != 0) {
    pid_ = -1;
    return fail_errno(failed, fmt::format("cannot start {}", options_.words.front()));
  }
  handle_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (handle_) ::fcntl(handle_.get(), F_SETFD, FD_CLOEXEC);
  to_ = std::move(in.write);
  from_ = std::move(out.read);
  errors_ = std::move(errors.read);
  for (const Descriptor* end : {&to_, &from_, &errors_})
    if (*end) ::fcntl(end->get(), F_SETFL, O_NONBLOCK);
  if (errors_) listener_ = std::thread([this] { listen(); });
  return {};
}

ChildProcess::~ChildProcess() {
  if (pid_ >= 0) end(kPatience);
}

std::unexpected<Error> ChildProcess::ended() const {
  return fail(Code::unavailable, fmt::format("{} has ended", fmt::join(options_.words, " ")));
}

Result<void> ChildProcess::exchange(std::string_view input, std::size_t& written, std::string& output,
                                    Milliseconds wait) {
  std::array<pollfd, 2> ends = {pollfd{from_.get(), POLLIN, 0}, pollfd{to_.get(), POLLOUT, 0}};
  const nfds_t count = written < input.size() && to_ ? 2 : 1;
  if (::poll(ends.data(), count, static_cast<int>(wait.count())) < 0 && errno != EINTR)
    return fail_errno(errno, "cannot wait for a program");
  // What it has said before it ended is still read.
  if (ends[0].revents != 0) TRY(read_some(output));
  if (count == 2 && ends[1].revents != 0) TRY(write_some(input, written));
  return {};
}

Result<void> ChildProcess::write_some(std::string_view input, std::size_t& written) {
  const ssize_t count = write_quietly(to_.get(), input.substr(written));
  if (count >= 0) {
    written += static_cast<std::size_t>(count);
  } else if (errno == EPIPE) {
    return ended();
  } else if (errno != EAGAIN && errno != EINTR) {
    return fail_errno(errno, fmt::format("cannot write to {}", options_.words.front()));
  }
  return {};
}

Result<void> ChildProcess::read_some(std::string& output) const {
  std::array<char, 65536> block;
  const ssize_t count = ::read(from_.get(), block.data(), block.size());
  if (count == 0) return ended();
  if (count > 0) {
    output.append(block.data(), static_cast<std::size_t>(count));
  } else if (errno != EAGAIN && errno != EINTR) {
    return fail_errno(errno, fmt::format("cannot read from {}", options_.words.front()));
  }
  return {};
}

bool ChildProcess::wait(Milliseconds wait) {
  const SteadyTime until = std::chrono::steady_clock::now() + wait;
  while (!reaped_) {
    if (::waitpid(pid_, &status_, WNOHANG) != 0) {
      reaped_ = true;
      break;
    }
    const auto left = std::chrono::ceil<Milliseconds>(until - std::chrono::steady_clock::now());
    if (left <= Milliseconds(0)) return false;
    if (handle_) {
      pollfd look{handle_.get(), POLLIN, 0};
      (void)::poll(&look, 1, static_cast<int>(left.count()));
    } else {
      std::this_thread::sleep_for(std::min(left, kLook));
    }
  }
  return true;
}

void ChildProcess::kill() {
  if (!reaped_) ::kill(-pid_, SIGKILL);
}

ChildEnd ChildProcess::end(Milliseconds patience) {
  to_ = {};
  if (!wait(patience)) {
    kill();
    while (!wait(kPatience)) {
    }
  }
  from_ = {};
  over_ = true;
  if (listener_.joinable()) listener_.join();
  pid_ = -1;
  if (WIFEXITED(status_)) return {WEXITSTATUS(status_) == 0, fmt::format("exit status {}", WEXITSTATUS(status_))};
  return {false, fmt::format("signal {} ({})", WTERMSIG(status_), ::strsignal(WTERMSIG(status_)))};
}

// Until all have closed the other end, or the process has ended and nothing more is there: a grandchild may live on.
void ChildProcess::listen() {
  std::string line;
  std::array<char, 4096> block;
  const auto tell = [&] {
    if (!line.empty()) options_.on_error_line(line);
    line.clear();
  };
  while (true) {
    pollfd look{errors_.get(), POLLIN, 0};
    const int ready = ::poll(&look, 1, kListenMs);
    if (ready == 0 && over_) break;
    if (ready <= 0) continue;
    const ssize_t count = ::read(errors_.get(), block.data(), block.size());
    if (count == 0) break;
    for (ssize_t i = 0; i < count; ++i) {
      const char c = block[static_cast<std::size_t>(i)];
      if (c != '\n') line += c;
      if (c == '\n' || line.size() >= kErrorLineMax) tell();
    }
  }
  tell();
}

}  // namespace leat::pipe
