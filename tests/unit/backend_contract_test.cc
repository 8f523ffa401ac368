// What backend.h promises, tested through it alone: the same cases for every backend. One row of kBackends each.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <thread>

#include "leat/backend/backend.h"
#include "leat/log/partitioner.h"
#include "tests/support/backend_fixture.h"

using namespace leat;
using namespace leat::test;

// ---- Topics ----

TEST_CASE("a created topic is listed, described, and cannot be created again") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    const TopicSettings settings{.partitions = 3, .retention_records = 7, .compression = Codec::lz4};
    Fixture f(kind, settings);
    must(f.backend->create_topic("b", {}));
    must(f.backend->create_topic("a.b_c-D", {}));
    CHECK(must(f.backend->topic_names()) == Strings{"a.b_c-D", "b", "t"});
    CHECK(code_of(f.backend->create_topic("t", {})) == Code::exists);
    CHECK(code_of(f.backend->check_create_topic("t", {})) == Code::exists);
    const TopicInfo info = must(f.place->open()->describe_topic("t"));
    CHECK(info.name == "t");
    CHECK(info.settings == settings);
    CHECK(info.records == 0);
  }
}

TEST_CASE("names and settings that are not allowed are usage errors, and checking changes nothing") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    for (const std::string name : {"", ".", "..", "a/b", "a b", "../t", "\xc3\xa4", "a\nb"}) {
      CHECK(code_of(f.backend->create_topic(name, {})) == Code::usage);
      CHECK(code_of(f.backend->check_create_topic(name, {})) == Code::usage);
      CHECK(!f.backend->describe_topic(name));
      CHECK(code_of(f.backend->join_group(name, f.group())) == Code::usage);
    }
    CHECK(code_of(f.backend->create_topic(std::string(250, 'x'), {})) == Code::usage);
    must(f.backend->create_topic(std::string(249, 'x'), {}));
    CHECK(code_of(f.backend->create_topic("u", {.partitions = 0})) == Code::usage);
    CHECK(code_of(f.backend->create_topic("u", {.segment_bytes = 1})) == Code::usage);
    must(f.backend->check_create_topic("u", {}));
    CHECK(must(f.backend->topic_names()).size() == 2);
  }
}

TEST_CASE("a topic that does not exist is not found by any verb, and the nearest name is suggested") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    must(f.backend->create_topic("orders", {}));
    auto& b = *f.backend;
    CHECK(code_of(b.describe_topic("ordres")) == Code::not_found);
    CHECK(code_of(b.add_partitions("ordres", 1)) == Code::not_found);
    CHECK(code_of(b.set_topic("ordres", [](TopicSettings&) { return Result<void>{}; })) == Code::not_found);
    CHECK(code_of(b.trim_topic("ordres", {TrimTarget::Kind::keep_records, 0}, {}, true)) == Code::not_found);
    CHECK(code_of(b.partitions("ordres")) == Code::not_found);
    CHECK(code_of(b.open_producer("ordres", {})) == Code::not_found);
    CHECK(code_of(b.open_reader({.topics = {{"ordres"}}})) == Code::not_found);
    CHECK(code_of(b.join_group("c", {.read = {.topics = {{"ordres"}}}})) == Code::not_found);
    const auto deleted = b.delete_topic("ordres");
    CHECK(code_of(deleted) == Code::not_found);
    CHECK((deleted.error().message + deleted.error().hint).find("orders") != std::string::npos);
  }
}

TEST_CASE("a topic deleted and created again is empty, and its consumers' offsets are gone") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"old 1", "old 2"});
    CHECK(f.consume("c").size() == 2);
    must(f.backend->delete_topic("t"));
    CHECK(must(f.backend->topic_names()).empty());
    CHECK(must(f.backend->consumer_offsets(false)).offsets.empty());
    must(f.backend->create_topic("t", {}));
    CHECK(f.values().empty());
    CHECK(must(f.backend->consumer_offsets(false)).offsets.empty());
    f.produce({"new"});
    CHECK(f.consume("c") == Strings{"new"});
  }
}

