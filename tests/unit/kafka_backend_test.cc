// What a cluster does beside the contract of backend.h: on the mock, or on the real one.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "leat/backend/kafka.h"
#include "tests/support/backend_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

const Kind kKafka{"kafka", make_kafka_place};

}  // namespace

TEST_CASE("nulls, empty ones, bytes, headers and timestamps come back from a cluster as they were") {
  for (const Codec codec : {Codec::none, Codec::lz4, Codec::zstd}) {
    Fixture f(kKafka);
    const std::string binary("\0\n\xff\xfe\r\0", 6);
    const std::array<HeaderView, 4> headers{{{"h", "v"}, {"h", std::nullopt}, {"", ""}, {"\n\xff", binary}}};
    struct Case {
      std::optional<std::string_view> key;
      std::optional<std::string_view> value;
      std::span<const HeaderView> headers;
      std::int64_t time;
    };
    const std::string large(100'000, 'z');
    const std::vector<Case> cases = {{{}, {}, {}, 5},
                                     {"", "", {}, 1},
                                     {binary, binary, headers, 1'700'000'000'000},
                                     {"k", {}, headers, 3},
                                     {{}, large, headers, 100}};
    auto producer = must(f.backend->open_producer("t", {.compression = codec}));
    for (const Case& c : cases) must(producer->send({c.key, c.value, c.headers, TimestampMs{c.time}}));
    must(producer->flush());
    auto reader =
        must(f.backend->open_reader({.topics = {{"t"}}, .start = {StartAt::Kind::beginning}, .follow = false}));
    std::size_t i = 0;
    for (;;) {
      const Fetch fetch = must(reader->next(Milliseconds(0)));
      if (fetch.state != Fetch::State::records) break;
      for (const RecordView& r : fetch.records) {
        REQUIRE(i < cases.size());
        const Case& c = cases[i++];
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

TEST_CASE("a record of the time that librdkafka takes for none is refused, and the producer goes on") {
  Fixture f(kKafka);
  auto producer = must(f.backend->open_producer("t", {}));
  CHECK(code_of(producer->send({.value = "a", .timestamp = TimestampMs{0}})) == Code::bad_data);
  must(producer->send({.value = "b"}));
  must(producer->flush());
  CHECK(f.values() == Strings{"b"});
}

TEST_CASE("what a cluster cannot do is a usage error") {
  Fixture f(kKafka);
  CHECK(code_of(f.backend->open_producer("t", {.producer_name = "p"})) == Code::usage);
  CHECK(code_of(f.backend->disk_space()) == Code::usage);
}

TEST_CASE("strategy automatic commits only what was handed out before the latest call, and all of it on leaving") {
  Fixture f(kKafka);
  f.produce({"a", "b", "c"});
  GroupOptions options = f.group();
  {
    auto member = must(f.backend->join_group("g", options));
    REQUIRE(must(member->next(Milliseconds(0))).state == Fetch::State::records);
  }
  {
    // What was in hand when the first member went away comes again.
    auto member = must(f.backend->join_group("g", options));
    CHECK(member->resumed().empty());
    CHECK(Fixture::values_of(*member) == Strings{"a", "b", "c"});
    must(member->leave());
  }
  auto member = must(f.backend->join_group("g", options));
  REQUIRE(member->resumed().size() == 1);
  CHECK(member->resumed()[0].next.value == 3);
}

TEST_CASE(
    "a member whose commit is outdated joins again, repeats nothing, and has stored all when it leaves (on the mock)") {
  if (kafka_is_real()) {
    MESSAGE("left out: a real cluster refuses no commit on request");
    return;
  }
  for (const bool more : {true, false}) {
    Fixture f(kKafka);
    f.produce({"a", "b", "c"});
    GroupOptions options = f.group();
    options.read.follow = true;
    auto member = must(f.backend->join_group("g", options));
    Strings values;
    const auto read = [&](std::size_t count) {
      while (values.size() < count)
        for (std::string& value : Fixture::values_of(*member)) values.push_back(std::move(value));
    };
    read(3);
    refuse_next_commit(*f.place);
    must(member->commit(member->positions()));
    if (more) {
      f.produce({"d", "e"});
      read(5);
    }
    must(member->leave());
    CHECK(values == (more ? Strings{"a", "b", "c", "d", "e"} : Strings{"a", "b", "c"}));
    CHECK(f.consume("g").empty());
  }
}

TEST_CASE("settings of a topic are changed one by one, and what others have set stays (on a real cluster)") {
  if (!kafka_is_real()) {
    MESSAGE("left out: the mock has no requests for a topic's settings");
    return;
  }
  Fixture f(kKafka, {.partitions = 2, .retention_ms = 1000, .compression = Codec::lz4});
  CHECK(must(f.backend->describe_topic("t")).settings.compression == Codec::lz4);
  CHECK(code_of(f.backend->create_topic("t", {})) == Code::exists);
  CHECK(code_of(f.backend->check_create_topic("t", {})) == Code::exists);
  const auto changed = must(f.backend->set_topic("t", [](TopicSettings& settings) -> Result<void> {
    settings.retention_ms.reset();
    settings.partitions = 9;
    return {};
  }));
  CHECK(changed.partitions == 2);
  CHECK(!changed.retention_ms);
  CHECK(must(f.place->open()->describe_topic("t")).settings == changed);
  CHECK(changed.compression == Codec::lz4);
  CHECK(code_of(f.backend->set_topic("t", [](TopicSettings& settings) -> Result<void> {
          settings.retention_records = 4;
          return {};
        })) == Code::usage);
  CHECK(must(f.backend->describe_topic("t")).settings == changed);
}

TEST_CASE("nothing acknowledged is missing from topics that were just made (on a real cluster)") {
  if (!kafka_is_real()) {
    MESSAGE("left out: the mock's topics are there at once");
    return;
  }
  Fixture f(kKafka);
  for (int round = 0; round < 40; ++round) {
    must(f.backend->create_topic("u", {.partitions = 4}));
    std::vector<Receipt> receipts;
    {
      auto producer = must(f.backend->open_producer("u", {.batch_bytes = 100}));
      producer->on_acknowledged(
          [&](std::span<const Receipt> more) { receipts.insert(receipts.end(), more.begin(), more.end()); });
      for (int i = 0; i < 100; ++i) must(producer->send({.key = fmt::format("{}", i % 17), .value = "v"}));
      must(producer->flush());
    }
    CHECK(receipts.size() == 100);
    for (const Receipt& receipt : receipts) CHECK(receipt.offset.value >= 0);
    CHECK(must(f.backend->describe_topic("u")).records == 100);
    must(f.backend->delete_topic("u"));
  }
}

TEST_CASE("no answer is unavailable within the time allowed, naming the broker and the reason") {
  const SteadyTime began = std::chrono::steady_clock::now();
  const auto backend = must(open_kafka("kafka://127.0.0.1:1", {.lock_timeout = Milliseconds(500)}, {}));
  const auto names = backend->topic_names();
  CHECK(code_of(names) == Code::unavailable);
  CHECK(names.error().message.find("127.0.0.1:1") != std::string::npos);
  CHECK(names.error().message.find("refused") != std::string::npos);
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(20));
  CHECK(code_of(backend->open_producer("t", {})) == Code::unavailable);
  CHECK(code_of(backend->open_reader({.topics = {{"t"}}})) == Code::unavailable);
  CHECK(code_of(backend->join_group("g", {.read = {.topics = {{"t"}}}})) == Code::unavailable);
}

TEST_CASE("properties that are not known, or leat's own, are configuration errors") {
  CHECK(code_of(open_kafka("kafka://127.0.0.1:1?bogus=1", {}, {})) == Code::configuration);
  CHECK(code_of(open_kafka("kafka://127.0.0.1:1", {}, {.properties = {{"socket.timeout.ms", "x"}}})) ==
        Code::configuration);
  const auto backend =
      must(open_kafka("kafka://127.0.0.1:1?enable.auto.commit=true", {.lock_timeout = Milliseconds(100)}, {}));
  CHECK(code_of(backend->open_reader({.topics = {{"t"}}})) == Code::configuration);
}

TEST_CASE("the URL's properties win over those of the settings") {
  must(open_kafka("kafka://127.0.0.1:1?socket.timeout.ms=1000", {}, {.properties = {{"socket.timeout.ms", "2000"}}}));
  CHECK(code_of(open_kafka("kafka://127.0.0.1:1?socket.timeout.ms=x", {},
                           {.properties = {{"socket.timeout.ms", "2000"}}})) == Code::configuration);
}

TEST_CASE("open_backend opens a Kafka URL as the program says, and without a word it is unavailable") {
  CHECK(code_of(open_backend("kafka://127.0.0.1:1", {})) == Code::unavailable);
  set_kafka_opener([](const std::string& url, const OpenOptions& options) { return open_kafka(url, options, {}); });
  CHECK(open_backend("kafka://127.0.0.1:1", {}));
  set_kafka_opener({});
  CHECK(code_of(open_backend("kafka://127.0.0.1:1", {})) == Code::unavailable);
}
