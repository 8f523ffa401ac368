// The program: finds the command, runs it, and alone turns an Error into an exit status.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <exception>
#include <new>

#include "tools/arguments.h"
#include "tools/check.h"
#include "tools/check_verdict.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/config.h"
#include "tools/hand_over.h"
#include "tools/help.h"
#include "tools/interrupt.h"
#include "tools/output.h"

namespace leat::tools {
namespace {

// The table of exit statuses in leat(1).
int exit_status(Code code) {
  switch (code) {
    case Code::partial:
      return 1;
    case Code::usage:
      return 2;
    case Code::bad_data:
    case Code::other_input:
      return 65;
    case Code::not_found:
      return 66;
    case Code::unavailable:
      return 69;
    case Code::internal:
      return 70;
    case Code::exists:
      return 73;
    case Code::io:
      return 74;
    case Code::busy:
      return 75;
    case Code::damaged:
      return 76;
    case Code::permission:
      return 77;
    case Code::configuration:
      return 78;
    case Code::interrupted:
      return 128 + SIGINT;  // only when no signal came, which cannot be: finish() dies of it
  }
  return 70;
}

// A standard descriptor that is closed would be given to the next file that is opened, and records would be written
// over by messages. It is filled with something that cannot be used, so that its use fails as if it were closed.
void occupy_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
    if (::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY) != descriptor) return;
  }
}

bool wants_error_color(ColorMode mode) {
  if (mode != ColorMode::automatic) return mode == ColorMode::always;
  const auto terminal = process_environment("TERM");
  return stderr_is_terminal() && !process_environment("NO_COLOR") && terminal && *terminal != "dumb";
}

// Help and the like: done once it is written.
Result<int> print(const std::string& text) {
  TRY(out().write(text));
  return EXIT_SUCCESS;
}

// The status that the command asks for when nothing went wrong.
Result<int> run_command(const CommandRow& row, std::vector<std::string> arguments) {
  const auto command = row.make();
  GlobalFlags flags;
  OptionSet options(full_name(row));
  declare_options(options, *command, flags);
  switch (TRY(parse_arguments(options, std::move(arguments)))) {
    case Parsed::short_help:
      return print(command_text(row, options, false));
    case Parsed::long_help:
      return print(command_text(row, options, true));
    case Parsed::version:
      return print(version_line() + "\n");
    case Parsed::run:
      break;
  }
  Settings settings = TRY(load_settings(flags, row.needs_settings));
  set_error_color(wants_error_color(settings.globals.color));
  set_quiet(settings.globals.quiet);
  TRY(prepare_kafka(settings));
  Context context(std::move(settings.globals), std::move(settings.origins), std::move(settings.store));
  TRY(command->run(context));
  return command->exit_status();
}

// What --color says, before anything can go wrong with the rest of the line. A bad value is reported later.
ColorMode early_color(std::span<const std::string> words) {
  constexpr std::string_view kFlag = "--color";
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    std::string_view value;
    if (word == kFlag && i + 1 < words.size()) value = words[i + 1];
    if (word.starts_with(kFlag) && word.substr(kFlag.size()).starts_with('=')) value = word.substr(kFlag.size() + 1);
    if (value == "never") return ColorMode::never;
    if (value == "always") return ColorMode::always;
  }
  return ColorMode::automatic;
}

Result<int> run(std::span<const std::string> words) {
  set_error_color(wants_error_color(early_color(words)));
  const std::span<const CommandRow> table = command_table();
  Selection selection = TRY(select_command(words, table));
  switch (selection.kind) {
    case Selection::Kind::command:
      return run_command(*selection.row, std::move(selection.arguments));
    case Selection::Kind::group:
      if (selection.help) return print(group_text(table, selection.group));
      print_text(group_text(table, selection.group));
      return fail(Code::usage, "a command is missing after \"" + selection.group + "\"");
    case Selection::Kind::version:
      return print(version_line() + "\n");
    case Selection::Kind::overview:
      break;
  }
  return print(overview_text(table));
}

// Says what went wrong; the status to end with.
int report(const Error& error, std::span<const std::string> words) {
  const auto [group, name] = command_words(words);
  if (group == kCheckGroup) return refuse_check(name, error);
  print_error(error);
  return exit_status(error.code);
}

// The end of the process: what is buffered is written, what went wrong is said. A signal that was waited out, or a
// reader that has gone away, ends it as the shell expects.
int finish(Result<int> result, std::span<const std::string> words) {
  if (auto flushed = out().flush(); result && !flushed) result = std::unexpected(std::move(flushed).error());
  const bool stopped = stop_signal() != 0 && (result || result.error().code == Code::interrupted);
  if (stopped) die_by_signal(stop_signal());
  if (result && out().broken()) die_by_signal(SIGPIPE);
  return result ? *result : report(result.error(), words);
}

// In place of std::bad_alloc, wherever the memory was wanted: to unwind, or to compose a message, would want more. What
// was acknowledged is on the disk, locks go with the process. A monitoring system gets 3, "unknown", from a check.
bool checking = false;

[[noreturn]] void end_without_memory() {
  constexpr std::string_view kError = "leat: error: out of memory\n";
  constexpr std::string_view kUnknown = "UNKNOWN: out of memory\n";
  [[maybe_unused]] const ssize_t written = checking ? ::write(STDOUT_FILENO, kUnknown.data(), kUnknown.size())
                                                    : ::write(STDERR_FILENO, kError.data(), kError.size());
  ::_exit(checking ? static_cast<int>(Health::unknown) : exit_status(Code::io));
}

int guarded_main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) checking |= kCheckGroup == argv[i];
  std::set_new_handler(end_without_memory);
  const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  try {
    return finish(run(words), words);
  } catch (const std::bad_alloc&) {
    end_without_memory();  // of a library that asks for memory elsewhere
  } catch (const std::exception& exception) {
    return report({Code::internal, std::string("this is a bug in leat: ") + exception.what()}, words);
  }
}

}  // namespace
}  // namespace leat::tools

int main(int argc, char** argv) {
  leat::tools::occupy_standard_descriptors();
  leat::tools::install_interrupt_handlers();
  return leat::tools::guarded_main(argc, argv);
}
