// What an operator does with the offsets that consumer groups have stored in a cluster: list, describe, seek, delete.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <thread>

#include "leat/backend/kafka_client.h"
#include "leat/backend/local.h"
#include "leat/base/units.h"

namespace leat::kafka {

namespace {

using GroupQuery =
    std::unique_ptr<rd_kafka_ListConsumerGroupOffsets_t, Destroy<rd_kafka_ListConsumerGroupOffsets_destroy>>;
using GroupChange =
    std::unique_ptr<rd_kafka_AlterConsumerGroupOffsets_t, Destroy<rd_kafka_AlterConsumerGroupOffsets_destroy>>;
using OffsetRemoval =
    std::unique_ptr<rd_kafka_DeleteConsumerGroupOffsets_t, Destroy<rd_kafka_DeleteConsumerGroupOffsets_destroy>>;
using GroupRemoval = std::unique_ptr<rd_kafka_DeleteGroup_t, Destroy<rd_kafka_DeleteGroup_destroy>>;

using Place = std::pair<std::string, PartitionId>;
using Stored = std::map<Place, Offset>;

// A group as its coordinator describes it.
struct Member {
  GroupMember who;
  std::vector<Place> places;
};

Result<std::vector<std::string>> group_names(Handle& handle) {
  const EventHandle event =
      TRY(request(handle, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS, "consumers",
                  [&](auto* options, auto* queue) { rd_kafka_ListConsumerGroups(handle.get(), options, queue); }));
  const auto* result = rd_kafka_event_ListConsumerGroups_result(event.get());
  std::size_t count = 0;
  const rd_kafka_error_t** errors = rd_kafka_ListConsumerGroups_result_errors(result, &count);
  if (count > 0) {
    return std::unexpected(handle.error(rd_kafka_error_code(errors[0]), "consumers", rd_kafka_error_string(errors[0])));
  }
  const auto** groups = rd_kafka_ListConsumerGroups_result_valid(result, &count);
  std::vector<std::string> names;
  for (const auto* group : std::span(groups, count)) names.emplace_back(rd_kafka_ConsumerGroupListing_group_id(group));
  std::ranges::sort(names);
  return names;
}

Result<void> check_groups(const Handle& handle, std::string_view consumer, const rd_kafka_group_result_t** results,
                          std::size_t count) {
  for (const rd_kafka_group_result_t* result : std::span(results, count)) {
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (const rd_kafka_error_t* error = rd_kafka_group_result_error(result)) code = rd_kafka_error_code(error);
    if (const auto* partitions = rd_kafka_group_result_partitions(result)) {
      for (const auto& one : elements(partitions))
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = one.err;
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    if (code_of(code) == Code::busy)
      return fail(Code::busy, fmt::format("consumer \"{}\" is in use ({})", consumer, rd_kafka_err2str(code)),
                  fmt::format("leat consumer describe {}", consumer));
    return std::unexpected(handle.error(code, fmt::format("consumer \"{}\"", consumer)));
  }
  return {};
}

// What groups have stored. To the answer that another broker coordinates the group, librdkafka 2.0 looks for the
// coordinator of the asking client's own group, and crashes where it has none (confluentinc/librdkafka issue 5040): so
// this client is a consumer, of a group that it never joins.
class StoredOffsets {
 public:
  // Both must outlive it.
  StoredOffsets(const Handle& admin, const Topics& topics) : config_(admin.config()), topics_(topics) {}

  // Everything of that group, of topics that exist. While its coordinator is not to be had it is asked for anew.
  Result<Stored> of(std::string_view consumer) {
    const SteadyTime deadline = std::chrono::steady_clock::now() + config_.timeout;
    for (;;) {
      auto stored = ask(consumer);
      if (stored || stored.error().code != Code::unavailable || std::chrono::steady_clock::now() >= deadline)
        return stored;
      client_.reset();  // it remembers who was the coordinator
      std::this_thread::sleep_for(kAskAgain);
    }
  }

 private:
  static constexpr Milliseconds kAskAgain{100};

  Result<Stored> ask(std::string_view consumer) {
    if (!client_)
      client_ = TRY(Handle::open(config_, RD_KAFKA_CONSUMER, {{"group.id", "leat"}, {"enable.auto.commit", "false"}}));
    const std::string name(consumer);
    const GroupQuery query(rd_kafka_ListConsumerGroupOffsets_new(name.c_str(), nullptr));
    const EventHandle event =
        TRY(request(*client_, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, "offsets", [&](auto* options, auto* queue) {
          rd_kafka_ListConsumerGroupOffsets_t* one = query.get();
          rd_kafka_ListConsumerGroupOffsets(client_->get(), &one, 1, options, queue);
        }));
    std::size_t count = 0;
    const auto** results = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(event.get()), &count);
    TRY(check_groups(*client_, consumer, results, count));
    Stored stored;
    for (const rd_kafka_group_result_t* result : std::span(results, count)) {
      const auto* partitions = rd_kafka_group_result_partitions(result);
      if (partitions == nullptr) continue;
      for (const auto& one : elements(partitions))
        if (one.offset >= 0 && topics_.contains(one.topic)) stored[{one.topic, {one.partition}}] = Offset{one.offset};
    }
    return stored;
  }

  const Config& config_;
  const Topics& topics_;
  std::unique_ptr<Handle> client_;
};

Result<std::vector<Member>> members_of(Handle& handle, std::string_view consumer) {
  const std::string name(consumer);
  const EventHandle event =
      TRY(request(handle, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, "members", [&](auto* options, auto* queue) {
        const char* one = name.c_str();
        rd_kafka_DescribeConsumerGroups(handle.get(), &one, 1, options, queue);
      }));
  std::size_t count = 0;
  const auto** groups =
      rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(event.get()), &count);
  std::vector<Member> members;
  for (const auto* group : std::span(groups, count)) {
    if (const rd_kafka_error_t* error = rd_kafka_ConsumerGroupDescription_error(group)) {
      const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
      if (code_of(code) == Code::not_found) continue;
      return std::unexpected(
          handle.error(code, fmt::format("consumer \"{}\"", consumer), rd_kafka_error_string(error)));
    }
    const std::size_t size = rd_kafka_ConsumerGroupDescription_member_count(group);
    for (std::size_t i = 0; i < size; ++i) {
      const auto* one = rd_kafka_ConsumerGroupDescription_member(group, i);
      Member& member = members.emplace_back(
          Member{parse_member(rd_kafka_MemberDescription_client_id(one), rd_kafka_MemberDescription_host(one)), {}});
      const auto* assignment = rd_kafka_MemberDescription_assignment(one);
      const auto* partitions = assignment == nullptr ? nullptr : rd_kafka_MemberAssignment_partitions(assignment);
      if (partitions == nullptr) continue;
      for (const auto& place : elements(partitions)) member.places.push_back({place.topic, {place.partition}});
    }
  }
  return members;
}

struct Range {
  Offset start;
  Offset end;
};

// What can be read of each place; nothing where it cannot be known.
Result<std::map<Place, Range>> ranges_of(Handle& handle, const std::vector<Place>& places) {
  std::vector<OffsetQuery> starts;
  std::vector<OffsetQuery> ends;
  for (const Place& place : places) {
    starts.push_back({place.first, place.second, kAtStart});
    ends.push_back({place.first, place.second, kAtEnd});
  }
  const auto first = TRY(handle.offsets(starts));
  const auto last = TRY(handle.offsets(ends));
  std::map<Place, Range> ranges;
  for (std::size_t i = 0; i < places.size(); ++i)
    if (first[i] && last[i]) ranges[places[i]] = {*first[i], *last[i]};
  return ranges;
}

std::int64_t lag_behind(const Range& range, Offset next) {
  return std::max<std::int64_t>(range.end - std::max(next, range.start), 0);
}

Result<Error> unknown_consumer(Handle& handle, std::string_view consumer, std::string_view where = "") {
  const std::vector<std::string> names = TRY(group_names(handle));
  const bool exists = std::ranges::find(names, consumer) != names.end();
  const std::string_view near = exists ? std::string_view() : nearest(consumer, names);
  return Error{Code::not_found, fmt::format("consumer \"{}\" not found{}", consumer, where),
               near.empty() ? "leat consumer list" : fmt::format("did you mean \"{}\"?", near)};
}

std::unexpected<Error> in_use(std::string_view consumer, const GroupMember& by) {
  return fail(Code::busy,
              fmt::format("consumer \"{}\" is in use by process {} on {} ({})", consumer, by.pid, by.host, by.command));
}

}  // namespace

