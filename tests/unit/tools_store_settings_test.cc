#include "tools/store_settings.h"

#include <doctest/doctest.h>

#include <map>

using namespace leat;
using namespace leat::tools;

namespace {

using Variables = std::map<std::string, std::string>;

// What flags, the environment, .env and [store] come to together.
Result<ServeSettings> resolve(StoreTexts texts, const Variables& variables = {}, const std::string& env_file = "",
                              const std::vector<SettingOrigin>& file = {}) {
  const auto lines = parse_env_file(env_file, ".env");
  if (!lines) return std::unexpected(lines.error());
  add_environment(
      texts,
      [&](const char* name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        if (found == variables.end()) return std::nullopt;
        return found->second;
      },
      *lines, ".env");
  add_file(texts, file);
  return resolve_store(texts);
}

StoreTexts flags(const std::map<std::string_view, std::string>& given) {
  StoreTexts texts;
  texts["id"] = {"s", "ID", Code::usage};
  texts["source"] = {"t", "--source", Code::usage};
  for (const auto& [key, text] : given) texts[key] = {text, "--flag", Code::usage};
  return texts;
}

}  // namespace

TEST_CASE("a flag of a store beats a variable, a variable .env, .env the file, the file what is built in") {
  const Variables variables = {{"AUTO_FLUSH_COUNT", "2"}, {"CHANGELOG_TOPIC", "from-variable"}};
  const std::string env_file = "AUTO_FLUSH_COUNT=3\nCHANGELOG_TOPIC=x\nINITIAL_CAPACITY=30\n";
  const std::vector<SettingOrigin> file = {
      {"auto_flush_count", "4", "c:1:1"}, {"initial_capacity", "40", "c:2:1"}, {"listen", "[::1]:80", "c:3:1"}};
  const auto settings = resolve(flags({{"auto_flush_count", "1"}}), variables, env_file, file);
  REQUIRE(settings);
  CHECK(settings->store.flush_count == 1);
  CHECK(settings->store.changelog == "from-variable");
  CHECK(settings->store.initial_capacity == 30);
  CHECK(settings->listen.host == "::1");
  CHECK(settings->listen.port == "80");
  CHECK(settings->store.flush_every == std::chrono::seconds(1));
  CHECK(settings->limits.connections == 1000);
}

TEST_CASE("the document's variables are understood as it has them") {
  const std::string env_file =
      "# a store\n\nSTORE_ID=\"test\"\nexport SOURCE_TOPIC='test-input'\nCHANGELOG_TOPIC=test-changelog  # its own\n"
      "KAFKA_BROKERS=localhost:9092\nINITIAL_CAPACITY=5000000\nAUTO_FLUSH_COUNT=1000\nAUTO_FLUSH_SECONDS=2\n"
      "READER_POOL_SIZE=77\nPARTITIONS=0, 1,2\nPARTITIONS_REPLICA=4,5\nUSE_REPLICA_ONLY=true\nWAIT_FOR_REPLICAS=1\n"
      "KAFKA_CONSUMER_PROPERTIES=receive.message.max.bytes=10000\n";
  const auto settings = resolve({}, {}, env_file);
  REQUIRE(settings);
  CHECK(settings->store.id == "test");
  CHECK(settings->store.source == "test-input");
  CHECK(settings->store.changelog == "test-changelog");
  CHECK(settings->brokers == "localhost:9092");
  CHECK(settings->store.initial_capacity == 5'000'000);
  CHECK(settings->store.flush_every == std::chrono::seconds(2));
  CHECK(settings->limits.connections == 77);
  CHECK(settings->store.partitions == std::vector{PartitionId{0}, PartitionId{1}, PartitionId{2}});
  CHECK(settings->store.replicas == std::vector{PartitionId{4}, PartitionId{5}});
  CHECK(settings->store.replica_only);
  CHECK(settings->store.wait_for_replicas);
  CHECK(settings->consumer_properties == "receive.message.max.bytes=10000");
}

TEST_CASE("a bad value of a store's setting names where it came from") {
  const std::vector<std::pair<std::string_view, std::string>> bad = {
      {"auto_flush_count", "0"}, {"auto_flush_count", "many"}, {"auto_flush_time", "1"},
      {"partitions", "1,x"},     {"partitions", ","},          {"replica_partitions", "-1"},
      {"listen", "8080"},        {"listen", "::1:80"},         {"listen", "host:99999"},
      {"value", "xml"},          {"transform_framing", "u64"}, {"replica_only", "maybe"},
      {"max_connections", "0"},  {"snapshot_interval", "x"},   {"initial_capacity", "-1"}};
  for (const auto& [key, text] : bad) {
    CAPTURE(key);
    CAPTURE(text);
    const auto refused = resolve(flags({{key, text}}));
    REQUIRE(!refused);
    CHECK(refused.error().code == Code::usage);
    CHECK(refused.error().message.starts_with("--flag: \"" + text + "\""));
  }
  const auto in_file = resolve(flags({}), {}, "", {{"value", "xml", "/c.toml:3:9"}});
  REQUIRE(!in_file);
  CHECK(in_file.error().code == Code::configuration);
  CHECK(in_file.error().message.starts_with("/c.toml:3:9: \"xml\""));
  CHECK(resolve(flags({}), {}, "no equals sign").error().message.starts_with(".env:1: "));
  CHECK(resolve(flags({}), {}, "A=\"open").error().message.starts_with(".env:1: "));
}

TEST_CASE("an id and a source are needed") {
  CHECK(resolve({}).error().code == Code::usage);
  StoreTexts only_id;
  only_id["id"] = {"s", "ID", Code::usage};
  CHECK(resolve(only_id).error().code == Code::usage);
  CHECK(resolve(flags({}))->store.changelog == "s-changelog");
}
