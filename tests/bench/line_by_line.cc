// Feeds a command line by line and waits for a line of its standard output after each: how long until the answer.
//
//   line_by_line COUNT BYTES -- COMMAND [ARGUMENT...]
#include <cstring>

#include "measure.h"

namespace {

using bench::must;

void read_line(int fd) {
  char buffer[4096];
  for (;;) {
    const ssize_t size = ::read(fd, buffer, sizeof buffer);
    if (size <= 0) bench::die("the command has ended");
    if (buffer[size - 1] == '\n') return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5 || std::strcmp(argv[3], "--") != 0) bench::die("line_by_line COUNT BYTES -- COMMAND");
  int input[2];
  int output[2];
  must(::pipe2(input, O_CLOEXEC) == 0 && ::pipe2(output, O_CLOEXEC) == 0, "pipe");
  const pid_t child = ::fork();
  must(child >= 0, "fork");
  if (child == 0) {
    ::dup2(input[0], 0);
    ::dup2(output[1], 1);
    ::execvp(argv[4], argv + 4);
    std::perror(argv[4]);
    std::_Exit(127);
  }
  ::close(input[0]);
  ::close(output[1]);
  const std::string line = std::string(static_cast<std::size_t>(bench::number(argv, 2)), 'x') + '\n';
  bench::time_each(bench::number(argv, 1), [&] {
    must(::write(input[1], line.data(), line.size()) == static_cast<ssize_t>(line.size()), "write");
    read_line(output[0]);
  });
  ::close(input[1]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) bench::die("the command has failed");
}