TEST_CASE("partitions can be added and never taken away") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"a"});
    must(f.backend->add_partitions("t", 2));
    CHECK(must(f.backend->describe_topic("t")).settings.partitions == 3);
    f.produce({"b"}, 2);
    CHECK(f.values() == Strings{"a", "b"});
    CHECK(code_of(f.backend->add_partitions("t", 0)) == Code::usage);
    CHECK(code_of(f.backend->add_partitions("t", -1)) == Code::usage);
    CHECK(code_of(f.backend->add_partitions("t", 5000)) == Code::usage);
    CHECK(must(f.backend->partitions("t")).size() == 3);
  }
}

TEST_CASE("settings are changed whole or not at all, and stay changed") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 2});
    const auto changed = must(f.backend->set_topic("t", [](TopicSettings& settings) -> Result<void> {
      settings.retention_records = 2;
      settings.partitions = 9;
      return {};
    }));
    CHECK(changed.partitions == 2);
    CHECK(must(f.place->open()->describe_topic("t")).settings == changed);
    CHECK(code_of(f.backend->set_topic("t", [](TopicSettings& settings) -> Result<void> {
            settings.compression = Codec::zstd;
            return fail(Code::usage, "no");
          })) == Code::usage);
    CHECK(code_of(f.backend->set_topic("t", [](TopicSettings& settings) -> Result<void> {
            settings.segment_bytes = 3;
            return {};
          })) == Code::usage);
    CHECK(must(f.backend->describe_topic("t")).settings == changed);
  }
}

TEST_CASE("what retention by records has trimmed stays trimmed when the limit is loosened") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.retention_records = 2});
    f.produce({"a", "b", "c", "d"});
    CHECK(f.values() == Strings{"c", "d"});
    must(f.backend->set_topic("t", [](TopicSettings& settings) -> Result<void> {
      settings.retention_records.reset();
      return {};
    }));
    f.produce({"e"});
    CHECK(f.values() == Strings{"c", "d", "e"});
  }
}

TEST_CASE("trimming by offset, time and count says prior and new start, and a dry run changes nothing") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 2});
    f.produce({"a", "b", "c", "d"}, 0, "t", {1000});
    f.produce({"x"}, 1, "t", {1000});
    const std::array first{PartitionId{0}};
    const auto trim = [&](TrimTarget target, std::span<const PartitionId> partitions, bool execute) {
      return must(f.backend->trim_topic("t", target, partitions, execute));
    };
    TrimTarget target{};
    SUBCASE("before an offset") {
      target = {TrimTarget::Kind::before_offset, 3};
    }
    SUBCASE("before a time") {
      target = {TrimTarget::Kind::before_time, 1003};
    }
    SUBCASE("keeping records") {
      target = {TrimTarget::Kind::keep_records, 1};
    }
    auto results = trim(target, first, false);
    REQUIRE(results.size() == 1);
    CHECK(results[0].prior_start.value == 0);
    CHECK(results[0].new_start.value == 3);
    CHECK(f.values().size() == 5);
    results = trim(target, first, true);
    CHECK(results[0].new_start.value == 3);
    CHECK(f.values() == Strings{"d", "x"});
    CHECK(trim({TrimTarget::Kind::before_offset, 1}, first, true)[0].new_start.value == 3);
    results = trim({TrimTarget::Kind::keep_records, 0}, {}, true);
    REQUIRE(results.size() == 2);
    CHECK(results[0].new_start.value == 4);
    CHECK(results[1].new_start.value == 1);
    CHECK(f.values().empty());
    f.produce({"e"});
    CHECK(f.values() == Strings{"e"});
    const std::array none{PartitionId{7}};
    CHECK(code_of(f.backend->trim_topic("t", target, none, true)) == Code::not_found);
  }
}

