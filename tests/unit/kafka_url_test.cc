// Kafka URLs and properties as text.
#include <doctest/doctest.h>

#include <array>

#include "leat/backend/kafka.h"
#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

TEST_CASE("a Kafka URL names its servers, and properties that are percent-decoded") {
  const KafkaUrl plain = must(parse_kafka_url("kafka://localhost:9092"));
  CHECK(plain.servers == "localhost:9092");
  CHECK(plain.properties.empty());
  CHECK(must(parse_kafka_url("kafka://a,b:1,[::1]:9092/")).servers == "a,b:1,[::1]:9092");
  const KafkaUrl url = must(parse_kafka_url("kafka://h?sasl.username=me%20%26%2B&debug=a%2Cb&client.id="));
  CHECK(url.servers == "h");
  const KafkaProperties expected = {{"sasl.username", "me &+"}, {"debug", "a,b"}, {"client.id", ""}};
  CHECK(url.properties == expected);
}

TEST_CASE("what is no Kafka URL is refused") {
  for (const char* url : {"kafka://", "kafka://a,", "kafka://:9092", "kafka://h:", "kafka://h:port", "kafka://h:123456",
                          "kafka://h/topic", "kafka://u@h", "kafka://h?x", "kafka://h?=1", "kafka://h?a=%4",
                          "kafka://h?a=%zz", "kafka://h?a=%00"}) {
    CAPTURE(url);
    const auto parsed = parse_kafka_url(url);
    REQUIRE(!parsed);
    CHECK(parsed.error().code == Code::usage);
  }
}

TEST_CASE("a secret in a URL is refused, and the message does not repeat it") {
  const auto parsed = parse_kafka_url("kafka://h?sasl.password=abracadabra");
  REQUIRE(!parsed);
  CHECK(parsed.error().code == Code::usage);
  CHECK(parsed.error().hint.find("LEAT_KAFKA_SASL_PASSWORD") != std::string::npos);
  CHECK((parsed.error().message + parsed.error().hint).find("abracadabra") == std::string::npos);
}

TEST_CASE("the environment sets properties") {
  const std::array<const char*, 6> environment = {"LEAT_KAFKA_SSL_CA_LOCATION=/ca.pem",
                                                  "LEAT_DATA_DIR=x",
                                                  "LEAT_KAFKA_SASL_PASSWORD=a=b",
                                                  "LEAT_KAFKA_=x",
                                                  "LEAT_KAFKA_DEBUG=",
                                                  nullptr};
  const KafkaProperties expected = {{"sasl.password", "a=b"}, {"ssl.ca.location", "/ca.pem"}};
  CHECK(kafka_environment(environment.data()) == expected);
  CHECK(kafka_environment(nullptr).empty());
}