// ---- Members ----

std::string member_name(const std::string& description) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return fmt::format("leat {} {} {}", ::getpid(), host.data(), description);
}

GroupMember parse_member(std::string_view client_id, std::string_view host) {
  GroupMember foreign{0, std::string(host.starts_with('/') ? host.substr(1) : host), std::string(client_id)};
  if (!client_id.starts_with("leat ")) return foreign;
  GroupMember member;
  const char* end = client_id.data() + client_id.size();
  const auto pid = std::from_chars(client_id.data() + 5, end, member.pid);
  std::string_view rest(pid.ptr, static_cast<std::size_t>(end - pid.ptr));
  if (pid.ec != std::errc() || !rest.starts_with(' ')) return foreign;
  rest.remove_prefix(1);
  const std::size_t space = rest.find(' ');
  if (space == std::string_view::npos) return foreign;
  member.host = rest.substr(0, space);
  member.command = rest.substr(space + 1);
  return member;
}

bool is_rebalancing(Handle& handle, std::string_view consumer) {
  const std::string name(consumer);
  const auto event =
      request(handle, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, "members", [&](auto* options, auto* queue) {
        const char* one = name.c_str();
        rd_kafka_DescribeConsumerGroups(handle.get(), &one, 1, options, queue);
      });
  if (!event) return false;
  std::size_t count = 0;
  const auto** groups =
      rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(event->get()), &count);
  return std::ranges::any_of(std::span(groups, count), [](const auto* group) {
    const auto state = rd_kafka_ConsumerGroupDescription_state(group);
    return state == RD_KAFKA_CONSUMER_GROUP_STATE_PREPARING_REBALANCE ||
           state == RD_KAFKA_CONSUMER_GROUP_STATE_COMPLETING_REBALANCE;
  });
}