TEST_CASE("partitions are described by their offsets and times") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 2});
    f.produce({"a", "b", "c"}, 1, "t", {5000});
    must(f.backend->trim_topic("t", {TrimTarget::Kind::before_offset, 1}, {}, true));
    const auto infos = must(f.backend->partitions("t"));
    REQUIRE(infos.size() == 2);
    CHECK(infos[0].end.value == 0);
    CHECK(!infos[0].oldest);
    CHECK(infos[1].partition.value == 1);
    CHECK(infos[1].start.value == 1);
    CHECK(infos[1].end.value == 3);
    CHECK(infos[1].oldest == TimestampMs{5001});
    CHECK(infos[1].newest == TimestampMs{5002});
    CHECK(must(f.backend->describe_topic("t")).records == 2);
  }
}

// ---- Producing ----

TEST_CASE("receipts come in the order of send, with the place of each record") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 4});
    std::vector<Receipt> receipts;
    Strings sent;
    {
      auto producer = must(f.backend->open_producer("t", {.batch_bytes = 100}));
      producer->on_acknowledged(
          [&](std::span<const Receipt> more) { receipts.insert(receipts.end(), more.begin(), more.end()); });
      for (int i = 0; i < 200; ++i) {
        const std::string key = fmt::format("key {}", i % 17);
        sent.push_back(fmt::format("value {}", i));
        RecordInput record{.value = sent.back()};
        if (i % 3 != 0) record.key = key;
        must(producer->send(record));
        if (i == 77) must(producer->flush());
      }
      must(producer->flush());
      CHECK(producer->acknowledged() == 200);
      must(producer->flush());
    }
    REQUIRE(receipts.size() == sent.size());
    auto reader =
        must(f.backend->open_reader({.topics = {{"t"}}, .start = {StartAt::Kind::beginning}, .follow = false}));
    std::map<std::pair<std::int32_t, std::int64_t>, std::string> at;
    for (const Record& record : Fixture::read_all(*reader)) at[{record.partition, record.offset}] = record.value;
    CHECK(at.size() == sent.size());
    for (std::size_t i = 0; i < sent.size(); ++i)
      CHECK(at[{receipts[i].partition.value, receipts[i].offset.value}] == sent[i]);
  }
}

TEST_CASE("a key always goes to the partition that Kafka's partitioner gives it") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 5});
    auto producer = must(f.backend->open_producer("t", {}));
    std::vector<Receipt> receipts;
    producer->on_acknowledged(
        [&](std::span<const Receipt> more) { receipts.insert(receipts.end(), more.begin(), more.end()); });
    for (int i = 0; i < 50; ++i) must(producer->send({.key = fmt::format("{}", i), .value = "v"}));
    must(producer->flush());
    REQUIRE(receipts.size() == 50);
    for (int i = 0; i < 50; ++i) {
      const std::string key = fmt::format("{}", i);
      CHECK(receipts[static_cast<std::size_t>(i)].partition == partition_for_key(as_bytes(key), 5));
    }
  }
}

TEST_CASE("keyless records go to all partitions in turn, batch by batch") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 3});
    std::vector<Receipt> receipts;
    {
      auto producer = must(f.backend->open_producer("t", {.batch_bytes = 1000}));
      producer->on_acknowledged(
          [&](std::span<const Receipt> more) { receipts.insert(receipts.end(), more.begin(), more.end()); });
      for (int i = 0; i < 90; ++i) must(producer->send({.value = std::string(200, 'x')}));
      must(producer->flush());
    }
    std::array<int, 3> counts{};
    int changes = 0;
    for (std::size_t i = 0; i < receipts.size(); ++i) {
      ++counts.at(static_cast<std::size_t>(receipts[i].partition.value));
      if (i == 0 || receipts[i].partition == receipts[i - 1].partition) continue;
      ++changes;
      CHECK(receipts[i].partition.value == (receipts[i - 1].partition.value + 1) % 3);
    }
    CHECK(receipts.size() == 90);
    CHECK(changes < 30);
    for (const int count : counts) CHECK(count >= 25);
  }
}

