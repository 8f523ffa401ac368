// Where a copy into a cluster goes on, as it is stored there: the offset of a group that is the copy's own. Its
// metadata tell two things more, "leat1 OFFSET HASH": the offset here of the last record copied, and its hash in
// hexadecimal.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <new>

#include "leat/backend/kafka_client.h"

namespace leat::kafka {

namespace {

constexpr std::string_view kMagic = "leat1 ";
constexpr std::string_view kWhat = "the position of the copy";

// Metadata that are not ours leave the position as it was: the offset alone is enough to go on.
void read_metadata(std::string_view text, CopyPosition& position) {
  if (!text.starts_with(kMagic)) return;
  text.remove_prefix(kMagic.size());
  const char* begin = text.data();
  const char* end = begin + text.size();
  std::int64_t last = 0;
  std::uint64_t hash = 0;
  const auto first = std::from_chars(begin, end, last);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != ' ') return;
  const auto second = std::from_chars(first.ptr + 1, end, hash, 16);
  if (second.ec != std::errc() || second.ptr != end) return;
  position.last = Offset{last};
  position.progress.last_hash = hash;
}

}  // namespace

// Asked as a member would, whose answers wait until no transaction of an earlier run is being ended any more. (The
// administrator's request for the same crashes librdkafka 2.0.2 where the answer is that it should be tried again.)
Result<CopyPositions> copy_positions(const Config& config, const std::string& group, const std::string& topic,
                                     std::int32_t partitions) {
  const auto reader =
      TRY(Handle::open(config, RD_KAFKA_CONSUMER,
                       {{"group.id", group}, {"enable.auto.commit", "false"}, {"isolation.level", "read_committed"}}));
  const PartitionList list = make_list(static_cast<std::size_t>(partitions));
  for (std::int32_t p = 0; p < partitions; ++p) rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), p);
  const auto timeout = static_cast<int>(std::clamp<std::int64_t>(config.timeout.count(), 1, 3'600'000));
  const rd_kafka_resp_err_t code = rd_kafka_committed(reader->get(), list.get(), timeout);
  rd_kafka_poll(reader->get(), 0);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return std::unexpected(reader->error(code, kWhat));
  CopyPositions positions(static_cast<std::size_t>(partitions));
  for (const auto& one : elements(list.get())) {
    if (one.err != RD_KAFKA_RESP_ERR_NO_ERROR) return std::unexpected(reader->error(one.err, kWhat));
    if (one.offset < 0) continue;
    CopyPosition& position = positions[static_cast<std::size_t>(one.partition)].emplace();
    position.progress.next = {one.offset};
    if (one.metadata != nullptr) read_metadata({static_cast<const char*>(one.metadata), one.metadata_size}, position);
  }
  return positions;
}

void add_position(rd_kafka_topic_partition_list_t* list, const std::string& topic, PartitionId partition,
                  const CopyPosition& position) {
  const std::string text =
      fmt::format("{}{} {:016x}", kMagic, position.last.value().value, position.progress.last_hash.value());
  rd_kafka_topic_partition_t* entry = rd_kafka_topic_partition_list_add(list, topic.c_str(), partition.value);
  entry->offset = position.progress.next.value;
  entry->metadata = ::strdup(text.c_str());  // the list frees it
  if (entry->metadata == nullptr) throw std::bad_alloc();
  entry->metadata_size = text.size();
}

}  // namespace leat::kafka
