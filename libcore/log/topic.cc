#include "leat/log/topic.h"

#include <fmt/format.h>
#include <sys/random.h>

#include "leat/base/toml.h"
#include "leat/log/file_names.h"
#include "leat/log/log_start.h"
#include "leat/log/partitioner.h"

namespace leat {

namespace {

constexpr std::size_t kTopicFileBytesMax = 64 << 10;

Error at(const std::string& path, const TomlEntry& entry, std::string_view what) {
  return {Code::configuration, fmt::format("{}:{}:{}: {}", path, entry.line, entry.column, what)};
}

// Makes the directory of a partition with its first, empty segment. Durable on return.
Result<void> create_partition(const Directory& topic, PartitionId partition) {
  const Directory directory = TRY(topic.make_directory(partition_directory_name(partition)));
  const File log = TRY(directory.open_file(log_file_name(Offset{0}), OpenMode::create_or_open));
  TRY(log.sync_data());
  TRY(create_log_start_file(directory));
  return directory.sync();
}

// Tells all who have the topic open that it was deleted. Nobody appends to it afterwards.
void mark_deleted(const Directory& topic, const TopicFile& file, Milliseconds lock_timeout) {
  const auto state = TopicState::open_existing(topic, file.id, file.settings.partitions, true);
  if (!state) return;
  for (PartitionId p{0}; p.value < file.settings.partitions; p += 1) {
    const auto partition = topic.open_directory(partition_directory_name(p));
    if (!partition) continue;
    // Whoever appends holds this lock: behind it, every appender sees the mark.
    const auto append_lock = DirectoryLock::acquire(*partition, lock_timeout);
    state->header().deleted.store(1, std::memory_order_release);
    wake_all(state->page(p).wake);
  }
  state->header().deleted.store(1, std::memory_order_release);
  wake_all(state->header().wake);
}

// Removes what a create or delete left that was killed half-way. Lock required: the data directory's, under which
// nobody else is at it.
Result<Directory> open_swept_trash(const DataDir& data_dir) {
  Directory trash = TRY(data_dir.trash());
  for (const std::string& name : TRY(trash.list())) {
    // The delete may have been killed before it could tell those who append.
    if (const auto topic = trash.open_directory(name)) {
      if (const auto file = load_topic_file(*topic)) mark_deleted(*topic, *file, data_dir.lock_timeout());
    }
    TRY(trash.remove_tree(name));
  }
  return trash;
}

}  // namespace

Result<TopicFile> load_topic_file(const Directory& topic) {
  const std::string path = topic.path_of(kTopicFile);
  const std::string text = TRY(topic.read_file(kTopicFile, kTopicFileBytesMax));
  TopicFile file;
  bool has_id = false;
  bool has_partitions = false;
  for (const TomlEntry& entry : TRY(parse_toml(text, path))) {
    const auto* string = std::get_if<std::string>(&entry.value);
    const auto* number = std::get_if<std::int64_t>(&entry.value);
    if (entry.key == "id") {
      const auto id = string == nullptr ? std::nullopt : parse_topic_id(*string);
      if (!id) return std::unexpected(at(path, entry, "id is not 32 hexadecimal digits"));
      file.id = *id;
      has_id = true;
    } else if (entry.key == "partitions") {
      if (number == nullptr || *number < 1 || *number > kPartitionsMax) {
        return std::unexpected(at(path, entry, fmt::format("partitions is not a number from 1 to {}", kPartitionsMax)));
      }
      file.settings.partitions = static_cast<std::int32_t>(*number);
      has_partitions = true;
    } else if (entry.key.starts_with("settings.") && string != nullptr) {
      const auto set = set_setting(file.settings, std::string_view(entry.key).substr(9), *string);
      if (!set) return std::unexpected(at(path, entry, set.error().message));
    } else {
      return std::unexpected(at(path, entry, fmt::format("unknown key \"{}\"", entry.key)));
    }
  }
  if (!has_id || !has_partitions)
    return fail(Code::configuration, fmt::format("{}: id or partitions is missing", path));
  return file;
}

Result<void> store_topic_file(const Directory& topic, const TopicFile& file) {
  std::string text =
      fmt::format("id = \"{}\"\npartitions = {}\n\n[settings]\n", to_string(file.id), file.settings.partitions);
  for (const auto& [key, value] : list_settings(file.settings))
    text += fmt::format("{} = {}\n", key, toml_quote(value));
  return topic.replace_file(kTopicFile, text);
}

Result<Topic> Topic::open(const DataDir& data_dir, std::string_view name, Access access) {
  Directory directory = TRY(data_dir.open_topic(name));
  Directory topics = TRY(data_dir.root().open_directory(kTopicsDirectory));
  const TopicFile file = TRY(load_topic_file(directory));
  Topic topic(data_dir, std::string(name), std::move(topics), std::move(directory), file, access);
  TRY(topic.reopen_state());
  return topic;
}

Result<void> Topic::reopen_state() {
  const auto open = [this] {
    return TopicState::open_existing(directory_, file_.id, file_.settings.partitions, access_ == Access::write);
  };
  auto state = open();
  if (!state && state.error().code == Code::not_found && access_ == Access::write) {
    const DataDirLock lock = TRY(data_dir_->lock());
    TRY(check_alive());
    state = open();
    if (!state && state.error().code == Code::not_found) {
      TRY(TopicState::create(directory_, file_.id, file_.settings.partitions));
      state = open();
    }
  }
  if (state) {
    state_.reset();
    state_.emplace(std::move(*state));
    ++state_opening_;
    settings_generation_ = state_->header().settings_generation.load(std::memory_order_acquire);
    return {};
  }
  // Where there is none, or none that it may open, a reader does without: it walks the log itself.
  if (access_ == Access::read && (state.error().code == Code::not_found || state.error().code == Code::permission)) {
    state_.reset();
    return {};
  }
  return std::unexpected(std::move(state).error());
}

bool Topic::deleted() const {
  // The rename is what deletes; the mark, made a moment later, is for those who wait.
  return marked_deleted() || !directory_.still_in(topics_, name_);
}

Result<void> Topic::check_alive() const {
  if (deleted()) return fail(Code::not_found, fmt::format("topic \"{}\" was deleted", name_));
  return {};
}

Result<bool> Topic::refresh_settings() {
  if (!state_) return false;
  const std::uint32_t generation = state_->header().settings_generation.load(std::memory_order_acquire);
  if (generation == settings_generation_) return false;
  file_ = TRY(load_topic_file(directory_));
  // A writer keeps to the partitions it knows: opening the state again would cost it its locks.
  if (access_ == Access::read && file_.settings.partitions > state_->partitions()) TRY(reopen_state());
  settings_generation_ = generation;
  return true;
}

Result<void> Topic::sync_names() const {
  TRY(directory_.sync());
  TRY(topics_.sync());
  return data_dir_->root().sync();
}

Result<Directory> Topic::open_partition(PartitionId partition) const {
  if (partition.value < 0 || partition.value >= file_.settings.partitions) {
    return fail(
        Code::not_found,
        fmt::format("topic \"{}\" has no partition {} (it has {})", name_, partition.value, file_.settings.partitions),
        fmt::format("leat topic describe {}", name_));
  }
  return directory_.open_directory(partition_directory_name(partition));
}

PartitionChooser::PartitionChooser(std::int32_t partitions) : partitions_(partitions) {
  std::uint32_t random = 0;
  if (partitions > 1 && ::getrandom(&random, sizeof random, 0) != sizeof random) random = 0;
  keyless_ = {static_cast<std::int32_t>(random % static_cast<std::uint32_t>(partitions))};
}

PartitionId PartitionChooser::choose(const RecordInput& record) const {
  if (!record.key || partitions_ == 1) return record.key ? PartitionId{0} : keyless_;
  return partition_for_key(as_bytes(*record.key), partitions_);
}

Result<void> create_topic(const DataDir& data_dir, std::string_view name, const TopicSettings& settings) {
  TRY(check_name("topic", name));
  TRY(check_settings(settings));
  const DataDirLock lock = TRY(data_dir.lock());
  const Directory topics = TRY(data_dir.topics());
  if (topics.exists(name)) return fail(Code::exists, fmt::format("topic \"{}\" already exists", name));
  // Built under a name no topic can have, then renamed: it is there whole or not at all.
  const TopicId id = TRY(make_topic_id());
  const Directory trash = TRY(open_swept_trash(data_dir));
  const std::string building = to_string(id);
  const auto build = [&]() -> Result<void> {
    const Directory topic = TRY(trash.make_directory(building));
    for (PartitionId p{0}; p.value < settings.partitions; p += 1) TRY(create_partition(topic, p));
    TRY(store_topic_file(topic, {id, settings}));
    TRY(TopicState::create(topic, id, settings.partitions));
    TRY(topic.sync());
    TRY(trash.rename(building, topics, name));
    TRY(topics.sync());
    return trash.sync();
  };
  auto built = build();
  if (!built) (void)trash.remove_tree(building);
  return built;
}

Result<void> delete_topic(const DataDir& data_dir, std::string_view name) {
  const DataDirLock lock = TRY(data_dir.lock());
  const Directory directory = TRY(data_dir.open_topic(name));
  // A topic whose file is damaged can be deleted, too; it gets an id of its own for the way out.
  const auto file = load_topic_file(directory);
  const TopicId id = file ? file->id : TRY(make_topic_id());
  const Directory topics = TRY(data_dir.topics());
  const Directory trash = TRY(open_swept_trash(data_dir));
  TRY(topics.rename(name, trash, to_string(id)));
  TRY(topics.sync());
  TRY(trash.sync());
  if (file) mark_deleted(directory, *file, data_dir.lock_timeout());
  return trash.remove_tree(to_string(id));
}

Result<void> add_partitions(const DataDir& data_dir, std::string_view name, std::int32_t count) {
  if (count < 1 || count > kPartitionsMax) {
    return fail(Code::usage, fmt::format("cannot add {} partitions (1 to {})", count, kPartitionsMax));
  }
  const DataDirLock lock = TRY(data_dir.lock());
  const Directory directory = TRY(data_dir.open_topic(name));
  TopicFile file = TRY(load_topic_file(directory));
  TopicSettings settings = file.settings;
  settings.partitions += count;
  TRY(check_settings(settings));
  for (PartitionId p{file.settings.partitions}; p.value < settings.partitions; p += 1)
    TRY(create_partition(directory, p));
  const auto state = TopicState::open_existing(directory, file.id, file.settings.partitions, true);
  if (state) TRY(TopicState::grow(directory, settings.partitions));
  TRY(store_topic_file(directory, {file.id, settings}));
  if (state) {
    state->header().settings_generation.fetch_add(1, std::memory_order_release);
    wake_all(state->header().wake);
  }
  return {};
}

}  // namespace leat
