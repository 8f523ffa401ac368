#include "leat/group/offsets.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "leat/log/file_names.h"
#include "leat/log/topic_settings.h"

namespace leat {

namespace {

constexpr std::array<char, 8> kMagic = {'l', 'e', 'a', 't', 'o', 'f', '0', '1'};
constexpr std::int64_t kWakeAt = 64;
constexpr std::int64_t kMembersAt = 4096;
constexpr int kMembersMax = 64;
constexpr std::int64_t kMemberBytes = 256;
constexpr std::int64_t kSlotsAt = kMembersAt + kMembersMax * kMemberBytes;
constexpr std::int64_t kSlotPairBytes = 128;
constexpr std::int64_t kOwnerAt = 64;  // in a slot pair

struct Header {
  std::array<char, 8> magic;
  TopicId topic_id;
  std::uint32_t crc;
};

struct OffsetValue {
  std::int64_t next;
  std::int64_t committed_at_ms;
};
using Slots = FileSlots<OffsetValue>;
static_assert(Slots::kBytes <= kOwnerAt);

struct RawMember {
  std::int64_t pid;
  std::array<char, 64> host;
  std::int32_t fixed;
  std::atomic<std::int32_t> held;  // as published by its owner
  std::array<char, 176> command;
};
static_assert(sizeof(RawMember) == kMemberBytes);

Header make_header(const TopicId& id) {
  Header header{kMagic, id, 0};
  header.crc = crc32c({reinterpret_cast<const std::byte*>(&header), offsetof(Header, crc)});
  return header;
}

ByteRange slot_range(PartitionId partition) {
  return {kSlotsAt + partition.value * kSlotPairBytes, kSlotPairBytes};
}
ByteRange member_range(int entry) {
  return {kMembersAt + entry * kMemberBytes, kMemberBytes};
}

template <std::size_t N>
void copy_text(std::array<char, N>& to, std::string_view from) {
  to = {};
  from.copy(to.data(), N - 1);
}
template <std::size_t N>
std::string text_of(const std::array<char, N>& from) {
  return std::string(from.begin(), std::ranges::find(from, '\0'));
}

RawMember& member_in(const Mapping& mapping, int entry) {
  return *reinterpret_cast<RawMember*>(mapping.data() + member_range(entry).start);
}

MemberEntry described_by(const RawMember& raw) {
  return {raw.pid, text_of(raw.host), text_of(raw.command), raw.fixed};
}

enum class Belongs { here, elsewhere, damaged };

// Whether the file was made for the topic `id`. One whose header does not check out is damage, not somebody else's.
Result<Belongs> belongs(const File& file, const TopicId& id) {
  Header header{};
  const std::size_t count = TRY(file.read_at(std::as_writable_bytes(std::span(&header, 1)), 0));
  if (count != sizeof header) return Belongs::damaged;
  if (TRY(file.size()) < kSlotsAt) return Belongs::damaged;
  const Header expected = make_header(header.topic_id);
  if (std::memcmp(&header, &expected, sizeof header) != 0) return Belongs::damaged;
  return header.topic_id == id ? Belongs::here : Belongs::elsewhere;
}

std::unexpected<Error> damaged_header(const File& file) {
  return fail(Code::damaged,
              fmt::format("{}: damaged at byte 0: the header is not one of an offsets file", file.path()),
              "consume with --reset to begin anew");
}

// Writes the file out in full under another name and puts it in place. Lock required: the directory's.
Result<void> make_file(const Directory& directory, const TopicId& id, std::int32_t partitions) {
  const std::string temporary = fmt::format("{}.tmp", kOffsetsFile);
  TRY(directory.unlink(temporary));
  const File file = TRY(directory.open_file(temporary, OpenMode::create_new));
  std::vector<std::byte> content(static_cast<std::size_t>(slot_range({partitions}).start));
  const Header header = make_header(id);
  std::memcpy(content.data(), &header, sizeof header);
  TRY(file.write_at(Bytes(content), 0));
  TRY(file.sync_data());
  TRY(directory.rename(temporary, directory, kOffsetsFile));
  return directory.sync();
}

// Not there, as before the first consumer; something else in its place is not nothing.
bool is_missing(const DataDir& data_dir, const Error& error) {
  return error.code == Code::not_found && !data_dir.root().exists(kGroupsDirectory);
}

}  // namespace

Result<std::optional<OffsetsFile>> OffsetsFile::open(const DataDir& data_dir, std::string_view group,
                                                     std::string_view topic, const TopicId& id, std::int32_t partitions,
                                                     Access access, const MemberEntry* join_as) {
  if (access == Access::read) {
    const auto groups = data_dir.root().open_directory(kGroupsDirectory);
    if (!groups && is_missing(data_dir, groups.error())) return std::nullopt;
    if (!groups) return std::unexpected(groups.error());
    auto file = groups->open_file(fmt::format("{}/{}/{}", group, topic, kOffsetsFile), OpenMode::read);
    if (!file && file.error().code == Code::not_found) return std::nullopt;
    if (!file) return std::unexpected(std::move(file).error());
    const Belongs whose = TRY(belongs(*file, id));
    if (whose == Belongs::damaged) return damaged_header(*file);
    if (whose == Belongs::elsewhere) return std::nullopt;
    return OffsetsFile(std::move(*file));
  }
  // The directory may be removed, with the last offset in it, while its lock is waited for.
  constexpr int kAttempts = 3;
  for (int attempt = 1;; ++attempt) {
    auto opened = open_to_write(data_dir, group, topic, id, partitions, access == Access::write_anew);
    if (opened && join_as != nullptr) TRY(opened->second.join(*join_as));
    if (opened) return std::move(opened->second);
    if (opened.error().code != Code::not_found || attempt == kAttempts)
      return std::unexpected(std::move(opened).error());
  }
}

// The file, and the lock of its directory that keeps others from removing it.
Result<std::pair<OffsetsFile::Guard, OffsetsFile>> OffsetsFile::open_to_write(const DataDir& data_dir,
                                                                              std::string_view group,
                                                                              std::string_view topic, const TopicId& id,
                                                                              std::int32_t partitions,
                                                                              bool replace_damaged) {
  const Directory groups = TRY(data_dir.groups());
  const Directory group_directory = TRY(groups.make_directory(group));
  Directory directory = TRY(group_directory.make_directory(topic));
  DirectoryLock lock = TRY(DirectoryLock::acquire(directory, data_dir.lock_timeout()));
  auto file = directory.open_file(kOffsetsFile, OpenMode::read_write);
  if (!file && file.error().code != Code::not_found) return std::unexpected(std::move(file).error());
  const Belongs whose = file ? TRY(belongs(*file, id)) : Belongs::elsewhere;
  if (whose == Belongs::damaged && !replace_damaged) return damaged_header(*file);
  if (whose != Belongs::here) {
    TRY(make_file(directory, id, partitions));
    file = TRY(directory.open_file(kOffsetsFile, OpenMode::read_write));
  }
  // Whoever made these names may have died before they were durable.
  TRY(directory.sync());
  TRY(group_directory.sync());
  TRY(groups.sync());
  TRY(data_dir.root().sync());
  lose_at_fork(file->fd());
  OffsetsFile opened(std::move(*file));
  opened.mapping_ = TRY(Mapping::map(opened.file_, kSlotsAt, true));
  return std::pair(Guard{std::move(directory), std::move(lock)}, std::move(opened));
}

Result<std::optional<CommittedOffset>> OffsetsFile::load(PartitionId partition) const {
  const Slots::Loaded loaded = TRY(Slots::load(file_, slot_range(partition).start));
  if (loaded.health == Slots::Health::damaged) {
    return fail(Code::damaged,
                fmt::format("{}: damaged at byte {}: neither offset of partition {} has the right checksum",
                            file_.path(), slot_range(partition).start, partition.value),
                "consume with --reset to begin anew");
  }
  if (loaded.health == Slots::Health::empty || loaded.value.next < 0) return std::nullopt;
  return CommittedOffset{{loaded.value.next}, {loaded.value.committed_at_ms}};
}

Result<void> OffsetsFile::store(PartitionId partition, Offset next, TimestampMs now) {
  return Slots::store(file_, slot_range(partition).start, {next.value, now.value});
}

Result<void> OffsetsFile::clear(PartitionId partition) {
  return Slots::clear(file_, slot_range(partition).start);
}

Result<bool> OffsetsFile::claim(PartitionId partition) {
  if (!TRY(try_lock_range(file_, slot_range(partition), LockKind::exclusive))) return false;
  const auto number = static_cast<std::uint32_t>(entry_ ? *entry_ + 1 : 0);
  auto noted = file_.write_at(std::as_bytes(std::span(&number, 1)), slot_range(partition).start + kOwnerAt);
  if (!noted) {
    unlock_range(file_, slot_range(partition));
    return std::unexpected(std::move(noted).error());
  }
  count_held(+1);
  return true;
}

void OffsetsFile::release(PartitionId partition) {
  unlock_range(file_, slot_range(partition));
  count_held(-1);
}

Result<bool> OffsetsFile::claimed_elsewhere(PartitionId partition) const {
  return TRY(lock_held_elsewhere(file_, slot_range(partition))).has_value();
}

Result<std::optional<MemberEntry>> OffsetsFile::owner(PartitionId partition) const {
  if (!TRY(claimed_elsewhere(partition))) return std::nullopt;
  std::uint32_t number = 0;
  TRY(file_.read_at(std::as_writable_bytes(std::span(&number, 1)), slot_range(partition).start + kOwnerAt));
  if (number == 0 || number > kMembersMax) return std::nullopt;
  const int entry = static_cast<int>(number) - 1;
  if (entry == entry_ || !TRY(lock_held_elsewhere(file_, member_range(entry)))) return std::nullopt;
  return TRY(read_member(entry));
}

void OffsetsFile::count_held(std::int32_t change) const {
  if (entry_) member_in(mapping_, *entry_).held.fetch_add(change, std::memory_order_relaxed);
}

Result<void> OffsetsFile::join(const MemberEntry& member) {
  for (int entry = 0; entry < kMembersMax; ++entry) {
    if (!TRY(try_lock_range(file_, member_range(entry), LockKind::exclusive))) continue;
    RawMember& raw = member_in(mapping_, entry);
    raw.held.store(0, std::memory_order_relaxed);
    raw.pid = ::getpid();
    raw.fixed = member.fixed;
    std::array<char, 64> host{};
    ::gethostname(host.data(), host.size() - 1);
    copy_text(raw.host, host.data());
    copy_text(raw.command, member.command);
    entry_ = entry;
    return {};
  }
  return fail(Code::busy, fmt::format("{}: {} members live already", file_.path(), kMembersMax));
}

void OffsetsFile::leave() {
  if (entry_) unlock_range(file_, member_range(*entry_));
  entry_.reset();
}

Result<MemberEntry> OffsetsFile::read_member(int entry) const {
  RawMember raw{};
  TRY(file_.read_at(std::as_writable_bytes(std::span(&raw, 1)), member_range(entry).start));
  return described_by(raw);
}

Result<std::vector<MemberEntry>> OffsetsFile::other_members() const {
  std::vector<MemberEntry> members;
  for (int entry = 0; entry < kMembersMax; ++entry) {
    if (entry == entry_ || !TRY(lock_held_elsewhere(file_, member_range(entry)))) continue;
    members.push_back(TRY(read_member(entry)));
  }
  return members;
}

Result<Members> OffsetsFile::members() const {
  ASSERT(entry_);
  Members members;
  for (int entry = 0; entry < kMembersMax; ++entry) {
    if (entry == entry_) {
      members.self = members.shares.size();
    } else if (!TRY(lock_held_elsewhere(file_, member_range(entry)))) {
      continue;
    }
    const RawMember& raw = member_in(mapping_, entry);
    // Nothing in the table is believed further than this: it may have been written to by anybody.
    members.shares.push_back({std::max(raw.fixed, 0), raw.held.load(std::memory_order_relaxed)});
    members.entries.push_back(entry);
  }
  return members;
}

Result<bool> OffsetsFile::still_live(const Members& members) const {
  for (const int entry : members.entries)
    if (entry != entry_ && !TRY(lock_held_elsewhere(file_, member_range(entry)))) return false;
  return true;
}

Error OffsetsFile::in_use(std::string_view consumer, std::string_view topic,
                          std::optional<PartitionId> partition) const {
  std::vector<MemberEntry> users;
  if (partition) {
    if (const auto owner = this->owner(*partition); owner && *owner) users.push_back(**owner);
  }
  if (users.empty()) users = other_members().value_or(std::vector<MemberEntry>());
  std::string names;
  for (const MemberEntry& user : users)
    names += fmt::format("{}pid {} ({})", names.empty() ? "" : ", ", user.pid, user.command);
  const std::string what = partition ? fmt::format("partition {} of \"{}\" is claimed by", partition->value, topic)
                                     : fmt::format("topic \"{}\" is read by", topic);
  return {Code::busy, fmt::format("consumer \"{}\" is in use: {} {}", consumer, what,
                                  names.empty() ? std::string_view("another process") : std::string_view(names))};
}

WakeWord& OffsetsFile::wake() const {
  ASSERT(mapping_);
  return *reinterpret_cast<WakeWord*>(mapping_.data() + kWakeAt);
}

Result<std::vector<GroupTopic>> list_group_topics(const DataDir& data_dir) {
  std::vector<GroupTopic> found;
  const auto groups = data_dir.root().open_directory(kGroupsDirectory);
  if (!groups && is_missing(data_dir, groups.error())) return found;
  if (!groups) return std::unexpected(groups.error());
  for (const std::string& group : TRY(groups->list())) {
    if (!check_name("consumer", group)) continue;
    const auto directory = groups->open_directory(group);
    if (!directory && directory.error().code == Code::not_found) continue;  // gone meanwhile
    if (!directory) return std::unexpected(directory.error());
    for (const std::string& topic : TRY(directory->list())) {
      if (check_name("topic", topic)) found.push_back({group, topic});
    }
  }
  return found;
}

Result<void> forget_topic(const DataDir& data_dir, std::string_view topic, const TopicId& id) {
  for (const GroupTopic& entry : TRY(list_group_topics(data_dir))) {
    if (entry.topic != topic) continue;
    const Directory groups = TRY(data_dir.groups());
    const auto group = groups.open_directory(entry.group);
    const auto directory = group ? group->open_directory(topic) : std::unexpected(group.error());
    if (!directory && directory.error().code == Code::not_found) continue;  // gone meanwhile
    if (!directory) return std::unexpected(directory.error());
    {
      const DirectoryLock lock = TRY(DirectoryLock::acquire(*directory, data_dir.lock_timeout()));
      const auto file = directory->open_file(kOffsetsFile, OpenMode::read);
      if (file && TRY(belongs(*file, id)) != Belongs::here) continue;
      TRY(directory->unlink(kOffsetsFile));
    }
    (void)group->remove_directory(topic);
    TRY(group->sync());
    (void)groups.remove_directory(entry.group);  // fails while other topics are in it
  }
  return {};
}

Result<void> remove_when_empty(const DataDir& data_dir, std::string_view group, std::string_view topic) {
  const Directory groups = TRY(data_dir.groups());
  const Directory group_directory = TRY(groups.open_directory(group));
  {
    const Directory directory = TRY(group_directory.open_directory(topic));
    const DirectoryLock lock = TRY(DirectoryLock::acquire(directory, data_dir.lock_timeout()));
    const File file = TRY(directory.open_file(kOffsetsFile, OpenMode::read_write));
    // Whoever has it open to use it holds a member entry.
    if (!TRY(try_lock_range(file, {0, std::int64_t{1} << 40}, LockKind::exclusive))) return {};
    const std::int64_t bytes = TRY(file.size());
    for (PartitionId p{0}; slot_range(p).start < bytes; p += 1) {
      if (TRY(Slots::load(file, slot_range(p).start)).health != Slots::Health::empty) return {};
    }
    TRY(directory.unlink(kOffsetsFile));
  }
  (void)group_directory.remove_directory(topic);
  (void)groups.remove_directory(group);
  return groups.sync();
}

}  // namespace leat
