// What an administrator does with the topics of a cluster.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "leat/backend/kafka_reader.h"
#include "leat/backend/local.h"
#include "leat/base/units.h"

namespace leat::kafka {

namespace {

using OptionsHandle = std::unique_ptr<rd_kafka_AdminOptions_t, Destroy<rd_kafka_AdminOptions_destroy>>;
using NewTopic = std::unique_ptr<rd_kafka_NewTopic_t, Destroy<rd_kafka_NewTopic_destroy>>;
using OldTopic = std::unique_ptr<rd_kafka_DeleteTopic_t, Destroy<rd_kafka_DeleteTopic_destroy>>;
using NewPartitions = std::unique_ptr<rd_kafka_NewPartitions_t, Destroy<rd_kafka_NewPartitions_destroy>>;
using ConfigResource = std::unique_ptr<rd_kafka_ConfigResource_t, Destroy<rd_kafka_ConfigResource_destroy>>;
using OldRecords = std::unique_ptr<rd_kafka_DeleteRecords_t, Destroy<rd_kafka_DeleteRecords_destroy>>;

constexpr Milliseconds kAnswerGrace(1000);

// The first failure among the answers for each topic.
Result<void> check_topics(const Handle& handle, const rd_kafka_topic_result_t** results, std::size_t count) {
  for (const rd_kafka_topic_result_t* result : std::span(results, count)) {
    const rd_kafka_resp_err_t code = rd_kafka_topic_result_error(result);
    const std::string name = rd_kafka_topic_result_name(result);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    if (code_of(code) == Code::exists) return fail(Code::exists, fmt::format("topic \"{}\" already exists", name));
    const char* detail = rd_kafka_topic_result_error_string(result);
    return std::unexpected(handle.error(code, fmt::format("topic \"{}\"", name), detail == nullptr ? "" : detail));
  }
  return {};
}

struct Entry {
  std::string value;
  bool ours;  // set on the topic itself
};
using Entries = std::map<std::string, Entry, std::less<>>;
using Configs = std::map<std::string, std::string>;

// As one broker knows them.
Result<Entries> topic_configs(Handle& handle, std::string_view topic, std::int32_t broker) {
  const std::string name(topic);
  const ConfigResource resource(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name.c_str()));
  const EventHandle event =
      TRY(request(handle, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, "settings", [&](auto* options, auto* queue) {
        rd_kafka_ConfigResource_t* one = resource.get();
        // Otherwise the controller would be asked.
        std::array<char, 256> reason{};
        if (broker >= 0) rd_kafka_AdminOptions_set_broker(options, broker, reason.data(), reason.size());
        rd_kafka_DescribeConfigs(handle.get(), &one, 1, options, queue);
      }));
  std::size_t count = 0;
  const auto** resources =
      rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event.get()), &count);
  Entries entries;
  for (const rd_kafka_ConfigResource_t* answer : std::span(resources, count)) {
    const rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(answer);
    if (code_of(code) == Code::not_found && code != RD_KAFKA_RESP_ERR_NO_ERROR)
      return std::unexpected(unknown_topic(topic, TRY(handle.topics())));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
      return std::unexpected(handle.error(code, fmt::format("topic \"{}\"", topic)));
    std::size_t entry_count = 0;
    const auto** configs = rd_kafka_ConfigResource_configs(answer, &entry_count);
    for (const rd_kafka_ConfigEntry_t* entry : std::span(configs, entry_count)) {
      const char* value = rd_kafka_ConfigEntry_value(entry);
      if (value == nullptr) continue;
      entries[rd_kafka_ConfigEntry_name(entry)] = {
          value, rd_kafka_ConfigEntry_source(entry) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG};
    }
  }
  return entries;
}

TopicSettings settings_of(const Entries& entries, std::int32_t partitions) {
  std::map<std::string, std::string, std::less<>> configs;
  for (const auto& [name, entry] : entries) configs[name] = entry.value;
  return from_kafka(configs, partitions);
}

Configs own_configs(const Entries& entries) {
  Configs configs;
  for (const auto& [key, entry] : entries)
    if (entry.ours) configs[key] = entry.value;
  return configs;
}

// What all brokers say of a topic, once they agree: whoever changes settings replaces them all, and must not undo what
// was changed a moment ago because the broker that it happens to ask has not heard of it.
Result<Entries> agreed_configs(Handle& handle, std::string_view topic) {
  const SteadyTime deadline = handle.deadline();
  for (;;) {
    std::vector<Entries> answers;
    TRY(ask_all_brokers(handle, fmt::format("topic \"{}\"", topic),
                        [&](Handle& client, std::int32_t broker, const Topics& topics) -> Result<bool> {
                          if (topics.contains(topic)) answers.push_back(TRY(topic_configs(client, topic, broker)));
                          return topics.contains(topic);
                        }));
    if (answers.empty()) return std::unexpected(handle.unreachable());
    const Configs first = own_configs(answers.front());
    if (std::ranges::all_of(answers, [&](const Entries& one) { return own_configs(one) == first; }))
      return std::move(answers.front());
    if (std::chrono::steady_clock::now() < deadline) continue;
    return fail(Code::unavailable, fmt::format("kafka://{}: the brokers do not agree on the settings of topic \"{}\"",
                                               handle.config().servers, topic));
  }
}

