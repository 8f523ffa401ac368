// A cluster behind Backend: one client for what is asked, and the parts that the other files hold.
#include "leat/backend/kafka.h"

#include <fmt/format.h>

#include "leat/backend/kafka_client.h"

namespace leat {

namespace {

class KafkaBackend final : public Backend {
 public:
  KafkaBackend(kafka::Config config, std::unique_ptr<kafka::Handle> handle)
      : config_(std::move(config)), handle_(std::move(handle)) {}

  Result<void> create_topic(std::string_view name, const TopicSettings& settings) override {
    return kafka::create_topic(*handle_, name, settings, false);
  }
  Result<void> check_create_topic(std::string_view name, const TopicSettings& settings) override {
    return kafka::create_topic(*handle_, name, settings, true);
  }

  Result<std::vector<std::string>> topic_names() override {
    std::vector<std::string> names;
    // Kafka's own topics begin so, and are nobody's records.
    for (const auto& [name, partitions] : TRY(handle_->topics()))
      if (!name.starts_with("__")) names.push_back(name);
    return names;
  }

  Result<TopicInfo> describe_topic(std::string_view name) override {
    TRY(check_name("topic", name));
    const std::int32_t partitions = TRY(handle_->partition_count(name));
    const auto settings = kafka::topic_settings(*handle_, name, partitions);
    if (!settings && settings.error().code == Code::unavailable) return std::unexpected(settings.error());
    TopicInfo info{std::string(name), settings.value_or(TopicSettings{.partitions = partitions}), 0, -1,
                   settings.has_value()};
    std::vector<kafka::OffsetQuery> starts;
    std::vector<kafka::OffsetQuery> ends;
    for (PartitionId p{0}; p.value < partitions; p += 1) {
      starts.push_back({info.name, p, kafka::kAtStart});
      ends.push_back({info.name, p, kafka::kAtEnd});
    }
    const auto first = TRY(handle_->offsets(starts));
    const auto last = TRY(handle_->offsets(ends));
    for (std::size_t i = 0; i < first.size(); ++i)
      if (first[i] && last[i]) info.records += *last[i] - *first[i];
    return info;
  }

  Result<void> delete_topic(std::string_view name) override { return kafka::delete_topic(*handle_, name); }
  Result<void> add_partitions(std::string_view name, std::int32_t count) override {
    return kafka::add_partitions(*handle_, name, count);
  }
  Result<TopicSettings> set_topic(std::string_view name,
                                  const std::function<Result<void>(TopicSettings&)>& change) override {
    return kafka::set_topic(*handle_, name, change);
  }
  Result<std::vector<TrimResult>> trim_topic(std::string_view name, TrimTarget target,
                                             std::span<const PartitionId> partitions, bool execute) override {
    return kafka::trim_topic(*handle_, name, target, partitions, execute);
  }
  Result<std::vector<PartitionInfo>> partitions(std::string_view topic) override {
    return kafka::describe_partitions(*handle_, topic);
  }

  Result<std::unique_ptr<Producer>> open_producer(std::string_view topic, const ProducerOptions& options) override {
    TRY(check_name("topic", topic));
    return kafka::open_producer(config_, *handle_, topic, options);
  }
  Result<std::unique_ptr<Reader>> open_reader(const ReadOptions& options) override {
    return kafka::open_reader(config_, options);
  }
  Result<std::unique_ptr<GroupReader>> join_group(std::string_view consumer, const GroupOptions& options) override {
    TRY(check_name("consumer", consumer));
    return kafka::join_group(config_, consumer, options);
  }

  Result<ConsumerOffsets> consumer_offsets(bool with_lag) override {
    return kafka::consumer_offsets(*handle_, with_lag);
  }
  Result<ConsumerDescription> describe_consumer(std::string_view consumer) override {
    TRY(check_name("consumer", consumer));
    return kafka::describe_consumer(*handle_, consumer);
  }
  Result<std::vector<SeekResult>> seek_consumer(std::string_view consumer, std::span<const SeekRequest> requests,
                                                bool create, bool execute) override {
    TRY(check_name("consumer", consumer));
    return kafka::seek_consumer(*handle_, consumer, requests, create, execute);
  }
  Result<std::vector<DeletedOffset>> delete_consumer(std::string_view consumer, std::optional<std::string_view> topic,
                                                     std::span<const PartitionId> partitions, bool execute) override {
    TRY(check_name("consumer", consumer));
    return kafka::delete_consumer(*handle_, consumer, topic, partitions, execute);
  }

  Result<std::string> identity() override { return fmt::format("kafka cluster {}", TRY(handle_->cluster_id())); }
  Result<std::string> topic_identity(std::string_view topic) override {
    TRY(handle_->partition_count(topic));
    return fmt::format("kafka cluster {} topic {}", TRY(handle_->cluster_id()), topic);
  }
  Result<TopicSettings> chosen_settings(std::string_view topic) override {
    TRY(check_name("topic", topic));
    const std::int32_t partitions = TRY(handle_->partition_count(topic));
    // Whoever may read need not be allowed to see the settings.
    auto settings = kafka::topic_settings(*handle_, topic, partitions);
    if (!settings && settings.error().code == Code::unavailable) return std::unexpected(settings.error());
    TopicSettings chosen = settings.value_or(TopicSettings{.partitions = partitions});
    chosen.proofs.reset();
    return chosen;
  }
  TopicSettings applicable(const TopicSettings& settings) const override { return kafka::applicable(settings); }
  Result<std::unique_ptr<CopyWriter>> open_copy(std::string_view topic, const CopySource& source) override {
    return kafka::open_copy(config_, *handle_, topic, source);
  }

  Result<DiskSpace> disk_space() override {
    return fail(Code::usage, "the space on the brokers' disks cannot be seen from here");
  }

 private:
  kafka::Config config_;
  std::unique_ptr<kafka::Handle> handle_;
};

}  // namespace

Result<std::unique_ptr<Backend>> open_kafka(const std::string& url, const OpenOptions& options,
                                            const KafkaSettings& settings) {
  KafkaUrl parsed = TRY(parse_kafka_url(url));
  kafka::Config config{parsed.servers, settings.properties, settings.log, options.lock_timeout};
  config.properties.insert(config.properties.end(), parsed.properties.begin(), parsed.properties.end());
  auto handle = TRY(kafka::Handle::open(config, RD_KAFKA_PRODUCER, {}));
  return std::make_unique<KafkaBackend>(std::move(config), std::move(handle));
}

}  // namespace leat
