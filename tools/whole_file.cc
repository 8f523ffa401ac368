#include "tools/whole_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include "tools/input_source.h"
#include "tools/interrupt.h"

namespace leat::tools {

Result<std::string> read_whole_file(const std::string& path, std::size_t bytes_max) {
  const InputCheck check = TRY(check_inputs(std::span(&path, 1), STDIN_FILENO));
  const auto too_large = [&] {
    return fail(Code::bad_data, fmt::format("{} is larger than {} bytes", shown_path(path), bytes_max));
  };
  if (check.total_bytes.value_or(0) > bytes_max) return too_large();
  InputSource input({path}, STDIN_FILENO, &stop_requested());
  bool going_on = TRY(input.open_next());
  while (going_on && !input.complete() && input.window().size() <= bytes_max)
    going_on = TRY(input.fill(std::nullopt)) != InputSource::Fill::stopped;
  if (!going_on) return fail(Code::interrupted, "stopped");
  const auto text = input.window();
  if (text.size() > bytes_max) return too_large();
  return std::string(text.data(), text.size());
}

std::string shown_path(const std::string& path) {
  return path == "-" ? "stdin" : path;
}

}  // namespace leat::tools