// Until all brokers know so many partitions of a topic.
Result<void> wait_for_partitions(Handle& handle, std::string_view change, std::string_view topic, std::int32_t count) {
  return ask_all_brokers(handle, change, [&](Handle&, std::int32_t, const Topics& topics) -> Result<bool> {
    const auto found = topics.find(topic);
    return found != topics.end() && found->second >= count;
  });
}

// A broker hears that it leads a partition before it has made a log for it; then it can say where that ends.
Result<void> wait_for_logs(Handle& handle, const std::string& topic, std::int32_t from, std::int32_t to) {
  std::vector<OffsetQuery> ends;
  for (PartitionId p{from}; p.value < to; p += 1) ends.push_back({topic, p, kAtEnd});
  TRY(handle.offsets(ends));
  return {};
}

// The times of the records at `from`; nothing where there is none to be had within the time allowed.
Result<std::map<PartitionId, TimestampMs>> times_at(const Config& config, std::string_view topic,
                                                    const std::map<PartitionId, Offset>& from) {
  std::map<PartitionId, TimestampMs> times;
  const ReadOptions options{.topics = {{std::string(topic)}}, .follow = false};
  const auto reader = TRY(KafkaReader::open_topics(config, options));
  std::vector<KafkaReader::Add> all;
  for (const auto& [partition, offset] : from)
    all.push_back({.topic = std::string(topic), .partition = partition, .stored = offset});
  TRY(reader->add(all));
  while (times.size() < from.size()) {
    const Fetch fetch = TRY(reader->next(Milliseconds(0)));
    if (fetch.state == Fetch::State::ended) break;
    if (fetch.state == Fetch::State::records) times.try_emplace(fetch.position.partition, fetch.records[0].timestamp);
  }
  return times;
}

}  // namespace

Result<EventHandle> request(Handle& handle, rd_kafka_admin_op_t operation, std::string_view what,
                            const std::function<void(rd_kafka_AdminOptions_t*, rd_kafka_queue_t*)>& start,
                            bool validate_only) {
  const OptionsHandle options(rd_kafka_AdminOptions_new(handle.get(), operation));
  const int timeout_ms = static_cast<int>(std::clamp<std::int64_t>(handle.config().timeout.count(), 1, 3'600'000));
  std::array<char, 256> reason{};
  // Not every operation has both; what does not apply is refused, and needs nothing.
  rd_kafka_AdminOptions_set_request_timeout(options.get(), timeout_ms, reason.data(), reason.size());
  rd_kafka_AdminOptions_set_operation_timeout(options.get(), timeout_ms, reason.data(), reason.size());
  if (validate_only) rd_kafka_AdminOptions_set_validate_only(options.get(), 1, reason.data(), reason.size());
  const QueueHandle queue(rd_kafka_queue_new(handle.get()));
  start(options.get(), queue.get());
  EventHandle event(rd_kafka_queue_poll(queue.get(), timeout_ms + static_cast<int>(kAnswerGrace.count())));
  rd_kafka_poll(handle.get(), 0);
  if (!event) return std::unexpected(handle.unreachable());
  const rd_kafka_resp_err_t code = rd_kafka_event_error(event.get());
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return event;
  return std::unexpected(handle.error(code, what, rd_kafka_event_error_string(event.get())));
}

Result<TopicSettings> topic_settings(Handle& handle, std::string_view topic, std::int32_t partitions) {
  return settings_of(TRY(topic_configs(handle, topic, handle.some_broker())), partitions);
}

Result<void> create_topic(Handle& handle, std::string_view name, const TopicSettings& settings, bool validate_only) {
  TRY(check_name("topic", name));
  TRY(check_settings(settings));
  const KafkaProperties configs = TRY(to_kafka(settings));
  const std::string topic(name);
  std::array<char, 512> reason{};
  // As many replicas as the cluster makes of a topic unless told otherwise.
  const NewTopic created(rd_kafka_NewTopic_new(topic.c_str(), settings.partitions, -1, reason.data(), reason.size()));
  if (!created) return fail(Code::usage, fmt::format("topic \"{}\": {}", name, reason.data()));
  for (const auto& [key, value] : configs) rd_kafka_NewTopic_set_config(created.get(), key.c_str(), value.c_str());
  const EventHandle event = TRY(request(
      handle, RD_KAFKA_ADMIN_OP_CREATETOPICS, "create a topic",
      [&](auto* options, auto* queue) {
        rd_kafka_NewTopic_t* one = created.get();
        rd_kafka_CreateTopics(handle.get(), &one, 1, options, queue);
      },
      validate_only));
  std::size_t count = 0;
  const auto** results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  TRY(check_topics(handle, results, count));
  if (validate_only) return {};
  TRY(wait_for_partitions(handle, fmt::format("topic \"{}\", which was created", name), name, settings.partitions));
  return wait_for_logs(handle, topic, 0, settings.partitions);
}

