#include "leat/log/verify_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "leat/base/crc32c.h"
#include "leat/base/toml.h"
#include "leat/log/file_names.h"
#include "leat/log/survey.h"

namespace leat {

namespace {

constexpr std::int64_t kSmallFileBytesMax = 64 << 20;
constexpr std::int64_t kProducerBytesMax = 256 + std::int64_t{kPartitionsMax} * 8;  // log/named_producer.h
constexpr std::size_t kRootFileBytesMax = 4096;

// A value of a file in the byte order of the machine.
template <class T>
T load(std::string_view text, std::size_t at) {
  T value{};
  std::memcpy(&value, text.data() + at, sizeof value);
  return value;
}

// The content of a small file, with memory for what is there only.
Result<std::string> read_whole(const File& file, std::int64_t bytes_max) {
  const std::int64_t bytes = TRY(file.size());
  if (bytes > bytes_max) return fail(Code::damaged, fmt::format("{} is larger than {} bytes", file.path(), bytes_max));
  std::string text(static_cast<std::size_t>(bytes), '\0');
  text.resize(TRY(file.read_at(std::as_writable_bytes(std::span(text)), 0)));
  return text;
}

// A snapshot as long as its header says, log/producer_state.h: what only claims to be long is not read.
Result<std::string> read_snapshot(const File& file) {
  constexpr std::int64_t kHeaderBytes = 32;
  constexpr std::int64_t kEntryBytes = 40;
  constexpr std::size_t kEntriesAt = 24;
  std::string header(kHeaderBytes, '\0');
  header.resize(TRY(file.read_at(std::as_writable_bytes(std::span(header)), 0)));
  if (std::ssize(header) < kHeaderBytes) return header;
  const auto entries = load<std::uint64_t>(header, kEntriesAt);
  const std::int64_t body = TRY(file.size()) - kHeaderBytes - std::int64_t{sizeof(std::uint32_t)};
  if (body < 0 || body % kEntryBytes != 0 || entries != static_cast<std::uint64_t>(body / kEntryBytes)) return header;
  return read_whole(file, kSmallFileBytesMax);
}

// producers/NAME, as log/named_producer.h lays it out. Why it cannot be used, or empty.
std::string fault_of_producer(std::string_view text, const TopicId& id) {
  constexpr std::string_view kMagic = "leatip01";
  constexpr std::size_t kTopicAt = 8;
  constexpr std::size_t kPartitionsAt = 32;
  constexpr std::size_t kCrcAt = 40;
  constexpr std::size_t kSinceAt = 256;
  if (text.size() < kSinceAt || !text.starts_with(kMagic)) return "the header is not one of a producer";
  const auto partitions = load<std::int32_t>(text, kPartitionsAt);
  if (partitions < 1 || partitions > kPartitionsMax) return "the header is not one of a producer";
  const std::size_t since_bytes = static_cast<std::size_t>(partitions) * sizeof(std::int64_t);
  if (text.size() < kSinceAt + since_bytes) return "the file ends too early";
  const std::uint32_t crc =
      crc32c(as_bytes(text.substr(kSinceAt, since_bytes)), crc32c(as_bytes(text.substr(0, kCrcAt))));
  if (crc != load<std::uint32_t>(text, kCrcAt)) return "the checksum is wrong";
  if (load<TopicId>(text, kTopicAt) != id) return "it belongs to another topic";
  return {};
}

// <base>.producers, as log/producer_state.h lays it out.
bool is_whole_snapshot(std::string_view text, Offset base) {
  constexpr std::string_view kMagic = "leatps01";
  constexpr std::size_t kBaseAt = 8;
  constexpr std::size_t kHeaderBytes = 32;
  if (text.size() < kHeaderBytes + sizeof(std::uint32_t) || !text.starts_with(kMagic)) return false;
  const std::string_view body = text.substr(0, text.size() - sizeof(std::uint32_t));
  return load<std::int64_t>(text, kBaseAt) == base.value &&
         crc32c(as_bytes(body)) == load<std::uint32_t>(text, body.size());
}

Finding describe_stranger(const FindingScope& scope, std::string path, std::string_view name) {
  if (name.ends_with(".tmp") || name.ends_with(".compacting")) {
    return scope.note(std::move(path), "a file that was being written",
                      "in use right now, or left by a process that was killed; nothing reads it");
  }
  for (const std::string_view suffix : {".index", ".timeindex", ".producers"}) {
    if (parse_segment_file_name(name, suffix))
      return scope.note(std::move(path), "its segment is not there", "nothing reads it");
  }
  return scope.note(std::move(path), "not one of leat's files", "nothing reads it or removes it");
}

}  // namespace

Result<void> verify_names(const Verification& verification, const FindingScope& scope, const Directory& directory,
                          const std::function<bool(std::string_view)>& belongs) {
  for (const std::string& name : TRY(directory.list())) {
    if (belongs(name) || !directory.exists(name)) continue;
    verification.report(describe_stranger(scope, directory.path_of(name), name));
  }
  return {};
}

Result<void> verify_state_file(const Verification& verification, const FindingScope& scope, const Directory& topics,
                               const Directory& topic, const TopicId& id) {
  const auto note = [&](std::string what) {
    verification.report(scope.note(topic.path_of(kStateFile), std::move(what),
                                   "the next producer makes it anew; until then readers find the end of the log by "
                                   "themselves"));
  };
  const auto file = topic.open_file(kStateFile, OpenMode::read);
  if (!file && file.error().code == Code::not_found) {
    note("the file is missing");
    return {};
  }
  if (!file) return std::unexpected(file.error());
  alignas(StateHeader) std::array<std::byte, sizeof(StateHeader)> raw{};
  if (TRY(file->read_at(raw, 0)) != raw.size()) {
    note("the file is short");
    return {};
  }
  const auto& header = *reinterpret_cast<const StateHeader*>(raw.data());
  const FileIdentity identity = TRY(file->identity());
  if (header.crc != crc32c(Bytes(raw).first(offsetof(StateHeader, crc)))) {
    note("the checksum of its header is wrong");
  } else if (header.inode != identity.inode || header.born_ns != identity.born_ns) {
    note("it was written for another file: the directory has been copied or restored");
  } else if (header.topic_id != id) {
    verification.report(
        scope.damage(topic.path_of(kTopicFile),
                     fmt::format("its id is not {}, which the topic was made with", to_string(header.topic_id)),
                     "consumers and producers with names do not find what they stored"));
  } else if (header.deleted.load(std::memory_order_relaxed) != 0 && topic.still_in(topics, scope.topic)) {
    Finding finding = scope.damage(topic.path_of(kStateFile), "it says that the topic was deleted, which is not so",
                                   "nothing can be read or written");
    finding.byte = static_cast<std::int64_t>(offsetof(StateHeader, deleted));
    finding.repairable = true;
    verification.report(std::move(finding));
  }
  return {};
}

Result<void> verify_named_producers(const Verification& verification, const FindingScope& scope, const Directory& topic,
                                    const TopicId& id) {
  struct Run {
    std::int64_t number;
  };
  constexpr std::int64_t kRunAt = 128;
  const auto directory = topic.open_directory(kProducersDirectory);
  if (!directory && directory.error().code == Code::not_found) return {};
  if (!directory) return std::unexpected(directory.error());
  const auto is_name = [](std::string_view name) {
    return check_name("producer", name).has_value() && !name.ends_with(".tmp");
  };
  TRY(verify_names(verification, scope, *directory, is_name));
  for (const std::string& name : TRY(directory->list())) {
    if (!is_name(name)) continue;
    const auto file = directory->open_file(name, OpenMode::read);
    if (!file && file.error().code == Code::not_found) continue;
    if (!file) return std::unexpected(file.error());
    const auto text = read_whole(*file, kProducerBytesMax);
    if (!text && text.error().code != Code::damaged) return std::unexpected(text.error());
    const std::string stopped = fmt::format("the producer \"{}\" cannot go on; begin again under another name", name);
    if (std::string fault = text ? fault_of_producer(*text, id) : text.error().message; !fault.empty()) {
      Finding finding = scope.damage(file->path(), std::move(fault), stopped);
      finding.byte = 0;
      verification.report(std::move(finding));
      continue;
    }
    const SlotHealth run = TRY(survey_slots<Run>(*file, kRunAt)).health;
    if (run != SlotHealth::damaged && run != SlotHealth::newer_lost) continue;
    const bool both = run == SlotHealth::damaged;
    Finding finding =
        both ? scope.damage(file->path(), "neither slot of the run's number has the right checksum", stopped)
             : scope.damage(file->path(), "a slot of the run's number has the wrong checksum",
                            "the number may be the one before the last: a run may have that of another");
    finding.byte = kRunAt;
    verification.report(std::move(finding));
  }
  return {};
}

Result<void> verify_producer_snapshots(const Verification& verification, const FindingScope& scope,
                                       const Directory& partition, std::span<const Offset> bases) {
  std::vector<std::string> bad;
  bool any_whole = false;
  for (const std::string& name : TRY(partition.list())) {
    const auto base = parse_segment_file_name(name, ".producers");
    if (!base || !std::ranges::binary_search(bases, *base)) continue;
    const auto file = partition.open_file(name, OpenMode::read);
    if (!file && file.error().code == Code::not_found) continue;
    const auto text = file ? read_snapshot(*file) : std::unexpected(file.error());
    if (!text && text.error().code != Code::damaged) return std::unexpected(text.error());
    if (text && is_whole_snapshot(*text, *base)) {
      any_whole = true;
    } else {
      bad.push_back(name);
    }
  }
  // While the batches before it are there, or another snapshot, a snapshot says nothing that the log does not.
  const bool needed = !any_whole && !bases.empty() && bases.front() > Offset{0};
  for (const std::string& name : bad) {
    if (!partition.exists(name)) continue;
    constexpr const char* kWhat = "the checksum is wrong, or it is not what its name says";
    verification.report(needed ? scope.damage(partition.path_of(name), kWhat,
                                              "what producers with names have in retired segments is not known any "
                                              "more; they cannot go on in this partition")
                               : scope.note(partition.path_of(name), kWhat,
                                            "nothing is lost: the log itself says what producers have"));
  }
  return {};
}

Result<void> verify_root(Verification& verification, const DataDir& data_dir) {
  const FindingScope scope;
  const Directory& root = data_dir.root();
  // That it could be opened says that the file is one of leat's.
  const std::string path = root.path_of(kDataDirFile);
  bool has_id = false;
  for (const TomlEntry& entry : TRY(parse_toml(TRY(root.read_file(kDataDirFile, kRootFileBytesMax)), path))) {
    const auto* text = std::get_if<std::string>(&entry.value);
    has_id |= entry.key == "id" && text != nullptr && parse_topic_id(*text);
  }
  if (!has_id)
    verification.report(scope.note(path, "there is no id of 32 hexadecimal digits in it", "nothing depends on it"));

  constexpr std::array<std::string_view, 7> kKnown = {
      kDataDirFile, kTopicsDirectory, kGroupsDirectory, kTrashDirectory, kStoresDirectory, "lock", "lost+found"};
  TRY(verify_names(verification, scope, root,
                   [&](std::string_view name) { return std::ranges::find(kKnown, name) != kKnown.end(); }));
  if (const auto topics = root.open_directory(kTopicsDirectory)) {
    TRY(verify_names(verification, scope, *topics,
                     [](std::string_view name) { return check_name("topic", name).has_value(); }));
  }
  if (const auto trash = root.open_directory(kTrashDirectory)) {
    for (const std::string& name : TRY(trash->list())) {
      if (!trash->exists(name)) continue;
      verification.report(scope.note(trash->path_of(name), "left of a topic that was deleted",
                                     "the next topic that is created or deleted takes it along"));
    }
  }
  return {};
}

std::optional<Offset> parse_segment_file_name(std::string_view name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return std::nullopt;
  return parse_log_file_name(std::string(name.substr(0, name.size() - suffix.size())) + ".log");
}

}  // namespace leat
