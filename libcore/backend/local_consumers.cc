// What an operator does with the offsets that consumers have stored in a data directory: list, describe, seek, delete.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "leat/backend/local.h"
#include "leat/base/units.h"
#include "leat/log/partition_reader.h"

namespace leat {

namespace {

// Looks up the topic of a group's offsets; nullopt when there is none of that name any more.
Result<std::optional<Topic>> topic_of(const DataDir& data_dir, const std::string& name) {
  auto topic = Topic::open(data_dir, name, Topic::Access::read);
  if (topic) return std::move(*topic);
  if (topic.error().code == Code::not_found) return std::nullopt;
  return std::unexpected(std::move(topic).error());
}

Result<std::optional<OffsetsFile>> offsets_of(const DataDir& data_dir, std::string_view consumer, const Topic& topic,
                                              OffsetsFile::Access access) {
  return OffsetsFile::open(data_dir, consumer, topic.name(), topic.id(), topic.settings().partitions, access);
}

// What can be read of a partition; nothing where it is damaged or gone, which is for reading to report.
Result<std::optional<VisibleRange>> range_if_readable(Topic& topic, PartitionId partition) {
  auto range = visible_range(topic, partition);
  if (range) return *range;
  if (range.error().code == Code::damaged || range.error().code == Code::not_found) return std::nullopt;
  return std::unexpected(std::move(range).error());
}

std::int64_t lag_behind(const VisibleRange& range, Offset next) {
  return std::max<std::int64_t>(range.end - std::max(next, range.start), 0);
}

Error unknown_consumer(std::string_view consumer, std::optional<std::string_view> topic,
                       std::span<const PartitionId> partitions, const std::vector<GroupTopic>& known) {
  std::string where;
  if (topic) where += fmt::format(" on topic \"{}\"", *topic);
  if (!partitions.empty()) where += fmt::format(" and partition {}", partitions[0].value);
  std::vector<std::string> names;
  for (const GroupTopic& entry : known) names.push_back(entry.group);
  const bool exists = std::ranges::find(names, consumer) != names.end();
  const std::string_view near = exists ? std::string_view() : nearest(consumer, names);
  return {Code::not_found, fmt::format("consumer \"{}\" not found{}", consumer, where),
          near.empty() ? "leat consumer list" : fmt::format("did you mean \"{}\"?", near)};
}

// ---- Listing ----

// Damage is told of beside what can be read; any other error is the caller's.
Result<void> add_unreadable(const std::string& group, const std::string& topic, const Error& error,
                            ConsumerOffsets& found) {
  if (error.code != Code::damaged) return std::unexpected(error);
  found.unreadable.push_back({group, topic, error});
  return {};
}

// What is stored for one group in one topic. Errors: damaged (the whole file), io.
Result<void> add_offsets(const DataDir& data_dir, const std::string& group, Topic& topic, bool with_lag,
                         ConsumerOffsets& found) {
  const auto file = TRY(offsets_of(data_dir, group, topic, OffsetsFile::Access::read));
  if (!file) return {};
  for (PartitionId p{0}; p.value < topic.settings().partitions; p += 1) {
    const auto stored = file->load(p);
    if (!stored) TRY(add_unreadable(group, topic.name(), stored.error(), found));
    if (!stored || !*stored) continue;
    ConsumerOffset offset{group, topic.name(), p, (*stored)->next, (*stored)->committed_at, {}};
    if (with_lag) {
      if (const auto range = TRY(range_if_readable(topic, p))) offset.lag = lag_behind(*range, offset.next);
    }
    found.offsets.push_back(std::move(offset));
  }
  return {};
}

// ---- Describing ----

Result<ConsumerPartition> describe_partition(Topic& topic, const OffsetsFile& file, PartitionId partition) {
  ConsumerPartition described{.topic = topic.name(), .partition = partition};
  if (const auto stored = TRY(file.load(partition))) {
    described.next = stored->next;
    described.committed_at = stored->committed_at;
  }
  if (const auto range = TRY(range_if_readable(topic, partition))) {
    described.start = range->start;
    described.end = range->end;
    described.lag = lag_behind(*range, described.next.value_or(range->start));
  }
  if (const auto owner = TRY(file.owner(partition))) described.owner = {owner->pid, owner->host, owner->command};
  return described;
}

void add_members(std::vector<GroupMember>& members, const std::vector<MemberEntry>& entries) {
  for (const MemberEntry& entry : entries) {
    const bool known = std::ranges::any_of(members, [&](const GroupMember& member) {
      return member.pid == entry.pid && member.host == entry.host && member.command == entry.command;
    });
    if (!known) members.push_back({entry.pid, entry.host, entry.command});
  }
}

// ---- Seeking ----

struct Move {
  PartitionId partition;
  SeekTarget target;
  std::optional<Offset> prior = {};
  Offset next = {};
};

// What is to move in one topic.
struct TopicSeek {
  Topic topic;
  std::vector<Move> moves = {};
  std::optional<OffsetsFile> file = {};
};

class Seek {
 public:
  Seek(const DataDir& data_dir, std::string_view consumer) : data_dir_(data_dir), consumer_(consumer) {}

