// A topic's settings under Kafka's names, and what its errors are here.
#include <doctest/doctest.h>

#include <unistd.h>

#include <map>

#include "leat/backend/kafka_client.h"
#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

std::map<std::string, std::string, std::less<>> as_map(const KafkaProperties& properties) {
  return {properties.begin(), properties.end()};
}

}  // namespace

TEST_CASE("settings come back from Kafka's names as they went") {
  TopicSettings settings{.partitions = 7, .proofs = false};
  CHECK(kafka::from_kafka(as_map(must(kafka::to_kafka(settings))), 7) == settings);
  settings.retention_ms = 0;
  settings.retention_bytes = 1 << 20;
  settings.segment_bytes = 1 << 20;
  settings.max_record_bytes = 1000;
  settings.compression = Codec::zstd;
  settings.cleanup = Cleanup::compact;
  CHECK(kafka::from_kafka(as_map(must(kafka::to_kafka(settings))), 7) == settings);
}

TEST_CASE("keeping everything is said, as Kafka would keep a week") {
  const auto configs = as_map(must(kafka::to_kafka({})));
  CHECK(configs.at("retention.ms") == "-1");
  CHECK(configs.at("retention.bytes") == "-1");
  CHECK(configs.at("compression.type") == "producer");
}

TEST_CASE("a setting that Kafka has no equal to is a usage error that names it") {
  const auto refused = [](const TopicSettings& settings, std::string_view name) {
    const auto configs = kafka::to_kafka(settings);
    REQUIRE(!configs);
    CHECK(configs.error().code == Code::usage);
    CHECK(configs.error().message.starts_with(name));
  };
  refused({.retention_records = 1}, "retention-records");
  refused({.durability = Durability::os}, "durability");
  refused({.proofs = true}, "proofs");
}

TEST_CASE("what others have set is understood as far as it can be") {
  const TopicSettings settings = kafka::from_kafka({{"cleanup.policy", "compact,delete"},
                                                    {"compression.type", "gzip"},
                                                    {"retention.ms", "x"},
                                                    {"segment.bytes", ""}},
                                                   2);
  CHECK(settings.partitions == 2);
  CHECK(settings.cleanup == Cleanup::compact);
  CHECK(settings.compression == Codec::none);
  CHECK(!settings.retention_ms);
  CHECK(settings.segment_bytes == TopicSettings{}.segment_bytes);
}

TEST_CASE("librdkafka's errors have the codes of their exit statuses") {
  using kafka::code_of;
  CHECK(code_of(RD_KAFKA_RESP_ERR__TRANSPORT) == Code::unavailable);
  CHECK(code_of(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT) == Code::unavailable);
  CHECK(code_of(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) == Code::not_found);
  CHECK(code_of(RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) == Code::exists);
  CHECK(code_of(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) == Code::permission);
  CHECK(code_of(RD_KAFKA_RESP_ERR__AUTHENTICATION) == Code::permission);
  CHECK(code_of(RD_KAFKA_RESP_ERR__SSL) == Code::configuration);
  CHECK(code_of(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) == Code::bad_data);
  CHECK(code_of(RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP) == Code::busy);
  CHECK(code_of(RD_KAFKA_RESP_ERR_INVALID_CONFIG) == Code::usage);
  CHECK(code_of(RD_KAFKA_RESP_ERR_INVALID_MSG) == Code::damaged);
  CHECK(code_of(RD_KAFKA_RESP_ERR__FAIL) == Code::io);
}

TEST_CASE("a member tells who it is by its client id, and a foreign one is shown as it is") {
  const GroupMember own = kafka::parse_member(kafka::member_name("leat consume t -c c"), "/10.0.0.1");
  CHECK(own.pid == ::getpid());
  CHECK(!own.host.empty());
  CHECK(own.command == "leat consume t -c c");
  for (const char* id : {"rdkafka", "leat", "leat x h c", "leat 12", "leat 12 host"}) {
    CAPTURE(id);
    const GroupMember foreign = kafka::parse_member(id, "/10.0.0.1");
    CHECK(foreign.pid == 0);
    CHECK(foreign.host == "10.0.0.1");
    CHECK(foreign.command == id);
  }
}
