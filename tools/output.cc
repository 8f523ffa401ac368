#include "tools/output.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace leat::tools {
namespace {

// Large enough that system calls do not count, small enough to stay in the cache.
constexpr std::size_t kBlockBytes = 128 << 10;

bool quiet = false;
bool error_color = false;

// One attempt to write; waits where the descriptor is not ready. Bytes written, or -1 with errno.
ssize_t write_some(int descriptor, std::string_view bytes) {
  for (;;) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count >= 0) return count;
    if (errno == EINTR) continue;  // a stop still delivers what was promised; a second signal ends the process
    if (errno != EAGAIN) return -1;
    struct pollfd ready = {descriptor, POLLOUT, 0};
    ::poll(&ready, 1, -1);
  }
}

// Makes room in a pipe for more than its usual 64 KiB, where the system allows it: one wake-up of its reader for each
// of those costs as much as what is in them.
void widen_pipe() {
  constexpr int kPipeBytes = 1 << 20;
  if (::fcntl(STDOUT_FILENO, F_GETPIPE_SZ) > 0) (void)::fcntl(STDOUT_FILENO, F_SETPIPE_SZ, kPipeBytes);
}

// A whole line in one call, so that lines of several processes do not mix.
void print_line(std::string line) {
  line += '\n';
  print_text(line);
}

void print_labelled(std::string_view label, std::string_view color, std::string_view sentence) {
  std::string line = "leat: ";
  if (error_color) line += color;
  line += label;
  if (error_color) line += "\033[0m";
  line += ' ';
  line += escape_controls(sentence);
  print_line(std::move(line));
}

}  // namespace

Result<void> StandardOutput::write(std::string_view bytes) {
  if (broken_) return {};
  if (buffer_.size() + bytes.size() < kBlockBytes) {
    if (buffer_.capacity() < kBlockBytes) buffer_.reserve(kBlockBytes);
    buffer_ += bytes;
    return {};
  }
  TRY(flush());
  if (bytes.size() < kBlockBytes) {
    buffer_ += bytes;
    return {};
  }
  return write_through(bytes);
}

Result<void> StandardOutput::write_through(std::string_view bytes) {
  if (bytes.size() >= kBlockBytes / 2 && !std::exchange(looked_at_pipe_, true)) widen_pipe();
  while (!bytes.empty() && !broken_) {
    const ssize_t count = write_some(STDOUT_FILENO, bytes);
    if (count < 0 && errno == EPIPE) {
      broken_ = true;
    } else if (count < 0) {
      return fail_errno(errno, "cannot write to standard output");
    } else {
      written_ += static_cast<std::uint64_t>(count);
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  return {};
}

Result<void> StandardOutput::flush() {
  auto written = write_through(buffer_);
  buffer_.clear();
  // One huge record must not hold its memory for the rest of a long run.
  if (buffer_.capacity() > 16 * kBlockBytes) buffer_.shrink_to_fit();
  return written;
}

StandardOutput& out() {
  static StandardOutput output;
  return output;
}

bool stdout_is_terminal() {
  static const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  return terminal;
}

bool stderr_is_terminal() {
  static const bool terminal = ::isatty(STDERR_FILENO) == 1;
  return terminal;
}

void set_error_color(bool on) {
  error_color = on;
}

void set_quiet(bool on) {
  quiet = on;
}

void print_text(std::string_view lines) {
  while (!lines.empty()) {
    const ssize_t count = write_some(STDERR_FILENO, lines);
    if (count <= 0) return;  // there is nowhere to say it
    lines.remove_prefix(static_cast<std::size_t>(count));
  }
}

void print_note(std::string_view sentence) {
  if (!quiet) print_line(escape_controls(sentence));
}

void print_warning(std::string_view sentence) {
  print_labelled("warning:", "\033[1;33m", sentence);
}

void print_error(const Error& error) {
  print_labelled("error:", "\033[1;31m", error.message);
  if (!error.hint.empty()) print_line("hint: " + escape_controls(error.hint));
}

}  // namespace leat::tools
