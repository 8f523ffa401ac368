// Where records go that a stage or a sink refuses: as they were read, with the reason. Where it cannot deliver them
// either, the pipeline stops: nothing is skipped.
//
// Headers say what happened: leat-stage, leat-error, and leat-source (TOPIC/PARTITION/OFFSET).
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "leat/pipe/delivery.h"
#include "leat/pipe/item.h"

namespace leat::pipe {

class ErrorStage {
 public:
  // Without a sink the first refusal is an error.
  ErrorStage() = default;
  ErrorStage(std::unique_ptr<Sink> sink, const RetrySettings& retry, const std::atomic<bool>& halt,
             std::function<void(const std::string&)> notice);

  // Delivers the records that `item` was made of. From any thread. Errors: bad_data, naming stage, record and reason,
  // where there is no sink or it refuses them, too; interrupted; those of the sink.
  Result<void> refuse(std::string_view stage, const Item& item, std::string_view reason);
  // Sink::close() of its sink.
  Result<void> close();

  const StageFigures& figures() const { return figures_; }

 private:
  std::mutex mutex_;
  std::unique_ptr<Sink> sink_;
  StageFigures figures_;
  std::optional<Deliverer> deliverer_;
};

// The message as the error stage delivers it.
Message with_reason(const Message& original, std::string_view stage, std::string_view reason);

}  // namespace leat::pipe