// ---- Listing ----

Result<ConsumerOffsets> consumer_offsets(Handle& handle, bool with_lag) {
  const Topics topics = TRY(handle.topics());
  std::vector<ConsumerOffset> offsets;
  std::vector<Place> places;
  StoredOffsets stored(handle, topics);
  for (const std::string& group : TRY(group_names(handle))) {
    for (const auto& [place, next] : TRY(stored.of(group))) {
      offsets.push_back({group, place.first, place.second, next, {}, {}});
      places.push_back(place);
    }
  }
  if (!with_lag) return ConsumerOffsets{std::move(offsets)};
  std::ranges::sort(places);
  places.erase(std::ranges::unique(places).begin(), places.end());
  const auto ranges = TRY(ranges_of(handle, places));
  for (ConsumerOffset& offset : offsets)
    if (const auto range = ranges.find({offset.topic, offset.partition}); range != ranges.end())
      offset.lag = lag_behind(range->second, offset.next);
  return ConsumerOffsets{std::move(offsets)};
}

Result<ConsumerDescription> describe_consumer(Handle& handle, std::string_view consumer) {
  const Topics topics = TRY(handle.topics());
  const Stored stored = TRY(StoredOffsets(handle, topics).of(consumer));
  const std::vector<Member> members = TRY(members_of(handle, consumer));
  if (stored.empty() && members.empty()) return std::unexpected(TRY(unknown_consumer(handle, consumer)));
  ConsumerDescription description;
  std::map<Place, GroupMember> owners;
  std::vector<std::string> names;
  for (const Member& member : members) {
    description.members.push_back(member.who);
    for (const Place& place : member.places) {
      owners[place] = member.who;
      names.push_back(place.first);
    }
  }
  for (const auto& [place, next] : stored) names.push_back(place.first);
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  std::vector<Place> places;
  for (const std::string& name : names) {
    const auto topic = topics.find(name);
    if (topic == topics.end()) continue;
    for (PartitionId p{0}; p.value < topic->second; p += 1) places.push_back({name, p});
  }
  const auto ranges = TRY(ranges_of(handle, places));
  for (const Place& place : places) {
    ConsumerPartition& row = description.partitions.emplace_back();
    row.topic = place.first;
    row.partition = place.second;
    if (const auto next = stored.find(place); next != stored.end()) row.next = next->second;
    if (const auto range = ranges.find(place); range != ranges.end()) {
      row.start = range->second.start;
      row.end = range->second.end;
      row.lag = lag_behind(range->second, row.next.value_or(range->second.start));
    }
    if (const auto owner = owners.find(place); owner != owners.end()) row.owner = owner->second;
  }
  return description;
}

