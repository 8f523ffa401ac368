// A data directory with one topic, and short ways to put records in and get them out again.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "leat/log/data_dir.h"
#include "leat/log/file_names.h"
#include "leat/log/partition.h"
#include "leat/log/partition_reader.h"
#include "leat/log/topic.h"
#include "tests/support/temp_dir.h"

namespace leat::test {

// The value of a result that must be one.
template <class T>
T must(Result<T> result) {
  if (!result) FAIL(result.error().message);
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

inline std::vector<EncodedBatch> batch_of(const std::vector<std::string>& values, TimestampMs time = {1000}) {
  BatchBuilder builder;
  for (const std::string& value : values) must(builder.add({.value = value}, time));
  std::vector<EncodedBatch> batches;
  batches.push_back(must(builder.finish()));
  return batches;
}

struct LogFixture {
  explicit LogFixture(TopicSettings settings = {}) : data_dir(must(DataDir::open(temp / "data", {.create = true}))) {
    must(create_topic(data_dir, "t", settings));
  }

  Topic writer_topic() { return must(Topic::open(data_dir, "t", Topic::Access::write)); }
  Topic reader_topic() { return must(Topic::open(data_dir, "t", Topic::Access::read)); }

  // One record a batch, each committed before the next.
  void produce(const std::vector<std::string>& values) {
    Topic topic = writer_topic();
    Partition partition = must(Partition::open(topic, {0}));
    for (const std::string& value : values) {
      auto batches = batch_of({value});
      must(partition.commit(must(partition.append(batches))));
    }
    partition.release_reserved();
  }

  // Every readable value of partition 0 from the log start on.
  std::vector<std::string> values() {
    Topic topic = reader_topic();
    PartitionReader reader = must(PartitionReader::open(topic, {0}, false));
    return read_on(reader);
  }

  static std::vector<std::string> read_on(PartitionReader& reader) {
    const VisibleRange range = must(reader.visible());
    must(reader.seek(std::max(reader.place(), range.start)));
    BatchDecoder decoder;
    std::vector<std::string> values;
    while (const auto batch = must(reader.next(range))) {
      for (const RecordView& record : must(decoder.decode(batch->bytes))) {
        if (record.offset >= range.start) values.emplace_back(record.value.value_or("<null>"));
      }
    }
    return values;
  }

  std::string partition_path(const std::string& name = "") const { return temp / ("data/topics/t/0/" + name); }
  std::string log_path(Offset base = {}) const { return partition_path(log_file_name(base)); }
  std::string state_path() const { return temp / "data/topics/t/state"; }

  TempDir temp;
  DataDir data_dir;
};

}  // namespace leat::test
