#include "leat/backend/local.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/base/units.h"
#include "leat/log/file_names.h"
#include "leat/log/maintenance.h"
#include "leat/log/partition.h"
#include "leat/log/partition_reader.h"
#include "leat/log/retention.h"

namespace leat {

namespace {

std::vector<PartitionId> all_or(std::span<const PartitionId> chosen, std::int32_t count) {
  std::vector<PartitionId> partitions(chosen.begin(), chosen.end());
  if (partitions.empty()) {
    for (PartitionId p{0}; p.value < count; p += 1) partitions.push_back(p);
  }
  return partitions;
}

// Timestamps of the first readable batch and the largest in the active segment.
Result<void> add_times(PartitionInfo& info, PartitionReader& reader, const VisibleRange& range) {
  if (range.empty()) return {};
  TRY(reader.seek(range.start));
  const auto first = TRY(reader.next(range));
  if (first) info.oldest = first->header.base_timestamp;
  const TimestampMs newest = TRY(segment_max_timestamp(reader.directory(), range.segment_base));
  info.newest = std::max(newest, info.oldest.value_or(newest));
  return {};
}

class LocalBackend final : public Backend {
 public:
  explicit LocalBackend(DataDir data_dir) : data_dir_(std::move(data_dir)) {}

  Result<void> create_topic(std::string_view name, const TopicSettings& settings) override {
    return leat::create_topic(data_dir_, name, settings);
  }

  Result<void> check_create_topic(std::string_view name, const TopicSettings& settings) override {
    TRY(check_name("topic", name));
    TRY(check_settings(settings));
    if (data_dir_.open_topic(name)) return fail(Code::exists, fmt::format("topic \"{}\" already exists", name));
    return {};
  }

  Result<std::vector<std::string>> topic_names() override { return data_dir_.topic_names(); }

  Result<TopicInfo> describe_topic(std::string_view name) override {
    Topic topic = TRY(Topic::open(data_dir_, name, Topic::Access::read));
    TopicInfo info{std::string(name), topic.settings(), 0, topic.directory().allocated_bytes()};
    for (PartitionId p{0}; p.value < topic.settings().partitions; p += 1) {
      PartitionReader reader = TRY(PartitionReader::open(topic, p, false));
      const VisibleRange range = TRY(reader.visible());
      info.records += range.end - range.start;
    }
    return info;
  }

  Result<void> delete_topic(std::string_view name) override {
    const Directory directory = TRY(data_dir_.open_topic(name));
    const auto file = load_topic_file(directory);
    TRY(leat::delete_topic(data_dir_, name));
    // Without a readable id, what is left counts as none for every later topic of that name.
    return file ? forget_topic(data_dir_, name, file->id) : Result<void>{};
  }

  Result<void> add_partitions(std::string_view name, std::int32_t count) override {
    return leat::add_partitions(data_dir_, name, count);
  }

  Result<TopicSettings> set_topic(std::string_view name,
                                  const std::function<Result<void>(TopicSettings&)>& change) override {
    Topic topic = TRY(Topic::open(data_dir_, name, Topic::Access::write));
    TopicSettings wanted = topic.settings();
    TRY(change(wanted));
    TRY(check_settings(wanted));
    TRY(hold_start(topic, wanted));
    const DataDirLock lock = TRY(data_dir_.lock());
    TRY(topic.check_alive());
    TopicFile file = TRY(load_topic_file(topic.directory()));
    const std::int32_t partitions = file.settings.partitions;
    TRY(change(file.settings));
    file.settings.partitions = partitions;
    TRY(check_settings(file.settings));
    TRY(store_topic_file(topic.directory(), file));
    topic.state()->header().settings_generation.fetch_add(1, std::memory_order_release);
    wake_all(topic.state()->header().wake);
    return file.settings;
  }

