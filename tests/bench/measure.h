// What every program of the benchmark needs: a clock, percentiles, a crew of processes that start at the same instant,
// and the one line of JSON that bench.py reads.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

namespace bench {

// The same clock in every process.
inline std::int64_t now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

[[noreturn]] inline void die(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

inline void must(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::exit(1);
}

// Argument `index`, which is a whole number.
inline long number(char** argv, int index) {
  if (argv[index] == nullptr) die("an argument is missing");
  return std::atol(argv[index]);
}

// How long each of many operations took.
class Latencies {
 public:
  void add(std::int64_t ns) { ns_.push_back(ns); }

  void print() {
    if (ns_.empty()) die("nothing was measured");
    std::sort(ns_.begin(), ns_.end());
    std::printf("{\"p50_us\": %.3f, \"p99_us\": %.3f, \"operations\": %zu}\n", at(0.5), at(0.99), ns_.size());
  }

 private:
  double at(double part) const {
    return static_cast<double>(ns_[static_cast<std::size_t>(part * static_cast<double>(ns_.size() - 1))]) / 1000;
  }

  std::vector<std::int64_t> ns_;
};

// Times `operation` `count` times, and before that a few times unheard, and prints percentiles.
inline void time_each(long count, const std::function<void()>& operation) {
  for (long i = 0; i < count / 20 + 1; ++i) operation();
  Latencies latencies;
  for (long i = 0; i < count; ++i) {
    const std::int64_t begun = now_ns();
    operation();
    latencies.add(now_ns() - begun);
  }
  latencies.print();
}

// What one process of a crew does: sets up at once, and returns the work to be timed.
using Prepare = std::function<std::function<void()>(int process)>;

namespace crew {

inline void write_byte(int fd) {
  must(::write(fd, "x", 1) == 1, "write to a pipe");
}

inline void read_bytes(int fd, long count) {
  char byte = 0;
  for (long i = 0; i < count; ++i) {
    if (::read(fd, &byte, 1) != 1) die("a process of the crew has failed");
  }
}

[[noreturn]] inline void be_member(int process, const Prepare& prepare, int go, int report) {
  const auto work = prepare(process);
  write_byte(report);
  read_bytes(go, 1);
  work();
  write_byte(report);
  std::_Exit(0);  // what the parent has open is not this process's to close
}

}  // namespace crew

// Runs `processes` processes, each doing `count` operations, and prints how many operations a second all of them
// reached, from the common start to the end of the last.
inline void time_crew(long processes, long count, const Prepare& prepare) {
  int go[2];
  int report[2];
  must(::pipe2(go, O_CLOEXEC) == 0 && ::pipe2(report, O_CLOEXEC) == 0, "pipe");
  for (int process = 0; process < processes; ++process) {
    const pid_t child = ::fork();
    must(child >= 0, "fork");
    if (child != 0) continue;
    ::close(go[1]);
    ::close(report[0]);
    crew::be_member(process, prepare, go[0], report[1]);
  }
  ::close(report[1]);  // so that reading ends when members die
  crew::read_bytes(report[0], processes);
  const std::int64_t begun = now_ns();
  for (long i = 0; i < processes; ++i) crew::write_byte(go[1]);
  crew::read_bytes(report[0], processes);
  const double seconds = static_cast<double>(now_ns() - begun) / 1e9;
  int status = 0;
  while (::wait(&status) > 0) {
    if (status != 0) die("a process of the crew has failed");
  }
  std::printf("{\"per_second\": %.3f, \"seconds\": %.6f, \"processes\": %ld}\n",
              static_cast<double>(processes * count) / seconds, seconds, processes);
}

}  // namespace bench
