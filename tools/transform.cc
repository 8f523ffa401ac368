#include "tools/transform.h"

#include <fmt/format.h>

#include <memory>

#include "leat/log/limits.h"
#include "leat/pipe/child_process.h"
#include "leat/pipe/framing.h"

namespace leat::tools {
namespace {

constexpr Milliseconds kLook(100);

class Child {
 public:
  Child(std::string command, pipe::Framing framing, const std::atomic<bool>& stop)
      : command_(std::move(command)), framing_(framing), stop_(&stop) {}

  Result<void> start() {
    process_ = TRY(pipe::ChildProcess::start({.words = pipe::shell_words(command_)}));
    return {};
  }

  Result<void> ask(std::span<const std::string_view> in, std::vector<std::string>& out) {
    std::string input;
    for (const std::string_view value : in) TRY(append_value(input, value));
    std::size_t written = 0;
    while (out.size() < in.size()) {
      if (stop_->load(std::memory_order_relaxed))
        return fail(Code::interrupted, "stopped while values were transformed");
      auto exchanged = process_->exchange(input, written, answers_, kLook);
      TRY(take(in.size(), out));
      if (exchanged || out.size() == in.size()) continue;
      if (exchanged.error().code != Code::unavailable) return exchanged;
      return fail(Code::io, fmt::format("the transform has ended: {}", command_));
    }
    return {};
  }

 private:
  Result<void> append_value(std::string& input, std::string_view value) const {
    auto appended = pipe::append_value_frame(input, framing_, value);
    if (appended) return appended;
    return fail(appended.error().code, fmt::format("--transform: {}", appended.error().message),
                "--transform-framing u32be takes any bytes");
  }

  // The answers that are whole.
  Result<void> take(std::size_t wanted, std::vector<std::string>& out) {
    std::size_t at = 0;
    std::optional<std::string_view> value;
    for (;;) {
      const auto whole = pipe::take_frame(answers_, at, framing_, kRecordBytesMax, value);
      if (!whole) return fail(Code::bad_data, "--transform: an answer is larger than a record may be");
      if (!*whole) break;
      if (out.size() == wanted) return fail(Code::bad_data, "--transform: more answers came back than were asked for");
      if (!value) return fail(Code::bad_data, "--transform: an answer is a null (length 0xFFFFFFFF), and not a value");
      out.emplace_back(*value);
    }
    answers_.erase(0, at);
    return {};
  }

  std::string command_;
  pipe::Framing framing_;
  const std::atomic<bool>* stop_;
  std::unique_ptr<pipe::ChildProcess> process_;
  std::string answers_;  // read, and not taken yet
};

}  // namespace

Result<Transform> start_transform(const std::string& command, pipe::Framing framing, const std::atomic<bool>& stop) {
  auto child = std::make_shared<Child>(command, framing, stop);
  TRY(child->start());
  return Transform(
      [child](std::span<const std::string_view> in, std::vector<std::string>& out) { return child->ask(in, out); });
}

}  // namespace leat::tools