Result<void> delete_topic(Handle& handle, std::string_view name) {
  TRY(check_name("topic", name));
  TRY(handle.partition_count(name));
  const std::string topic(name);
  const OldTopic old(rd_kafka_DeleteTopic_new(topic.c_str()));
  const EventHandle event =
      TRY(request(handle, RD_KAFKA_ADMIN_OP_DELETETOPICS, "delete a topic", [&](auto* options, auto* queue) {
        rd_kafka_DeleteTopic_t* one = old.get();
        rd_kafka_DeleteTopics(handle.get(), &one, 1, options, queue);
      }));
  std::size_t count = 0;
  const auto** results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event.get()), &count);
  TRY(check_topics(handle, results, count));
  return ask_all_brokers(
      handle, fmt::format("the end of topic \"{}\", which was deleted", name),
      [&](Handle&, std::int32_t, const Topics& topics) -> Result<bool> { return !topics.contains(name); });
}

Result<void> add_partitions(Handle& handle, std::string_view name, std::int32_t count) {
  TRY(check_name("topic", name));
  const std::int32_t before = TRY(handle.partition_count(name));
  if (count < 1 || count > kPartitionsMax - before) {
    return fail(Code::usage, fmt::format("topic \"{}\" has {} partitions: {} cannot be added, at most {} are allowed",
                                         name, before, count, kPartitionsMax));
  }
  const std::string topic(name);
  const std::int32_t after = before + count;
  std::array<char, 512> reason{};
  const NewPartitions more(
      rd_kafka_NewPartitions_new(topic.c_str(), static_cast<std::size_t>(after), reason.data(), reason.size()));
  if (!more) return fail(Code::usage, fmt::format("topic \"{}\": {}", name, reason.data()));
  const EventHandle event =
      TRY(request(handle, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, "add partitions", [&](auto* options, auto* queue) {
        rd_kafka_NewPartitions_t* one = more.get();
        rd_kafka_CreatePartitions(handle.get(), &one, 1, options, queue);
      }));
  std::size_t answers = 0;
  const auto** results =
      rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event.get()), &answers);
  TRY(check_topics(handle, results, answers));
  TRY(wait_for_partitions(handle, fmt::format("new partitions of topic \"{}\", which were added", name), name, after));
  return wait_for_logs(handle, topic, before, after);
}

Result<TopicSettings> set_topic(Handle& handle, std::string_view name,
                                const std::function<Result<void>(TopicSettings&)>& change) {
  TRY(check_name("topic", name));
  const std::int32_t partitions = TRY(handle.partition_count(name));
  const Entries entries = TRY(agreed_configs(handle, name));
  const TopicSettings before = settings_of(entries, partitions);
  TopicSettings after = before;
  TRY(change(after));
  after.partitions = partitions;
  TRY(check_settings(after));
  const KafkaProperties old_configs = TRY(to_kafka(before));
  const KafkaProperties new_configs = TRY(to_kafka(after));
  const std::string topic(name);
  const ConfigResource resource(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
  // The request replaces everything that was set on the topic: what is not changed is said again.
  Configs wanted = own_configs(entries);
  for (std::size_t i = 0; i < new_configs.size(); ++i)
    if (new_configs[i].second != old_configs[i].second) wanted[new_configs[i].first] = new_configs[i].second;
  for (const auto& [key, value] : wanted)
    rd_kafka_ConfigResource_set_config(resource.get(), key.c_str(), value.c_str());
  const EventHandle event =
      TRY(request(handle, RD_KAFKA_ADMIN_OP_ALTERCONFIGS, "change settings", [&](auto* options, auto* queue) {
        rd_kafka_ConfigResource_t* one = resource.get();
        rd_kafka_AlterConfigs(handle.get(), &one, 1, options, queue);
      }));
  std::size_t count = 0;
  const auto** answers =
      rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event.get()), &count);
  for (const rd_kafka_ConfigResource_t* answer : std::span(answers, count)) {
    const rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(answer);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    const char* detail = rd_kafka_ConfigResource_error_string(answer);
    return std::unexpected(handle.error(code, fmt::format("topic \"{}\"", name), detail == nullptr ? "" : detail));
  }
  TRY(ask_all_brokers(handle, fmt::format("settings of topic \"{}\", which were changed", name),
                      [&](Handle& client, std::int32_t broker, const Topics&) -> Result<bool> {
                        return own_configs(TRY(topic_configs(client, name, broker))) == wanted;
                      }));
  return after;
}

