// SIGINT and SIGTERM as a flag that long work looks at. Never exits by itself, except on a second signal.
#pragma once

#include <atomic>

namespace leat::tools {

// Installs the handlers: the first signal raises stop_requested(), a second one ends the process at once with the
// signal's status. SIGINT that was ignored at start stays ignored; SIGTERM is always handled. SIGPIPE and SIGXFSZ are
// ignored.
void install_interrupt_handlers();

// True once a signal has arrived. Address-stable, for ReadOptions::stop.
const std::atomic<bool>& stop_requested();

// The signal that arrived, or 0.
int stop_signal();

// Ends the process by `signal` itself, with its default action, so that the caller sees it as such.
[[noreturn]] void die_by_signal(int signal);

}  // namespace leat::tools
