#include "leat/pipe/program.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/pipe/child_process.h"

namespace leat::pipe {
namespace {

constexpr Milliseconds kLook(100);
constexpr Milliseconds kPatience(1000);
// When so many messages in a row were too much for it, and it answered nothing between them, it is the program.
constexpr std::int64_t kDeadAfter = 3;

using Answer = std::function<void(std::optional<std::string_view> frame)>;

// A program that is kept running.
class Program {
 public:
  Program(ProgramOptions options, WorkSurroundings surroundings)
      : options_(std::move(options)), surroundings_(std::move(surroundings)), retry_(options_.restarts) {}

  const ProgramOptions& options() const { return options_; }

  Result<void> start() {
    ChildOptions child{.words = options_.words};
    if (surroundings_.notice) {
      child.on_error_line = [notice = surroundings_.notice, stage = surroundings_.stage](std::string_view line) {
        notice(fmt::format("{}: {}", stage, line));
      };
    }
    child_ = TRY(ChildProcess::start(child));
    output_.clear();
    return {};
  }

  // Sends `input`, which asks for `wanted` answers, and gives them to `answer` as they come. Errors: unavailable, when
  // it died or did not answer in time, and is not running any more; bad_data, when what it says is no answer;
  // interrupted.
  Result<void> ask(std::string_view input, std::size_t wanted, const Answer& answer, const std::atomic<bool>& halt) {
    if (!child_) TRY(start_again());
    if (!output_.empty()) return fail(Code::bad_data, says_more());
    std::size_t written = 0;
    SteadyTime heard = std::chrono::steady_clock::now();
    while (wanted > 0) {
      if (halt.load(std::memory_order_relaxed)) return fail(Code::interrupted, "stopped while a program was asked");
      const std::size_t before = output_.size();
      auto exchanged = child_->exchange(input, written, output_, kLook);
      if (output_.size() != before) TRY(take(wanted, answer, heard));
      if (!exchanged && wanted > 0) return died(exchanged.error());
      if (wanted > 0 && std::chrono::steady_clock::now() - heard > options_.timeout) return hung();
    }
    if (!output_.empty()) return fail(Code::bad_data, says_more());
    return {};
  }

  // A message has been answered: whatever went wrong before is over.
  void succeeded() {
    retry_.reset();
    given_up_ = 0;
  }

  // It died of a message: whether that is to be tried again, after waiting.
  bool try_again(const std::atomic<bool>& halt) { return retry_.wait(halt); }

  // The message it dies of is given up. Errors: unavailable, when it is not the messages.
  Result<void> give_up(const Error& error) {
    retry_.reset();
    if (++given_up_ < kDeadAfter) return {};
    return fail(Code::unavailable,
                fmt::format("stage \"{}\": {}, whatever it is given", surroundings_.stage, error.message));
  }

 private:
  Result<void> start_again() {
    if (surroundings_.restarted) surroundings_.restarted();
    return start();
  }

  Result<void> take(std::size_t& wanted, const Answer& answer, SteadyTime& heard) {
    std::size_t at = 0;
    std::optional<std::string_view> frame;
    while (wanted > 0 && TRY(take_frame(output_, at, options_.framing, kAnswerBytesMax, frame))) {
      answer(frame);
      --wanted;
      heard = std::chrono::steady_clock::now();
      succeeded();
    }
    output_.erase(0, at);
    return {};
  }

  std::string says_more() const {
    return fmt::format("stage \"{}\": the program says more than it was asked for: {}", surroundings_.stage,
                       fmt::join(options_.words, " "));
  }

  std::unexpected<Error> died(const Error& error) {
    if (error.code != Code::unavailable) return std::unexpected(error);
    const ChildEnd end = child_->end(kPatience);
    child_.reset();
    return fail(Code::unavailable, fmt::format("the program ended without an answer ({})", end.shown));
  }

  std::unexpected<Error> hung() {
    child_->kill();
    child_->end(kPatience);
    child_.reset();
    return fail(Code::unavailable, fmt::format("the program did not answer within {} ms", options_.timeout.count()));
  }

