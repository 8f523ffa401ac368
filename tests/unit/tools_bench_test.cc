#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "leat/log/batch.h"
#include "leat/log/codec.h"
#include "leat/log/partitioner.h"
#include "tools/arguments.h"
#include "tools/bench_command.h"
#include "tools/bench_load.h"
#include "tools/bench_members.h"
#include "tools/bench_options.h"
#include "tools/bench_payload.h"
#include "tools/bench_place.h"
#include "tools/bench_report.h"

using namespace leat;
using namespace leat::tools;
using namespace std::chrono_literals;

namespace {

Result<BenchSettings> settings_of(std::vector<std::string> words, BenchDefaults defaults = {.records = 1000},
                                  bool always_counted = false) {
  BenchFlags flags(defaults);
  OptionSet options("leat bench produce");
  flags.add_common(options, "processes");
  flags.add_pipeline(options);
  flags.add_rate(options, "how many a second");
  flags.add_warmup(options);
  TRY(parse_arguments(options, std::move(words)));
  return flags.settings(always_counted);
}

std::string refusal_of(const std::vector<std::string>& words) {
  const auto settings = settings_of(words);
  REQUIRE(!settings);
  CHECK(settings.error().code == Code::usage);
  return settings.error().message;
}

// One that took 2 s, with 1000 latencies of 100 us and one of 5 ms.
BenchReport some_report() {
  BenchReport report;
  report.benchmark = "produce";
  report.place = {"local", "ext4"};
  report.settings = *settings_of({});
  report.sentence = "what was done";
  report.records = 1001;
  report.bytes = 100'100;
  report.seconds = 2;
  report.cpu_user_seconds = 0.5;
  report.cpu_system_seconds = 0.25;
  report.memory_peak_bytes = 7'000'000;
  report.disk_bytes = 120'000;
  BenchLatency latency{"latency", "from here to there"};
  for (int i = 0; i < 1000; ++i) latency.histogram.record(100'000);
  latency.histogram.record(5'000'000);
  report.latencies.push_back(latency);
  return report;
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

// ---- Flags ----

TEST_CASE("a benchmark without flags ends by its records, and after ten seconds") {
  const BenchSettings settings = *settings_of({});
  CHECK(settings.records == 1000);
  CHECK(settings.time_limit == 10s);
  CHECK(settings.record_bytes == 100);
  CHECK(settings.clients == 1);
  CHECK(settings.topic.partitions == 1);
  CHECK(settings.topic.durability == Durability::sync);
  CHECK(settings.topic.keeps_proofs());
  CHECK(settings.warmup == 1000);
  CHECK(!settings.rate);
}

TEST_CASE("a benchmark is ended by what was asked for alone") {
  CHECK(!settings_of({"--records", "7"})->time_limit);
  CHECK(settings_of({"--records", "7"})->records == 7);
  CHECK(settings_of({"--time-limit", "2s"})->time_limit == 2s);
  CHECK(!settings_of({"--time-limit", "2s"})->records);
  CHECK(settings_of({"--time-limit", "2s"}, {.records = 5}, true)->records == 5);
  const auto both = settings_of({"--records", "7", "--time-limit", "2s"});
  CHECK(both->records == 7);
  CHECK(both->time_limit == 2s);
}

TEST_CASE("the pipeline of a benchmark is what fills a batch") {
  CHECK(settings_of({})->pipeline == 655);
  CHECK(settings_of({"--size", "1MiB"})->pipeline == 1);
  CHECK(settings_of({"--size", "1B", "--batch-size", "64MiB"})->pipeline == 1'000'000);
  CHECK(settings_of({"--pipeline", "3"})->pipeline == 3);
  CHECK(settings_of({}, {.records = 1, .pipeline = 1})->pipeline == 1);
}

TEST_CASE("records larger than topics usually take are allowed in a benchmark's own topic") {
  CHECK(settings_of({"--size", "20MiB"})->topic.max_record_bytes == 20 << 20);
}

TEST_CASE("each flag of a benchmark refuses what makes no sense") {
  CHECK(refusal_of({"--records", "0"}) == "--records: 0 is too small: at least 1 is needed");
  CHECK(refusal_of({"--size", "0"}) == "--size: 0B is not between 1B and 64MiB");
  CHECK(refusal_of({"--size", "65MiB"}) == "--size: 65MiB is not between 1B and 64MiB");
  CHECK(refusal_of({"--clients", "257"}) == "--clients: 257 is not between 1 and 256");
  CHECK(refusal_of({"--partitions", "1025"}) == "--partitions: 1025 is not between 1 and 1024");
  CHECK(refusal_of({"--rate", "0"}) == "--rate: 0 is too small: at least 1 is needed");
  CHECK(refusal_of({"--rate", "1000000001"}) == "--rate: 1000000001 is not between 1 and 1000000000");
  CHECK(refusal_of({"--batch-size", "65MiB"}) == "--batch-size: 65MiB is not between 1B and 64MiB");
  CHECK(refusal_of({"--pipeline", "1000001"}) == "--pipeline: 1000001 is not between 1 and 1000000");
  CHECK(refusal_of({"--time-limit", "0"}) == "--time-limit: 0s is too short");
  CHECK(holds(refusal_of({"--compression", "gzip"}), "none|lz4|zstd"));
  CHECK(holds(refusal_of({"--durability", "maybe"}), "sync|os"));
  CHECK(holds(refusal_of({"-O", "yaml"}), "text|json|csv"));
}

// ---- Load ----

TEST_CASE("clients share the records of a benchmark out evenly") {
  for (const std::int64_t total : {0, 1, 7, 8, 1000}) {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      const std::int64_t share = share_of_records(total, i, 3);
      CHECK(share >= total / 3);
      CHECK(share <= total / 3 + 1);
      sum += share;
    }
    CHECK(sum == total);
  }
}

TEST_CASE("records at a rate are due at even distances, in turn") {
  const SendSchedule first(5'000, 4, 0, 2);
  const SendSchedule second(5'000, 4, 1, 2);
  CHECK(first.due_ns(0) == 5'000);
  CHECK(second.due_ns(0) == 5'000 + 250'000'000);
  CHECK(first.due_ns(1) == 5'000 + 500'000'000);
  CHECK(second.due_ns(1) == 5'000 + 750'000'000);
}

TEST_CASE("a rate neither drifts nor overflows in a year") {
  const std::int64_t rate = 999'999'937;
  const SendSchedule schedule(0, rate, 0, 1);
  constexpr std::int64_t kYearSeconds = 31'536'000;
  CHECK(schedule.due_ns(rate * kYearSeconds) == kYearSeconds * 1'000'000'000);
}

TEST_CASE("values of a benchmark are the same in every run, and each another one") {
  for (const BenchPayload kind : {BenchPayload::text, BenchPayload::random}) {
    const PayloadSource one(kind, 100);
    const PayloadSource other(kind, 100);
    std::set<std::string_view> seen;
    for (std::int64_t i = 0; i < 10'000; ++i) {
      CHECK(one.value(i).size() == 100);
      CHECK(one.value(i) == other.value(i));
      seen.insert(one.value(i));
    }
    CHECK(seen.size() == 10'000);
  }
}

TEST_CASE("words are compressed, bytes without a pattern are not") {
  const auto batch_bytes = [](BenchPayload kind) {
    const PayloadSource payload(kind, 100);
    BatchBuilder builder(Codec::lz4);
    for (std::int64_t i = 0; i < 600; ++i) REQUIRE(builder.add({.value = payload.value(i)}, TimestampMs{0}));
    return builder.finish({})->bytes.size();
  };
  CHECK(batch_bytes(BenchPayload::text) < 40'000);
  CHECK(batch_bytes(BenchPayload::random) > 60'000);
}

TEST_CASE("a stamp comes back as it was put, and the rest of the value stays") {
  std::string value = "0123456789abcdefgh";
  put_stamp(value, {123'456'789'012, 42});
  CHECK(get_stamp(value).sent_ns == 123'456'789'012);
  CHECK(get_stamp(value).number == 42);
  CHECK(value.substr(kStampBytes) == "gh");
}

// ---- Groups ----

TEST_CASE("there is a key for each partition") {
  for (const std::int32_t partitions : {1, 2, 7, 64}) {
    const std::vector<std::string> keys = keys_of_partitions(partitions);
    REQUIRE(std::ssize(keys) == partitions);
    for (std::int32_t p = 0; p < partitions; ++p) {
      const std::string& key = keys[static_cast<std::size_t>(p)];
      CHECK(partition_for_key(std::as_bytes(std::span(key)), partitions).value == p);
    }
  }
}

TEST_CASE("probes are told from other records") {
  CHECK(probe_number(probe_value(7, 100)) == 7);
  CHECK(probe_value(7, 100).size() == 100);
  CHECK(probe_number("short") == 0);
  const PayloadSource payload(BenchPayload::random, 16);
  for (std::int64_t i = 0; i < 1000; ++i) CHECK(probe_number(payload.value(i)) == 0);
}

// ---- Reports ----

TEST_CASE("latencies are told in three digits") {
  CHECK(latency_text(0) == "0 ns");
  CHECK(latency_text(999) == "999 ns");
  CHECK(latency_text(1'000) == "1.00 us");
  CHECK(latency_text(93'140) == "93.1 us");
  CHECK(latency_text(999'400) == "999 us");
  CHECK(latency_text(999'600) == "1.00 ms");
  CHECK(latency_text(2'500'000'000) == "2.50 s");
  CHECK(latency_text(999'700'000) == "1.00 s");
}

TEST_CASE("the drawing of latencies has few rows, with round edges, and leaves none out") {
  const BenchReport report = some_report();
  const std::vector<HistogramRow> rows = histogram_rows(report.latencies[0].histogram);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].up_to_ns == 100'000);
  CHECK(rows[0].count == 1000);
  CHECK(rows[1].up_to_ns == 5'000'000);
  CHECK(rows[1].count == 1);
  const std::string text = draw_histogram(report.latencies[0].histogram);
  CHECK(holds(text, "up to   100 us |########################################|  99.90 %\n"));
  CHECK(holds(text, "up to  5.00 ms |#                                       |   0.10 %\n"));

  LatencyHistogram wide;
  for (std::int64_t latency = 1; latency < 1'000'000'000'000; latency = latency * 3 + 1) wide.record(latency);
  const std::vector<HistogramRow> few = histogram_rows(wide);
  CHECK(few.size() <= 16);
  std::int64_t sum = 0;
  for (const HistogramRow& row : few) sum += row.count;
  CHECK(sum == wide.count());
  CHECK(histogram_rows(LatencyHistogram{}).empty());
}

TEST_CASE("the text of a benchmark says file system and durability with the figures") {
  const std::string text = bench_text(some_report());
  CHECK(holds(text, "leat bench produce: what was done\n"));
  CHECK(holds(text, "  file system ext4\n"));
  CHECK(holds(text, "  durability  sync: a record counts when the disk has it\n"));
  CHECK(holds(text, "  throughput  501 records/s, 50.0 kB/s\n"));
  CHECK(holds(text, "  records     1,001, 100 kB; the topic takes 120 kB on disk\n"));
  CHECK(holds(text, "  processor   0.50 s user, 0.25 s system, 38 % of a core\n"));
  CHECK(holds(text, "  memory      7.00 MB at most in a process\n"));
  CHECK(holds(text,
              "from here to there\n  P50       P90       P99       P99.9     MAX       MEAN      MIN       TIMES\n"));
  CHECK(!holds(text, "time limit"));
  CHECK(!holds(text, "was due"));
}

TEST_CASE("the text of a benchmark says what its figures do not mean") {
  BenchReport report = some_report();
  report.place.file_system = "tmpfs";
  CHECK(holds(bench_text(report), "nothing survives loss of power"));
  report.settings.topic.durability = Durability::os;
  CHECK(holds(bench_text(report), "os: a record counts when the kernel has it"));
  report.place.file_system.reset();
  CHECK(holds(bench_text(report), "not known to this backend"));
  report.out_of_time = true;
  CHECK(holds(bench_text(report), "2.00 s, then the time limit came"));
  report.settings.rate = 5000;
  CHECK(holds(bench_text(report), "5,000 records/s; a time begins when the record was due"));
  report.latencies[0].histogram = {};
  CHECK(holds(bench_text(report), "none was measured"));
}

TEST_CASE("a benchmark as JSON has its figures as numbers") {
  BenchReport report = some_report();
  const std::string json = bench_json(report);
  CHECK(json.starts_with(
      R"([{"benchmark":"produce","backend":"local","file_system":"ext4","durability":"sync","proofs":true,)"));
  CHECK(json.ends_with("}]\n"));
  CHECK(holds(json,
              R"("rate":null,"warmup":1000,"ended_by":"records","records":1001,"bytes":100100,"seconds":2.000000,)"));
  CHECK(holds(json, R"("records_per_second":500.5,"bytes_per_second":50050,"disk_bytes":120000,)"));
  CHECK(holds(json, R"("latency_count":1001,)"));
  CHECK(holds(json, R"("latency_max_us":5000.000,"latency_histogram":[{"up_to_us":100.000,"count":1000},)"));
  report.place.file_system.reset();
  report.disk_bytes = -1;
  report.latencies[0].histogram = {};
  const std::string nothing = bench_json(report);
  CHECK(holds(nothing, R"("file_system":null)"));
  CHECK(holds(nothing, R"("disk_bytes":null)"));
  CHECK(holds(nothing, R"("latency_p50_us":null)"));
  CHECK(holds(nothing, R"("latency_histogram":[])"));
}

TEST_CASE("a benchmark as CSV has as many fields as headings") {
  BenchReport report = some_report();
  report.place.file_system = "a,\"b\"";
  report.disk_bytes = -1;
  const std::string csv = bench_csv(report);
  const std::size_t end = csv.find('\n');
  const std::string heading = csv.substr(0, end);
  const std::string line = csv.substr(end + 1);
  CHECK(heading.starts_with("benchmark,backend,file_system,durability,"));
  CHECK(line.starts_with("produce,local,\"a,\"\"b\"\"\",sync,true,"));
  CHECK(line.ends_with("\n"));
  CHECK(std::ranges::count(line, ',') == std::ranges::count(heading, ',') + 1);  // one is in quotes
  CHECK(!holds(line, "null"));
  CHECK(!holds(heading, "histogram"));
}

TEST_CASE("the figures of several processes are added up") {
  std::vector<ClientReport> clients(2);
  for (std::size_t i = 0; i < 2; ++i) {
    clients[i].records = 10;
    clients[i].bytes = 1000;
    clients[i].begun_ns = 1'000'000'000 + static_cast<std::int64_t>(i) * 500'000'000;
    clients[i].ended_ns = clients[i].begun_ns + 1'000'000'000;
    clients[i].cpu_user_us = 250'000;
    clients[i].memory_peak_bytes = static_cast<std::int64_t>(i) * 100;
  }
  BenchReport report;
  add_up(report, clients);
  CHECK(report.records == 20);
  CHECK(report.bytes == 2000);
  CHECK(report.seconds == doctest::Approx(1.5));
  CHECK(report.cpu_user_seconds == doctest::Approx(0.5));
  CHECK(report.memory_peak_bytes == 100);
}

TEST_CASE("file systems are called by their names") {
  CHECK(file_system_name(0xEF53) == "ext4");
  CHECK(file_system_name(0x01021994) == "tmpfs");
  CHECK(file_system_name(0x1234) == "0x1234");
}

TEST_CASE("counts are told with their word") {
  CHECK(counted(1, "record") == "1 record");
  CHECK(counted(1'000'000, "record") == "1,000,000 records");
  CHECK(counted(2, "process", "processes") == "2 processes");
}
