#include "tests/kafka/places.h"

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>
// The header wants the other one before it.
#include <librdkafka/rdkafka_mock.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <thread>

#include "leat/backend/kafka.h"
#include "tests/support/backend_fixture.h"

namespace leat::test {

namespace {

// A group's protocol takes its time: a member driven by hand is asked until nothing has changed for so long.
constexpr Milliseconds kQuiet(600);

constexpr OpenOptions kOptions{.lock_timeout = std::chrono::seconds(15)};

// Heartbeats say that a group shares out anew.
constexpr std::string_view kHurry = "?heartbeat.interval.ms=50&fetch.wait.max.ms=20&reconnect.backoff.ms=10";

// Looks around again as long as that brings about something.
class PatientMember final : public GroupReader {
 public:
  explicit PatientMember(std::unique_ptr<GroupReader> inner) : inner_(std::move(inner)) {}

  Result<Fetch> next(Milliseconds wait) override {
    const auto quiet_until = std::chrono::steady_clock::now() + kQuiet;
    for (;;) {
      auto fetch = inner_->next(wait);
      if (!fetch || fetch->state != Fetch::State::caught_up) return fetch;
      if (std::chrono::steady_clock::now() >= quiet_until) return fetch;
      std::this_thread::sleep_for(Milliseconds(20));
    }
  }
  std::vector<std::string> take_notices() override { return inner_->take_notices(); }
  Result<void> commit(std::span<const Position> positions) override { return inner_->commit(positions); }
  Result<void> tend() override { return inner_->tend(); }
  void on_release(LetGo callback) override { inner_->on_release(std::move(callback)); }
  Result<void> leave() override { return inner_->leave(); }
  std::vector<Position> resumed() const override { return inner_->resumed(); }
  std::vector<Position> positions() const override { return inner_->positions(); }
  std::vector<std::string> take_events() override { return inner_->take_events(); }

 private:
  std::unique_ptr<GroupReader> inner_;
};

using MakeTopic = std::function<Result<void>(std::string_view name, const TopicSettings& settings)>;

// Everything goes to the backend; topics of the mock are made by the mock.
class TestedBackend final : public Backend {
 public:
  TestedBackend(std::unique_ptr<Backend> inner, MakeTopic make_topic)
      : inner_(std::move(inner)), make_topic_(std::move(make_topic)) {}

  Result<void> create_topic(std::string_view name, const TopicSettings& settings) override {
    return make_topic_ ? make_topic_(name, settings) : inner_->create_topic(name, settings);
  }
  Result<void> check_create_topic(std::string_view name, const TopicSettings& settings) override {
    return inner_->check_create_topic(name, settings);
  }
  Result<std::vector<std::string>> topic_names() override { return inner_->topic_names(); }
  Result<TopicInfo> describe_topic(std::string_view name) override { return inner_->describe_topic(name); }
  Result<void> delete_topic(std::string_view name) override { return inner_->delete_topic(name); }
  Result<void> add_partitions(std::string_view name, std::int32_t count) override {
    return inner_->add_partitions(name, count);
  }
  Result<TopicSettings> set_topic(std::string_view name,
                                  const std::function<Result<void>(TopicSettings&)>& change) override {
    return inner_->set_topic(name, change);
  }
  Result<std::vector<TrimResult>> trim_topic(std::string_view name, TrimTarget target,
                                             std::span<const PartitionId> partitions, bool execute) override {
    return inner_->trim_topic(name, target, partitions, execute);
  }
  Result<std::vector<PartitionInfo>> partitions(std::string_view topic) override { return inner_->partitions(topic); }
  Result<std::unique_ptr<Producer>> open_producer(std::string_view topic, const ProducerOptions& options) override {
    return inner_->open_producer(topic, options);
  }
  Result<std::unique_ptr<Reader>> open_reader(const ReadOptions& options) override {
    return inner_->open_reader(options);
  }
  Result<std::unique_ptr<GroupReader>> join_group(std::string_view consumer, const GroupOptions& options) override {
    return std::make_unique<PatientMember>(TRY(inner_->join_group(consumer, options)));
  }
  Result<ConsumerOffsets> consumer_offsets(bool with_lag) override { return inner_->consumer_offsets(with_lag); }
  Result<ConsumerDescription> describe_consumer(std::string_view consumer) override {
    return inner_->describe_consumer(consumer);
  }
  Result<std::vector<SeekResult>> seek_consumer(std::string_view consumer, std::span<const SeekRequest> requests,
                                                bool create, bool execute) override {
    return inner_->seek_consumer(consumer, requests, create, execute);
  }
  Result<std::vector<DeletedOffset>> delete_consumer(std::string_view consumer, std::optional<std::string_view> topic,
                                                     std::span<const PartitionId> partitions, bool execute) override {
    return inner_->delete_consumer(consumer, topic, partitions, execute);
  }
  Result<std::string> identity() override { return inner_->identity(); }
  Result<std::string> topic_identity(std::string_view topic) override { return inner_->topic_identity(topic); }
  Result<TopicSettings> chosen_settings(std::string_view topic) override { return inner_->chosen_settings(topic); }
  TopicSettings applicable(const TopicSettings& settings) const override { return inner_->applicable(settings); }
  Result<std::unique_ptr<CopyWriter>> open_copy(std::string_view topic, const CopySource& source) override {
    return inner_->open_copy(topic, source);
  }
  Result<DiskSpace> disk_space() override { return inner_->disk_space(); }