  ProgramOptions options_;
  WorkSurroundings surroundings_;
  std::unique_ptr<ChildProcess> child_;
  std::string output_;  // read, and no whole answer yet
  Retry retry_;
  std::int64_t given_up_ = 0;  // messages in a row
};

class ProgramMapper final : public Mapper {
 public:
  explicit ProgramMapper(std::unique_ptr<Program> program) : program_(std::move(program)) {}

  Result<void> map(std::span<const Message> messages, std::vector<Outcome>& outcomes,
                   const std::atomic<bool>& halt) override {
    bool carefully = false;  // one at a time, to see which one it dies of
    while (!messages.empty()) {
      std::size_t done = 0;
      auto asked = ask(carefully ? messages.first(1) : messages, outcomes, done, halt);
      messages = messages.subspan(done);
      if (asked) {
        carefully = false;
        continue;
      }
      if (asked.error().code != Code::unavailable) return asked;
      carefully = true;
      if (program_->try_again(halt)) continue;
      if (halt) return fail(Code::interrupted, "stopped before a program was started again");
      TRY(program_->give_up(asked.error()));
      outcomes.push_back(Outcome::refuse(asked.error().message));
      messages = messages.subspan(1);
    }
    return {};
  }

 private:
  // Up to the first one it cannot be asked about; `done` of them have an outcome then.
  Result<void> ask(std::span<const Message> messages, std::vector<Outcome>& outcomes, std::size_t& done,
                   const std::atomic<bool>& halt) {
    input_.clear();
    std::size_t count = 0;
    for (; count < messages.size(); ++count) {
      const auto appended = append_frame(input_, program_->options().framing, messages[count]);
      if (appended) continue;
      if (count > 0) break;
      outcomes.push_back(Outcome::refuse(appended.error().message));
      ++done;
      return {};
    }
    return program_->ask(
        input_, count,
        [&](std::optional<std::string_view> frame) {
          outcomes.push_back(
              read_answer(program_->options().framing, frame, messages[done++], program_->options().filters));
        },
        halt);
  }

  std::unique_ptr<Program> program_;
  std::string input_;
};

class ProgramReducer final : public Reducer {
 public:
  explicit ProgramReducer(std::unique_ptr<Program> program) : program_(std::move(program)) {}

  Result<Outcome> reduce(std::span<const Message> batch, const std::atomic<bool>& halt) override {
    Message asked;  // an answer that says nothing of them has the newest time, and neither key nor headers
    for (const Message& message : batch) asked.timestamp = std::max(asked.timestamp, message.timestamp);
    std::string input;
    append_batch_frame(input, program_->options().framing, batch);
    while (true) {
      Outcome outcome;
      const auto answered = program_->ask(
          input, 1,
          [&](std::optional<std::string_view> frame) {
            outcome = read_answer(program_->options().framing, frame, asked, false);
          },
          halt);
      if (answered) return outcome;
      if (answered.error().code != Code::unavailable) return std::unexpected(answered.error());
      if (program_->try_again(halt)) continue;
      if (halt) return fail(Code::interrupted, "stopped before a program was started again");
      TRY(program_->give_up(answered.error()));
      return Outcome::refuse(answered.error().message);
    }
  }

 private:
  std::unique_ptr<Program> program_;
};

Result<std::unique_ptr<Program>> start(const ProgramOptions& options, const WorkSurroundings& surroundings) {
  auto program = std::make_unique<Program>(options, surroundings);
  TRY(program->start());
  return program;
}

}  // namespace

MakeMapper program_mapper(const ProgramOptions& options) {
  return [options](const WorkSurroundings& surroundings) -> Result<std::unique_ptr<Mapper>> {
    return std::make_unique<ProgramMapper>(TRY(start(options, surroundings)));
  };
}

MakeReducer program_reducer(const ProgramOptions& options) {
  return [options](const WorkSurroundings& surroundings) -> Result<std::unique_ptr<Reducer>> {
    return std::make_unique<ProgramReducer>(TRY(start(options, surroundings)));
  };
}

}  // namespace leat::pipe