TEST_CASE("an explicit partition takes every record, and one that is not there is refused") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 3});
    f.produce({"a", "b", "c"}, 2);
    CHECK(must(f.backend->partitions("t"))[2].end.value == 3);
    CHECK(code_of(f.backend->open_producer("t", {.partition = PartitionId{3}})) == Code::not_found);
    CHECK(code_of(f.backend->open_producer("t", {.partition = PartitionId{-1}})) == Code::not_found);
  }
}

TEST_CASE("a record that is too large is refused with the limit named, and the producer goes on") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.max_record_bytes = 2000});
    auto producer = must(f.backend->open_producer("t", {.record_bytes_max = 1000}));
    must(producer->send({.value = "before"}));
    const auto refused = producer->send({.value = std::string(1001, 'x')});
    CHECK(code_of(refused) == Code::bad_data);
    CHECK(refused.error().message.find("1000") != std::string::npos);
    must(producer->send({.value = std::string(1000, 'x')}));
    must(producer->flush());
    CHECK(producer->acknowledged() == 2);
    auto other = must(f.backend->open_producer("t", {}));
    const auto by_topic = other->send({.key = std::string(1000, 'k'), .value = std::string(1001, 'x')});
    CHECK(code_of(by_topic) == Code::bad_data);
    CHECK(by_topic.error().message.find("2000") != std::string::npos);
    CHECK(f.values() == Strings{"before", std::string(1000, 'x')});
  }
}

TEST_CASE("null and empty keys, values and headers, bytes and timestamps come back as they were, whatever the codec") {
  for (const Kind& kind : kBackends) {
    for (const Codec codec : {Codec::none, Codec::lz4, Codec::zstd}) {
      CAPTURE(kind.name);
      Fixture f(kind);
      const std::string binary("\0\n\xff\xfe\r\0", 6);
      const std::string large(100'000, 'z');
      const std::array<HeaderView, 4> headers{{{"h", "v"}, {"h", std::nullopt}, {"", ""}, {binary, binary}}};
      struct Case {
        std::optional<std::string_view> key;
        std::optional<std::string_view> value;
        std::span<const HeaderView> headers;
        std::int64_t time;
      };
      const std::vector<Case> cases = {
          {{}, {}, {}, 5},        {"", "", {}, 0},           {binary, binary, headers, 1'700'000'000'000},
          {"k", {}, headers, -3}, {{}, large, headers, 100}, {"k", "v", {}, 1}};
      {
        auto producer = must(f.backend->open_producer("t", {.compression = codec, .force_sync = true}));
        for (const Case& c : cases) must(producer->send({c.key, c.value, c.headers, TimestampMs{c.time}}));
        must(producer->flush());
      }
      auto reader =
          must(f.backend->open_reader({.topics = {{"t"}}, .start = {StartAt::Kind::beginning}, .follow = false}));
      std::size_t i = 0;
      for (;;) {
        const Fetch fetch = must(reader->next(Milliseconds(0)));
        if (fetch.state != Fetch::State::records) break;
        for (const RecordView& r : fetch.records) {
          REQUIRE(i < cases.size());
          const Case& c = cases[i];
          CHECK(r.offset.value == static_cast<std::int64_t>(i++));
          CHECK((r.key == c.key));
          CHECK((r.value == c.value));
          CHECK(r.timestamp.value == c.time);
          REQUIRE(r.headers.size() == c.headers.size());
          for (std::size_t h = 0; h < c.headers.size(); ++h) {
            CHECK(r.headers[h].key == c.headers[h].key);
            CHECK((r.headers[h].value == c.headers[h].value));
          }
        }
      }
      CHECK(i == cases.size());
    }
  }
}

TEST_CASE("a topic whose durability is os acknowledges too, and with force_sync as well") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.durability = Durability::os});
    auto producer = must(f.backend->open_producer("t", {}));
    must(producer->send({.value = "a"}));
    must(producer->flush());
    CHECK(f.values() == Strings{"a"});
    auto synced = must(f.backend->open_producer("t", {.force_sync = true}));
    must(synced->send({.value = "b"}));
    must(synced->flush());
    CHECK(synced->acknowledged() == 1);
    CHECK(f.values() == Strings{"a", "b"});
  }
}

