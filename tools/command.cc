#include "tools/command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "tools/interrupt.h"
#include "tools/output.h"

namespace leat::tools {

Result<std::unique_ptr<Backend>> Context::open_backend(bool create) const {
  if (globals_.data_dir.empty()) {
    return fail(Code::configuration,
                "no data directory: neither --data-dir, LEAT_DATA_DIR, XDG_DATA_HOME nor HOME is set",
                "leat --data-dir DIR ...");
  }
  return open_backend_at(globals_.data_dir, create);
}

Result<std::unique_ptr<Backend>> Context::open_backend_at(const std::string& location, bool create) const {
  OpenOptions options;
  options.create = create;
  options.lock_timeout = globals_.lock_timeout;
  options.allow_any_file_system = globals_.allow_any_file_system;
  return leat::open_backend(location, options);
}

Result<void> Context::confirm(std::string_view question) const {
  if (globals_.yes) return {};
  if (::isatty(STDIN_FILENO) != 1 || !stderr_is_terminal()) {
    return fail(Code::usage, fmt::format("this needs a confirmation, and there is no terminal to ask on: {}", question),
                "add --yes to go on without asking");
  }
  const std::string prompt = fmt::format("{} [y/N] ", escape_controls(question));
  if (::write(STDERR_FILENO, prompt.data(), prompt.size()) < 0) return fail(Code::io, "cannot ask on the terminal");
  std::string answer;
  for (char c = 0; c != '\n';) {
    const ssize_t count = ::read(STDIN_FILENO, &c, 1);
    if (count < 0 && errno == EINTR && !stop_requested()) continue;
    if (stop_requested()) return fail(Code::interrupted, "stopped");
    if (count <= 0) {
      print_text("\n");  // the cursor is still behind the question
      break;
    }
    answer += c;
  }
  if (answer == "y\n" || answer == "Y\n" || answer == "yes\n") return {};
  return fail(Code::usage, "not confirmed, nothing was changed");
}

}  // namespace leat::tools
