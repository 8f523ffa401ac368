// Stages that make one message of one, with several workers. Where the order is that of the input, workers take
// tickets: what they made leaves in the order of these. Where it is that of each partition, each worker has a queue of
// its own.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "leat/pipe/stage.h"

namespace leat::pipe {

namespace {

constexpr std::size_t kTakeMax = 256;
// Tickets that may be out for each worker: how far one may be ahead of the slowest.
constexpr std::uint64_t kTicketsPerWorker = 4;

// What a worker does with what it took, whoever gave it that.
class Worker {
 public:
  Worker(const Stage& stage, std::unique_ptr<Mapper> mapper, StageFigures& figures,
         const StageSurroundings& surroundings)
      : stage_(&stage), mapper_(std::move(mapper)), figures_(&figures), surroundings_(&surroundings) {}

  // Turns the items into what goes on to the next stage. Errors: what ends the pipeline.
  Result<void> work(std::vector<Item>& items) {
    figures_->in.fetch_add(std::ssize(items), std::memory_order_relaxed);
    messages_.clear();
    for (Item& item : items) messages_.push_back(std::move(item.message));
    outcomes_.clear();
    TRY(mapper_->map(messages_, outcomes_, surroundings_->lifeline->halted()));
    ASSERT(outcomes_.size() == items.size());
    std::size_t kept = 0;
    done_.clear();
    for (std::size_t i = 0; i < items.size(); ++i) {
      Item item{std::move(messages_[i]), std::move(items[i].originals)};
      if (TRY(settle(item, outcomes_[i]))) {
        items[kept++] = std::move(item);
      } else {
        done_.push_back(std::move(item.message));
      }
    }
    items.resize(kept);
    if (!done_.empty()) surroundings_->acknowledge(done_);
    figures_->out.fetch_add(static_cast<std::int64_t>(kept), std::memory_order_relaxed);
    return {};
  }

 private:
  // Whether the item goes on.
  Result<bool> settle(Item& item, Outcome& outcome) {
    switch (outcome.kind) {
      case Outcome::Kind::passed:
        return true;
      case Outcome::Kind::changed: {
        outcome.message.sources = item.message.sources;
        if (item.originals.empty()) item.originals.push_back(std::make_shared<const Message>(std::move(item.message)));
        item.message = std::move(outcome.message);
        return true;
      }
      case Outcome::Kind::dropped:
        figures_->dropped.fetch_add(1, std::memory_order_relaxed);
        return false;
      case Outcome::Kind::refused:
        TRY(surroundings_->errors->refuse(stage_->name(), item, outcome.reason));
        figures_->refused.fetch_add(1, std::memory_order_relaxed);
        return false;
    }
    return false;
  }

  const Stage* stage_;
  std::unique_ptr<Mapper> mapper_;
  StageFigures* figures_;
  const StageSurroundings* surroundings_;
  std::vector<Message> messages_;
  std::vector<Outcome> outcomes_;
  std::vector<Message> done_;
};

class MapStage : public Stage {
 public:
  MapStage(std::string name, const StageSurroundings& surroundings)
      : Stage(std::move(name)), surroundings_(&surroundings) {}

  void join() override {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 protected:
  Result<void> make_workers(std::size_t count, const MakeMapper& make) {
    for (std::size_t i = 0; i < count; ++i) {
      workers_.emplace_back(
          *this,
          TRY(make({.stage = name(), .notice = surroundings_->notice, .restarted = [this] { ++figures().restarts; }})),
          figures(), *surroundings_);
    }
    return {};
  }

  void fail(Error error) const { surroundings_->lifeline->fail(std::move(error)); }

  const StageSurroundings* surroundings_;
  std::vector<Worker> workers_;
  std::vector<std::thread> threads_;
  Inlet* next_ = nullptr;
};

class OrderedMapStage final : public MapStage {
 public:
  OrderedMapStage(std::string name, const StageSurroundings& surroundings)
      : MapStage(std::move(name), surroundings), channel_(surroundings.channel) {}

  Result<void> prepare(std::size_t workers, const MakeMapper& make) {
    TRY(make_workers(workers, make));
    surroundings_->lifeline->add(channel_);
    return {};
  }

  Inlet& inlet() override { return channel_; }
  std::size_t queued() const override { return channel_.records(); }

  void start(Inlet* next) override {
    next_ = next;
    for (Worker& worker : workers_) threads_.emplace_back([this, &worker] { run(worker); });
  }

 private:
  // What a worker took, and what it comes to.
  struct Load {
    std::uint64_t ticket = 0;
    std::vector<Item> items = {};
    BarrierRef barrier = {};
  };

  void run(Worker& worker) {
    while (true) {
      Load load;
      if (!take(load)) return;
      if (!load.items.empty()) {
        if (auto worked = worker.work(load.items); !worked) return fail(std::move(worked).error());
      }
      if (!give(std::move(load))) return;
    }
  }

