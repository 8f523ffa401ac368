// What the fuzz targets share: an input taken apart, results that must be good, a directory in memory.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <source_location>
#include <string>
#include <string_view>

#include "leat/base/bytes.h"
#include "leat/base/error.h"

namespace leat::fuzz {

// Takes an input apart from the front. Behind its end all is zero.
class Source {
 public:
  Source(const std::uint8_t* data, std::size_t size) : left_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return left_.empty(); }
  std::uint8_t byte() { return number<std::uint8_t>(); }
  template <std::integral T>
  T number() {
    T value = 0;
    const std::string_view bytes = text(sizeof value);
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  // At most `size` bytes.
  std::string_view text(std::size_t size) {
    const std::string_view taken = left_.substr(0, size);
    left_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view rest() { return text(left_.size()); }

 private:
  std::string_view left_;
};

// Ends the program when the result is an error.
template <class T>
T must(Result<T> result, const std::source_location where = std::source_location::current()) {
  if (!result) {
    std::fprintf(stderr, "%s:%u: must not fail: %s\n", where.file_name(), where.line(), result.error().message.c_str());
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

// A directory in memory for the life of the process. LEAT_FUZZ_DIR says where: a process that crashes leaves it behind.
class Scratch {
 public:
  Scratch() {
    const char* where = std::getenv("LEAT_FUZZ_DIR");
    path_ = std::string(where != nullptr ? where : "/dev/shm") + "/leat-fuzz-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) std::abort();
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

inline void write_file(const std::string& path, std::string_view content) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  ASSERT(fd >= 0 && ::write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  ::close(fd);
}

inline std::string read_file(const std::string& path) {
  std::string content;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status = {};
  if (fd < 0 || ::fstat(fd, &status) != 0) return content;
  content.resize(static_cast<std::size_t>(status.st_size));
  ASSERT(::read(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  ::close(fd);
  return content;
}

}  // namespace leat::fuzz
