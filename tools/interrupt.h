// SIGINT and SIGTERM as a flag that long work looks at. Never exits by itself, except on a second signal.
#pragma once

#include <signal.h>

#include <atomic>

namespace leat::tools {

// Installs the handlers: the first signal raises stop_requested(), a second one ends the process at once with the
// signal's status. SIGINT that was ignored at start stays ignored; SIGTERM is always handled. SIGPIPE and SIGXFSZ are
// ignored. Those that were held (StopSignalsHeld) by the program that became this one come now.
void install_interrupt_handlers();

// Holds back the signals that ask for an end while it lives: they wait, also for the program that this one becomes.
class StopSignalsHeld {
 public:
  StopSignalsHeld();
  StopSignalsHeld(const StopSignalsHeld&) = delete;
  StopSignalsHeld& operator=(const StopSignalsHeld&) = delete;
  ~StopSignalsHeld();

 private:
  sigset_t before_;
};

// True once a signal has arrived. Address-stable, for ReadOptions::stop.
const std::atomic<bool>& stop_requested();

// The signal that arrived, or 0.
int stop_signal();

// Ends the process by `signal` itself, with its default action, so that the caller sees it as such.
[[noreturn]] void die_by_signal(int signal);

}  // namespace leat::tools
