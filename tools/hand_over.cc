#include "tools/hand_over.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "leat/backend/kafka.h"
#include "tools/commands.h"
#include "tools/interrupt.h"
#include "tools/whole_file.h"

namespace leat::tools {
namespace {

constexpr const char* kProgram = "leat-net";
constexpr std::size_t kArgumentsBytesMax = 64 << 20;  // more than any kernel takes

std::string own_path() {
  std::array<char, 4096> path{};
  const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
  return size > 0 && static_cast<std::size_t>(size) < path.size()
             ? std::string(path.data(), static_cast<std::size_t>(size))
             : std::string();
}

// Beside an installed program, and beside one that was just built.
std::vector<std::string> places() {
  const std::string own = own_path();
  const std::size_t slash = own.rfind('/');
  if (slash == std::string::npos) return {};
  const std::string here = own.substr(0, slash);
  return {fmt::format("{}/../libexec/leat/{}", here, kProgram), fmt::format("{}/{}", here, kProgram)};
}

// The arguments of this process, as they were given.
Result<std::vector<std::string>> own_arguments() {
  const std::string text = TRY(read_whole_file("/proc/self/cmdline", kArgumentsBytesMax));
  std::vector<std::string> arguments;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\0', at);
    arguments.push_back(text.substr(at, end - at));
    at = end == std::string::npos ? text.size() : end + 1;
  }
  return arguments;
}

// What another program prints; nothing where it cannot be run.
std::string output_of(const std::string& program, const char* argument, const std::vector<char*>& environment) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  std::string name = program;
  std::string word = argument;
  std::array<char*, 3> words = {name.data(), word.data(), nullptr};
  pid_t child = 0;
  const int failed = ::posix_spawn(&child, program.c_str(), &actions, nullptr, words.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  std::string text;
  std::array<char, 4096> part{};
  for (ssize_t size = 0; failed == 0 && (size = ::read(ends[0], part.data(), part.size())) != 0;) {
    if (size > 0) text.append(part.data(), static_cast<std::size_t>(size));
    if (size < 0 && errno != EINTR) break;
  }
  ::close(ends[0]);
  while (failed == 0 && ::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return text;
}

// The first library that a program needs and the loader does not find; empty when there is none. The loader itself is
// asked, as ldd(1) does: only it knows all the places, and once it runs the program, it is too late to say more than it
// says. Takes about a millisecond.
std::string missing_library(const std::string& program) {
  constexpr std::string_view kMissing = " => not found";
  std::string trace = "LD_TRACE_LOADED_OBJECTS=1";
  std::vector<char*> variables = {trace.data()};
  for (char** variable = ::environ; *variable != nullptr; ++variable) variables.push_back(*variable);
  variables.push_back(nullptr);
  // A program without a loader runs, and must do nothing.
  const std::string list = output_of(program, "--version", variables);
  const std::size_t at = list.find(kMissing);
  if (at == std::string::npos) return {};
  const std::size_t begin = list.find_last_of(" \t\n", at - 1) + 1;
  return list.substr(begin, at - begin);
}

Error lacks(const std::string& program, const std::string& library) {
  const bool kafka = library.starts_with("librdkafka.");
  return {Code::unavailable, fmt::format("{} needs {}, which is not installed", program, library),
          kafka ? std::string("apt-get install librdkafka1")
                : fmt::format("apt-file search {} names the package to install", library)};
}

}  // namespace

Error become_leat_net(const std::string& what, const std::string& packages) {
  auto arguments = own_arguments();
  if (!arguments) return std::move(arguments).error();
  std::vector<char*> words;
  for (std::string& argument : *arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  for (const std::string& place : places()) {
    if (const std::string library = missing_library(place); !library.empty()) return lacks(place, library);
    // A signal that has come is known to this program alone; one that comes now is for the next.
    const StopSignalsHeld held;
    if (stop_requested()) return {Code::interrupted, "stopped"};
    ::setenv(kHandOverVariable, version_line().c_str(), 1);
    ::execv(place.c_str(), words.data());
    const int error_number = errno;
    ::unsetenv(kHandOverVariable);
    if (error_number == ENOENT || error_number == ENOTDIR) continue;
    return fail_errno(error_number, fmt::format("cannot run {}, which {} needs", place, what)).error();
  }
  return {Code::unavailable, fmt::format("{} needs the program {}, which is not installed", what, kProgram),
          fmt::format("apt-get install {}, and build leat again: leat-net goes to libexec/leat", packages)};
}

Result<void> prepare_kafka(const Settings&) {
  set_kafka_opener([](const std::string& location, const OpenOptions&) -> Result<std::unique_ptr<Backend>> {
    return std::unexpected(become_leat_net(fmt::format("{}: Kafka", location), "librdkafka-dev"));
  });
  return {};
}

}  // namespace leat::tools
