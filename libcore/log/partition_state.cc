#include "leat/log/partition_state.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <cerrno>
#include <cstddef>

#include "leat/base/crc32c.h"
#include "leat/base/hex.h"
#include "leat/log/file_names.h"

namespace leat {

namespace {

constexpr std::array<char, 8> kMagic = {'l', 'e', 'a', 't', 's', 't', '0', '1'};

std::uint32_t header_crc(const StateHeader& header) {
  return crc32c({reinterpret_cast<const std::byte*>(&header), offsetof(StateHeader, crc)});
}

std::size_t state_bytes(std::int32_t partitions) {
  return kStatePageBytes * (static_cast<std::size_t>(partitions) + 1);
}

Result<void> write_zeros(const File& file, std::int64_t from, std::int64_t to) {
  const std::vector<std::byte> zeros(static_cast<std::size_t>(to - from));
  return file.write_at(Bytes(zeros), from);
}

bool header_is_ours(const StateHeader& header, const FileIdentity& identity, const TopicId& id) {
  return header.magic == kMagic && header.crc == header_crc(header) && header.topic_id == id &&
         header.inode == identity.inode && header.born_ns == identity.born_ns;
}

}  // namespace

std::optional<Sequenced<LogEnd>> load_end(const SharedSlots<LogEnd>& slots) {
  constexpr std::int64_t kPositionMax = std::int64_t{1} << 40;
  const auto found = slots.load();
  if (!found) return std::nullopt;
  const LogEnd& end = found->value;
  const bool possible = end.position >= 0 && end.position <= kPositionMax && end.segment_base >= Offset{0} &&
                        end.end >= end.segment_base && end.log_start >= Offset{0};
  return possible ? found : std::nullopt;
}

Result<TopicState> TopicState::open_existing(const Directory& topic, const TopicId& id, std::int32_t partitions,
                                             bool writable) {
  TopicState state;
  state.file_ = TRY(topic.open_file(kStateFile, writable ? OpenMode::read_write : OpenMode::read));
  if (writable) lose_at_fork(state.file_.fd());
  const auto wanted = static_cast<std::int64_t>(state_bytes(partitions));
  if (TRY(state.file_.size()) < wanted)
    return fail(Code::not_found, fmt::format("{} is too short", state.file_.path()));
  state.mapping_ = TRY(Mapping::map(state.file_, static_cast<std::size_t>(wanted), writable));
  if (!header_is_ours(state.header(), TRY(state.file_.identity()), id)) {
    return fail(Code::not_found, fmt::format("{} was not written for this topic and file", state.file_.path()));
  }
  return state;
}

Result<void> TopicState::create(const Directory& topic, const TopicId& id, std::int32_t partitions) {
  const std::string temporary = fmt::format("{}.tmp", kStateFile);
  TRY(topic.unlink(temporary));
  const File file = TRY(topic.open_file(temporary, OpenMode::create_new));
  TRY(write_zeros(file, 0, static_cast<std::int64_t>(state_bytes(partitions))));
  TRY(file.sync_data());
  const FileIdentity identity = TRY(file.identity());
  StateHeader header{};
  header.magic = kMagic;
  header.topic_id = id;
  header.inode = identity.inode;
  header.born_ns = identity.born_ns;
  header.crc = header_crc(header);
  TRY(file.write_at(Bytes(reinterpret_cast<const std::byte*>(&header), sizeof header), 0));
  TRY(file.sync_data());
  TRY(topic.rename(temporary, topic, kStateFile));
  return topic.sync();
}

Result<void> TopicState::grow(const Directory& topic, std::int32_t partitions) {
  const File file = TRY(topic.open_file(kStateFile, OpenMode::read_write));
  const std::int64_t present = TRY(file.size());
  const auto wanted = static_cast<std::int64_t>(state_bytes(partitions));
  if (present < wanted) TRY(write_zeros(file, present, wanted));
  return file.sync_data();
}

std::string to_string(const TopicId& id) {
  return to_hex(std::as_bytes(std::span(id)));
}

std::optional<TopicId> parse_topic_id(std::string_view text) {
  TopicId id{};
  if (text.size() != id.size() * 2) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return std::nullopt;
    id[i / 2] = static_cast<std::uint8_t>(id[i / 2] << 4 | digit);
  }
  return id;
}

Result<TopicId> make_topic_id() {
  TopicId id{};
  if (::getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    return fail_errno(errno, "cannot get random bytes");
  }
  return id;
}

}  // namespace leat
