// Messages into a topic.
//
// Of a data directory, exactly once, where what a message is made from rises with the source's offsets (Descent): the
// topic's log says itself up to which source offset it has been appended to (derived_writer.h). The key decides the
// partition, or, without one, the partition of the source; what was made of several records goes where its source
// partition says, so that there is one place to ask how far it came.
//
// Elsewhere, at least once: a batch is sent again when it is not known whether it arrived.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "leat/base/bytes.h"
#include "leat/log/partitioner.h"
#include "leat/log/topic_settings.h"
#include "leat/pipe/message_view.h"
#include "leat/pipe/sinks.h"

namespace leat::pipe {
namespace {

struct TopicOptions {
  std::string topic;
  std::optional<std::string> data_dir;  // the source's, when absent
};

bool same_place(const SourceRange& a, const SourceRange& b) {
  return a.partition == b.partition && a.topic == b.topic;
}

class TopicSink final : public Sink {
 public:
  TopicSink(TopicOptions options, const SinkSurroundings& surroundings)
      : options_(std::move(options)), surroundings_(surroundings), backend_(surroundings.source) {}

  Result<void> open() {
    if (options_.data_dir) {
      own_ = TRY(surroundings_.open_backend(*options_.data_dir));
      backend_ = own_.get();
    }
    TRY(backend_->describe_topic(options_.topic));
    if (surroundings_.descent == Descent::any) return open_producer();
    auto derived = backend_->open_derived(options_.topic);
    if (derived) {
      derived_ = *std::move(derived);
      exactly_once_ = true;
      return {};
    }
    return derived.error().code == Code::usage ? open_producer() : std::unexpected(derived.error());
  }

  Result<Delivery> deliver(std::span<const Message> batch, const std::atomic<bool>&) override {
    auto delivered = exactly_once_ ? derive(batch) : produce(batch);
    // After an error what was not flushed may be there or not: whoever is opened next finds out.
    if (!delivered) {
      producer_.reset();
      derived_.reset();
    }
    return delivered;
  }

  Result<std::optional<Offset>> resume(const SourceRange& partition) override {
    if (!exactly_once_ || surroundings_.descent != Descent::ranges) return std::nullopt;
    TRY(open_derived());
    const std::string name = TRY(name_of(partition));
    TRY(derived_->claim(name));
    return TRY(derived_->progress(name, place_of(partition.partition)));
  }

  bool holds_partitions() const override { return exactly_once_; }

  Result<void> release(std::span<const SourceRange> partitions) override {
    if (!derived_) return {};
    for (const SourceRange& partition : partitions) derived_->release(TRY(name_of(partition)));
    return {};
  }

 private:
  // ---- At least once ----

  Result<void> open_producer() {
    producer_ = TRY(backend_->open_producer(options_.topic, {}));
    return {};
  }

  Result<Delivery> produce(std::span<const Message> batch) {
    if (!producer_) TRY(open_producer());
    Delivery delivery;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const MessageView view(batch[i]);
      if (auto sent = producer_->send(input_of(view)); !sent && sent.error().code == Code::bad_data) {
        delivery.refused.push_back({i, sent.error().message});
      } else if (!sent) {
        return std::unexpected(sent.error());
      }
    }
    TRY(producer_->flush());
    return delivery;
  }

  static RecordInput input_of(const MessageView& view) {
    const RecordView record = view.record();
    return {record.key, record.value, record.headers, record.timestamp};
  }

  // ---- Exactly once ----

  Result<void> open_derived() {
    if (!derived_) derived_ = TRY(backend_->open_derived(options_.topic));
    return {};
  }

  Result<Delivery> derive(std::span<const Message> batch) {
    TRY(open_derived());
    // All of a source together: batches in the log are of one each.
    std::vector<std::size_t> order(batch.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, {}, [&](std::size_t i) {
      const SourceRange& source = batch[i].sources.front();
      return std::pair(std::string_view(source.topic), source.partition);
    });
    const SourceRange* before = nullptr;
    for (const std::size_t i : order) {
      const SourceRange& source = batch[i].sources.front();
      if (before == nullptr || !same_place(*before, source)) TRY(derived_->claim(TRY(name_of(source))));
      before = &source;
    }
    Delivery delivery;
    std::string name;
    before = nullptr;
    for (const std::size_t i : order) {
      const SourceRange& source = batch[i].sources.front();
      ASSERT(batch[i].sources.size() == 1);
      if (before == nullptr || !same_place(*before, source)) name = TRY(name_of(source));
      before = &source;
      const PartitionId partition = route(batch[i]);
      if (source.last < TRY(derived_->progress(name, partition))) continue;  // an earlier run has delivered it
      const MessageView view(batch[i]);
      if (auto written = derived_->write(name, partition, source.last, input_of(view));
          !written && written.error().code == Code::bad_data) {
        delivery.refused.push_back({i, written.error().message});
      } else if (!written) {
        return std::unexpected(written.error());
      }
    }
    TRY(derived_->flush());
    return delivery;
  }

  PartitionId place_of(PartitionId source) const { return {source.value % derived_->partitions()}; }

  PartitionId route(const Message& message) const {
    const bool by_key = message.key && surroundings_.descent == Descent::single;
    return by_key ? partition_for_key(as_bytes(*message.key), derived_->partitions())
                  : place_of(message.sources.front().partition);
  }

  // What the topic calls one partition of the source.
  Result<std::string> name_of(const SourceRange& source) {
    auto& name = names_[{source.topic, source.partition}];
    if (name.empty()) {
      const std::string identity = TRY(surroundings_.source->topic_identity(source.topic));
      name = derived_name(
          fmt::format("{}\n{}\n{}\n{}", surroundings_.group, surroundings_.stage, identity, source.partition.value));
    }
    return name;
  }

  TopicOptions options_;
  SinkSurroundings surroundings_;
  Backend* backend_;
  std::unique_ptr<Backend> own_;
  bool exactly_once_ = false;
  std::unique_ptr<Producer> producer_;
  std::unique_ptr<DerivedWriter> derived_;
  std::map<std::pair<std::string, PartitionId>, std::string> names_;
};

}  // namespace

Result<SinkPlan> plan_topic_sink(SettingsTable& table) {
  TopicOptions options;
  options.topic = TRY(table.text("topic"));
  if (const auto valid = check_name("topic", options.topic); !valid)
    return table.refuse("topic", valid.error().message);
  options.data_dir = TRY(table.optional_text("data_dir"));
  std::string shown = fmt::format("topic {}", options.topic);
  if (options.data_dir) shown += fmt::format(" of {}", *options.data_dir);
  return SinkPlan{shown, [options](const SinkSurroundings& surroundings) -> Result<std::unique_ptr<Sink>> {
                    auto sink = std::make_unique<TopicSink>(options, surroundings);
                    TRY(sink->open());
                    return sink;
                  }};
}

}  // namespace leat::pipe