// ---- Seeking ----

namespace {

struct Move {
  Place place;
  SeekTarget target;
};

Result<std::vector<Move>> plan_moves(std::span<const SeekRequest> requests, const Topics& topics,
                                     const Stored& stored) {
  std::vector<Move> moves;
  for (const SeekRequest& request : requests) {
    std::vector<std::string> names;
    if (request.topic) names.push_back(*request.topic);
    for (const auto& [place, next] : stored)
      if (!request.topic && (names.empty() || names.back() != place.first)) names.push_back(place.first);
    for (const std::string& name : names) {
      const std::int32_t count = TRY(partition_count(topics, name));
      for (const PartitionId id : partitions_or_all(request.partitions, count)) {
        TRY(check_partition(name, id, count));
        const Place place{name, id};
        if (std::ranges::find(moves, place, &Move::place) != moves.end())
          return fail(Code::usage, fmt::format("partition {} of \"{}\" is named twice", id.value, name));
        moves.push_back({place, request.target});
      }
    }
  }
  std::ranges::sort(moves, {}, &Move::place);
  return moves;
}

Result<Offset> resolve(const Move& move, const Range& range, std::optional<Offset> prior, std::optional<Offset> at_time,
                       std::string_view consumer) {
  const std::string where = fmt::format("partition {} of \"{}\"", move.place.second.value, move.place.first);
  Offset next;
  switch (move.target.kind) {
    case SeekTarget::Kind::start:
      next = range.start;
      break;
    case SeekTarget::Kind::end:
      next = range.end;
      break;
    case SeekTarget::Kind::offset:
      next = Offset{move.target.value};
      break;
    case SeekTarget::Kind::shift:
      if (!prior)
        return fail(Code::usage, fmt::format("consumer \"{}\" has no offset on {} to shift", consumer, where));
      if (__builtin_add_overflow(prior->value, move.target.value, &next.value)) next = Offset{-1};
      break;
    case SeekTarget::Kind::time:
      next = at_time.value_or(range.end);
      break;
  }
  if (next >= range.start && next <= range.end) return next;
  return fail(Code::usage, fmt::format("offset {} lies outside of {}: it goes from {} to {}", next.value, where,
                                       range.start.value, range.end.value));
}

Result<void> store(Handle& handle, std::string_view consumer, const std::vector<SeekResult>& results) {
  const PartitionList list = make_list(results.size());
  for (const SeekResult& result : results) {
    rd_kafka_topic_partition_list_add(list.get(), result.topic.c_str(), result.partition.value)->offset =
        result.next.value;
  }
  const std::string name(consumer);
  const GroupChange change(rd_kafka_AlterConsumerGroupOffsets_new(name.c_str(), list.get()));
  const EventHandle event =
      TRY(request(handle, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS, "seek", [&](auto* options, auto* queue) {
        rd_kafka_AlterConsumerGroupOffsets_t* one = change.get();
        rd_kafka_AlterConsumerGroupOffsets(handle.get(), &one, 1, options, queue);
      }));
  std::size_t count = 0;
  const auto** answers = rd_kafka_AlterConsumerGroupOffsets_result_groups(
      rd_kafka_event_AlterConsumerGroupOffsets_result(event.get()), &count);
  return check_groups(handle, consumer, answers, count);
}

}  // namespace

