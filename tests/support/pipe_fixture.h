// Sinks that keep what they are given and do as they are told, and messages to give them.
#pragma once

#include <doctest/doctest.h>

#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "leat/pipe/sink_kind.h"
#include "tests/support/log_fixture.h"

namespace leat::test {

inline pipe::Message message(std::int64_t offset, std::string value, std::optional<std::string> key = std::nullopt,
                             std::int32_t partition = 0) {
  return {.key = std::move(key),
          .value = std::move(value),
          .timestamp = {1000 + offset},
          .sources = {{"t", {partition}, {offset}, {offset}}}};
}

// What a sink was given. Threads: any.
class Delivered {
 public:
  void add(std::span<const pipe::Message> batch) {
    const std::lock_guard lock(mutex_);
    batches_.emplace_back(batch.begin(), batch.end());
  }
  std::vector<std::vector<pipe::Message>> batches() const {
    const std::lock_guard lock(mutex_);
    return batches_;
  }
  std::vector<pipe::Message> messages() const {
    std::vector<pipe::Message> all;
    for (const auto& batch : batches()) all.insert(all.end(), batch.begin(), batch.end());
    return all;
  }
  std::vector<std::string> values() const {
    std::vector<std::string> values;
    for (const pipe::Message& one : messages()) values.push_back(one.value.value_or("(null)"));
    return values;
  }

  std::atomic<int> closed = 0;
  std::atomic<int> released = 0;
  std::atomic<bool> holds = false;  // it is to be told of partitions that are given up

 private:
  mutable std::mutex mutex_;
  std::vector<std::vector<pipe::Message>> batches_;
};

using Answer =
    std::function<Result<pipe::Delivery>(std::span<const pipe::Message> batch, const std::atomic<bool>& stop)>;

// Asks `answer` first, where there is one; keeps what is delivered, but for what was refused.
class KeepingSink final : public pipe::Sink {
 public:
  explicit KeepingSink(Delivered& to, Answer answer = {}) : to_(&to), answer_(std::move(answer)) {}

  Result<pipe::Delivery> deliver(std::span<const pipe::Message> batch, const std::atomic<bool>& stop) override {
    pipe::Delivery delivery;
    if (answer_) delivery = TRY(answer_(batch, stop));
    std::vector<pipe::Message> kept(batch.begin(), batch.end());
    for (auto refused = delivery.refused.rbegin(); refused != delivery.refused.rend(); ++refused)
      kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(refused->index));
    to_->add(kept);
    return delivery;
  }
  bool holds_partitions() const override { return to_->holds; }
  Result<void> release(std::span<const pipe::SourceRange> partitions) override {
    to_->released += static_cast<int>(partitions.size());
    return {};
  }
  Result<void> close() override {
    ++to_->closed;
    return {};
  }

 private:
  Delivered* to_;
  Answer answer_;
};

inline pipe::SinkPlan keeping(Delivered& to, const Answer& answer = {}) {
  return {"kept", [&to, answer](const pipe::SinkSurroundings&) -> Result<std::unique_ptr<pipe::Sink>> {
            return std::make_unique<KeepingSink>(to, answer);
          }};
}

}  // namespace leat::test