TEST_CASE("what was not flushed is not acknowledged") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    auto producer = must(f.backend->open_producer("t", {}));
    int calls = 0;
    producer->on_acknowledged([&](std::span<const Receipt>) { ++calls; });
    must(producer->send({.value = "a"}));
    CHECK(producer->acknowledged() == 0);
    must(producer->flush());
    CHECK(producer->acknowledged() == 1);
    CHECK(calls == 1);
  }
}

TEST_CASE("a producer whose topic is deleted gets not_found and refuses further use") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    auto producer = must(f.backend->open_producer("t", {}));
    must(producer->send({.value = "a"}));
    must(producer->flush());
    must(f.backend->delete_topic("t"));
    must(producer->send({.value = "b"}));
    CHECK(code_of(producer->flush()) == Code::not_found);
    CHECK(code_of(producer->send({.value = "c"})) == Code::not_found);
    CHECK(code_of(producer->flush()) == Code::not_found);
    CHECK(producer->acknowledged() == 1);
  }
}

TEST_CASE("a compacted topic refuses a record without a key, and the producer goes on") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.cleanup = Cleanup::compact});
    auto producer = must(f.backend->open_producer("t", {}));
    CHECK(code_of(producer->send({.value = "a"})) == Code::bad_data);
    must(producer->send({.key = "k", .value = "b"}));
    must(producer->flush());
    CHECK(f.values() == Strings{"b"});
  }
}

// ---- Reading ----

TEST_CASE("reading starts where StartAt says") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"a", "b", "c", "d", "e"});  // at 1000 to 1004
    using K = StartAt::Kind;
    CHECK(f.values({K::beginning}).size() == 5);
    CHECK(f.values({K::end}).empty());
    CHECK(f.values({K::after_beginning, 3}) == Strings{"d", "e"});
    CHECK(f.values({K::after_beginning, 99}).empty());
    CHECK(f.values({K::before_end, 2}) == Strings{"d", "e"});
    CHECK(f.values({K::before_end, 99}).size() == 5);
    CHECK(f.values({K::before_end, 0}).empty());
    CHECK(f.values({K::offset, 4}) == Strings{"e"});
    CHECK(f.values({K::offset, 5}).empty());
    CHECK(f.values({K::offset, 50}).empty());
    CHECK(f.values({K::time, 1002}) == Strings{"c", "d", "e"});
    CHECK(f.values({K::time, 0}).size() == 5);
    CHECK(f.values({K::time, 1005}).empty());
  }
}

TEST_CASE("counts from the beginning and the end hold inside batches, and after a trim") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    {
      auto producer = must(f.backend->open_producer("t", {}));
      for (int i = 0; i < 10; ++i)
        must(producer->send({.value = fmt::format("{}", i), .timestamp = TimestampMs{100 + i}}));
      must(producer->flush());
    }
    must(f.backend->trim_topic("t", {TrimTarget::Kind::before_offset, 4}, {}, true));
    CHECK(f.values() == Strings{"4", "5", "6", "7", "8", "9"});
    CHECK(f.values({StartAt::Kind::after_beginning, 4}) == Strings{"8", "9"});
    CHECK(f.values({StartAt::Kind::before_end, 1}) == Strings{"9"});
    CHECK(f.values({StartAt::Kind::time, 107}) == Strings{"7", "8", "9"});
    ReadOptions options{.topics = {{"t"}}, .start = {StartAt::Kind::offset, 5}, .end = Offset{7}};
    CHECK(f.values(options) == Strings{"5", "6"});
  }
}