Result<std::vector<SeekResult>> seek_consumer(Handle& handle, std::string_view consumer,
                                              std::span<const SeekRequest> requests, bool create, bool execute) {
  const Topics topics = TRY(handle.topics());
  const Stored stored = TRY(StoredOffsets(handle, topics).of(consumer));
  const std::vector<Member> members = TRY(members_of(handle, consumer));
  if (stored.empty() && members.empty() && !create) return std::unexpected(TRY(unknown_consumer(handle, consumer)));
  const std::vector<Move> moves = TRY(plan_moves(requests, topics, stored));
  if (!members.empty()) return in_use(consumer, members.front().who);
  std::vector<Place> places;
  std::vector<OffsetQuery> times;
  for (const Move& move : moves) {
    places.push_back(move.place);
    if (move.target.kind == SeekTarget::Kind::time)
      times.push_back({move.place.first, move.place.second, move.target.value});
  }
  const auto ranges = TRY(ranges_of(handle, places));
  const auto at_times = TRY(handle.offsets(times));
  std::vector<SeekResult> results;
  std::size_t timed = 0;
  for (const Move& move : moves) {
    const auto prior = stored.find(move.place);
    SeekResult& result = results.emplace_back(SeekResult{move.place.first, move.place.second, {}, {}});
    if (prior != stored.end()) result.prior = prior->second;
    const auto range = ranges.find(move.place);
    const bool by_time = move.target.kind == SeekTarget::Kind::time;
    result.next = TRY(resolve(move, range == ranges.end() ? Range{} : range->second, result.prior,
                              by_time ? at_times[timed++] : std::nullopt, consumer));
  }
  if (execute && !results.empty()) TRY(store(handle, consumer, results));
  return results;
}

// ---- Deleting ----

Result<std::vector<DeletedOffset>> delete_consumer(Handle& handle, std::string_view consumer,
                                                   std::optional<std::string_view> topic,
                                                   std::span<const PartitionId> partitions, bool execute) {
  const Topics topics = TRY(handle.topics());
  const Stored stored = TRY(StoredOffsets(handle, topics).of(consumer));
  const std::vector<Member> members = TRY(members_of(handle, consumer));
  const auto chosen = [&](const Place& place) {
    return (!topic || place.first == *topic) &&
           (partitions.empty() || std::ranges::find(partitions, place.second) != partitions.end());
  };
  std::vector<DeletedOffset> deleted;
  for (const auto& [place, next] : stored)
    if (chosen(place)) deleted.push_back({place.first, place.second});
  // What a member holds, or may come to hold, is in use.
  if (!members.empty()) return in_use(consumer, members.front().who);
  if (deleted.empty()) {
    std::string where;
    if (topic) where += fmt::format(" on topic \"{}\"", *topic);
    if (!partitions.empty()) where += fmt::format(" and partition {}", partitions[0].value);
    return std::unexpected(TRY(unknown_consumer(handle, consumer, where)));
  }
  if (!execute) return deleted;
  const std::string name(consumer);
  std::size_t count = 0;
  if (deleted.size() == stored.size()) {
    const GroupRemoval removal(rd_kafka_DeleteGroup_new(name.c_str()));
    const EventHandle event =
        TRY(request(handle, RD_KAFKA_ADMIN_OP_DELETEGROUPS, "delete a consumer", [&](auto* options, auto* queue) {
          rd_kafka_DeleteGroup_t* one = removal.get();
          rd_kafka_DeleteGroups(handle.get(), &one, 1, options, queue);
        }));
    const auto** answers = rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event.get()), &count);
    TRY(check_groups(handle, consumer, answers, count));
    return deleted;
  }
  const PartitionList list = make_list(deleted.size());
  for (const DeletedOffset& one : deleted)
    rd_kafka_topic_partition_list_add(list.get(), one.topic.c_str(), one.partition.value);
  const OffsetRemoval removal(rd_kafka_DeleteConsumerGroupOffsets_new(name.c_str(), list.get()));
  const EventHandle event = TRY(
      request(handle, RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS, "delete offsets", [&](auto* options, auto* queue) {
        rd_kafka_DeleteConsumerGroupOffsets_t* one = removal.get();
        rd_kafka_DeleteConsumerGroupOffsets(handle.get(), &one, 1, options, queue);
      }));
  const auto** answers = rd_kafka_DeleteConsumerGroupOffsets_result_groups(
      rd_kafka_event_DeleteConsumerGroupOffsets_result(event.get()), &count);
  TRY(check_groups(handle, consumer, answers, count));
  return deleted;
}

}  // namespace leat::kafka
