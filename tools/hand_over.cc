#include "tools/hand_over.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "leat/backend/kafka.h"
#include "tools/commands.h"
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

// Does not return unless it fails.
Result<std::unique_ptr<Backend>> hand_over(const std::string& location) {
  std::vector<std::string> arguments = TRY(own_arguments());
  std::vector<char*> words;
  for (std::string& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  ::setenv(kHandOverVariable, version_line().c_str(), 1);
  for (const std::string& place : places()) {
    ::execv(place.c_str(), words.data());
    if (errno == ENOENT || errno == ENOTDIR) continue;
    const int error_number = errno;
    ::unsetenv(kHandOverVariable);
    return fail_errno(error_number, fmt::format("cannot run {}, which {} needs", place, location));
  }
  ::unsetenv(kHandOverVariable);
  return fail(Code::unavailable,
              fmt::format("{}: Kafka needs the program {}, which is not installed", location, kProgram),
              "apt-get install librdkafka-dev, and build leat again: leat-net goes to libexec/leat");
}

}  // namespace

Result<void> prepare_kafka(const Settings&) {
  set_kafka_opener([](const std::string& location, const OpenOptions&) { return hand_over(location); });
  return {};
}

}  // namespace leat::tools
