#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include "tools/check_verdict.h"
#include "tools/command_line.h"

using namespace leat;
using namespace leat::tools;
using namespace std::chrono_literals;

namespace {

constexpr TimestampMs kNow{1'700'000'000'000};

// A partition that lags by `lag`, with a commit `age_ms` ago; none when negative.
ConsumerPartition partition(std::int32_t number, std::optional<std::int64_t> lag, std::int64_t age_ms = 0) {
  ConsumerPartition described{.topic = "t", .partition = {number}};
  if (age_ms >= 0) described.committed_at = kNow - age_ms;
  described.lag = lag;
  return described;
}

Verdict judge(const std::vector<ConsumerPartition>& partitions, const ConsumerLimits& limits = {}) {
  return judge_consumer("c1", partitions, limits, kNow);
}

Verdict judge_disk(std::int64_t total, std::int64_t available, const StoreLimits& limits) {
  return judge_store({.disk_space = DiskSpace{total, available}}, limits);
}

}  // namespace

TEST_CASE("a consumer that has read everything is ok, however long ago its commit was") {
  const Verdict verdict = judge({partition(0, 0, 90'000'000), partition(1, 0)}, {.lag_warn = 0, .age_crit = 1s});
  CHECK(verdict.health == Health::ok);
  CHECK(plugin_line(verdict) == "LEAT CONSUMER OK - c1 is up to date on 2 partitions | lag=0;0;;0 age=0s;;1;0");
}

TEST_CASE("the lag of a consumer is the sum over its partitions") {
  const std::vector<ConsumerPartition> partitions = {partition(0, 5, 3214), partition(1, 7, 1000), partition(2, 0)};
  CHECK(plugin_line(judge(partitions, {.lag_warn = 100, .lag_crit = 1000, .age_crit = 60s})) ==
        "LEAT CONSUMER OK - c1 is 12 records behind on 2 partitions | lag=12;100;1000;0 age=3.214s;;60;0");
  CHECK(plugin_line(judge(partitions)) ==
        "LEAT CONSUMER OK - c1 is 12 records behind on 2 partitions | lag=12;;;0 age=3.214s;;;0");
  CHECK(judge({partition(0, 1)}).message == "c1 is 1 record behind on 1 partition");
}

TEST_CASE("a limit on the lag is the last value that is still good") {
  const ConsumerLimits limits = {.lag_warn = 10, .lag_crit = 20};
  CHECK(judge({partition(0, 10)}, limits).health == Health::ok);
  CHECK(judge({partition(0, 11)}, limits).health == Health::warning);
  CHECK(judge({partition(0, 20)}, limits).health == Health::warning);
  CHECK(judge({partition(0, 21)}, limits).health == Health::critical);
  CHECK(judge({partition(0, 11)}, limits).message == "c1 is 11 records behind on 1 partition (limit 10)");
  CHECK(judge({partition(0, 21)}, limits).message == "c1 is 21 records behind on 1 partition (limit 20)");
  CHECK(judge({partition(0, 1)}, {.lag_crit = 0}).health == Health::critical);
}

