#include "leat/pipe/error_stage.h"

#include <fmt/format.h>

namespace leat::pipe {
namespace {

std::string place_of(const Message& message) {
  const SourceRange& source = message.sources.front();
  return fmt::format("{}/{}/{}", source.topic, source.partition.value, source.first.value);
}

}  // namespace

Message with_reason(const Message& original, std::string_view stage, std::string_view reason) {
  Message message = original;
  message.headers.emplace_back("leat-stage", stage);
  message.headers.emplace_back("leat-error", reason);
  message.headers.emplace_back("leat-source", place_of(original));
  return message;
}

ErrorStage::ErrorStage(std::unique_ptr<Sink> sink, const RetrySettings& retry, const std::atomic<bool>& halt,
                       std::function<void(const std::string&)> notice)
    : sink_(std::move(sink)) {
  deliverer_.emplace(*sink_, retry, Undeliverable::stop, figures_, halt, std::move(notice));
}

Result<void> ErrorStage::refuse(std::string_view stage, const Item& item, std::string_view reason) {
  const Message& first = item.originals.empty() ? item.message : *item.originals.front();
  const auto unhandled = [&](std::string_view why) {
    return fail(Code::bad_data,
                fmt::format("stage \"{}\" refuses record {}: {}{}", stage, place_of(first), reason, why));
  };
  if (!deliverer_) {
    return fail(Code::bad_data, unhandled("").error().message,
                "with [error] sink = \"topic\", \"file\" or \"stderr\" such records are put aside");
  }
  std::vector<Message> messages;
  if (item.originals.empty()) messages.push_back(with_reason(item.message, stage, reason));
  for (const auto& original : item.originals) messages.push_back(with_reason(*original, stage, reason));
  const std::lock_guard lock(mutex_);
  figures_.in.fetch_add(std::ssize(messages), std::memory_order_relaxed);
  return deliverer_->deliver(messages,
                             [&](std::size_t, std::size_t count, std::span<const Refusal> refused) -> Result<void> {
                               if (!refused.empty())
                                 return unhandled("; and [error] refuses it: " + refused.front().reason);
                               figures_.out.fetch_add(static_cast<std::int64_t>(count), std::memory_order_relaxed);
                               return {};
                             });
}

Result<void> ErrorStage::close() {
  if (!deliverer_) return {};
  const std::lock_guard lock(mutex_);
  return deliverer_->close();
}

}  // namespace leat::pipe
