// Delivering a batch to a sink until each of its messages is either acknowledged or refused: retries, and the search
// for what is bad in a batch that was refused as a whole.
#pragma once

#include <functional>

#include "leat/pipe/retry.h"
#include "leat/pipe/sink.h"
#include "leat/pipe/stage_figures.h"

namespace leat::pipe {

// What becomes of a batch that no retry could deliver because its destination cannot be reached.
enum class Undeliverable : std::uint8_t {
  stop,   // the pipeline ends; what is not acknowledged is read again by the next run
  error,  // the batch goes to the error stage
};

// Whether waiting may mend it.
bool may_pass(const Error& error);

class Deliverer {
 public:
  // Called for each part of a batch that has been delivered: its first message, how many, and which of them (by their
  // index in the part) were refused.
  using Done = std::function<Result<void>(std::size_t first, std::size_t count, std::span<const Refusal> refused)>;

  // All must outlive the deliverer. `notice` says something to the user.
  Deliverer(Sink& sink, const RetrySettings& retry, Undeliverable undeliverable, StageFigures& figures,
            const std::atomic<bool>& halt, std::function<void(const std::string&)> notice)
      : sink_(&sink),
        retry_(retry),
        undeliverable_(undeliverable),
        figures_(&figures),
        halt_(&halt),
        notice_(std::move(notice)) {}

  // Errors: interrupted when `halt` was raised; what ends the pipeline; those of `done`.
  Result<void> deliver(std::span<const Message> batch, const Done& done) { return deliver(batch, 0, done); }
  // Sink::resume(), release(), tend() and close(), with the same retries.
  Result<std::optional<Offset>> resume(const SourceRange& partition);
  Result<void> tend();
  Result<void> release(std::span<const SourceRange> partitions);
  Result<void> close();

 private:
  Result<void> deliver(std::span<const Message> batch, std::size_t base, const Done& done);
  Result<void> refuse_all(std::size_t base, std::size_t count, const std::string& reason, const Done& done) const;
  // Calls `attempt` until it succeeds, or fails in a way that waiting does not mend, or the retries are used up.
  template <class T>
  Result<T> persist(const std::function<Result<T>()>& attempt);

  Sink* sink_;
  RetrySettings retry_;
  Undeliverable undeliverable_;
  StageFigures* figures_;
  const std::atomic<bool>* halt_;
  std::function<void(const std::string&)> notice_;
};

}  // namespace leat::pipe
