#include "tools/offsets_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "leat/base/disk.h"
#include "leat/base/units.h"
#include "leat/log/topic_settings.h"
#include "tools/input_source.h"
#include "tools/interrupt.h"

namespace leat::tools {
namespace {

constexpr std::size_t kFileBytesMax = 4 << 20;  // far more than the partitions of any data directory need

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

std::vector<std::string_view> words_of(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r";
  std::vector<std::string_view> words;
  for (;;) {
    line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
    if (line.empty()) return words;
    const std::size_t end = std::min(line.find_first_of(kBlanks), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

// parse_count() would take a sign.
Result<std::int64_t> parse_number(std::string_view what, std::string_view text, std::int64_t largest) {
  const bool digits = text.find_first_not_of("0123456789") == std::string_view::npos;
  if (!digits) return fail(Code::usage, fmt::format("{}: \"{}\" is not a whole number", what, text));
  const std::int64_t number = TRY(parse_count(what, text));
  if (number > largest) return fail(Code::usage, fmt::format("{}: \"{}\" is too large", what, text));
  return number;
}

Result<OffsetsLine> parse_line(std::span<const std::string_view> words) {
  if (words.size() != 3) {
    return fail(Code::usage, fmt::format("expected TOPIC PARTITION OFFSET, found {} {}", words.size(),
                                         words.size() == 1 ? "word" : "words"));
  }
  TRY(check_name("topic", words[0]));
  const std::int64_t partition = TRY(parse_number("PARTITION", words[1], INT32_MAX));
  const std::int64_t next = TRY(parse_number("OFFSET", words[2], INT64_MAX));
  return OffsetsLine{
      .topic = std::string(words[0]), .partition = {static_cast<std::int32_t>(partition)}, .next = {next}};
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

Result<std::vector<OffsetsLine>> parse_offsets(std::string_view name, std::string_view text) {
  std::vector<OffsetsLine> lines;
  std::map<std::pair<std::string, PartitionId>, std::size_t> seen;  // and in which line
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::vector<std::string_view> words = words_of(line.substr(0, line.find('#')));
    if (words.empty()) continue;
    Result<OffsetsLine> parsed = parse_line(words);
    if (!parsed) return fail(Code::bad_data, fmt::format("{}:{}: {}", name, number, parsed.error().message));
    const auto [first, fresh] = seen.emplace(std::pair(parsed->topic, parsed->partition), number);
    if (!fresh) {
      return fail(Code::bad_data, fmt::format("{}:{}: partition {} of \"{}\" stands in line {} already", name, number,
                                              parsed->partition.value, parsed->topic, first->second));
    }
    lines.push_back(std::move(*parsed));
  }
  return lines;
}

Result<std::vector<OffsetsLine>> read_offsets_file(const std::string& path) {
  InputSource input({path}, STDIN_FILENO, &stop_requested());
  bool going_on = TRY(input.open_next());
  while (going_on && !input.complete()) {
    if (input.window().size() > kFileBytesMax)
      return fail(Code::bad_data, fmt::format("{}: more than {} bytes of positions", input.name(), kFileBytesMax));
    going_on = TRY(input.fill(std::nullopt)) != InputSource::Fill::stopped;
  }
  if (!going_on) return fail(Code::interrupted, "stopped");
  const std::span<const char> text = input.window();
  return parse_offsets(input.name(), {text.data(), text.size()});
}

}  // namespace leat::tools
