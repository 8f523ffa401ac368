#include "leat/log/topic_settings.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace leat;

TEST_CASE("every setting is set from its text form") {
  TopicSettings settings;
  REQUIRE(set_setting(settings, "retention-time", "7d"));
  REQUIRE(set_setting(settings, "retention-bytes", "10GiB"));
  REQUIRE(set_setting(settings, "retention-records", "500"));
  REQUIRE(set_setting(settings, "segment-size", "64KiB"));
  REQUIRE(set_setting(settings, "max-record-size", "1MiB"));
  REQUIRE(set_setting(settings, "compression-type", "lz4"));
  REQUIRE(set_setting(settings, "cleanup", "compact"));
  REQUIRE(set_setting(settings, "durability", "os"));
  CHECK(settings.retention_ms == 7LL * 86400000);
  CHECK(settings.retention_bytes == 10LL << 30);
  CHECK(settings.retention_records == 500);
  CHECK(settings.segment_bytes == 64 << 10);
  CHECK(settings.max_record_bytes == 1 << 20);
  CHECK(settings.compression == Codec::lz4);
  CHECK(settings.cleanup == Cleanup::compact);
  CHECK(settings.durability == Durability::os);

  REQUIRE(set_setting(settings, "retention-time", "none"));
  REQUIRE(set_setting(settings, "retention-bytes", "none"));
  REQUIRE(set_setting(settings, "retention-records", "none"));
  CHECK_FALSE(settings.retention_ms);
  CHECK_FALSE(settings.retention_bytes);
  CHECK_FALSE(settings.retention_records);
}

TEST_CASE("what list_settings writes set_setting reads") {
  TopicSettings settings;
  settings.retention_ms = 90061001;
  settings.retention_records = 0;
  settings.segment_bytes = kSegmentBytesMax;
  settings.compression = Codec::zstd;
  settings.durability = Durability::os;
  TopicSettings read;
  for (const auto& [key, value] : list_settings(settings)) {
    CAPTURE(key);
    REQUIRE(set_setting(read, key, value));
  }
  CHECK(read == settings);
}

TEST_CASE("a bad value names the key, the value and what is allowed, and changes nothing") {
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"retention-time", "7"},      {"retention-bytes", "x"}, {"retention-records", "-1"},
      {"retention-records", "1.5"}, {"segment-size", "1KiB"}, {"segment-size", "2GiB"},
      {"segment-size", "none"},     {"max-record-size", "0"}, {"max-record-size", "1GiB"},
      {"compression-type", "xz"},   {"cleanup", "remove"},    {"durability", "maybe"},
      {"partitions", "4"}};
  for (const auto& [key, value] : bad) {
    CAPTURE(key);
    CAPTURE(value);
    TopicSettings settings;
    const auto result = set_setting(settings, key, value);
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Code::usage);
    CHECK(result.error().message.starts_with(key));
    CHECK(settings == TopicSettings{});
  }
}

TEST_CASE("an unknown setting suggests the nearest") {
  TopicSettings settings;
  const auto result = set_setting(settings, "retention-tiem", "7d");
  REQUIRE_FALSE(result);
  CHECK(result.error().message.starts_with("unknown setting \"retention-tiem\""));
  CHECK(result.error().hint == "did you mean \"retention-time\"?");
}

TEST_CASE("limits are checked") {
  TopicSettings settings;
  CHECK(check_settings(settings));
  settings.partitions = 0;
  CHECK_FALSE(check_settings(settings));
  settings.partitions = kPartitionsMax + 1;
  CHECK_FALSE(check_settings(settings));
  settings.partitions = kPartitionsMax;
  CHECK(check_settings(settings));
  settings.retention_bytes = -1;
  CHECK_FALSE(check_settings(settings));
  settings.retention_bytes = {};
  settings.retention_ms = -1;
  CHECK_FALSE(check_settings(settings));
}

TEST_CASE("names are Kafka's") {
  for (const std::string& name :
       {std::string("t"), std::string("A.b_c-9"), std::string("..."), std::string(249, 'x')}) {
    CAPTURE(name);
    CHECK(check_name("topic", name));
  }
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("a/b"), std::string("a b"),
        std::string("\xc3\xa9"), std::string(250, 'x'), std::string("a\0b", 3)}) {
    CAPTURE(name);
    const auto result = check_name("topic", name);
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Code::usage);
    CHECK(result.error().message.find("topic") != std::string::npos);
  }
}