  Result<void> add(const SeekRequest& request, const std::vector<GroupTopic>& known) {
    if (request.topic) return add_to(*request.topic, request);
    for (const GroupTopic& entry : known)
      if (entry.group == consumer_ && TRY(topic_of(data_dir_, entry.topic))) TRY(add_to(entry.topic, request));
    return {};
  }

  // Where everything would go. With `claim`, nobody can get at it from then on.
  Result<void> plan(bool claim) {
    for (auto& [name, topic] : topics_) {
      TRY(open_offsets(topic, claim));
      for (Move& move : topic.moves) {
        const bool used = topic.file && (claim ? !TRY(topic.file->claim(move.partition))
                                               : TRY(topic.file->claimed_elsewhere(move.partition)));
        if (used) return std::unexpected(topic.file->in_use(consumer_, name, move.partition));
        TRY(resolve(topic, move, claim));
      }
    }
    return {};
  }

  Result<void> store() {
    for (auto& [name, topic] : topics_) {
      for (const Move& move : topic.moves) TRY(topic.file->store(move.partition, move.next, now_ms()));
      TRY(topic.file->sync());
      topic.file->announce();
    }
    return {};
  }

  std::vector<SeekResult> results() const {
    std::vector<SeekResult> results;
    for (const auto& [name, topic] : topics_)
      for (const Move& move : topic.moves) results.push_back({name, move.partition, move.prior, move.next});
    return results;
  }

 private:
  Result<void> add_to(const std::string& name, const SeekRequest& request) {
    auto found = topics_.find(name);
    if (found == topics_.end()) {
      Topic topic = TRY(Topic::open(data_dir_, name, Topic::Access::read));
      found = topics_.emplace(name, TopicSeek{std::move(topic)}).first;
    }
    TopicSeek& topic = found->second;
    for (const PartitionId partition : partitions_or_all(request.partitions, topic.topic.settings().partitions)) {
      TRY(topic.topic.open_partition(partition));
      if (std::ranges::find(topic.moves, partition, &Move::partition) != topic.moves.end())
        return fail(Code::usage, fmt::format("partition {} of \"{}\" is named twice", partition.value, name));
      topic.moves.push_back({partition, request.target});
    }
    std::ranges::sort(topic.moves, {}, &Move::partition);
    return {};
  }

  Result<void> open_offsets(TopicSeek& topic, bool claim) const {
    auto file = offsets_of(data_dir_, consumer_, topic.topic,
                           claim ? OffsetsFile::Access::write_anew : OffsetsFile::Access::read);
    // Seeking is what mends a damaged file.
    if (!file && file.error().code == Code::damaged) return {};
    topic.file = TRY(std::move(file));
    if (topic.file && !TRY(topic.file->other_members()).empty())
      return std::unexpected(topic.file->in_use(consumer_, topic.topic.name(), std::nullopt));
    return {};
  }

  Result<void> resolve(TopicSeek& topic, Move& move, bool make_durable) const {
    if (topic.file) {
      const auto stored = topic.file->load(move.partition);
      if (!stored && stored.error().code != Code::damaged) return std::unexpected(stored.error());
      move.prior = stored && *stored ? std::optional((*stored)->next) : std::nullopt;
    }
    PartitionReader reader = TRY(PartitionReader::open(topic.topic, move.partition, false));
    const VisibleRange range = TRY(reader.visible());
    const std::string where = fmt::format("partition {} of \"{}\"", move.partition.value, topic.topic.name());
    switch (move.target.kind) {
      case SeekTarget::Kind::start:
        move.next = range.start;
        break;
      case SeekTarget::Kind::end:
        move.next = range.end;
        break;
      case SeekTarget::Kind::offset:
        move.next = Offset{move.target.value};
        break;
      case SeekTarget::Kind::shift:
        if (!move.prior)
          return fail(Code::usage, fmt::format("consumer \"{}\" has no offset on {} to shift", consumer_, where));
        if (__builtin_add_overflow(move.prior->value, move.target.value, &move.next.value)) move.next = Offset{-1};
        break;
      case SeekTarget::Kind::time:
        move.next = TRY(reader.find_time({move.target.value}));
        break;
    }
    if (move.next < range.start || move.next > range.end) {
      return fail(Code::usage, fmt::format("offset {} lies outside of {}: it goes from {} to {}", move.next.value,
                                           where, range.start.value, range.end.value));
    }
    return make_durable ? reader.make_durable(move.next) : Result<void>{};
  }