Result<std::vector<TrimResult>> trim_topic(Handle& handle, std::string_view name, TrimTarget target,
                                           std::span<const PartitionId> partitions, bool execute) {
  TRY(check_name("topic", name));
  const std::int32_t count = TRY(handle.partition_count(name));
  const std::string topic(name);
  std::vector<OffsetQuery> starts;
  std::vector<OffsetQuery> ends;
  std::vector<OffsetQuery> times;
  for (const PartitionId id : partitions_or_all(partitions, count)) {
    TRY(check_partition(name, id, count));
    starts.push_back({topic, id, kAtStart});
    ends.push_back({topic, id, kAtEnd});
    times.push_back({topic, id, target.value});
  }
  const auto first = TRY(handle.offsets(starts));
  const auto last = TRY(handle.offsets(ends));
  const bool by_time = target.kind == TrimTarget::Kind::before_time;
  const auto at_time = by_time ? TRY(handle.offsets(times)) : std::vector<std::optional<Offset>>();
  std::vector<TrimResult> results;
  const PartitionList list = make_list(starts.size());
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const Offset start = first[i].value_or(Offset{0});
    const Offset end = last[i].value_or(start);
    Offset wanted = by_time ? at_time[i].value_or(end) : Offset{target.value};
    if (target.kind == TrimTarget::Kind::keep_records) wanted = end - target.value;
    wanted = std::clamp(wanted, start, end);
    results.push_back({starts[i].partition, start, wanted});
    if (wanted > start)
      rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), starts[i].partition.value)->offset = wanted.value;
  }
  if (!execute || list->cnt == 0) return results;
  const OldRecords old(rd_kafka_DeleteRecords_new(list.get()));
  const EventHandle event =
      TRY(request(handle, RD_KAFKA_ADMIN_OP_DELETERECORDS, "trim", [&](auto* options, auto* queue) {
        rd_kafka_DeleteRecords_t* one = old.get();
        rd_kafka_DeleteRecords(handle.get(), &one, 1, options, queue);
      }));
  for (const auto& answer :
       elements(rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event.get())))) {
    if (answer.err == RD_KAFKA_RESP_ERR_POLICY_VIOLATION) {
      return fail(Code::usage,
                  fmt::format("topic \"{}\" cannot be trimmed: Kafka allows it where cleanup is delete", name));
    }
    if (answer.err != RD_KAFKA_RESP_ERR_NO_ERROR)
      return std::unexpected(
          handle.error(answer.err, fmt::format("topic \"{}\" partition {}", name, answer.partition)));
  }
  return results;
}

Result<std::vector<PartitionInfo>> describe_partitions(Handle& handle, std::string_view name) {
  TRY(check_name("topic", name));
  const std::int32_t count = TRY(handle.partition_count(name));
  const std::string topic(name);
  std::vector<OffsetQuery> starts;
  std::vector<OffsetQuery> ends;
  for (PartitionId p{0}; p.value < count; p += 1) {
    starts.push_back({topic, p, kAtStart});
    ends.push_back({topic, p, kAtEnd});
  }
  const auto first = TRY(handle.offsets(starts));
  const auto last = TRY(handle.offsets(ends));
  std::vector<PartitionInfo> infos;
  std::map<PartitionId, Offset> from_start;
  std::map<PartitionId, Offset> from_end;
  for (PartitionId p{0}; p.value < count; p += 1) {
    const auto i = static_cast<std::size_t>(p.value);
    const Offset start = first[i].value_or(Offset{0});
    const Offset end = std::max(start, last[i].value_or(start));
    infos.push_back({.topic = topic, .partition = p, .segments = -1, .bytes = -1, .start = start, .end = end});
    if (end > start) {
      from_start[p] = start;
      from_end[p] = end - 1;
    }
  }
  if (from_start.empty()) return infos;
  // A listing shows what it can: whoever may not read sees no times.
  const auto oldest = times_at(handle.config(), name, from_start);
  const auto newest = times_at(handle.config(), name, from_end);
  for (PartitionInfo& info : infos) {
    if (oldest && oldest->contains(info.partition)) info.oldest = oldest->at(info.partition);
    if (newest && newest->contains(info.partition)) info.newest = newest->at(info.partition);
    if (info.oldest && info.newest) info.newest = std::max(*info.oldest, *info.newest);
  }
  return infos;
}

}  // namespace leat::kafka