  Result<std::vector<TrimResult>> trim_topic(std::string_view name, TrimTarget target,
                                             std::span<const PartitionId> partitions, bool execute) override {
    Topic topic = TRY(Topic::open(data_dir_, name, execute ? Topic::Access::write : Topic::Access::read));
    std::vector<TrimResult> results;
    for (const PartitionId id : all_or(partitions, topic.settings().partitions)) {
      PartitionReader reader = TRY(PartitionReader::open(topic, id, false));
      const VisibleRange range = TRY(reader.visible());
      Offset start = range.start;
      switch (target.kind) {
        case TrimTarget::Kind::before_offset:
          start = Offset{target.value};
          break;
        case TrimTarget::Kind::before_time:
          start = TRY(reader.find_time({target.value}));
          break;
        case TrimTarget::Kind::keep_records:
          start = range.end - target.value;
          break;
      }
      start = std::clamp(start, range.start, range.end);
      if (execute && start > range.start) {
        Partition partition = TRY(Partition::open(topic, id));
        TRY(trim_partition(partition, start));
      }
      results.push_back({id, range.start, start});
    }
    return results;
  }

  Result<std::vector<PartitionInfo>> partitions(std::string_view name) override {
    Topic topic = TRY(Topic::open(data_dir_, name, Topic::Access::read));
    std::vector<PartitionInfo> infos;
    for (PartitionId p{0}; p.value < topic.settings().partitions; p += 1) {
      PartitionReader reader = TRY(PartitionReader::open(topic, p, false));
      const VisibleRange range = TRY(reader.visible());
      PartitionInfo info{.topic = std::string(name), .partition = p, .start = range.start, .end = range.end};
      info.segments = static_cast<std::int64_t>(TRY(list_segments(reader.directory())).size());
      info.bytes = reader.directory().allocated_bytes();
      // Damage is for reading to report; a listing shows what it can.
      (void)add_times(info, reader, range);
      infos.push_back(std::move(info));
    }
    return infos;
  }

  Result<std::unique_ptr<Producer>> open_producer(std::string_view topic, const ProducerOptions& options) override {
    return open_local_producer(data_dir_, topic, options);
  }
  Result<std::unique_ptr<Reader>> open_reader(const ReadOptions& options) override {
    return open_local_reader(data_dir_, options);
  }
  Result<std::unique_ptr<GroupReader>> join_group(std::string_view consumer, const GroupOptions& options) override {
    return join_local_group(data_dir_, consumer, options);
  }

  Result<std::vector<ConsumerOffset>> consumer_offsets(bool with_lag) override {
    std::vector<ConsumerOffset> offsets;
    for (const GroupTopic& entry : TRY(list_group_topics(data_dir_))) {
      auto topic = Topic::open(data_dir_, entry.topic, Topic::Access::read);
      if (!topic && topic.error().code == Code::not_found) continue;
      if (!topic) return std::unexpected(std::move(topic).error());
      const std::int32_t partitions = topic->settings().partitions;
      const auto file = TRY(
          OffsetsFile::open(data_dir_, entry.group, entry.topic, topic->id(), partitions, OffsetsFile::Access::read));
      if (!file) continue;
      for (PartitionId p{0}; p.value < partitions; p += 1) {
        const auto stored = TRY(file->load(p));
        if (!stored) continue;
        ConsumerOffset offset{entry.group, entry.topic, p, stored->next, stored->committed_at, {}};
        if (with_lag) offset.lag = lag(*topic, p, stored->next);
        offsets.push_back(std::move(offset));
      }
    }
    return offsets;
  }

  Result<std::vector<DeletedOffset>> delete_consumer(std::string_view consumer,
                                                     std::optional<std::string_view> topic_name,
                                                     std::span<const PartitionId> partitions, bool execute) override {
    TRY(check_name("consumer", consumer));
    std::vector<DeletedOffset> deleted;
    std::vector<std::string> known;
    for (const GroupTopic& entry : TRY(list_group_topics(data_dir_))) {
      known.push_back(entry.group);
      if (entry.group != consumer || (topic_name && entry.topic != *topic_name)) continue;
      TRY(delete_in_topic(consumer, entry.topic, partitions, execute, deleted));
    }
    if (deleted.empty()) return std::unexpected(unknown_consumer(consumer, topic_name, partitions, known));
    return deleted;
  }