TEST_CASE("an end is exclusive, ends following too, and may lie before the start") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"a", "b"});
    auto reader =
        must(f.backend->open_reader({.topics = {{"t"}}, .start = {StartAt::Kind::beginning}, .end = Offset{3}}));
    CHECK(Fixture::values_of(*reader) == Strings{"a", "b"});
    CHECK(must(reader->next(Milliseconds(0))).state == Fetch::State::caught_up);
    f.produce({"c", "d"});
    CHECK(Fixture::values_of(*reader) == Strings{"c"});
    CHECK(must(reader->next(Milliseconds(0))).state == Fetch::State::ended);
    CHECK(f.values(ReadOptions{.topics = {{"t"}}, .start = {StartAt::Kind::offset, 2}, .end = Offset{1}}).empty());
  }
}

TEST_CASE("without following, reading stops at the ends noted at the start") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"a", "b"});
    auto reader =
        must(f.backend->open_reader({.topics = {{"t"}}, .start = {StartAt::Kind::beginning}, .follow = false}));
    f.produce({"c"});
    CHECK(Fixture::values_of(*reader) == Strings{"a", "b"});
    CHECK(must(reader->next(Milliseconds(0))).state == Fetch::State::ended);
    CHECK(must(reader->next(Milliseconds(0))).state == Fetch::State::ended);
  }
}

TEST_CASE("positions lie behind the records they come with") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"a", "b"});
    auto reader =
        must(f.backend->open_reader({.topics = {{"t"}}, .start = {StartAt::Kind::beginning}, .follow = false}));
    const Fetch fetch = must(reader->next(Milliseconds(0)));
    REQUIRE(!fetch.records.empty());
    CHECK(fetch.position.topic == "t");
    CHECK(fetch.position.partition.value == 0);
    CHECK(fetch.position.next == fetch.records.back().offset + 1);
  }
}

TEST_CASE("a follower is woken by a producer, and by the stop flag") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"old"});
    std::atomic<bool> stop = false;
    auto reader = must(f.backend->open_reader({.topics = {{"t"}}, .stop = &stop}));
    CHECK(must(reader->next(Milliseconds(0))).state == Fetch::State::caught_up);
    std::thread producing([&] {
      std::this_thread::sleep_for(Milliseconds(50));
      auto backend = f.place->open();
      auto producer = must(backend->open_producer("t", {}));
      must(producer->send({.value = "new"}));
      must(producer->flush());
    });
    const SteadyTime began = std::chrono::steady_clock::now();
    const Fetch fetch = must(reader->next(std::chrono::seconds(30)));
    producing.join();
    REQUIRE(fetch.state == Fetch::State::records);
    CHECK(fetch.records.size() == 1);
    CHECK(*fetch.records[0].value == "new");
    std::thread stopping([&] {
      std::this_thread::sleep_for(Milliseconds(50));
      stop = true;
    });
    CHECK(must(reader->next(std::chrono::seconds(30))).state == Fetch::State::stopped);
    stopping.join();
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(15));
  }
}

TEST_CASE("every record of a long run is read once and in order by a follower") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.segment_bytes = kSegmentBytesMin});
    constexpr int kRecords = 600;
    auto reader = must(f.backend->open_reader({.topics = {{"t"}}, .start = {StartAt::Kind::beginning}}));
    std::thread producing([&] {
      auto backend = f.place->open();
      auto producer = must(backend->open_producer("t", {}));
      for (int i = 0; i < kRecords; ++i) {
        must(producer->send({.value = fmt::format("{:0500}", i)}));
        if (i % 7 == 0) must(producer->flush());
      }
      must(producer->flush());
    });
    std::int64_t next = 0;
    while (next < kRecords) {
      const Fetch fetch = must(reader->next(std::chrono::seconds(20)));
      if (fetch.state != Fetch::State::records) break;
      for (const RecordView& record : fetch.records) {
        CHECK(record.offset.value == next);
        CHECK(*record.value == fmt::format("{:0500}", next));
        ++next;
      }
    }
    producing.join();
    CHECK(next == kRecords);
  }
}

