// Messages to standard output or standard error.
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "leat/pipe/line_format.h"
#include "leat/pipe/quiet_write.h"
#include "leat/pipe/sinks.h"

namespace leat::pipe {
namespace {

constexpr int kLookMs = 100;
// How often it is asked whether a pipe's reader is still there while nothing is written.
constexpr Milliseconds kLookForReader = std::chrono::seconds(1);

bool is_pipe(int descriptor) {
  struct stat status = {};
  return ::fstat(descriptor, &status) == 0 && S_ISFIFO(status.st_mode);
}

class StreamSink final : public Sink {
 public:
  StreamSink(int descriptor, LineFormat format)
      : descriptor_(descriptor), format_(format), is_pipe_(is_pipe(descriptor)) {}

  // Delivered is what the kernel has taken. A batch that is sent again goes on where the first attempt stopped.
  Result<Delivery> deliver(std::span<const Message> batch, const std::atomic<bool>& stop) override {
    std::string text = formatted(format_, batch);
    if (text != text_) {
      text_ = std::move(text);
      written_ = 0;
    }
    while (written_ < text_.size()) {
      if (stop.load(std::memory_order_relaxed)) return fail(Code::interrupted, "stopped while a stream was written to");
      pollfd look{descriptor_, POLLOUT, 0};
      if (::poll(&look, 1, kLookMs) == 0) continue;
      const ssize_t count = write_quietly(descriptor_, std::string_view(text_).substr(written_));
      if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (count < 0 && errno == EPIPE) return gone();
      if (count < 0) return fail_errno(errno, fmt::format("cannot write to {}", name()));
      written_ += static_cast<std::size_t>(count);
    }
    text_.clear();
    return Delivery{};
  }

  std::optional<SteadyTime> due() const override {
    return is_pipe_ ? std::optional(looked_at_ + kLookForReader) : std::nullopt;
  }

  // A pipeline that nobody listens to ends, though it has nothing to say.
  Result<void> tend() override {
    looked_at_ = std::chrono::steady_clock::now();
    pollfd look{descriptor_, 0, 0};
    if (::poll(&look, 1, 0) == 1 && (look.revents & POLLERR) != 0) return gone();
    return {};
  }

 private:
  std::unexpected<Error> gone() const {
    return fail(Code::not_found,
                std::string(descriptor_ == STDOUT_FILENO ? kNobodyReads : "nobody reads standard error"));
  }
  std::string_view name() const { return descriptor_ == STDOUT_FILENO ? "standard output" : "standard error"; }

  int descriptor_;
  LineFormat format_;
  bool is_pipe_;
  SteadyTime looked_at_{};
  std::string text_;  // that was begun
  std::size_t written_ = 0;
};

Result<SinkPlan> plan(SettingsTable& table, int descriptor, std::string_view name, LineFormat fallback) {
  const LineFormat format = TRY(read_line_format(table, fallback));
  return SinkPlan{fmt::format("{} ({})", name, name_of(format)),
                  [descriptor, format](const SinkSurroundings&) -> Result<std::unique_ptr<Sink>> {
                    return std::make_unique<StreamSink>(descriptor, format);
                  }};
}

}  // namespace

Result<SinkPlan> plan_stdout_sink(SettingsTable& table) {
  return plan(table, STDOUT_FILENO, "stdout", LineFormat::text);
}

Result<SinkPlan> plan_stderr_sink(SettingsTable& table) {
  return plan(table, STDERR_FILENO, "stderr", LineFormat::jsonl);
}

}  // namespace leat::pipe
