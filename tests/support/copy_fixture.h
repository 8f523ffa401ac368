// Two places and what is copied from one to the other, through backend.h and copy.h alone. A directory with itself
// always; in the program for clusters, one with a directory, both ways.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "leat/backend/copy.h"
#include "tests/support/backend_fixture.h"

namespace leat::test {

struct CopyPair {
  const char* name;
  std::unique_ptr<Place> (*from)();
  std::unique_ptr<Place> (*to)();
};
inline std::unique_ptr<Place> make_directory_place() {
  return std::make_unique<DirectoryPlace>();
}
// Whether the destination knows at the next run what it has. The mock cluster answers a transaction's offsets and
// forgets them, and takes nothing back of what is aborted.
#ifdef LEAT_TEST_ON_KAFKA
inline bool remembers(const CopyPair& pair) {
  return kafka_is_real() || pair.to == make_directory_place;
}
inline constexpr std::array kCopyPairs = {CopyPair{"directory to kafka", make_directory_place, make_kafka_place},
                                          CopyPair{"kafka to directory", make_kafka_place, make_directory_place}};
#else
inline bool remembers(const CopyPair&) {
  return true;
}
inline constexpr std::array kCopyPairs = {
    CopyPair{"directory to directory", make_directory_place, make_directory_place}};
#endif

// A record with all that is to be kept of it.
struct WholeRecord {
  std::int32_t partition;
  std::int64_t timestamp;
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::vector<std::pair<std::string, std::optional<std::string>>> headers;

  friend bool operator==(const WholeRecord&, const WholeRecord&) = default;
};

inline std::optional<std::string> owned(std::optional<std::string_view> text) {
  return text ? std::optional(std::string(*text)) : std::nullopt;
}

// Every record of a topic, partition by partition.
inline std::vector<WholeRecord> whole_records(Backend& backend, const std::string& topic = "t") {
  std::vector<WholeRecord> records;
  auto reader = must(backend.open_reader({.topics = {{topic}}, .start = {StartAt::Kind::beginning}, .follow = false}));
  for (;;) {
    const Fetch fetch = must(reader->next(Milliseconds(100)));
    if (fetch.state == Fetch::State::ended) break;
    for (const RecordView& r : fetch.records) {
      WholeRecord& record =
          records.emplace_back(WholeRecord{r.partition.value, r.timestamp.value, owned(r.key), owned(r.value), {}});
      for (const HeaderView& header : r.headers)
        record.headers.emplace_back(std::string(header.key), owned(header.value));
    }
  }
  std::ranges::stable_sort(records, {}, &WholeRecord::partition);
  return records;
}

// One run of the copy to its end, or its error.
inline Result<std::vector<CopiedPartition>> copy_once(Backend& from, Backend& to, CopyRequest request = {}) {
  request.follow = false;
  const auto copy = TRY(Copy::open(from, to, request));
  while (TRY(copy->step(Milliseconds(100))) != Fetch::State::ended) {
  }
  return copy->partitions();
}

inline std::int64_t records_of(const std::vector<CopiedPartition>& partitions) {
  std::int64_t records = 0;
  for (const CopiedPartition& one : partitions) records += one.records;
  return records;
}

struct CopyFixture {
  explicit CopyFixture(const CopyPair& pair = kCopyPairs[0], TopicSettings settings = {.partitions = 2})
      : from_place(pair.from()), to_place(pair.to()), from(from_place->open()), to(to_place->open()) {
    must(from->create_topic("t", settings));
    // The mock cluster has no requests that make topics.
    must(to->create_topic("t", settings));
  }

  void produce(const std::vector<std::string>& values, std::int32_t partition = 0) {
    auto producer = must(from->open_producer("t", {.partition = PartitionId{partition}}));
    for (const std::string& value : values) must(producer->send({.value = value, .timestamp = TimestampMs{++time}}));
    must(producer->flush());
  }
  // How many records this run copied.
  std::int64_t copied(const CopyRequest& request = {}) { return records_of(must(copy_once(*from, *to, request))); }
  Code refused(const CopyRequest& request = {}) { return code_of(copy_once(*from, *to, request)); }
  bool same() { return whole_records(*from) == whole_records(*to); }

  std::unique_ptr<Place> from_place;
  std::unique_ptr<Place> to_place;
  std::unique_ptr<Backend> from;
  std::unique_ptr<Backend> to;
  std::int64_t time = 1000;
};

}  // namespace leat::test
