#include "leat/backend/local.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/log/file_names.h"
#include "leat/log/maintenance.h"
#include "leat/log/partition.h"
#include "leat/log/partition_reader.h"
#include "leat/log/retention.h"

namespace leat {

namespace {

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
    if (data_dir_.has_topic(name)) return fail(Code::exists, fmt::format("topic \"{}\" already exists", name));
    return {};
  }

  Result<std::vector<std::string>> topic_names() override { return data_dir_.topic_names(); }

  Result<TopicInfo> describe_topic(std::string_view name) override {
    Topic topic = TRY(Topic::open(data_dir_, name, Topic::Access::read));
    const std::int64_t allocated = TRY(topic.directory().allocated_bytes());
    TopicInfo info{std::string(name), topic.settings(), 0, allocated};
    for (PartitionId p{0}; p.value < topic.settings().partitions; p += 1) {
      const VisibleRange range = TRY(visible_range(topic, p));
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
    if (wanted.keeps_proofs() && !topic.settings().keeps_proofs())
      return fail(Code::usage, "proofs: cannot be switched on later: what was retired meanwhile has no hash");
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
    for (const PartitionId id : partitions_or_all(partitions, topic.settings().partitions)) {
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
      info.bytes = TRY(reader.directory().allocated_bytes());
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

  Result<ConsumerOffsets> consumer_offsets(bool with_lag) override {
    return local_consumer_offsets(data_dir_, with_lag);
  }
  Result<ConsumerDescription> describe_consumer(std::string_view consumer) override {
    return describe_local_consumer(data_dir_, consumer);
  }
  Result<std::vector<SeekResult>> seek_consumer(std::string_view consumer, std::span<const SeekRequest> requests,
                                                bool create, bool execute) override {
    return seek_local_consumer(data_dir_, consumer, requests, create, execute);
  }
  Result<std::vector<DeletedOffset>> delete_consumer(std::string_view consumer, std::optional<std::string_view> topic,
                                                     std::span<const PartitionId> partitions, bool execute) override {
    return delete_local_consumer(data_dir_, consumer, topic, partitions, execute);
  }

  Result<std::string> identity() override {
    const FileIdentity id = TRY(data_dir_.root().identity());
    return fmt::format("directory {}:{}", id.device, id.inode);
  }
  Result<std::string> topic_identity(std::string_view name) override {
    const Directory directory = TRY(data_dir_.open_topic(name));
    return fmt::format("leat topic {}", to_string(TRY(load_topic_file(directory)).id));
  }
  Result<TopicSettings> chosen_settings(std::string_view name) override {
    const Directory directory = TRY(data_dir_.open_topic(name));
    return TRY(load_topic_file(directory)).settings;
  }
  TopicSettings applicable(const TopicSettings& settings) const override {
    TopicSettings here = settings;
    here.segment_bytes = std::clamp(here.segment_bytes, kSegmentBytesMin, kSegmentBytesMax);
    here.max_record_bytes = std::clamp<std::int64_t>(here.max_record_bytes, 1, kRecordBytesMax);
    return here;
  }
  Result<std::unique_ptr<CopyWriter>> open_copy(std::string_view topic, const CopySource& source) override {
    return open_local_copy(data_dir_, topic, source);
  }
  Result<std::unique_ptr<DerivedWriter>> open_derived(std::string_view topic) override {
    return open_local_derived(data_dir_, topic);
  }

  Result<DiskSpace> disk_space() override {
    const FileSystemSpace space = TRY(file_system_space(data_dir_.root()));
    return DiskSpace{space.total, space.available};
  }

 private:
  // Before a limit on records is loosened, what it has trimmed stays trimmed.
  Result<void> hold_start(Topic& topic, const TopicSettings& wanted) {
    const auto& present = topic.settings().retention_records;
    if (!present || (wanted.retention_records && *wanted.retention_records <= *present)) return {};
    for (PartitionId p{0}; p.value < topic.settings().partitions; p += 1) {
      Partition partition = TRY(Partition::open(topic, p));
      const LogEnd end = TRY(partition.end());
      // Counted from what stays.
      TRY(partition.commit({end.end, end.end, end.epoch}));
      TRY(partition.raise_log_start(start_by_records(topic.settings(), end.log_start, end.end)));
    }
    return {};
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
