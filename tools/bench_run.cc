#include "tools/bench_run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tools/interrupt.h"
#include "tools/output.h"

namespace leat::tools {
namespace {

using namespace std::chrono_literals;

// How often the first process looks at signals, at dead processes and at the progress line.
constexpr Milliseconds kLookEvery = 50ms;
// How long processes that were told to stop may take.
constexpr Milliseconds kStopWithin = 5s;
constexpr std::int64_t kSleepSliceNs = 100'000'000;
// So that all are awake when it begins.
constexpr std::int64_t kLeadNs = 20'000'000;
constexpr int kNamesTried = 5;

template <std::size_t N>
void put_text(std::array<char, N>& to, std::string_view text) {
  const std::size_t bytes = std::min(text.size(), N - 1);
  std::memcpy(to.data(), text.data(), bytes);
  to[bytes] = '\0';
}

// The processes of a terminal all get its signals; the first one decides what they mean.
void leave_signals_to_the_first() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::signal(signal, SIG_IGN);
}

void point_to_nowhere() {
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nowhere, descriptor);
}

void report_failure(ClientReport& report, const Error& error) {
  report.failure = error.code;
  put_text(report.message, error.message);
  put_text(report.hint, error.hint);
  report.state.store(ClientState::failed, std::memory_order_release);
}

Result<void> guarded(const BenchRun::Work& work, BenchClient& client) {
  try {
    return work(client);
  } catch (const std::bad_alloc&) {
    return fail(Code::io, "out of memory");
  } catch (const std::exception& exception) {
    return fail(Code::internal, fmt::format("this is a bug in leat: {}", exception.what()));
  }
}

// Waits for the first process to say that the topic is gone; when it died without a word, removes it.
void keep_watch(int pipe, const Context& context, const BenchBoard& board) {
  char word = 0;
  ssize_t count = 0;
  do count = ::read(pipe, &word, 1);
  while (count < 0 && errno == EINTR);
  if (count > 0 || !board.topic_exists.load(std::memory_order_acquire)) return;
  const auto backend = context.open_backend();
  if (backend) (void)(*backend)->delete_topic(board.topic.data());
}

std::string some_topic_name(std::string_view name) {
  std::uint32_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random) random = static_cast<std::uint32_t>(steady_ns());
  return fmt::format("bench-{}-{}-{:08x}", name, ::getpid(), random);
}

}  // namespace

std::int64_t steady_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

SharedPages::SharedPages(std::size_t bytes)
    : bytes_(bytes), data_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
  if (data_ == MAP_FAILED) throw std::bad_alloc();
}

SharedPages::~SharedPages() {
  ::munmap(data_, bytes_);
}

// ---- A forked process ----

Result<Backend*> BenchClient::open() {
  TRY(wait_until([this] { return board_->phase.load(std::memory_order_acquire) >= BenchPhase::topic_made; }));
  backend_ = TRY(context_->open_backend());
  return backend_.get();
}

Result<void> BenchClient::wait_for_begin() {
  report_->state.store(ClientState::ready, std::memory_order_release);
  tell_news();
  TRY(wait_until([this] { return board_->phase.load(std::memory_order_acquire) >= BenchPhase::running; }));
  return sleep_until(board_->begin_ns.load());
}

Result<void> BenchClient::wait_until(const std::function<bool()>& done) {
  for (;;) {
    const std::uint32_t seen = board_->orders.load(std::memory_order_acquire);
    if (stopped()) return fail(Code::interrupted, "stopped");
    if (done()) return {};
    wait_for_wake({&board_->orders, seen}, 1s);
  }
}

Result<void> BenchClient::sleep_until(std::int64_t when_ns) {
  for (std::int64_t now = steady_ns(); now < when_ns; now = steady_ns()) {
    if (stopped()) return fail(Code::interrupted, "stopped");
    const std::int64_t until = std::min(when_ns, now + kSleepSliceNs);
    const timespec time = {until / 1'000'000'000, until % 1'000'000'000};
    ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr);
  }
  return {};
}