 private:
  std::unique_ptr<Backend> inner_;
  MakeTopic make_topic_;
};

// Kafka's number of the request.
constexpr std::int16_t kOffsetCommit = 8;

class MockPlace final : public Place {
 public:
  MockPlace() {
    std::array<char, 512> reason{};
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, nullptr);
    client_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason.data(), reason.size());
    cluster_ = client_ == nullptr ? nullptr : rd_kafka_mock_cluster_new(client_, 1);
    if (cluster_ == nullptr) FAIL(reason.data());
  }
  ~MockPlace() override {
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(client_);
  }

  void refuse_next_commit() {
    rd_kafka_mock_push_request_errors(cluster_, kOffsetCommit, 1, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION);
  }

  std::unique_ptr<Backend> open() override {
    // The mock waits for members that were told nothing until just before they would be missed, and at least three
    // seconds for the first.
    const std::string url =
        fmt::format("kafka://{}{}&session.timeout.ms=4500", rd_kafka_mock_cluster_bootstraps(cluster_), kHurry);
    return std::make_unique<TestedBackend>(
        must(open_kafka(url, kOptions, {})),
        [this](std::string_view name, const TopicSettings& settings) -> Result<void> {
          TRY(check_name("topic", name));
          TRY(check_settings(settings));
          rd_kafka_mock_topic_create(cluster_, std::string(name).c_str(), settings.partitions, 1);
          return {};
        });
  }

 private:
  rd_kafka_t* client_;
  rd_kafka_mock_cluster_t* cluster_;
};

class RealPlace final : public Place {
 public:
  RealPlace() {
    // What was not made by these tests is not theirs to delete.
    static const bool empty =
        must(open()->topic_names()).empty() && must(open()->consumer_offsets(false)).offsets.empty();
    if (!empty) FAIL("the cluster of LEAT_TEST_KAFKA has topics or consumers: these tests want one of their own");
  }
  ~RealPlace() override {
    const auto backend = open();
    for (const ConsumerOffset& offset : backend->consumer_offsets(false).value_or(ConsumerOffsets()).offsets)
      (void)backend->delete_consumer(offset.consumer, {}, {}, true);
    for (const std::string& name : backend->topic_names().value_or(std::vector<std::string>()))
      (void)backend->delete_topic(name);
  }
  std::unique_ptr<Backend> open() override {
    const std::string url = fmt::format("kafka://{}{}", std::getenv("LEAT_TEST_KAFKA"), kHurry);
    return std::make_unique<TestedBackend>(must(open_kafka(url, kOptions, {})), nullptr);
  }
};

constexpr std::string_view kNoCount = "Kafka keeps records by time and size, not by count";
constexpr std::string_view kNoClaim = "Kafka knows no claim on partitions that a member names";
constexpr std::string_view kNoTopicAdmin = "the mock has no requests for topics: create, change, delete, trim";
constexpr std::string_view kNoTopicConfigs = "the mock does not tell a topic's settings";
constexpr std::string_view kNoGroups = "the mock does not list or describe groups";
constexpr std::string_view kSlowGroups = "the mock takes many seconds to share out anew";
constexpr std::string_view kNoTimes = "the mock finds no offsets by time";

constexpr std::array kKafkaLacks = {
    Lacking{"a created topic is listed, described, and cannot be created again", kNoCount},
    Lacking{"settings are changed whole or not at all, and stay changed", kNoCount},
    Lacking{"what retention by records has trimmed stays trimmed when the limit is loosened", kNoCount},
    Lacking{"a topic whose durability is os acknowledges too, and with force_sync as well",
            "Kafka's durability is one for all topics"},
    Lacking{"null and empty keys, values and headers, bytes and timestamps come back as they were, whatever the codec",
            "librdkafka sends no time 0 and reads no NUL in a header's name; kafka_backend_test has the rest"},
    Lacking{"a partition that was named is busy for another member that names it, and the owner is named", kNoClaim},
    Lacking{"partitions that a member names are not shared, the others still are", kNoClaim},
    Lacking{"a consumer in use is busy to delete, committed or not, and nothing of it goes", kNoClaim},
    Lacking{"a member of a deleted topic can neither read nor commit",
            "librdkafka does not tell a topic from the next one of its name"},
    Lacking{"stored offsets are listed by consumer, topic and partition, with their lag when asked for",
            "Kafka does not tell when an offset was stored"},
    Lacking{"a reader overtaken by a trim goes on at the new start and says so",
            "librdkafka reads ahead of the reader"},
    Lacking{"members of several topics share each topic among those that read it",
            "Kafka's assignor evens out over all topics, not in each"},
    Lacking{"strategy automatic commits what was handed out before the latest call, and all of it on leaving",
            "librdkafka does not tell where a batch ends; kafka_backend_test has its own"},
    Lacking{"a location that is not known is refused", "it is about directories"},
};

