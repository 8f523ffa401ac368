#include "tools/offsets_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <tuple>
#include <vector>

#include "leat/base/disk.h"

namespace leat::tools {
namespace {

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Where a link leads, so that the file it names is replaced and not the link.
std::string resolved(const std::string& path) {
  char* const real = ::realpath(path.c_str(), nullptr);
  if (real == nullptr) return path;
  std::string result = real;
  std::free(real);
  return result;
}

bool is_special(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
}

Result<void> write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, path);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

std::string lines_of(std::span<const Position> positions) {
  std::vector<Position> sorted(positions.begin(), positions.end());
  std::sort(sorted.begin(), sorted.end(), [](const Position& a, const Position& b) {
    return std::tie(a.topic, a.partition) < std::tie(b.topic, b.partition);
  });
  std::string lines;
  for (const Position& position : sorted) {
    lines += fmt::format("{} {} {}\n", position.topic, position.partition.value, position.next.value);
  }
  return lines;
}

Result<void> write_special(const std::string& path, std::string_view bytes) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
  if (!file) return fail_errno(errno, path);
  return write_all(file.get(), bytes, path);
}

Result<void> write_and_rename(const std::string& temporary, const std::string& target, std::string_view bytes) {
  {
    const Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (!file) return fail_errno(errno, temporary);
    TRY(write_all(file.get(), bytes, temporary));
    if (::fdatasync(file.get()) != 0) return fail_errno(errno, temporary);
  }
  if (::rename(temporary.c_str(), target.c_str()) != 0) return fail_errno(errno, target);
  return {};
}

}  // namespace

Result<void> check_offsets_file(const std::string& path) {
  if (path.empty()) return fail(Code::usage, "--offsets-out: the file name is empty");
  const std::string target = resolved(path);
  struct stat status = {};
  if (::stat(target.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
    return fail(Code::usage, fmt::format("--offsets-out: '{}' is a directory", path));
  }
  const std::string writable = is_special(target) ? target : directory_of(target);
  if (::access(writable.c_str(), W_OK) != 0) return fail_errno(errno, fmt::format("--offsets-out: {}", writable));
  return {};
}

Result<void> write_offsets_file(const std::string& path, std::span<const Position> positions) {
  const std::string target = resolved(path);
  const std::string lines = lines_of(positions);
  if (is_special(target)) return write_special(target, lines);
  const std::string temporary = fmt::format("{}.{}.tmp", target, ::getpid());
  auto written = write_and_rename(temporary, target, lines);
  if (!written) {
    ::unlink(temporary.c_str());
    return written;
  }
  // The name is as durable as the content, so that a seek from this file after a crash finds it.
  const Descriptor directory(::open(directory_of(target).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) ::fsync(directory.get());
  return {};
}

}  // namespace leat::tools
