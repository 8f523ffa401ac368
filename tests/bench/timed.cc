// Runs a command to its end and says how long that took and how much memory it needed at most. A small static program
// does this, because what a process has in memory when it starts a child counts as the child's peak too (wait4), and
// Python has more than leat.
//
//   timed [--repeat N] [--stdin FILE] [--feed TEXT] [--pipe] [--stdout FILE] -- COMMAND [ARGUMENT...]
//
// --feed: standard input is a pipe that holds TEXT and a newline, as in `echo TEXT | COMMAND`. --pipe: standard output
// is a pipe that is read to its end here. Otherwise input and output are /dev/null. --repeat: also the median of N
// runs.
#include <spawn.h>
#include <sys/resource.h>

#include <cstring>
#include <string_view>

#include "measure.h"

extern char** environ;

namespace {

using bench::must;

struct Options {
  long repeat = 1;
  const char* input = "/dev/null";
  const char* output = "/dev/null";
  const char* feed = nullptr;
  bool pipe = false;
  char** command = nullptr;
};

struct Outcome {
  std::int64_t ns = 0;
  long peak_kib = 0;
  double user_s = 0;
  double system_s = 0;
  long bytes = 0;  // read from --pipe
};

Options parse(char** argv) {
  Options options;
  for (++argv; *argv != nullptr; ++argv) {
    const std::string_view flag = *argv;
    if (flag == "--") {
      options.command = argv + 1;
      break;
    }
    if (flag == "--pipe") {
      options.pipe = true;
      continue;
    }
    if (argv[1] == nullptr) break;
    if (flag == "--repeat") options.repeat = bench::number(argv, 1);
    if (flag == "--stdin") options.input = argv[1];
    if (flag == "--stdout") options.output = argv[1];
    if (flag == "--feed") options.feed = argv[1];
    ++argv;
  }
  if (options.command == nullptr || *options.command == nullptr) bench::die("timed [OPTIONS] -- COMMAND");
  return options;
}

int open_input(const Options& options) {
  if (options.feed == nullptr) {
    const int fd = ::open(options.input, O_RDONLY | O_CLOEXEC);
    must(fd >= 0, options.input);
    return fd;
  }
  int ends[2];
  must(::pipe2(ends, O_CLOEXEC) == 0, "pipe");
  const std::string text = std::string(options.feed) + '\n';
  must(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()), "write");
  ::close(ends[1]);
  return ends[0];
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

long drain(int fd) {
  static char buffer[256 << 10];
  long bytes = 0;
  for (;;) {
    const ssize_t size = ::read(fd, buffer, sizeof buffer);
    must(size >= 0, "read");
    if (size == 0) return bytes;
    bytes += size;
  }
}

Outcome run(const Options& options) {
  const int input = open_input(options);
  int ends[2] = {-1, -1};
  if (options.pipe) {
    must(::pipe2(ends, O_CLOEXEC) == 0, "pipe");
  } else {
    ends[1] = ::open(options.output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    must(ends[1] >= 0, options.output);
  }
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input, 0);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  Outcome outcome;
  const std::int64_t begun = bench::now_ns();
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, options.command[0], &actions, nullptr, options.command, environ);
  if (error != 0) bench::die(std::string(options.command[0]) + ": " + std::strerror(error));
  ::close(input);
  ::close(ends[1]);
  if (options.pipe) {
    outcome.bytes = drain(ends[0]);
    ::close(ends[0]);
  }
  int status = 0;
  rusage usage{};
  must(::wait4(child, &status, 0, &usage) == child, "wait4");
  outcome.ns = bench::now_ns() - begun;
  ::posix_spawn_file_actions_destroy(&actions);
  if (status != 0) bench::die(std::string(options.command[0]) + " ended with wait status " + std::to_string(status));
  outcome.peak_kib = usage.ru_maxrss;
  outcome.user_s = seconds(usage.ru_utime);
  outcome.system_s = seconds(usage.ru_stime);
  return outcome;
}

}  // namespace

int main(int, char** argv) {
  const Options options = parse(argv);
  std::vector<Outcome> outcomes;
  for (long i = 0; i < options.repeat; ++i) outcomes.push_back(run(options));
  long peak_kib = 0;
  for (const Outcome& outcome : outcomes) peak_kib = std::max(peak_kib, outcome.peak_kib);
  std::nth_element(outcomes.begin(), outcomes.begin() + static_cast<long>(outcomes.size() / 2), outcomes.end(),
                   [](const Outcome& a, const Outcome& b) { return a.ns < b.ns; });
  const Outcome& median = outcomes[outcomes.size() / 2];
  std::printf(
      "{\"seconds\": %.6f, \"p50_us\": %.3f, \"peak_kib\": %ld, \"user_s\": %.3f, \"system_s\": %.3f, \"bytes\": "
      "%ld}\n",
      static_cast<double>(median.ns) / 1e9, static_cast<double>(median.ns) / 1e3, peak_kib, median.user_s,
      median.system_s, median.bytes);
}
