// Taking the consumers along: where each goes on at the source becomes where it goes on at the destination.
#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "leat/backend/copy.h"
#include "leat/log/producer_state.h"

namespace leat {

namespace {

Error about(const ConsumerOffset& offset, const Error& error) {
  return {error.code,
          fmt::format("consumer \"{}\" on partition {} of \"{}\", at offset {} at the source: {}", offset.consumer,
                      offset.partition.value, offset.topic, offset.next.value, error.message),
          error.hint};
}

}  // namespace

// What of a partition lies between `from` and `to` at the source.
Result<SourceTail> Copy::tail_of(const std::string& topic, PartitionId partition, Offset from, Offset to) {
  SourceTail tail;
  if (from >= to) return tail;
  const auto reader = TRY(source_->open_reader(
      {.topics = {{topic, {partition}}}, .start = {StartAt::Kind::offset, from.value}, .end = to, .follow = false}));
  for (;;) {
    const Fetch fetch = TRY(reader->next(Milliseconds(1000)));
    if (fetch.state == Fetch::State::ended) return tail;
    if (fetch.records.empty()) continue;
    if (tail.records == 0) tail.first_hash = hash_of_record(fetch.records[0].key, fetch.records[0].value);
    tail.records += static_cast<std::int64_t>(fetch.records.size());
  }
}

Result<CopiedConsumers> Copy::copy_consumers() {
  CopiedConsumers result;
  auto [offsets, unreadable] = TRY(source_->consumer_offsets(false));
  for (UnreadableOffsets& one : unreadable)
    if (topics_.contains(one.topic)) result.failures.push_back(std::move(one.error));
  // Those of other copies, from that cluster, are of no use elsewhere.
  std::erase_if(offsets, [&](const ConsumerOffset& offset) {
    const auto topic = topics_.find(offset.topic);
    return offset.consumer.starts_with(kCopyPrefix) || topic == topics_.end() ||
           offset.partition.value >= topic->second.writer->partitions();
  });
  std::ranges::sort(offsets, {}, [](const ConsumerOffset& o) { return std::tuple(o.topic, o.partition, o.next); });
  TRY(translate(offsets, result));
  return result;
}

// `offsets` are in the order of topic, partition and offset.
Result<void> Copy::translate(const std::vector<ConsumerOffset>& offsets, CopiedConsumers& result) {
  std::map<std::string, std::vector<CopiedConsumer>> moves;
  for (std::size_t i = 0; i < offsets.size();) {
    std::vector<Offset> places;
    const std::size_t first = i;
    while (i < offsets.size() && offsets[i].topic == offsets[first].topic &&
           offsets[i].partition == offsets[first].partition)
      places.push_back(offsets[i++].next);
    CopyWriter& writer = *topics_.find(offsets[first].topic)->second.writer;
    const auto tail = [&](PartitionId partition, Offset from) {
      const auto progress = writer.progress(partition);
      return tail_of(offsets[first].topic, partition, from, progress ? progress->next : from);
    };
    const auto found = TRY(writer.translate(offsets[first].partition, places, tail));
    for (std::size_t n = 0; n < places.size(); ++n) {
      const ConsumerOffset& offset = offsets[first + n];
      if (!found[n]) {
        result.failures.push_back(about(offset, found[n].error()));
        continue;
      }
      moves[offset.consumer].push_back({offset.consumer, offset.topic, offset.partition, offset.next, *found[n]});
    }
  }
  for (auto& [consumer, list] : moves) TRY(store(consumer, std::move(list), result));
  return {};
}

// All of one consumer's, or, after an error, none. Errors: io, unavailable, which others would run into as well.
Result<void> Copy::store(const std::string& consumer, std::vector<CopiedConsumer> moves, CopiedConsumers& result) {
  const auto failed = [&result](const Error& error) -> Result<void> {
    if (error.code == Code::io || error.code == Code::unavailable) return std::unexpected(error);
    result.failures.push_back(error);
    return {};
  };
  const auto there = destination_->describe_consumer(consumer);
  if (!there && there.error().code != Code::not_found) return failed(there.error());
  // Positions never go back unless someone seeks.
  std::erase_if(moves, [&](const CopiedConsumer& move) {
    if (!there) return false;
    const auto prior = std::ranges::find_if(there->partitions, [&](const ConsumerPartition& partition) {
      return partition.topic == move.topic && partition.partition == move.partition;
    });
    if (prior == there->partitions.end() || !prior->next || *prior->next < move.next) return false;
    if (*prior->next == move.next) {
      result.stored.push_back(move);
      return true;
    }
    result.left.push_back(
        fmt::format("consumer \"{}\" stays at offset {} of partition {} of \"{}\": the source has come "
                    "to {} only",
                    consumer, prior->next->value, move.partition.value, move.topic, move.next.value));
    return true;
  });
  if (moves.empty()) return {};
  std::vector<SeekRequest> requests;
  for (const CopiedConsumer& move : moves)
    requests.push_back({move.topic, {move.partition}, {SeekTarget::Kind::offset, move.next.value}});
  if (const auto stored = destination_->seek_consumer(consumer, requests, true, true); !stored)
    return failed(stored.error());
  result.stored.insert(result.stored.end(), moves.begin(), moves.end());
  return {};
}

}  // namespace leat