  const DataDir& data_dir_;
  std::string_view consumer_;
  std::map<std::string, TopicSeek> topics_;
};

// ---- Deleting ----

// The offsets of one topic. Everything is claimed before anything is cleared; what is claimed by others is in use even
// when nothing has been stored for it yet, and all of it while a member lives that may claim any of it.
Result<void> delete_in_topic(const DataDir& data_dir, std::string_view consumer, const std::string& name,
                             std::span<const PartitionId> partitions, bool execute,
                             std::vector<DeletedOffset>& deleted) {
  {
    const auto topic = TRY(topic_of(data_dir, name));
    if (!topic) return {};
    const std::int32_t count = topic->settings().partitions;
    auto file = TRY(
        offsets_of(data_dir, consumer, *topic, execute ? OffsetsFile::Access::write_anew : OffsetsFile::Access::read));
    if (!file) return {};
    if (std::ranges::any_of(TRY(file->other_members()), [](const MemberEntry& member) { return member.fixed == 0; }))
      return std::unexpected(file->in_use(consumer, name, std::nullopt));
    std::vector<PartitionId> chosen = partitions_or_all(partitions, count);
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
    file->announce();
  }
  return remove_when_empty(data_dir, consumer, name);
}

}  // namespace

std::optional<Offset> start_named(const ReadOptions& options, std::string_view topic, PartitionId partition) {
  for (const PartitionStart& start : options.starts)
    if (start.topic == topic && start.partition == partition) return start.offset;
  return std::nullopt;
}

std::vector<PartitionId> partitions_or_all(std::span<const PartitionId> chosen, std::int32_t count) {
  std::vector<PartitionId> partitions(chosen.begin(), chosen.end());
  if (partitions.empty()) {
    partitions.resize(static_cast<std::size_t>(count));
    std::iota(partitions.begin(), partitions.end(), PartitionId{0});
  }
  std::ranges::sort(partitions);
  partitions.erase(std::ranges::unique(partitions).begin(), partitions.end());
  return partitions;
}

Result<ConsumerOffsets> local_consumer_offsets(const DataDir& data_dir, bool with_lag) {
  ConsumerOffsets found;
  for (const GroupTopic& entry : TRY(list_group_topics(data_dir))) {
    auto topic = TRY(topic_of(data_dir, entry.topic));
    if (!topic) continue;
    const auto listed = add_offsets(data_dir, entry.group, *topic, with_lag, found);
    if (!listed) TRY(add_unreadable(entry.group, entry.topic, listed.error(), found));
  }
  return found;
}

Result<ConsumerDescription> describe_local_consumer(const DataDir& data_dir, std::string_view consumer) {
  TRY(check_name("consumer", consumer));
  ConsumerDescription description;
  bool any_stored = false;
  const auto known = TRY(list_group_topics(data_dir));
  for (const GroupTopic& entry : known) {
    auto topic = entry.group == consumer ? TRY(topic_of(data_dir, entry.topic)) : std::nullopt;
    if (!topic) continue;
    const auto file = TRY(offsets_of(data_dir, consumer, *topic, OffsetsFile::Access::read));
    if (!file) continue;
    add_members(description.members, TRY(file->other_members()));
    for (PartitionId p{0}; p.value < topic->settings().partitions; p += 1) {
      description.partitions.push_back(TRY(describe_partition(*topic, *file, p)));
      any_stored |= description.partitions.back().next.has_value();
    }
  }
  if (!any_stored && description.members.empty())
    return std::unexpected(unknown_consumer(consumer, std::nullopt, {}, known));
  return description;
}

Result<std::vector<SeekResult>> seek_local_consumer(const DataDir& data_dir, std::string_view consumer,
                                                    std::span<const SeekRequest> requests, bool create, bool execute) {
  TRY(check_name("consumer", consumer));
  const auto known = TRY(list_group_topics(data_dir));
  const bool exists = std::ranges::find(known, consumer, &GroupTopic::group) != known.end();
  if (!exists && !create) return std::unexpected(unknown_consumer(consumer, std::nullopt, {}, known));
  Seek seek(data_dir, consumer);
  for (const SeekRequest& request : requests) TRY(seek.add(request, known));
  // All that can be refused is refused before a file is made.
  TRY(seek.plan(false));
  if (execute) {
    TRY(seek.plan(true));
    TRY(seek.store());
  }
  return seek.results();
}

Result<std::vector<DeletedOffset>> delete_local_consumer(const DataDir& data_dir, std::string_view consumer,
                                                         std::optional<std::string_view> topic,
                                                         std::span<const PartitionId> partitions, bool execute) {
  TRY(check_name("consumer", consumer));
  std::vector<DeletedOffset> deleted;
  const auto known = TRY(list_group_topics(data_dir));
  for (const GroupTopic& entry : known) {
    if (entry.group != consumer || (topic && entry.topic != *topic)) continue;
    TRY(delete_in_topic(data_dir, consumer, entry.topic, partitions, execute, deleted));
  }
  if (deleted.empty()) return std::unexpected(unknown_consumer(consumer, topic, partitions, known));
  return deleted;
}

}  // namespace leat
