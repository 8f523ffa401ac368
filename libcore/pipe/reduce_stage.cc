// Stages that collect messages into batches, and make one message of each or deliver it. One thread: batches leave in
// the order in which they were begun or came to be full.
#include <fmt/format.h>

#include <algorithm>
#include <list>
#include <map>

#include "leat/pipe/stage.h"

namespace leat::pipe {

namespace {

constexpr std::size_t kTakeMax = 256;
// Open batches hold no more than this together, however many keys there are: then the oldest is sent on.
constexpr std::size_t kOpenRecordsMax = 200'000;
constexpr std::size_t kOpenBytesMax = 64 << 20;

using Originals = std::vector<std::shared_ptr<const Message>>;

struct Batch {
  std::optional<std::string> group = {};
  std::vector<Message> messages = {};
  std::vector<Originals> originals = {};
  std::size_t bytes = 0;
  SteadyTime due{};
};

// What a batch of a group is called; unlike for keys that are null or not.
std::string name_of_group(GroupBy by, const Message& message) {
  if (by == GroupBy::key) return message.key ? "=" + *message.key : std::string();
  if (by == GroupBy::partition)
    return fmt::format("{}/{}", message.sources.front().topic, message.sources.front().partition.value);
  return {};
}

void merge_into(std::vector<SourceRange>& sources, const std::vector<SourceRange>& more) {
  for (const SourceRange& range : more) {
    const auto before = std::ranges::find_if(sources, [&](const SourceRange& one) {
      return one.last + 1 == range.first && one.partition == range.partition && one.topic == range.topic;
    });
    if (before == sources.end()) {
      sources.push_back(range);
    } else {
      before->last = range.last;
    }
  }
}

// Collects, and calls send() for what is due.
class BatchingStage : public Stage {
 public:
  BatchingStage(std::string name, const ReduceOptions& options, const StageSurroundings& surroundings)
      : Stage(std::move(name)), surroundings_(&surroundings), options_(options), channel_(surroundings.channel) {
    surroundings.lifeline->add(channel_);
  }

  Inlet& inlet() override { return channel_; }
  std::size_t queued() const override { return channel_.records(); }

  void start(Inlet* next) override {
    next_ = next;
    thread_ = std::thread([this] {
      if (auto ran = run(); !ran && ran.error().code != Code::interrupted)
        surroundings_->lifeline->fail(std::move(ran).error());
    });
  }

  void join() override {
    if (thread_.joinable()) thread_.join();
  }

 protected:
  // Errors: interrupted when the pipeline has been halted; what ends it.
  virtual Result<void> send(Batch& batch) = 0;
  // When tend() is to be called, and what it does.
  virtual std::optional<SteadyTime> tend_at() { return std::nullopt; }
  virtual Result<void> tend() { return {}; }
  // The barrier has come, and all before it was sent.
  virtual Result<void> settle(Barrier& barrier) = 0;

  static std::unexpected<Error> halted() { return fail(Code::interrupted, "the pipeline is halted"); }

  Result<void> refuse(const Item& item, std::string_view reason) {
    figures().refused.fetch_add(1, std::memory_order_relaxed);
    TRY(surroundings_->errors->refuse(name(), item, reason));
    surroundings_->acknowledge({&item.message, 1});
    return {};
  }

  const StageSurroundings* surroundings_;
  Inlet* next_ = nullptr;

 private:
  Result<void> run() {
    std::vector<Item> items;
    while (true) {
      BarrierRef barrier;
      items.clear();
      switch (channel_.pop(kTakeMax, next_due(), items, barrier)) {
        case Channel::Got::halted:
          return {};
        case Channel::Got::nothing:
          break;
        case Channel::Got::items:
          figures().in.fetch_add(std::ssize(items), std::memory_order_relaxed);
          for (Item& item : items) TRY(collect(std::move(item)));
          break;
        case Channel::Got::barrier:
          TRY(send_all());
          TRY(settle(*barrier));
          if (next_ == nullptr) {
            barrier->pass();
          } else if (!next_->push(barrier)) {
            return {};
          }
          if (barrier->what().is_end) return {};
          break;
      }
      TRY(send_due());
      if (const auto due = tend_at(); due && *due <= std::chrono::steady_clock::now()) TRY(tend());
    }
  }

