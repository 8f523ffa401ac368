#include "tools/produce_run.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tools/progress.h"
#include "tools/receipts.h"

namespace {

using namespace leat;
using namespace leat::tools;
using namespace std::chrono_literals;

// A producer that keeps records in memory and fails where it is told to.
class FakeProducer final : public Producer {
 public:
  Result<void> send(const RecordInput& record) override {
    ASSERT(!broken_);
    const std::string value(record.value.value_or("<null>"));
    if (value == refused) return fail(Code::bad_data, "a record of 7 bytes is larger than 6 (max-record-size)");
    pending_.push_back(value);
    return {};
  }
  Result<void> flush() override {
    ASSERT(!broken_);
    ++flushes;
    std::vector<Receipt> receipts;
    for (const std::string& value : pending_) {
      if (value == failing) {
        broken_ = true;
        pending_.clear();
        break;
      }
      receipts.push_back({.partition = PartitionId{0}, .offset = Offset{static_cast<std::int64_t>(durable.size())}});
      durable.push_back(value);
    }
    if (callback_ && !receipts.empty()) callback_(receipts);
    if (broken_) return fail(Code::io, "0.log: sync failed");
    pending_.clear();
    return {};
  }
  void on_acknowledged(std::function<void(std::span<const Receipt>)> callback) override {
    callback_ = std::move(callback);
  }
  std::int64_t acknowledged() const override { return static_cast<std::int64_t>(durable.size()); }

  std::string refused = "refused";  // send() does not take this one
  std::string failing = "failing";  // flush() does not get this one onto the disk
  std::vector<std::string> durable;
  std::atomic<int> flushes = 0;

 private:
  std::vector<std::string> pending_;
  std::function<void(std::span<const Receipt>)> callback_;
  bool broken_ = false;
};

// Runs over a pipe that holds some bytes, or is written to in the meantime.
struct Bench {
  Bench() { REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0); }
  ~Bench() {
    ::close(ends[0]);
    close_input();
  }
  void write(std::string_view bytes) { CHECK(::write(ends[1], bytes.data(), bytes.size()) == std::ssize(bytes)); }
  void close_input() {
    if (ends[1] >= 0) ::close(ends[1]);
    ends[1] = -1;
  }
  Result<void> run(std::string_view bytes, ProduceRunOptions options = {}, std::string key_separator = {}) {
    write(bytes);
    close_input();
    return run_on(std::move(options), std::move(key_separator));
  }
  Result<void> run_on(ProduceRunOptions options = {}, std::string key_separator = {}, bool dry = false) {
    options.topic = "t";
    Input input({.key_separator = std::move(key_separator), .stdin_fd = ends[0]});
    ProduceRun run(std::move(options), input, dry ? nullptr : &producer,
                   {.write = [this](std::string_view text) -> Result<void> {
                      if (full) return fail(Code::io, "stdout: No space left on device");
                      printed += text;
                      return {};
                    },
                    .flush = []() -> Result<void> { return {}; },
                    .closed = [this] { return closed; }});
    auto outcome = run.run();
    counts = run.counts();
    return outcome;
  }

  std::array<int, 2> ends{};
  FakeProducer producer;
  std::string printed;
  bool closed = false;
  bool full = false;
  ProduceCounts counts;
};

using Values = std::vector<std::string>;

}  // namespace

TEST_CASE("every record is durable when a run succeeds, by one flush where input never paused") {
  Bench bench;
  CHECK(bench.run("one\ntwo\nthree"));
  CHECK(bench.producer.durable == Values{"one", "two", "three"});
  CHECK(bench.counts.records == 3);
  CHECK(bench.counts.bytes == 11);
  CHECK(bench.producer.flushes == 1);
}

TEST_CASE("empty input flushes nothing") {
  Bench bench;
  CHECK(bench.run(""));
  CHECK(bench.producer.flushes == 0);
}

TEST_CASE("what has been read is flushed as soon as no more input waits, and receipts come at once") {
  Bench bench;
  std::thread user([&] {
    bench.write("one\n");
    while (bench.producer.flushes < 1) std::this_thread::sleep_for(1ms);
    bench.write("two\n");
    while (bench.producer.flushes < 2) std::this_thread::sleep_for(1ms);
    bench.close_input();
  });
  CHECK(bench.run_on({.receipts = ReceiptFormat::text}));
  user.join();
  CHECK(bench.printed == "t 0 0\nt 0 1\n");
}

TEST_CASE("lingering gathers what comes a little later") {
  Bench bench;
  std::thread user([&] {
    for (const char* line : {"one\n", "two\n", "three\n"}) {
      bench.write(line);
      std::this_thread::sleep_for(5ms);
    }
    bench.close_input();
  });
  CHECK(bench.run_on({.linger = 10s}));
  user.join();
  CHECK(bench.producer.flushes == 1);
  CHECK(bench.producer.durable.size() == 3);
}

TEST_CASE("an unfinished line does not keep finished ones waiting") {
  Bench bench;
  bench.write("one\nunfin");
  std::thread user([&] {
    while (bench.producer.flushes < 1) std::this_thread::sleep_for(1ms);
    bench.write("ished\n");
    bench.close_input();
  });
  CHECK(bench.run_on());
  user.join();
  CHECK(bench.producer.durable == Values{"one", "unfinished"});
}

TEST_CASE("input that never pauses is flushed in the meantime") {
  Bench bench;
  std::atomic<bool> done = false;
  std::thread user([&] {
    while (!done) bench.write("again and again\n");
    bench.close_input();
  });
  std::thread watcher([&] {
    while (bench.producer.flushes < 3) std::this_thread::sleep_for(1ms);
    done = true;
  });
  CHECK(bench.run_on({.linger = 1ms}));
  watcher.join();
  user.join();
}