TEST_CASE(
    "merged by time, batches of all partitions come oldest first, ties by the lower number, every time the same") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 3});
    f.produce({"c1", "c2"}, 2, "t", {10});
    f.produce({"a1", "a2"}, 0, "t", {11});
    f.produce({"b0"}, 1, "t", {5});
    f.produce({"b1"}, 1, "t", {11});
    const ReadOptions options{.topics = {{"t"}}, .start = {StartAt::Kind::beginning}, .merge_by_time = true};
    for (int i = 0; i < 3; ++i) CHECK(f.values(options) == Strings{"b0", "c1", "a1", "b1", "c2", "a2"});
  }
}

TEST_CASE("several topics and chosen partitions are read together") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 3});
    must(f.backend->create_topic("u", {}));
    f.produce({"t0"}, 0);
    f.produce({"t1"}, 1);
    f.produce({"t2"}, 2);
    f.produce({"u0"}, 0, "u");
    ReadOptions options{
        .topics = {{"t", {{2}, {0}, {2}}}, {"u"}}, .start = {StartAt::Kind::beginning}, .follow = false};
    auto reader = must(f.backend->open_reader(options));
    const auto records = Fixture::read_all(*reader);
    std::set<std::string> values;
    for (const Record& record : records) {
      values.insert(record.value);
      CHECK(record.value == fmt::format("{}{}", record.topic, record.partition));
    }
    CHECK(records.size() == 3);
    CHECK(values == std::set<std::string>{"t0", "t2", "u0"});
    CHECK(code_of(f.backend->open_reader({.topics = {{"t", {{3}}}}})) == Code::not_found);
  }
}

TEST_CASE("a start that was trimmed away is a notice, or not_found when strict") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"a", "b", "c"});
    must(f.backend->trim_topic("t", {TrimTarget::Kind::before_offset, 2}, {}, true));
    ReadOptions options{.topics = {{"t"}}, .start = {StartAt::Kind::offset, 1}, .follow = false};
    auto reader = must(f.backend->open_reader(options));
    CHECK(Fixture::values_of(*reader) == Strings{"c"});
    const Strings notices = reader->take_notices();
    REQUIRE(notices.size() == 1);
    CHECK(notices[0].find("offset 1") != std::string::npos);
    CHECK(reader->take_notices().empty());
    options.strict = true;
    CHECK(code_of(f.backend->open_reader(options)) == Code::not_found);
    options.start = {StartAt::Kind::offset, 2};
    CHECK(f.values(options) == Strings{"c"});
  }
}

TEST_CASE("a reader overtaken by a trim goes on at the new start and says so") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.segment_bytes = kSegmentBytesMin});
    f.produce(Strings(20, std::string(20'000, 'x')));
    auto reader = must(f.backend->open_reader({.topics = {{"t"}}, .start = {StartAt::Kind::beginning}}));
    REQUIRE(must(reader->next(Milliseconds(0))).state == Fetch::State::records);
    must(f.backend->trim_topic("t", {TrimTarget::Kind::before_offset, 18}, {}, true));
    const auto rest = Fixture::read_all(*reader);
    REQUIRE(!rest.empty());
    CHECK(rest.back().offset == 19);
    CHECK(rest.size() < 19);
    CHECK(reader->take_notices().size() == 1);
  }
}

TEST_CASE("partitions added while following are read from their beginning, unless partitions were chosen") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"old"});
    auto reader = must(f.backend->open_reader({.topics = {{"t"}}}));
    auto chosen = must(f.backend->open_reader({.topics = {{"t", {{0}}}}}));
    CHECK(must(reader->next(Milliseconds(0))).state == Fetch::State::caught_up);
    CHECK(must(chosen->next(Milliseconds(0))).state == Fetch::State::caught_up);
    must(f.backend->add_partitions("t", 1));
    f.produce({"in the new one"}, 1);
    CHECK(Fixture::values_of(*reader) == Strings{"in the new one"});
    CHECK(Fixture::values_of(*chosen).empty());
  }
}