  bool dropping() const { return options_.on_shutdown == OnShutdown::drop && *surroundings_->stopping; }

  std::optional<SteadyTime> next_due() {
    std::optional<SteadyTime> due = tend_at();
    if (!open_.empty()) due = due ? std::min(*due, open_.front().due) : open_.front().due;
    return due;
  }

  Result<void> collect(Item item) {
    if (dropping()) return {};
    const std::string group = name_of_group(options_.group_by, item.message);
    auto found = by_group_.find(group);
    const std::size_t bytes = bytes_of(item.message);
    if (found != by_group_.end() && found->second->bytes + bytes > options_.limits.bytes) {
      TRY(send_open(found));
      found = by_group_.end();
    }
    if (found == by_group_.end()) {
      open_.push_back({.group = group, .due = std::chrono::steady_clock::now() + options_.limits.wait});
      found = by_group_.emplace(group, std::prev(open_.end())).first;
    }
    Batch& batch = *found->second;
    batch.messages.push_back(std::move(item.message));
    batch.originals.push_back(std::move(item.originals));
    batch.bytes += bytes;
    ++open_records_;
    open_bytes_ += bytes;
    if (batch.messages.size() >= options_.limits.records || batch.bytes >= options_.limits.bytes)
      return send_open(found);
    while (open_records_ > kOpenRecordsMax || open_bytes_ > kOpenBytesMax)
      TRY(send_open(by_group_.find(*open_.front().group)));
    return {};
  }

  // Behind everything that could be collected without waiting.
  Result<void> send_due() {
    if (open_.empty()) return {};
    if (dropping()) {
      forget_all();
      return {};
    }
    if (options_.limits.wait == Milliseconds(0)) return channel_.records() == 0 ? send_all() : Result<void>{};
    const SteadyTime now = std::chrono::steady_clock::now();
    while (!open_.empty() && open_.front().due <= now) TRY(send_open(by_group_.find(*open_.front().group)));
    return {};
  }

  Result<void> send_all() {
    if (dropping()) forget_all();
    while (!open_.empty()) TRY(send_open(by_group_.find(*open_.front().group)));
    return {};
  }

  void forget_all() {
    open_.clear();
    by_group_.clear();
    open_records_ = 0;
    open_bytes_ = 0;
  }

  using ByGroup = std::map<std::string, std::list<Batch>::iterator>;

  Result<void> send_open(ByGroup::iterator which) {
    Batch batch = std::move(*which->second);
    open_.erase(which->second);
    by_group_.erase(which);
    open_records_ -= batch.messages.size();
    open_bytes_ -= batch.bytes;
    if (options_.group_by != GroupBy::key || batch.group->empty()) {
      batch.group.reset();
    } else {
      batch.group->erase(0, 1);
    }
    figures().batches.fetch_add(1, std::memory_order_relaxed);
    figures().batch_records.fetch_add(std::ssize(batch.messages), std::memory_order_relaxed);
    return send(batch);
  }

  const ReduceOptions options_;
  Channel channel_;
  std::thread thread_;
  std::list<Batch> open_;  // the oldest first
  ByGroup by_group_;
  std::size_t open_records_ = 0;
  std::size_t open_bytes_ = 0;
};

class ReduceStage final : public BatchingStage {
 public:
  ReduceStage(std::string name, const ReduceOptions& options, std::unique_ptr<Reducer> reducer,
              const StageSurroundings& surroundings)
      : BatchingStage(std::move(name), options, surroundings), reducer_(std::move(reducer)) {}

