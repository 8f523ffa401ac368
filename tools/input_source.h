// Files, pipes and terminals as one growing window of unread bytes. Knows nothing of records.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "leat/base/clock.h"
#include "leat/base/error.h"

namespace leat::tools {

// What is known of the inputs before anything is read.
struct InputCheck {
  std::optional<std::uint64_t> total_bytes = {};  // when every input is a regular file
  bool terminal = false;                          // one of them is a terminal
};

// Looks at every file without reading; "-" is the descriptor `stdin_fd`. Errors: not_found, also for a directory,
// permission, io.
Result<InputCheck> check_inputs(std::span<const std::string> files, int stdin_fd);

// Reads files one after the other. The window is the part of the current file that has been read and not consumed; it
// is moved or grown only by fill() and open_next(), so what points into it lives until then.
class InputSource {
 public:
  // `files` in the order they are read, "-" for `stdin_fd`, which stays open. `stop`, when given, ends waiting and
  // reading once it is true.
  InputSource(std::vector<std::string> files, int stdin_fd, const std::atomic<bool>* stop);
  ~InputSource();
  InputSource(const InputSource&) = delete;
  InputSource& operator=(const InputSource&) = delete;

  // Opens the next file with an empty window; false when there is none left, or a stop came while a FIFO was waited
  // for. The rest of the present one is dropped. Errors: as check_inputs.
  Result<bool> open_next();

  enum class Fill {
    more,     // the window has grown, or has become complete()
    idle,     // nothing came until the time was up
    stopped,  // the stop flag is raised; nothing was read
  };
  // Reads a block more. Waits for it until `until`, without end when absent. Errors: io. Precondition: a file is open
  // and not complete().
  Result<Fill> fill(std::optional<SteadyTime> until);

  // The unread bytes; one more byte behind them may be overwritten.
  std::span<char> window() { return {buffer_.get() + begin_, end_ - begin_}; }
  // Whether the window holds all that is left of the file.
  bool complete() const { return complete_; }
  void consume(std::size_t count);

  bool is_open() const { return fd_ >= 0; }
  const std::string& name() const { return name_; }                 // of the file, or "stdin"
  std::uint64_t offset() const { return file_offset_; }             // of the window's first byte in its file
  std::uint64_t total_consumed() const { return consumed_total_; }  // over all files
  TimestampMs filled_at() const { return filled_at_; }              // when the latest block was read

 private:
  void close();
  void make_room();
  Result<Fill> wait_readable(std::optional<SteadyTime> until) const;

  const std::vector<std::string> files_;
  const int stdin_fd_;
  const std::atomic<bool>* const stop_;
  std::size_t next_file_ = 0;
  int fd_ = -1;
  bool regular_ = false;
  bool complete_ = false;
  std::string name_;

  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t file_offset_ = 0;
  std::uint64_t consumed_total_ = 0;
  TimestampMs filled_at_{};
};

}  // namespace leat::tools
