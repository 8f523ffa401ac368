#include "leat/log/verify.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/log/file_names.h"
#include "leat/log/survey.h"
#include "leat/log/verify_parts.h"

namespace leat {

namespace {

// The partitions there should be: those of the settings, or where these cannot be read, those that lie there.
Result<std::vector<PartitionId>> partitions_of(const Directory& topic, const TopicFile* file) {
  std::vector<PartitionId> ids;
  if (file != nullptr) {
    for (PartitionId id{0}; id.value < file->settings.partitions; id += 1) ids.push_back(id);
    return ids;
  }
  for (const std::string& name : TRY(topic.list())) {
    if (const auto id = parse_partition_directory_name(name)) ids.push_back(*id);
  }
  std::ranges::sort(ids);
  return ids;
}

// One topic.
Result<void> verify_open_topic(Verification& verification, const Directory& topics, const Directory& directory,
                               const FindingScope& scope, std::span<const PartitionId> only) {
  const auto file = load_topic_file(directory);
  if (!file) {
    if (file.error().code != Code::configuration && file.error().code != Code::not_found)
      return std::unexpected(file.error());
    verification.report(scope.damage(directory.path_of(kTopicFile), file.error().message,
                                     "nothing of the topic can be read or written until the file is mended by hand"));
  }
  const auto state = file ? TopicState::open_existing(directory, file->id, file->settings.partitions, false)
                          : std::unexpected(file.error());
  if (file) {
    TRY(verify_state_file(verification, scope, topics, directory, file->id));
    TRY(verify_named_producers(verification, scope, directory, file->id));
  }
  const std::vector<PartitionId> ids = TRY(partitions_of(directory, file ? &*file : nullptr));
  for (const PartitionId id : only) {
    if (std::ranges::find(ids, id) != ids.end()) continue;
    return fail(Code::not_found,
                fmt::format("topic \"{}\" has no partition {} (it has {})", scope.topic, id.value, ids.size()),
                fmt::format("leat topic describe {}", scope.topic));
  }
  for (const PartitionId id : ids) {
    if (!only.empty() && std::ranges::find(only, id) == only.end()) continue;
    FindingScope within = scope;
    within.partition = id;
    auto partition = directory.open_directory(partition_directory_name(id));
    if (!partition && partition.error().code == Code::not_found) {
      verification.report(within.damage(directory.path_of(partition_directory_name(id)), "the partition is missing",
                                        "the topic cannot be read: its settings name it"));
      continue;
    }
    const bool appended = file && file->settings.durability == Durability::os;
    TRY(verify_partition(verification, within, TRY(std::move(partition)), state ? &*state : nullptr, appended));
  }
  const std::int32_t partitions = file ? file->settings.partitions : kPartitionsMax;
  for (const std::string& name : TRY(directory.list())) {
    const auto id = parse_partition_directory_name(name);
    if (!id || id->value < partitions) continue;
    const auto extra = directory.open_directory(name);
    if (!extra) continue;
    const auto bases = TRY(list_segments(*extra));
    const bool holds =
        bases.size() > 1 ||
        (bases.size() == 1 && TRY(TRY(extra->open_file(log_file_name(bases[0]), OpenMode::read)).size()) > 0);
    const std::string what = fmt::format("the settings know of {} partitions only", partitions);
    verification.report(
        holds ? scope.damage(extra->path(), what, "nobody reads what is in it")
              : scope.note(extra->path(), what, "left of an add-partition that was killed; nothing is in it"));
  }
  return verify_names(verification, scope, directory, [&](std::string_view name) {
    return name == kTopicFile || name == kStateFile || name == kProducersDirectory ||
           parse_partition_directory_name(name).has_value();
  });
}

}  // namespace

Result<void> verify_topic(Verification& verification, const DataDir& data_dir, const std::string& name,
                          std::span<const PartitionId> only) {
  const Directory directory = TRY(data_dir.open_topic(name));
  const Directory topics = TRY(data_dir.root().open_directory(kTopicsDirectory));
  // Told once it is certain that the topic was not deleted meanwhile, which looks like any damage.
  std::vector<Finding> findings;
  Verification held{verification.deep, [&](Finding finding) { findings.push_back(std::move(finding)); },
                    verification.progress, verification.counts};
  auto verified = verify_open_topic(held, topics, directory, FindingScope{.topic = name}, only);
  verification.counts = held.counts;
  if (!directory.still_in(topics, name)) return fail(Code::not_found, fmt::format("topic \"{}\" was deleted", name));
  for (Finding& finding : findings) verification.report(std::move(finding));
  return verified;
}

std::int64_t log_bytes(const DataDir& data_dir, const std::string& name) {
  std::int64_t bytes = 0;
  const auto topic = data_dir.open_topic(name);
  if (!topic) return 0;
  const auto names = topic->list();
  for (const std::string& partition_name : names.value_or(std::vector<std::string>())) {
    if (!parse_partition_directory_name(partition_name)) continue;
    const auto partition = topic->open_directory(partition_name);
    const auto bases = partition ? list_segments(*partition) : std::unexpected(partition.error());
    for (const Offset base : bases.value_or(std::vector<Offset>())) {
      const auto log = partition->open_file(log_file_name(base), OpenMode::read);
      if (log) bytes += log->size().value_or(0);
    }
  }
  return bytes;
}

}  // namespace leat