constexpr std::array kMockLacks = {
    Lacking{"members share the partitions out evenly as they come and go, and every partition has one owner",
            kSlowGroups},
    Lacking{
        "a partition goes to its next owner when its work is done: until then nobody reads it, and the others are read "
        "on",
        kSlowGroups},
    Lacking{"a member too many waits, says so, and takes over when another leaves", kSlowGroups},
    Lacking{"what was handed out is committed before a partition changes hands, so nothing is read twice", kSlowGroups},
    Lacking{"with strategy manual the callback commits, or the next owner reads again", kSlowGroups},
    Lacking{"an error of the release callback is what next() returns, and the partitions are kept", kSlowGroups},
    Lacking{"without following, members end when the partitions of all have been read to the ends noted at joining",
            kSlowGroups},
    Lacking{"names and settings that are not allowed are usage errors, and checking changes nothing", kNoTopicAdmin},
    Lacking{"a topic that does not exist is not found by any verb, and the nearest name is suggested", kNoTopicAdmin},
    Lacking{"a topic deleted and created again is empty, and its consumers' offsets are gone", kNoTopicAdmin},
    Lacking{"partitions can be added and never taken away", kNoTopicAdmin},
    Lacking{"trimming by offset, time and count says prior and new start, and a dry run changes nothing",
            kNoTopicAdmin},
    Lacking{"partitions are described by their offsets and times", kNoTopicAdmin},
    Lacking{"a record that is too large is refused with the limit named, and the producer goes on", kNoTopicConfigs},
    Lacking{"a producer whose topic is deleted gets not_found and refuses further use", kNoTopicAdmin},
    Lacking{"a compacted topic refuses a record without a key, and the producer goes on", kNoTopicConfigs},
    Lacking{"reading starts where StartAt says", kNoTimes},
    Lacking{"counts from the beginning and the end hold inside batches, and after a trim", kNoTopicAdmin},
    Lacking{"a start that was trimmed away is a notice, or not_found when strict", kNoTopicAdmin},
    Lacking{"partitions added while following are read from their beginning, unless partitions were chosen",
            kNoTopicAdmin},
    Lacking{"a topic deleted while it is followed is not_found", kNoTopicAdmin},
    Lacking{"strategy none reads from the stored offset, claims nothing and never commits", kNoGroups},
    Lacking{"a commit never points past the end of the log", kNoGroups},
    Lacking{"a stored offset that was trimmed away goes on at the start, with a notice, or is not_found when strict",
            kNoTopicAdmin},
    Lacking{"partitions added while a group runs are shared out and read from their beginning", kNoTopicAdmin},
    Lacking{"deleting a consumer clears its offsets, in all topics or the chosen ones, and a dry run none", kNoGroups},
    Lacking{"a consumer is described with its members, offsets, ends and owners", kNoGroups},
    Lacking{"seeking goes to the start, the end, an offset, a distance or a time, and a dry run stores nothing",
            kNoGroups},
    Lacking{"seeking stores for all that was asked or for nothing, makes a consumer only when told to", kNoGroups},
    Lacking{"seeking is refused while a member lives, one that waits included", kNoGroups},
    Lacking{"of two sole writers under a name, one is refused, and nothing of it is to be seen",
            "the mock lets an earlier transactional producer go on"},
};

}  // namespace

std::unique_ptr<Place> make_kafka_place() {
  if (kafka_is_real()) return std::make_unique<RealPlace>();
  return std::make_unique<MockPlace>();
}

void refuse_next_commit(Place& mock) {
  dynamic_cast<MockPlace&>(mock).refuse_next_commit();
}

bool kafka_is_real() {
  const char* servers = std::getenv("LEAT_TEST_KAFKA");
  return servers != nullptr && *servers != '\0';
}

std::span<const Lacking> what_kafka_lacks() {
  return kKafkaLacks;
}
std::span<const Lacking> what_the_mock_lacks() {
  return kMockLacks;
}

}  // namespace leat::test
