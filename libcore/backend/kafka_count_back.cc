// Which record of a partition is the n-th before an offset: markers of transactions, and what was aborted, take offsets
// too, so that it has to be counted.
#include <algorithm>
#include <array>

#include "leat/backend/kafka_reader.h"
#include "leat/log/producer_state.h"

namespace leat::kafka {

namespace {

// How many offsets more than records are looked at first.
constexpr std::int64_t kMarkersGuess = 1000;

// Calls `use` for every record in [from, end) until it says no.
Result<void> visit(const Config& config, const std::string& topic, PartitionId partition, Offset from, Offset end,
                   const std::function<bool(const RecordView&)>& use) {
  const auto reader = TRY(KafkaReader::open_topics(config, {.topics = {{topic}}, .follow = false}));
  const std::array one = {KafkaReader::Add{.topic = topic, .partition = partition, .stop = end, .stored = from}};
  TRY(reader->add(one));
  for (;;) {
    const Fetch fetch = TRY(reader->next(Milliseconds(1000)));
    if (fetch.state == Fetch::State::ended) return {};
    for (const RecordView& record : fetch.records)
      if (!use(record)) return {};
  }
}

}  // namespace

Result<Offset> start_of(Handle& handle, const std::string& topic, PartitionId partition) {
  const std::array query = {OffsetQuery{topic, partition, kAtStart}};
  return TRY(handle.offsets(query)).front().value_or(Offset{0});
}

Result<std::optional<CountedRecord>> nth_back(const Config& config, Handle& handle, const std::string& topic,
                                              PartitionId partition, Offset end, std::int64_t n) {
  const Offset start = TRY(start_of(handle, topic, partition));
  for (std::int64_t more = kMarkersGuess + n / 100;; more *= 4) {
    const Offset from = std::max(start, end - std::min(end.value, n + more));
    std::int64_t count = 0;
    TRY(visit(config, topic, partition, from, end, [&](const RecordView&) { return ++count > 0; }));
    if (count < n && from > start) continue;
    if (count < n) return std::nullopt;
    std::optional<CountedRecord> found;
    std::int64_t left = count - n;
    TRY(visit(config, topic, partition, from, end, [&](const RecordView& record) {
      if (left-- > 0) return true;
      found = {record.offset, hash_of_record(record.key, record.value)};
      return false;
    }));
    return found;
  }
}

}  // namespace leat::kafka
