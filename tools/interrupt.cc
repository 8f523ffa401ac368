#include "tools/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>

namespace leat::tools {
namespace {

std::atomic<bool> stop_flag = false;
std::atomic<int> signal_number = 0;
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free, "used in handlers");

void set_action(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  // No SA_RESTART: a read that waits for input has to come back.
  ::sigaction(signal, &action, nullptr);
}

bool is_ignored(int signal) {
  struct sigaction action = {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGHUP, SIGTERM}) sigaddset(&set, signal);
  return set;
}

void on_signal(int signal) {
  if (stop_flag.exchange(true)) die_by_signal(signal);
  signal_number.store(signal);
}

}  // namespace

void install_interrupt_handlers() {
  // A shell starts background jobs with SIGINT ignored, nohup with SIGHUP: that is a wish.
  if (!is_ignored(SIGINT)) set_action(SIGINT, on_signal);
  if (!is_ignored(SIGHUP)) set_action(SIGHUP, on_signal);
  set_action(SIGTERM, on_signal);
  set_action(SIGPIPE, SIG_IGN);
  set_action(SIGXFSZ, SIG_IGN);
  const sigset_t held = stop_signals();
  ::sigprocmask(SIG_UNBLOCK, &held, nullptr);
}

StopSignalsHeld::StopSignalsHeld() {
  const sigset_t held = stop_signals();
  ::pthread_sigmask(SIG_BLOCK, &held, &before_);
}

StopSignalsHeld::~StopSignalsHeld() {
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

const std::atomic<bool>& stop_requested() {
  return stop_flag;
}

int stop_signal() {
  return signal_number.load();
}

// Called from a handler, too: nothing but async-signal-safe calls.
void die_by_signal(int signal) {
  set_action(signal, SIG_DFL);
  sigset_t just_this;
  sigemptyset(&just_this);
  sigaddset(&just_this, signal);
  ::raise(signal);
  ::sigprocmask(SIG_UNBLOCK, &just_this, nullptr);
  // Only reached when the signal's default action is not to end the process.
  ::_exit(128 + signal);
}

}  // namespace leat::tools