 private:
  Result<void> send(Batch& batch) override {
    Outcome outcome = TRY(reducer_->reduce(batch.messages, surroundings_->lifeline->halted()));
    ASSERT(outcome.kind != Outcome::Kind::passed);
    std::vector<Item> made(1);
    Message& message = made.front().message;
    message = std::move(outcome.message);
    if (!message.key) message.key = batch.group;
    Originals& originals = made.front().originals;
    for (std::size_t i = 0; i < batch.messages.size(); ++i) {
      merge_into(message.sources, batch.messages[i].sources);
      if (batch.originals[i].empty()) {
        originals.push_back(std::make_shared<const Message>(std::move(batch.messages[i])));
      } else {
        std::ranges::move(batch.originals[i], std::back_inserter(originals));
      }
    }
    if (outcome.kind == Outcome::Kind::refused) return refuse(made.front(), outcome.reason);
    if (outcome.kind == Outcome::Kind::dropped) {
      figures().dropped.fetch_add(1, std::memory_order_relaxed);
      surroundings_->acknowledge({&message, 1});
      return {};
    }
    figures().out.fetch_add(1, std::memory_order_relaxed);
    return next_->push_all(made) ? Result<void>{} : halted();
  }

  Result<void> settle(Barrier&) override { return {}; }

  std::unique_ptr<Reducer> reducer_;
};

class SinkStage final : public BatchingStage {
 public:
  SinkStage(std::string name, const ReduceOptions& options, std::unique_ptr<Sink> sink,
            const StageSurroundings& surroundings)
      : BatchingStage(std::move(name), options, surroundings),
        sink_(std::move(sink)),
        deliverer_(*sink_, surroundings.retry, surroundings.undeliverable, figures(), surroundings.lifeline->halted(),
                   surroundings.notice) {}

  bool holds_partitions() const override { return sink_->holds_partitions(); }

 private:
  Result<void> send(Batch& batch) override {
    return deliverer_.deliver(batch.messages,
                              [&](std::size_t first, std::size_t count, std::span<const Refusal> refused) {
                                return settle_part(batch, first, count, refused);
                              });
  }

  // Part of the batch is delivered, but for what was refused.
  Result<void> settle_part(Batch& batch, std::size_t first, std::size_t count, std::span<const Refusal> refused) {
    std::vector<const Refusal*> why(count);
    for (const Refusal& refusal : refused) why[refusal.index] = &refusal;
    std::vector<Item> on;
    std::vector<Message> done;
    for (std::size_t i = 0; i < count; ++i) {
      Item item{std::move(batch.messages[first + i]), std::move(batch.originals[first + i])};
      if (why[i] != nullptr) {
        TRY(refuse(item, why[i]->reason));
      } else if (next_ == nullptr) {
        done.push_back(std::move(item.message));
      } else {
        on.push_back(std::move(item));
      }
    }
    figures().out.fetch_add(std::ssize(done) + std::ssize(on), std::memory_order_relaxed);
    if (!done.empty()) surroundings_->acknowledge(done);
    return on.empty() || next_->push_all(on) ? Result<void>{} : halted();
  }

  std::optional<SteadyTime> tend_at() override { return sink_->due(); }
  Result<void> tend() override { return deliverer_.tend(); }

  Result<void> settle(Barrier& barrier) override {
    const Barrier::What& what = barrier.what();
    if (what.is_end) return deliverer_.close();
    if (!what.released.empty()) TRY(deliverer_.release(what.released));
    if (what.begun && next_ == nullptr) barrier.answer(TRY(deliverer_.resume(*what.begun)));
    return {};
  }

  std::unique_ptr<Sink> sink_;
  Deliverer deliverer_;
};

}  // namespace

std::unique_ptr<Stage> make_reduce_stage(std::string name, const ReduceOptions& options,
                                         std::unique_ptr<Reducer> reducer, const StageSurroundings& surroundings) {
  return std::make_unique<ReduceStage>(std::move(name), options, std::move(reducer), surroundings);
}

std::unique_ptr<Stage> make_sink_stage(std::string name, const ReduceOptions& options, std::unique_ptr<Sink> sink,
                                       const StageSurroundings& surroundings) {
  return std::make_unique<SinkStage>(std::move(name), options, std::move(sink), surroundings);
}

}  // namespace leat::pipe