TEST_CASE("a bad record ends the run, after those before it are durable, and says how many that are") {
  Bench bench;
  const auto outcome = bench.run("a:1\nb:2\nnothing\nc:3\n", {.receipts = ReceiptFormat::text}, ":");
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().code == Code::bad_data);
  CHECK(outcome.error().message == "record 3: separator ':' not found (stdin, byte 8); 2 records were written");
  CHECK(bench.producer.durable == Values{"1", "2"});
  CHECK(bench.printed == "t 0 0\nt 0 1\n");
}

TEST_CASE("skipping goes on behind bad records and tells how many") {
  Bench bench;
  const auto outcome = bench.run("a:1\nnothing\nb:refused\nc:3\n", {.skip_bad_records = true}, ":");
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().code == Code::partial);
  CHECK(outcome.error().message == "2 of 4 records skipped; 2 records were written");
  CHECK(bench.producer.durable == Values{"1", "3"});
}

TEST_CASE("a record that the producer refuses is named by number and byte") {
  Bench bench;
  const auto outcome = bench.run("one\nrefused\n");
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().code == Code::bad_data);
  CHECK(outcome.error().message ==
        "record 2: a record of 7 bytes is larger than 6 (max-record-size) (stdin, byte 4); 1 record was written");
}

TEST_CASE("a failed flush is the run's error, and only what became durable before it gets a receipt") {
  Bench bench;
  const auto outcome = bench.run("one\nfailing\nthree\n", {.receipts = ReceiptFormat::text});
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().code == Code::io);
  CHECK(outcome.error().message == "0.log: sync failed; 1 record was written, 2 more may have been");
  CHECK(bench.printed == "t 0 0\n");
}

TEST_CASE("a failed flush outweighs the bad record that led to it") {
  Bench bench;
  const auto outcome = bench.run("k:failing\nnothing\n", {}, ":");
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().code == Code::io);
}

TEST_CASE("a run stops after as many records as asked for") {
  Bench bench;
  CHECK(bench.run("one\ntwo\nthree\n", {.records_max = 2}));
  CHECK(bench.producer.durable == Values{"one", "two"});
  Bench none;
  CHECK(none.run("one\n", {.records_max = 0}));
  CHECK(none.producer.durable.empty());
}

TEST_CASE("receipts that nobody reads any more end the run, with what was sent durable") {
  Bench bench;
  bench.closed = true;
  bench.write("one\n");
  CHECK(bench.run_on({.receipts = ReceiptFormat::text}));  // the input is still open: it would wait for ever
  CHECK(bench.producer.durable == Values{"one"});
}

TEST_CASE("receipts that cannot be written are an error") {
  Bench bench;
  bench.full = true;
  const auto outcome = bench.run("one\n", {.receipts = ReceiptFormat::text});
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().code == Code::io);
}

TEST_CASE("a dry run counts and checks, and needs no producer") {
  Bench bench;
  bench.write("a:1\n:2\n");
  bench.close_input();
  CHECK(bench.run_on({}, ":", true));
  CHECK(bench.counts.records == 2);
  CHECK(bench.counts.keyed == 2);
  CHECK(bench.producer.durable.empty());
  Bench bad;
  bad.write("nothing\n");
  bad.close_input();
  CHECK(bad.run_on({}, ":", true).error().message ==
        "record 1: separator ':' not found (stdin, byte 0); nothing is written by a dry run");
}

TEST_CASE("receipts are a line each, as text or JSON") {
  const std::array<Receipt, 2> receipts = {Receipt{PartitionId{3}, Offset{41}}, Receipt{PartitionId{0}, Offset{7}}};
  std::string text;
  append_receipts(text, ReceiptFormat::text, "t", receipts);
  CHECK(text == "t 3 41\nt 0 7\n");
  std::string json;
  append_receipts(json, ReceiptFormat::json, "t", receipts);
  CHECK(json == R"({"topic":"t","partition":3,"offset":41})"
                "\n"
                R"({"topic":"t","partition":0,"offset":7})"
                "\n");
  std::string none;
  append_receipts(none, ReceiptFormat::none, "t", receipts);
  CHECK(none.empty());
}

TEST_CASE("receipts in a row are one range, across other partitions' receipts") {
  ReceiptRanges ranges;
  const auto add = [&](std::int32_t partition, std::int64_t offset) {
    const Receipt receipt{PartitionId{partition}, Offset{offset}};
    ranges.add({&receipt, 1});
  };
  CHECK(ranges.to_string().empty());
  add(0, 5);
  add(1, 0);
  add(0, 6);
  add(1, 1);
  add(0, 8);  // somebody else's record lies between
  CHECK(ranges.to_string() == "partition 0 offset 5 to 6, partition 1 offset 0 to 1, partition 0 offset 8");
  for (int offset = 10; offset < 30; offset += 2) add(0, offset);
  CHECK(ranges.to_string().ends_with("partition 0 offset 18 and 5 more"));
  ranges.clear();
  add(0, 9);
  CHECK(ranges.to_string() == "partition 0 offset 9");
}

TEST_CASE("progress tells how much, how fast and how long still") {
  CHECK(progress_line(50 << 20, 200 << 20, 2s) == "  50.0 MiB of 200.0 MiB  25%  25.0 MiB/s  6s left");
  CHECK(progress_line(50'000, 1'000'000, 2s, Progress::Unit::records) ==
        "  50,000 of 1,000,000 records  5%  25,000/s  38s left");
  CHECK(progress_line(0, 100, 1s) == "  0 B of 100 B  0%  0 B/s");
  CHECK(progress_line(100, 100, 0ms).find("100%") != std::string::npos);
}
