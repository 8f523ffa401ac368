#include "leat/pipe/delivery.h"

#include <fmt/format.h>

namespace leat::pipe {

bool may_pass(const Error& error) {
  return error.code == Code::unavailable || error.code == Code::io || error.code == Code::busy;
}

template <class T>
Result<T> Deliverer::persist(const std::function<Result<T>()>& attempt) {
  Retry retry(retry_);
  while (true) {
    auto result = attempt();
    if (result || !may_pass(result.error())) return result;
    if (retry.count() == 0) notice_(fmt::format("{}; trying again", result.error().message));
    if (!retry.wait(*halt_)) {
      if (*halt_) return fail(Code::interrupted, "stopped while something was tried again");
      if (retry_.retries > 0)
        result.error().message += fmt::format(" (after {} retr{})", retry_.retries, retry_.retries == 1 ? "y" : "ies");
      return result;
    }
    figures_->retries.fetch_add(1, std::memory_order_relaxed);
  }
}

Result<void> Deliverer::deliver(std::span<const Message> batch, std::size_t base, const Done& done) {
  const auto delivered = persist<Delivery>([&] { return sink_->deliver(batch, *halt_); });
  if (delivered) {
    for (const Refusal& refusal : delivered->refused) ASSERT(refusal.index < batch.size());
    return done(base, batch.size(), delivered->refused);
  }
  const Error& error = delivered.error();
  if (may_pass(error) && undeliverable_ == Undeliverable::error)
    return refuse_all(base, batch.size(), error.message, done);
  if (error.code != Code::bad_data) return std::unexpected(error);
  if (batch.size() == 1) return refuse_all(base, 1, error.message, done);
  const std::size_t half = batch.size() / 2;
  TRY(deliver(batch.first(half), base, done));
  return deliver(batch.subspan(half), base + half, done);
}

Result<void> Deliverer::refuse_all(std::size_t base, std::size_t count, const std::string& reason,
                                   const Done& done) const {
  std::vector<Refusal> refused;
  for (std::size_t i = 0; i < count; ++i) refused.push_back({i, reason});
  return done(base, count, refused);
}

Result<std::optional<Offset>> Deliverer::resume(const SourceRange& partition) {
  return persist<std::optional<Offset>>([&] { return sink_->resume(partition); });
}

Result<void> Deliverer::release(std::span<const SourceRange> partitions) {
  return persist<void>([&] { return sink_->release(partitions); });
}

Result<void> Deliverer::tend() {
  return persist<void>([&] { return sink_->tend(); });
}

Result<void> Deliverer::close() {
  return persist<void>([&] { return sink_->close(); });
}

}  // namespace leat::pipe
