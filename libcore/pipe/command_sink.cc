// A batch on the standard input of a program that is started for it.
#include <fmt/format.h>

#include <algorithm>

#include "leat/pipe/child_process.h"
#include "leat/pipe/line_format.h"
#include "leat/pipe/sinks.h"

namespace leat::pipe {
namespace {

constexpr Milliseconds kLook(50);
constexpr Milliseconds kTimeout = std::chrono::seconds(60);
constexpr std::string_view kBadData = "exit status 65";  // EX_DATAERR of sysexits.h

struct CommandOptions {
  std::vector<std::string> words;
  LineFormat format;
  Milliseconds timeout;
};

class CommandSink final : public Sink {
 public:
  CommandSink(CommandOptions options, const SinkSurroundings& surroundings) : options_(std::move(options)) {
    child_ = {.words = options_.words, .takes_output = false};
    if (surroundings.notice) {
      child_.on_error_line = [notice = surroundings.notice, stage = surroundings.stage](std::string_view line) {
        notice(fmt::format("{}: {}", stage, line));
      };
    }
  }

  Result<Delivery> deliver(std::span<const Message> batch, const std::atomic<bool>& stop) override {
    const std::string input = formatted(options_.format, batch);
    const auto child = TRY(ChildProcess::start(child_));
    const SteadyTime until = std::chrono::steady_clock::now() + options_.timeout;
    const auto over = [&] { return stop.load(std::memory_order_relaxed) || std::chrono::steady_clock::now() > until; };
    std::size_t written = 0;
    std::string output;
    // One that ends without having read everything has what it wants: its status says whether it is content.
    while (written < input.size() && !over())
      if (!child->exchange(input, written, output, kLook)) break;
    child->close_input();
    while (!over() && !child->wait(kLook)) {
    }
    const bool late = !child->wait(Milliseconds(0));
    if (late) child->kill();
    const ChildEnd end = child->end(Milliseconds(0));
    if (end.success && !late) return Delivery{};
    if (stop) return fail(Code::interrupted, "stopped while a command had a batch");
    const std::string name = fmt::format("{}", fmt::join(options_.words, " "));
    if (late) return fail(Code::unavailable, fmt::format("{}: no end within {} ms", name, options_.timeout.count()));
    return fail(end.shown == kBadData ? Code::bad_data : Code::unavailable, fmt::format("{}: {}", name, end.shown));
  }

 private:
  CommandOptions options_;
  ChildOptions child_;
};

}  // namespace

Result<std::vector<std::string>> read_command(SettingsTable& table, std::string_view key) {
  if (const auto line = table.optional_text(key); line && *line) {
    if ((*line)->empty()) return table.refuse(key, "must not be empty");
    return shell_words(**line);
  }
  auto words = TRY(table.texts(key));
  if (words.empty()) return table.refuse_missing(key);
  if (words.front().empty()) return table.refuse(key, "the program has no name");
  return words;
}

Result<SinkPlan> plan_command_sink(SettingsTable& table) {
  CommandOptions options{TRY(read_command(table, "command")), TRY(read_line_format(table, LineFormat::text)),
                         TRY(table.duration_or("timeout", kTimeout))};
  return SinkPlan{fmt::format("command {}", fmt::join(options.words, " ")),
                  [options](const SinkSurroundings& surroundings) -> Result<std::unique_ptr<Sink>> {
                    return std::make_unique<CommandSink>(options, surroundings);
                  }};
}

}  // namespace leat::pipe
