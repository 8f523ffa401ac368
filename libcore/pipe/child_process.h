// A process that this one has started and talks to over pipes: its input, its output, what it says on its standard
// error, its end. Knows no protocol.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "leat/base/clock.h"
#include "leat/base/disk.h"
#include "leat/base/error.h"

namespace leat::pipe {

struct ChildOptions {
  std::vector<std::string> words;  // the program, looked for on PATH, and its arguments
  bool takes_output = true;        // false: its standard output is this process's
  // Called with each line of its standard error, from a thread of its own; absent: that is this process's.
  std::function<void(std::string_view line)> on_error_line = {};
};

// A line for the shell as words.
std::vector<std::string> shell_words(const std::string& line);

// How a process ended.
struct ChildEnd {
  bool success = false;  // exit status 0
  std::string shown;     // "exit status 3", "signal 9 (Killed)"
};

class ChildProcess {
 public:
  // Starts it, in a process group of its own: an interrupt from the terminal is for this process, which still has
  // something for it to do. Errors: not_found, permission, io.
  static Result<std::unique_ptr<ChildProcess>> start(const ChildOptions& options);
  // end() with little patience.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Waits up to `wait` until it takes or says something. Then writes to it from input[written] on, as much as it takes
  // now, and appends what it says to `output`. Errors: unavailable when it has ended or does not read any more; io.
  Result<void> exchange(std::string_view input, std::size_t& written, std::string& output, Milliseconds wait);
  // Nothing more comes: it reads the end of its input.
  void close_input() { to_ = {}; }
  // Whether it has ended, after waiting up to `wait`.
  bool wait(Milliseconds wait);
  // Kills it and all of its group.
  void kill();
  // Closes its input, waits up to `patience` for its end, and kills it if that does not come.
  ChildEnd end(Milliseconds patience);

 private:
  explicit ChildProcess(const ChildOptions& options) : options_(options) {}
  Result<void> spawn();
  Result<void> write_some(std::string_view input, std::size_t& written);
  Result<void> read_some(std::string& output) const;
  void listen();
  std::unexpected<Error> ended() const;

  ChildOptions options_;
  pid_t pid_ = -1;
  bool reaped_ = false;
  int status_ = 0;
  Descriptor handle_;  // of the process, becomes readable at its end; may be missing on old kernels
  Descriptor to_;
  Descriptor from_;
  Descriptor errors_;
  std::atomic<bool> over_ = false;
  std::thread listener_;
};

}  // namespace leat::pipe