TEST_CASE("the age of a consumer is that of the oldest commit among the partitions that lag") {
  const ConsumerLimits limits = {.age_crit = 60s};
  CHECK(judge({partition(0, 1, 60'000)}, limits).health == Health::ok);
  CHECK(judge({partition(0, 1, 60'001)}, limits).health == Health::critical);
  CHECK(judge({partition(0, 0, 60'001), partition(1, 1, 5)}, limits).health == Health::ok);
  CHECK(judge({partition(0, 1, 5), partition(1, 2, 123'000)}, limits).message ==
        "c1 is 3 records behind on 2 partitions, last commit 2m 3s ago (limit 1m)");
  CHECK(judge({partition(0, 1, 310)}, {.age_crit = 200ms}).message ==
        "c1 is 1 record behind on 1 partition, last commit 310ms ago (limit 200ms)");
  // A clock that went back.
  ConsumerPartition future = partition(0, 1);
  future.committed_at = kNow + 1'000'000;
  CHECK(plugin_line(judge({future}, limits)).ends_with(" age=0s;;60;0"));
}

TEST_CASE("the worse of lag and age counts") {
  const ConsumerLimits limits = {.lag_warn = 0, .age_crit = 1s};
  CHECK(judge({partition(0, 1, 500)}, limits).health == Health::warning);
  CHECK(judge({partition(0, 1, 5000)}, limits).health == Health::critical);
}

TEST_CASE("records that were never committed have no age, and are named") {
  const Verdict verdict = judge({partition(0, 3, -1), partition(1, 4, 10)}, {.age_crit = 1s});
  CHECK(verdict.health == Health::ok);
  CHECK(verdict.message == "c1 is 7 records behind on 2 partitions, 1 of them never committed");
  CHECK(judge({partition(0, 3, -1)}).message == "c1 is 3 records behind on 1 partition, never committed");
}

TEST_CASE("a commit of a time that the backend cannot tell has no age, and an age that is limited is unknown then") {
  ConsumerPartition ageless = partition(0, 3, -1);
  ageless.next = Offset{4};
  const Verdict verdict = judge({ageless});
  CHECK(verdict.health == Health::ok);
  CHECK(plugin_line(verdict) == "LEAT CONSUMER OK - c1 is 3 records behind on 1 partition | lag=3;;;0");
  const Verdict limited = judge({ageless}, {.age_crit = 1s});
  CHECK(limited.health == Health::unknown);
  CHECK(limited.message == "c1 is 3 records behind on 1 partition, how old the last commit is cannot be told");
  CHECK(judge({ageless}, {.lag_crit = 1, .age_crit = 1s}).health == Health::critical);
}

TEST_CASE("a partition that cannot be read is critical") {
  const Verdict one = judge({partition(0, 2), partition(1, std::nullopt)});
  CHECK(one.health == Health::critical);
  CHECK(one.message == "partition 1 of \"t\" cannot be read; c1 is 2 records behind on 1 partition");
  CHECK(judge({partition(0, std::nullopt)}).message == "c1: partition 0 of \"t\" cannot be read");
  std::vector<ConsumerPartition> many;
  for (std::int32_t i = 0; i < 5; ++i) many.push_back(partition(i, std::nullopt));
  CHECK(judge(many).message.ends_with("partition 2 of \"t\" cannot be read; 2 more"));
}

TEST_CASE("a store is ok while every topic can be read") {
  const StoreFindings findings = {.topics = 1, .partitions = 2, .records = 3, .bytes = 2048};
  CHECK(plugin_line(judge_store(findings, {})) ==
        "LEAT STORE OK - 1 topic, 2 partitions, 3 records, 2.0 KiB"
        " | topics=1;;;0 partitions=2;;;0 records=3;;;0 bytes=2048B;;;0");
}

TEST_CASE("damage in a store is critical, what cannot be looked at unknown") {
  const Error damage{Code::damaged, "x.log: damaged at byte 7"};
  const Error refused{Code::permission, "y.log: Permission denied"};
  CHECK(judge_store({.failures = {damage, refused}}, {}).health == Health::critical);
  CHECK(judge_store({.failures = {refused, damage}}, {}).health == Health::critical);
  const Verdict unknown = judge_store({.failures = {refused}, .disk_space = DiskSpace{100, 50}}, {.disk_warn = 10});
  CHECK(unknown.health == Health::unknown);
  CHECK(unknown.message.starts_with("y.log: Permission denied; 0 topics"));
}

TEST_CASE("a limit on the disk is the last value that is still good, as it is shown") {
  const StoreLimits limits = {.disk_warn = 80, .disk_crit = 90};
  CHECK(judge_disk(1000, 200, limits).health == Health::ok);
  CHECK(judge_disk(1000, 199, limits).health == Health::warning);
  CHECK(judge_disk(1000, 100, limits).health == Health::warning);
  CHECK(judge_disk(1000, 99, limits).health == Health::critical);
  CHECK(judge_disk(100000, 9999, limits).health == Health::warning);  // 90.001, shown as 90.0
  const std::string line = plugin_line(judge_disk(1000, 99, limits));
  CHECK(
      line.starts_with("LEAT STORE CRITICAL - 0 topics, 0 partitions, 0 records, 0 B, disk 90.1% used (limit 90%) | "));
  CHECK(line.ends_with(" disk_used=90.1%;80;90;0;100"));
  CHECK(judge_disk(std::int64_t{1} << 62, 0, {.disk_crit = 99}).health == Health::critical);
}

TEST_CASE("a disk that is not known matters only when there is a limit on it") {
  CHECK(judge_store({}, {}).health == Health::ok);
  CHECK(judge_store({}, {.disk_warn = 80}).health == Health::unknown);
  CHECK(judge_disk(0, 0, {.disk_crit = 80}).health == Health::unknown);
}

TEST_CASE("what keeps a check from looking is unknown, but damage is critical") {
  CHECK(judge_failure("consumer", {Code::not_found, "x"}).health == Health::unknown);
  CHECK(judge_failure("consumer", {Code::io, "x"}).health == Health::unknown);
  CHECK(judge_failure("consumer", {Code::damaged, "x"}).health == Health::critical);
  CHECK(plugin_line(judge_failure("consumer", {Code::not_found, "gone"})) == "LEAT CONSUMER UNKNOWN - gone");
}

TEST_CASE("a message cannot forge performance data or a second line") {
  CHECK(plugin_line(judge_failure("store", {Code::usage, "a|b\nc"})) == "LEAT STORE UNKNOWN - a\\x7cb\\x0ac");
}

TEST_CASE("the words of a command are found also where the line is wrong") {
  using Words = std::vector<std::string>;
  using Pair = std::array<std::string_view, 2>;
  const Words line = {"-qD", "check", "--bogus", "check", "--color", "never", "consumer", "c1"};
  CHECK(command_words(line) == Pair{"check", "consumer"});
  const Words alone = {"-v", "check"};
  CHECK(command_words(alone) == Pair{"check", ""});
  CHECK(command_words({}) == Pair{"", ""});
}