  // False when there is nothing more.
  bool take(Load& load) {
    const std::lock_guard lock(taking_);
    if (ended_) return false;
    // So little that every worker gets some.
    const std::size_t most = std::clamp<std::size_t>(channel_.records() / (2 * workers_.size()), 1, kTakeMax);
    if (channel_.pop(most, std::nullopt, load.items, load.barrier) == Channel::Got::halted) return false;
    ended_ = load.barrier && load.barrier->what().is_end;
    load.ticket = next_ticket_++;
    return true;
  }

  // False when the pipeline has been halted.
  bool give(Load load) {
    std::unique_lock lock(giving_);
    const auto near = [&] { return load.ticket < due_ + kTicketsPerWorker * workers_.size(); };
    while (!near()) {
      if (surroundings_->lifeline->halted()) return false;
      turned_.wait_for(lock, Milliseconds(20), near);
    }
    waiting_.emplace(load.ticket, std::move(load));
    for (auto first = waiting_.begin(); first != waiting_.end() && first->first == due_; first = waiting_.begin()) {
      Load& ready = first->second;
      if (!next_->push_all(ready.items)) return false;
      if (ready.barrier && !next_->push(ready.barrier)) return false;
      waiting_.erase(first);
      ++due_;
      turned_.notify_all();
    }
    return true;
  }

  Channel channel_;
  std::mutex taking_;
  std::uint64_t next_ticket_ = 0;
  bool ended_ = false;
  std::mutex giving_;
  std::condition_variable turned_;
  std::uint64_t due_ = 0;  // the ticket whose turn it is to leave
  std::map<std::uint64_t, Load> waiting_;
};

class PartitionMapStage final : public MapStage, private Inlet {
 public:
  using MapStage::MapStage;

  Result<void> prepare(std::size_t workers, const MakeMapper& make) {
    ChannelLimits limits = surroundings_->channel;
    limits.records = std::max<std::size_t>(limits.records / workers, 1);
    limits.bytes = std::max<std::size_t>(limits.bytes / workers, 1);
    TRY(make_workers(workers, make));
    for (std::size_t i = 0; i < workers; ++i)
      surroundings_->lifeline->add(*channels_.emplace_back(std::make_unique<Channel>(limits)));
    return {};
  }

  Inlet& inlet() override { return *this; }

  std::size_t queued() const override {
    std::size_t records = 0;
    for (const auto& channel : channels_) records += channel->records();
    return records;
  }

  void start(Inlet* next) override {
    next_ = next;
    for (std::size_t i = 0; i < workers_.size(); ++i) threads_.emplace_back([this, i] { run(i); });
  }

 private:
  // Only the reader's thread puts something in: what one fetch holds is of one partition.
  bool push(std::vector<Item>& items, SteadyTime until) override {
    if (items.empty()) return true;
    const SourceRange& source = items.front().message.sources.front();
    const auto same = [&](const Item& item) {
      const SourceRange& other = item.message.sources.front();
      return other.partition == source.partition && other.topic == source.topic;
    };
    if (!std::ranges::all_of(items, same)) return push_apart(items, until);
    return channel_of(source).push(items, until);
  }

  bool push_apart(std::vector<Item>& items, SteadyTime until) {
    std::vector<Item> one;
    while (!items.empty()) {
      one.push_back(std::move(items.front()));
      const bool pushed = channel_of(one.front().message.sources.front()).push(one, until);
      if (!pushed) return false;
      if (!one.empty()) {
        items.front() = std::move(one.front());
        return true;
      }
      items.erase(items.begin());
    }
    return true;
  }

  bool push(const BarrierRef& barrier) override {
    for (const auto& channel : channels_)
      if (!channel->push(barrier)) return false;
    return true;
  }

  // The workers are given to partitions in the order in which these are first seen.
  Channel& channel_of(const SourceRange& source) {
    const auto [found, is_new] =
        places_.try_emplace({source.topic, source.partition}, places_.size() % workers_.size());
    return *channels_[found->second];
  }

  void run(std::size_t number) {
    Channel& channel = *channels_[number];
    while (true) {
      std::vector<Item> items;
      BarrierRef barrier;
      if (channel.pop(kTakeMax, std::nullopt, items, barrier) == Channel::Got::halted) return;
      if (!items.empty()) {
        if (auto worked = workers_[number].work(items); !worked) return fail(std::move(worked).error());
        if (!next_->push_all(items)) return;
      }
      // The last to come to it passes it on: all that was before it is through.
      if (barrier && barrier->arrive() == channels_.size() && !next_->push(barrier)) return;
      if (barrier && barrier->what().is_end) return;
    }
  }

  std::vector<std::unique_ptr<Channel>> channels_;  // of each worker
  std::map<std::pair<std::string, PartitionId>, std::size_t> places_;
};

}  // namespace

Result<std::unique_ptr<Stage>> make_map_stage(std::string name, const MapOptions& options, const MakeMapper& make,
                                              const StageSurroundings& surroundings) {
  if (options.per_partition) {
    auto stage = std::make_unique<PartitionMapStage>(std::move(name), surroundings);
    TRY(stage->prepare(options.workers, make));
    return stage;
  }
  auto stage = std::make_unique<OrderedMapStage>(std::move(name), surroundings);
  TRY(stage->prepare(options.workers, make));
  return stage;
}

}  // namespace leat::pipe