 private:
  // Before a limit on records is loosened, what it has trimmed stays trimmed.
  Result<void> hold_start(Topic& topic, const TopicSettings& wanted) {
    const auto& present = topic.settings().retention_records;
    if (!present || (wanted.retention_records && *wanted.retention_records <= *present)) return {};
    for (PartitionId p{0}; p.value < topic.settings().partitions; p += 1) {
      Partition partition = TRY(Partition::open(topic, p));
      const LogEnd end = TRY(partition.end());
      TRY(partition.raise_log_start(start_by_records(topic.settings(), end.log_start, end.end)));
    }
    return {};
  }

  static std::optional<std::int64_t> lag(Topic& topic, PartitionId partition, Offset next) {
    auto reader = PartitionReader::open(topic, partition, false);
    if (!reader) return std::nullopt;
    const auto range = reader->visible();
    if (!range) return std::nullopt;
    return std::max<std::int64_t>(range->end - std::max(next, range->start), 0);
  }

  static Error unknown_consumer(std::string_view consumer, std::optional<std::string_view> topic,
                                std::span<const PartitionId> partitions, const std::vector<std::string>& known) {
    std::string where;
    if (topic) where += fmt::format(" on topic \"{}\"", *topic);
    if (!partitions.empty()) where += fmt::format(" and partition {}", partitions[0].value);
    const bool exists = std::ranges::find(known, consumer) != known.end();
    const std::string_view near = exists ? std::string_view() : nearest(consumer, known);
    return {Code::not_found, fmt::format("consumer \"{}\" not found{}", consumer, where),
            near.empty() ? "leat consumer list" : fmt::format("did you mean \"{}\"?", near)};
  }

  // The offsets of one topic. Everything is claimed before anything is cleared; what is claimed by others is in use
  // even when nothing has been stored for it yet.
  Result<void> delete_in_topic(std::string_view consumer, const std::string& name,
                               std::span<const PartitionId> partitions, bool execute,
                               std::vector<DeletedOffset>& deleted) {
    {
      const auto topic = Topic::open(data_dir_, name, Topic::Access::read);
      if (!topic) return topic.error().code == Code::not_found ? Result<void>{} : std::unexpected(topic.error());
      const std::int32_t count = topic->settings().partitions;
      auto file = TRY(OffsetsFile::open(data_dir_, consumer, name, topic->id(), count,
                                        execute ? OffsetsFile::Access::write_anew : OffsetsFile::Access::read));
      if (!file) return {};
      std::vector<PartitionId> chosen = all_or(partitions, count);
      std::erase_if(chosen, [count](PartitionId partition) { return partition.value < 0 || partition.value >= count; });
      for (const PartitionId partition : chosen) {
        const bool in_use = execute ? !TRY(file->claim(partition)) : TRY(file->claimed_elsewhere(partition));
        if (in_use) return std::unexpected(file->in_use(consumer, name, partition));
      }
      for (const PartitionId partition : chosen) {
        const auto stored = file->load(partition);
        if (stored && !*stored) continue;
        if (execute) TRY(file->clear(partition));
        deleted.push_back({name, partition});
      }
      if (!execute) return {};
      TRY(file->sync());
    }
    return remove_when_empty(data_dir_, consumer, name);
  }

  DataDir data_dir_;
};

}  // namespace

Result<std::unique_ptr<Backend>> open_local(const std::string& path, const OpenOptions& options) {
  raise_open_file_limit();
  return std::make_unique<LocalBackend>(
      TRY(DataDir::open(path, {options.create, options.lock_timeout, options.allow_any_file_system})));
}

}  // namespace leat
