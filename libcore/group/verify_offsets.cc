#include "leat/group/verify_offsets.h"

#include <fmt/format.h>

#include "leat/group/offsets.h"
#include "leat/log/file_names.h"
#include "leat/log/partition_reader.h"
#include "leat/log/survey.h"
#include "leat/log/verify_parts.h"

namespace leat {

namespace {

// The layout of group/offsets.h, read once more by itself.
constexpr std::int64_t kSlotsAt = 20480;
constexpr std::int64_t kSlotPairBytes = 128;
struct OffsetValue {
  std::int64_t next;
  std::int64_t committed_at_ms;
};

// What one group has in one topic.
class OffsetsVerification {
 public:
  OffsetsVerification(Verification& verification, const DataDir& data_dir, const GroupTopic& entry)
      : verification_(verification), data_dir_(data_dir), entry_(entry), scope_{.topic = entry.topic} {}

  Result<void> run() {
    auto topic = Topic::open(data_dir_, entry_.topic, Topic::Access::read);
    const Directory groups = TRY(data_dir_.root().open_directory(kGroupsDirectory));
    const std::string name = fmt::format("{}/{}/{}", entry_.group, entry_.topic, kOffsetsFile);
    const auto file = groups.open_file(name, OpenMode::read);
    if (!file && file.error().code == Code::not_found) return {};
    if (!file) return std::unexpected(file.error());
    if (!topic && topic.error().code != Code::not_found) return {};  // its own finding
    const auto opened = topic ? OffsetsFile::open(data_dir_, entry_.group, entry_.topic, topic->id(),
                                                  topic->settings().partitions, OffsetsFile::Access::read)
                              : std::nullopt;
    if (!opened && opened.error().code == Code::damaged) {
      report(scope_.damage(file->path(), "the header is not one of an offsets file", stuck()), 0, "");
      return {};
    }
    if (!opened) return std::unexpected(opened.error());
    if (!*opened) {
      verification_.report(
          scope_.note(file->path(), "it belongs to a topic that is gone", "its offsets count as none"));
      return {};
    }
    for (PartitionId id{0}; id.value < topic->settings().partitions; id += 1) TRY(verify_slots(*topic, *file, id));
    return {};
  }

 private:
  std::string stuck() const { return fmt::format("consumer \"{}\" does not know where it was", entry_.group); }

  Result<void> verify_slots(Topic& topic, const File& file, PartitionId id) {
    scope_.partition = id;
    const std::int64_t at = kSlotsAt + id.value * kSlotPairBytes;
    const auto slots = TRY(survey_slots<OffsetValue>(file, at));
    const std::string partition = fmt::format(" -p {}", id.value);
    const std::string where = fmt::format("of consumer \"{}\" in partition {}", entry_.group, id.value);
    switch (slots.health) {
      case SlotHealth::damaged:
        report(scope_.damage(file.path(), "neither offset's checksum is right", stuck()), at, partition);
        return {};
      case SlotHealth::newer_lost:
        report(scope_.damage(file.path(), "an offset has the wrong checksum",
                             fmt::format("the place {} may be the one before the last: records come again", where)),
               at, partition);
        break;
      case SlotHealth::older_lost:
        verification_.report(scope_.note(file.path(), "the older of two offsets has the wrong checksum",
                                         fmt::format("nothing is lost: the newer one {} counts", where)));
        break;
      case SlotHealth::empty:
      case SlotHealth::good:
        break;
    }
    if (slots.health == SlotHealth::empty || slots.value.next < 0) return {};
    // Asked after the offset was read: the log only grows. What cannot be read of it is its own finding.
    const auto range = visible_range(topic, id);
    if (!range || Offset{slots.value.next} <= range->end) return {};
    Finding finding = scope_.damage(
        file.path(),
        fmt::format("the place {} is offset {}, the log ends at {}", where, slots.value.next, range->end.value),
        "the consumer refuses to go on; records that it has seen are missing");
    finding.offset = Offset{slots.value.next};
    report(std::move(finding), at, partition);
    return {};
  }

  void report(Finding finding, std::int64_t byte, std::string_view partition) {
    finding.byte = byte;
    finding.hint = fmt::format("leat consumer seek {} -t {}{} --to start", entry_.group, entry_.topic, partition);
    verification_.report(std::move(finding));
  }

  Verification& verification_;
  const DataDir& data_dir_;
  const GroupTopic& entry_;
  FindingScope scope_;
};

bool is_name_of_ours(std::string_view name) {
  return check_name("name", name).has_value();
}

// Names in groups/ and below that are not leat's.
Result<void> verify_group_names(const Verification& verification, const DataDir& data_dir) {
  const auto groups = data_dir.root().open_directory(kGroupsDirectory);
  if (!groups) return {};
  TRY(verify_names(verification, {}, *groups, is_name_of_ours));
  for (const std::string& name : TRY(groups->list())) {
    const auto group = groups->open_directory(name);
    if (!group) continue;
    TRY(verify_names(verification, {}, *group, is_name_of_ours));
    for (const std::string& topic : TRY(group->list())) {
      const auto directory = group->open_directory(topic);
      if (!directory) continue;
      TRY(verify_names(verification, {.topic = topic}, *directory,
                       [](std::string_view file) { return file == kOffsetsFile; }));
    }
  }
  return {};
}

}  // namespace

Result<void> verify_offsets(Verification& verification, const DataDir& data_dir,
                            std::optional<std::string_view> topic) {
  if (!topic) TRY(verify_group_names(verification, data_dir));
  for (const GroupTopic& entry : TRY(list_group_topics(data_dir))) {
    if (topic && entry.topic != *topic) continue;
    TRY(OffsetsVerification(verification, data_dir, entry).run());
  }
  return {};
}

}  // namespace leat