TEST_CASE("each partition may start somewhere else") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 3});
    f.produce({"a", "b", "c"}, 0);
    f.produce({"d", "e"}, 1);
    f.produce({"f"}, 2);
    ReadOptions options{.topics = {{"t"}}, .start = {StartAt::Kind::beginning}, .follow = false};
    options.starts = {{"t", {0}, {2}}, {"t", {1}, {2}}, {"other", {2}, {1}}};
    Strings found = f.values(options);
    std::ranges::sort(found);
    CHECK(found == Strings{"c", "f"});
    // Over what a group has stored, too.
    GroupOptions group = f.group();
    CHECK(f.consume("g", group).size() == 6);
    group.read.starts = {{"t", {0}, {1}}};
    CHECK(f.consume("g", group) == Strings{"b", "c"});
  }
}

// What is in the topic, once it is what it should be, or after a while: a cluster shows what was committed a moment
// later.
static Strings values_in_time(Fixture& f, const Strings& expected) {
  for (int i = 0; i < 100 && f.values() != expected; ++i) std::this_thread::sleep_for(Milliseconds(20));
  return f.values();
}

TEST_CASE("a sole writer's records are all to be seen, and the next one's follow them") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 2});
    const ProducerOptions options{.partition = PartitionId{1}, .sole_writer = "w"};
    CHECK(code_of(f.backend->open_producer("t", {.sole_writer = "w"})) == Code::usage);
    auto writer = must(f.backend->open_producer("t", options));
    must(writer->send({.value = "a"}));
    must(writer->flush());
    must(writer->flush());
    must(writer->send({.value = "b"}));
    must(writer->flush());
    CHECK(values_in_time(f, {"a", "b"}) == Strings{"a", "b"});
    writer.reset();
    writer = must(f.backend->open_producer("t", options));
    must(writer->send({.value = "c"}));
    must(writer->flush());
    CHECK(values_in_time(f, {"a", "b", "c"}) == Strings{"a", "b", "c"});
  }
}

TEST_CASE("of two sole writers under a name, one is refused, and nothing of it is to be seen") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    const ProducerOptions options{.partition = PartitionId{0}, .sole_writer = "w"};
    auto first = must(f.backend->open_producer("t", options));
    must(first->send({.value = "a"}));
    must(first->flush());
    const auto other = f.place->open();
    auto second = other->open_producer("t", options);
    if (second) {
      // Taken over: what comes from the first is refused, at its flush at the latest.
      const auto sent = first->send({.value = "late"});
      CHECK(code_of(sent ? first->flush() : sent) == Code::busy);
      must((*second)->send({.value = "b"}));
      must((*second)->flush());
      CHECK(values_in_time(f, {"a", "b"}) == Strings{"a", "b"});
    } else {
      CHECK(code_of(second) == Code::busy);
      must(first->send({.value = "b"}));
      must(first->flush());
      CHECK(values_in_time(f, {"a", "b"}) == Strings{"a", "b"});
    }
  }
}

TEST_CASE("a topic deleted while it is followed is not_found") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"a"});
    auto reader = must(f.backend->open_reader({.topics = {{"t"}}}));
    CHECK(must(reader->next(Milliseconds(0))).state == Fetch::State::caught_up);
    std::thread deleting([&] {
      std::this_thread::sleep_for(Milliseconds(50));
      must(f.place->open()->delete_topic("t"));
    });
    const auto fetch = reader->next(std::chrono::seconds(30));
    deleting.join();
    CHECK(code_of(fetch) == Code::not_found);
  }
}

TEST_CASE("a location that is not known is refused") {
  CHECK(code_of(open_backend("nonsense://host", {})) == Code::usage);
  const TempDir temp;
  CHECK(code_of(open_backend(temp / "missing", {})) == Code::not_found);
  write_file(temp / "file", "not a data directory");
  CHECK(code_of(open_backend(temp.path(), {})) == Code::configuration);
}