void BenchClient::begin_measuring(std::int64_t begun_ns) {
  struct rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  report_->cpu_user_us = -(usage.ru_utime.tv_sec * 1'000'000 + usage.ru_utime.tv_usec);
  report_->cpu_system_us = -(usage.ru_stime.tv_sec * 1'000'000 + usage.ru_stime.tv_usec);
  report_->begun_ns = begun_ns;
}

void BenchClient::end_measuring() {
  report_->ended_ns = steady_ns();
  struct rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  report_->cpu_user_us += usage.ru_utime.tv_sec * 1'000'000 + usage.ru_utime.tv_usec;
  report_->cpu_system_us += usage.ru_stime.tv_sec * 1'000'000 + usage.ru_stime.tv_usec;
  report_->memory_peak_bytes = usage.ru_maxrss * 1024;
}

// ---- The first process ----

Result<std::unique_ptr<BenchRun>> BenchRun::start(const Context& context, std::string_view name, std::size_t count,
                                                  const Work& work) {
  std::unique_ptr<BenchRun> run(new BenchRun(context));
  run->name_ = name;
  run->board_ = std::make_unique<SharedArray<BenchBoard>>(1);
  run->reports_ = std::make_unique<SharedArray<ClientReport>>(count);
  TRY(run->start_janitor());
  for (std::size_t i = 0; i < count; ++i) TRY(run->start_client(i, work));
  return run;
}

Result<void> BenchRun::start_janitor() {
  std::array<int, 2> ends = {};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno(errno, "cannot make a pipe");
  janitor_pipe_ = ends[1];
  janitor_ = ::fork();
  if (janitor_ == 0) {
    ::close(ends[1]);
    leave_signals_to_the_first();
    point_to_nowhere();
    keep_watch(ends[0], *context_, board());
    ::_exit(0);
  }
  const int error_number = errno;
  ::close(ends[0]);
  return janitor_ < 0 ? fail_errno(error_number, "cannot start a process") : Result<void>();
}

Result<void> BenchRun::start_client(std::size_t i, const Work& work) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "cannot start a process");
  if (pid > 0) {
    processes_.push_back({pid});
    return {};
  }
  ::close(janitor_pipe_);
  leave_signals_to_the_first();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_TIMERSLACK, 1UL);  // records are to be sent when they are due
  if (::getppid() != parent) ::_exit(1);
  {
    ClientReport& own = report(i);
    BenchClient client(i, *context_, board(), own);
    const Result<void> worked = guarded(work, client);
    if (worked) {
      own.state.store(ClientState::done, std::memory_order_release);
    } else {
      report_failure(own, worked.error());
    }
    client.tell_news();
  }
  ::_exit(0);  // what this process shares with the first one is not its own to tidy up
}

BenchRun::~BenchRun() {
  end_processes();
  if (const auto removed = remove_topic(); !removed) {
    print_warning(fmt::format("topic \"{}\" could not be removed: {}", topic(), removed.error().message));
  }
  dismiss_janitor();
}

Result<void> BenchRun::create_topic(const TopicSettings& settings) {
  backend_ = TRY(context_->open_backend(true));
  for (int tried = 1;; ++tried) {
    const std::string name = some_topic_name(name_);
    const Result<void> created = backend_->create_topic(name, settings);
    if (!created && created.error().code == Code::exists && tried < kNamesTried) continue;
    if (!created) return created;
    put_text(board().topic, name);
    board().topic_exists.store(true, std::memory_order_release);
    return {};
  }
}

std::span<ClientReport> BenchRun::reports(std::size_t first, std::size_t count) const {
  return reports_->items().subspan(first, count);
}

void BenchRun::set_phase(BenchPhase phase) {
  if (phase == BenchPhase::running) board().begin_ns.store(steady_ns() + kLeadNs);
  board().phase.store(phase, std::memory_order_release);
  give_orders();
}

