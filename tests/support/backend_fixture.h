// Backends to test through backend.h alone, and short ways to produce and consume with them. A new backend is one more
// row of kBackends; those that need libraries of their own have a program of their own, which defines
// LEAT_TEST_ON_KAFKA.
#pragma once

#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "leat/backend/backend.h"
#ifdef LEAT_TEST_ON_KAFKA
#include "tests/kafka/places.h"
#endif
#include "tests/support/log_fixture.h"

namespace leat::test {

// A backend of its own for a test, empty at first, that several users can have open at once.
class Place {
 public:
  virtual ~Place() = default;
  virtual std::unique_ptr<Backend> open() = 0;
};

class DirectoryPlace final : public Place {
 public:
  std::string path() const { return temp_ / "data"; }
  std::unique_ptr<Backend> open() override {
    return must(open_backend(temp_ / "data", {.create = true, .lock_timeout = Milliseconds(200)}));
  }

 private:
  TempDir temp_;
};

struct Kind {
  const char* name;
  std::unique_ptr<Place> (*make)();
};
#ifdef LEAT_TEST_ON_KAFKA
inline constexpr std::array kBackends = {Kind{"kafka", make_kafka_place}};
#else
inline constexpr std::array kBackends = {
    Kind{"directory", [] { return std::unique_ptr<Place>(std::make_unique<DirectoryPlace>()); }},
};
#endif

struct Record {
  std::string topic;
  std::int32_t partition;
  std::int64_t offset;
  std::string value;

  friend bool operator==(const Record&, const Record&) = default;
};

struct Fixture {
  explicit Fixture(const Kind& kind, TopicSettings settings = {}) : place(kind.make()), backend(place->open()) {
    must(backend->create_topic("t", settings));
  }

  // Sends the values to one partition, a batch each, and flushes.
  void produce(const std::vector<std::string>& values, std::int32_t partition = 0, const std::string& topic = "t",
               TimestampMs first_time = {1000}) {
    auto producer = must(backend->open_producer(topic, {.partition = PartitionId{partition}}));
    for (const std::string& value : values) {
      must(producer->send({.value = value, .timestamp = first_time}));
      must(producer->flush());
      first_time += 1;
    }
  }

  static std::vector<Record> read_all(Reader& reader) {
    std::vector<Record> records;
    for (;;) {
      const Fetch fetch = must(reader.next(Milliseconds(0)));
      if (fetch.state != Fetch::State::records) return records;
      for (const RecordView& r : fetch.records) {
        records.push_back(
            {std::string(r.topic), r.partition.value, r.offset.value, std::string(r.value.value_or("<null>"))});
      }
    }
  }
  static std::vector<std::string> values_of(Reader& reader) {
    std::vector<std::string> values;
    for (Record& record : read_all(reader)) values.push_back(std::move(record.value));
    return values;
  }
  std::vector<std::string> values(ReadOptions options) {
    options.follow = false;
    auto reader = must(backend->open_reader(options));
    return values_of(*reader);
  }
  std::vector<std::string> values(StartAt start = {StartAt::Kind::beginning}) {
    return values(ReadOptions{.topics = {{"t"}}, .start = start});
  }

  GroupOptions group(StartAt start = {StartAt::Kind::beginning}) const {
    return {.read = {.topics = {{"t"}}, .start = start, .follow = false}, .description = "a test"};
  }
  // Reads as `consumer` to the end and commits that.
  std::vector<std::string> consume(const std::string& consumer, const GroupOptions& options) {
    auto member = must(backend->join_group(consumer, options));
    auto values = values_of(*member);
    must(member->commit(member->positions()));
    return values;
  }
  std::vector<std::string> consume(const std::string& consumer) { return consume(consumer, group()); }

  std::unique_ptr<Place> place;
  std::unique_ptr<Backend> backend;
};

using Strings = std::vector<std::string>;

template <class T>
Code code_of(const Result<T>& result) {
  REQUIRE(!result);
  CHECK(!result.error().message.empty());
  return result.error().code;
}

}  // namespace leat::test
