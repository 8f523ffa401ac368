#include "tools/interrupt.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

using namespace leat::tools;

namespace {

// The wait status of a child that runs `act` and then exits with 42.
int status_of(const std::function<void()>& act) {
  const pid_t child = ::fork();
  if (child == 0) {
    act();
    ::_exit(42);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

}  // namespace

TEST_CASE("the first signal raises the flag and the second ends the process by it") {
  const int once = status_of([] {
    install_interrupt_handlers();
    ::raise(SIGTERM);
    if (!stop_requested() || stop_signal() != SIGTERM) ::_exit(1);
  });
  CHECK(WEXITSTATUS(once) == 42);
#ifndef __SANITIZE_THREAD__  // after liburcu had threads, that runtime puts off the signals of a forked child
  const int twice = status_of([] {
    install_interrupt_handlers();
    ::raise(SIGINT);
    ::raise(SIGINT);
  });
  REQUIRE(WIFSIGNALED(twice));
  CHECK(WTERMSIG(twice) == SIGINT);
#endif
}

TEST_CASE("SIGINT that was ignored stays ignored, SIGTERM is always handled") {
  const int status = status_of([] {
    ::signal(SIGINT, SIG_IGN);
    ::signal(SIGTERM, SIG_IGN);
    install_interrupt_handlers();
    ::raise(SIGINT);
    if (stop_requested()) ::_exit(1);
    ::raise(SIGTERM);
    if (!stop_requested()) ::_exit(2);
  });
  CHECK(WEXITSTATUS(status) == 42);
}

TEST_CASE("writing to a closed pipe or past a file size limit does not end the process") {
  const int status = status_of([] {
    install_interrupt_handlers();
    ::raise(SIGPIPE);
    ::raise(SIGXFSZ);
  });
  CHECK(WEXITSTATUS(status) == 42);
}

TEST_CASE("a process can end as if a signal had ended it, even one it ignores") {
  const int status = status_of([] {
    install_interrupt_handlers();
    die_by_signal(SIGPIPE);
  });
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGPIPE);
}