Result<void> BenchRun::wait_until(const std::function<bool()>& done, const std::function<void()>& tick,
                                  std::optional<Milliseconds> patience, std::string_view waiting_for) {
  const SteadyTime begun = std::chrono::steady_clock::now();
  for (;;) {
    const std::uint32_t seen = board().news.load(std::memory_order_acquire);
    if (stop_requested()) return fail(Code::interrupted, "stopped");
    TRY(check_processes());
    if (done()) return {};
    if (tick) tick();
    if (patience && std::chrono::steady_clock::now() - begun > *patience) {
      return fail(Code::busy, fmt::format("{} took longer than {} s", waiting_for, patience->count() / 1000));
    }
    wait_for_wake({&board().news, seen}, kLookEvery);
  }
}

Result<void> BenchRun::wait_for(ClientState state, std::size_t first, std::size_t count,
                                const std::function<void()>& tick) {
  return wait_until(
      [&] {
        return std::ranges::all_of(reports(first, count), [&](const ClientReport& report) {
          return report.state.load(std::memory_order_acquire) >= state;
        });
      },
      tick);
}

// Nobody waits for a process that is no more.
Result<void> BenchRun::check_processes() {
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    Process& process = processes_[i];
    int status = 0;
    const bool ended = process.pid > 0 && ::waitpid(process.pid, &status, WNOHANG) == process.pid;
    if (ended) process.pid = -1;
    const ClientReport& own = report(i);
    const ClientState state = own.state.load(std::memory_order_acquire);
    if (state == ClientState::failed) return fail(own.failure, own.message.data(), own.hint.data());
    if (!ended || state == ClientState::done) continue;
    return fail(Code::io, WIFSIGNALED(status)
                              ? fmt::format("a process of the benchmark was killed by signal {}", WTERMSIG(status))
                              : "a process of the benchmark ended before its work");
  }
  return {};
}

void BenchRun::kill_client(std::size_t i) {
  Process& process = processes_[i];
  if (process.pid <= 0) return;
  ::kill(process.pid, SIGKILL);
  int status = 0;
  while (::waitpid(process.pid, &status, 0) < 0 && errno == EINTR) continue;
  process.pid = -1;
}

void BenchRun::end_processes() {
  board().stop.store(true);
  give_orders();
  const SteadyTime deadline = std::chrono::steady_clock::now() + kStopWithin;
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    Process& process = processes_[i];
    while (process.pid > 0) {
      const std::uint32_t seen = board().news.load(std::memory_order_acquire);
      int status = 0;
      if (::waitpid(process.pid, &status, WNOHANG) == process.pid) {
        process.pid = -1;
      } else if (std::chrono::steady_clock::now() > deadline) {
        kill_client(i);
      } else {
        wait_for_wake({&board().news, seen}, 1ms);  // the last news comes just before the end
      }
    }
  }
}

Result<std::int64_t> BenchRun::disk_bytes() {
  return TRY(backend_->describe_topic(topic())).bytes;
}

Result<void> BenchRun::remove_topic() {
  if (!board().topic_exists.load()) return {};
  TRY(backend_->delete_topic(topic()));
  board().topic_exists.store(false);
  return {};
}

void BenchRun::dismiss_janitor() {
  if (janitor_pipe_ >= 0) {
    // Of a topic that could not be removed, the janitor knows no more than we do.
    (void)!::write(janitor_pipe_, "", 1);
    ::close(janitor_pipe_);
    janitor_pipe_ = -1;
  }
  int status = 0;
  if (janitor_ > 0) {
    while (::waitpid(janitor_, &status, 0) < 0 && errno == EINTR) continue;
  }
  janitor_ = -1;
}

Result<void> BenchRun::finish() {
  end_processes();
  const Result<void> removed = remove_topic();
  if (!removed) board().topic_exists.store(false);  // said once
  dismiss_janitor();
  return removed;
}

}  // namespace leat::tools
