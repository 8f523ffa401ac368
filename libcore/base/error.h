// Error and Result: how every fallible call of libcore reports failure. Holds no policy: tools/main.cc alone maps a
// Code to an exit status.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <expected>
#include <string>
#include <utility>

namespace leat {

// What went wrong, seen from the user. The exit statuses of cli.md are one to one with these.
enum class Code {
  partial,        // some of several items failed, each already named
  usage,          // a bad name or value
  bad_data,       // input that cannot be accepted
  other_input,    // not the input that an idempotent producer began with
  not_found,      // topic, partition, consumer, data directory or file is not there
  unavailable,    // the backend cannot be reached
  internal,       // our bug
  exists,         // already there, cannot be created
  io,             // no space, EIO, a failed sync
  busy,           // a lock is held
  damaged,        // stored data is damaged
  permission,     // the system refused access
  configuration,  // a bad settings file, or a directory that is not ours
  interrupted,    // a stop was requested while waiting
};

// One failure. `message` names the file or thing, what was expected and what was found; `hint` is a command that helps,
// or empty. Copyable.
struct Error {
  Code code;
  std::string message;
  std::string hint = {};
};

// Either a T or the Error that prevented it.
template <class T>
using Result = std::expected<T, Error>;

// Shorthand for `return fail(Code::io, "...")` in a function returning any Result.
[[nodiscard]] inline std::unexpected<Error> fail(Code code, std::string message, std::string hint = {}) {
  return std::unexpected(Error{code, std::move(message), std::move(hint)});
}

// A failure with errno's text appended; the code follows from the errno (EACCES is permission, ENOENT not_found, EROFS
// permission, everything else io).
[[nodiscard]] std::unexpected<Error> fail_errno(int error_number, const std::string& what);

}  // namespace leat

// Evaluates an expression of type Result<T>: its value, or returns its Error from the enclosing function. May be
// nested.
#define TRY(...) LEAT_TRY_NAMED(LEAT_TRY_JOIN(try_result_, __COUNTER__), __VA_ARGS__)
#define LEAT_TRY_JOIN(a, b) LEAT_TRY_JOIN_EXPANDED(a, b)
#define LEAT_TRY_JOIN_EXPANDED(a, b) a##b
#define LEAT_TRY_NAMED(name, ...)                      \
  (__extension__({                                     \
    auto name = (__VA_ARGS__);                         \
    if (!name) [[unlikely]]                            \
      return std::unexpected(std::move(name).error()); \
    *std::move(name);                                  \
  }))

// Our own mistakes stop the program, in release builds too: a log is not written to by a process that is confused.
#define ASSERT(condition)                                                                     \
  do {                                                                                        \
    if (!(condition)) [[unlikely]] {                                                          \
      std::fprintf(stderr, "leat: bug: %s:%d: ASSERT(%s)\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                           \
    }                                                                                         \
  } while (false)
