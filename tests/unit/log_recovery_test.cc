#include "leat/log/recovery.h"

#include <filesystem>

#include "tests/support/raw_log.h"

using namespace leat;
using namespace leat::test;

namespace {

using Kind = TailVerdict::Kind;

// Three batches: offsets 0 and 1, 2, 3 to 5.
struct ThreeBatches : RawPartition {
  std::string a = raw_batch({0}, 2);
  std::string b = raw_batch({2});
  std::string c = raw_batch({3}, 3);
  std::string whole = a + b + c;
  std::int64_t behind_a = static_cast<std::int64_t>(a.size());
  std::int64_t behind_b = behind_a + static_cast<std::int64_t>(b.size());
  std::int64_t behind_c = behind_b + static_cast<std::int64_t>(c.size());

  TailVerdict examine(const std::string& content, std::int64_t from = 0, Offset expected = {}) {
    const File log = write_log(content);
    return must(examine_tail(log, from, expected));
  }
};

std::size_t as_size(std::int64_t bytes) {
  return static_cast<std::size_t>(bytes);
}

}  // namespace

TEST_CASE("a log that ends with a batch is whole") {
  ThreeBatches log;
  const TailVerdict verdict = log.examine(log.whole);
  CHECK(verdict.kind == Kind::whole);
  CHECK(verdict.position == log.behind_c);
  CHECK(verdict.end.value == 6);
  CHECK(verdict.fault.empty());
  CHECK(log.examine("").kind == Kind::whole);
  const TailVerdict later = log.examine(log.whole, log.behind_b, {3});
  CHECK(later.kind == Kind::whole);
  CHECK(later.end.value == 6);
}

TEST_CASE("a log cut at any byte is whole up to its last whole batch, and never damaged") {
  ThreeBatches log;
  for (std::int64_t bytes = 0; bytes <= log.behind_c; ++bytes) {
    CAPTURE(bytes);
    const TailVerdict verdict = log.examine(log.whole.substr(0, as_size(bytes)));
    const std::int64_t good = bytes >= log.behind_c   ? log.behind_c
                              : bytes >= log.behind_b ? log.behind_b
                              : bytes >= log.behind_a ? log.behind_a
                                                      : 0;
    REQUIRE(verdict.position == good);
    REQUIRE(verdict.end.value == (good == log.behind_c ? 6 : good == log.behind_b ? 3 : good == log.behind_a ? 2 : 0));
    REQUIRE(verdict.file_bytes == bytes);
    // The first bytes of a small base offset are zeros.
    const std::string rest = log.whole.substr(as_size(good), as_size(bytes - good));
    const bool zeros = rest.find_first_not_of('\0') == std::string::npos;
    REQUIRE(verdict.kind == (bytes == good ? Kind::whole : zeros ? Kind::zeros : Kind::torn));
    REQUIRE(verdict.fault.empty() == (bytes == good));
  }
}

TEST_CASE("zeros behind the last batch are space, zeros before more bytes are not") {
  ThreeBatches log;
  for (const std::size_t zeros : {1, 60, 61, 5000, 2 << 20}) {
    CAPTURE(zeros);
    const TailVerdict verdict = log.examine(log.a + std::string(zeros, '\0'));
    CHECK(verdict.kind == Kind::zeros);
    CHECK(verdict.position == log.behind_a);
    CHECK(log.examine(log.a + std::string(zeros, '\0') + "x").kind == Kind::torn);
    CHECK(log.examine(log.a + std::string(zeros, '\0') + log.b).kind == Kind::damaged);
  }
}

TEST_CASE(
    "of batches that were in flight together any may be missing; one that followed what was durable bears witness") {
  const auto batch = [](Offset base, std::int32_t in_flight) {
    auto encoded = batch_of({"x"});
    place_batch(encoded[0].bytes, base, in_flight);
    return std::string(reinterpret_cast<const char*>(encoded[0].bytes.data()), encoded[0].bytes.size());
  };
  const auto lost = [](const std::string& bytes) { return std::string(bytes.size(), '\0'); };
  ThreeBatches log;
  const std::string first = batch({0}, 0);
  const std::string second = batch({1}, 1);
  const std::string third = batch({2}, 2);
  const std::string later = batch({3}, 0);
  CHECK(log.examine(first + second + third + later).kind == Kind::whole);
  for (const std::string& tail : {lost(first) + second + third, lost(first) + lost(second) + third,
                                  lost(first) + second + lost(third), std::string("x") + third}) {
    const TailVerdict verdict = log.examine(tail);
    CHECK(verdict.kind == Kind::torn);
    CHECK(verdict.position == 0);
    CHECK(verdict.end == Offset{0});
    CHECK(!verdict.next_good);
  }
  CHECK(log.examine(first + lost(second) + third).kind == Kind::torn);
  CHECK(log.examine(first + lost(second) + third).position == static_cast<std::int64_t>(first.size()));
  // The fourth was appended when the others were durable: one of them has rotted.
  for (const std::string& tail : {lost(first) + second + third + later, first + lost(second) + third + later,
                                  first + lost(second) + lost(third) + later}) {
    CHECK(log.examine(tail).kind == Kind::damaged);
    CHECK(log.examine(tail).next_good);
  }
}

TEST_CASE("a flipped byte is damage where a whole batch lies behind it, and torn in the last one") {
  ThreeBatches log;
  for (std::int64_t at = 0; at < log.behind_c; ++at) {
    CAPTURE(at);
    std::string content = log.whole;
    content[as_size(at)] = static_cast<char>(~content[as_size(at)]);
    const TailVerdict verdict = log.examine(content);
    const std::int64_t batch = at < log.behind_a ? 0 : at < log.behind_b ? log.behind_a : log.behind_b;
    if (at - batch >= 12 && at - batch < 16) {  // the epoch
      REQUIRE(verdict.kind == Kind::whole);
      continue;
    }
    REQUIRE(verdict.position == batch);
    // A base offset that was made larger still is one behind: its checksum is right. In the last batch it stands too
    // high.
    const bool last = batch == log.behind_b;
    const bool higher = at > batch && at - batch < 8;
    REQUIRE(verdict.kind == (last && !higher ? Kind::torn : Kind::damaged));
    if (last) continue;
    REQUIRE(verdict.next_good);
    REQUIRE(verdict.next_good->position > batch);
    REQUIRE(verdict.next_good->base == (batch == 0 ? Offset{2} : Offset{3}));
  }
}

TEST_CASE("a log shorter than what was durable is damage") {
  ThreeBatches log;
  const TailVerdict verdict = log.examine(log.a, log.behind_b, {3});
  CHECK(verdict.kind == Kind::damaged);
  CHECK(verdict.end.value == 3);
  CHECK(!verdict.next_good);
  CHECK(verdict.fault.find("were durable") != std::string::npos);
}

TEST_CASE("a batch missing in the middle is damage") {
  ThreeBatches log;
  const TailVerdict verdict = log.examine(log.a + log.c + raw_batch({6}));
  CHECK(verdict.kind == Kind::damaged);
  CHECK(verdict.position == log.behind_a);
}

TEST_CASE("cutting a torn tail keeps its bytes and leaves the log whole") {
  ThreeBatches log;
  const std::string torn = log.whole.substr(0, as_size(log.behind_c) - 9);
  const TailVerdict verdict = log.examine(torn);
  const File file = log.open_log();
  const std::string sentence = must(cut_tail(log.directory, file, verdict));
  CHECK(read_file(file.path()) == log.a + log.b);
  std::vector<std::string> kept;
  for (const auto& entry : std::filesystem::directory_iterator(log.temp / "cut")) kept.push_back(entry.path().string());
  REQUIRE(kept.size() == 1);
  CHECK(read_file(kept[0]) == torn.substr(as_size(log.behind_b)));
  CHECK(sentence.find(kept[0]) != std::string::npos);
  CHECK(must(examine_tail(file, 0, {0})).kind == Kind::whole);
}

TEST_CASE("cutting zeros keeps no copy and has nothing to say") {
  ThreeBatches log;
  const TailVerdict verdict = log.examine(log.a + std::string(100, '\0'));
  const File file = log.open_log();
  CHECK(must(cut_tail(log.directory, file, verdict)).empty());
  CHECK(read_file(file.path()) == log.a);
  CHECK(!std::filesystem::exists(log.temp / "cut"));
}

TEST_CASE("a tail that cannot be kept is not cut") {
  ThreeBatches log;
  const std::string torn = log.whole.substr(0, as_size(log.behind_c) - 9);
  const TailVerdict verdict = log.examine(torn);
  const File file = log.open_log();
  set_disk_fault_hook([](DiskCall call, std::string_view path) {
    return call == DiskCall::sync && path.find("/cut/") != std::string_view::npos ? EIO : 0;
  });
  const auto cut = cut_tail(log.directory, file, verdict);
  set_disk_fault_hook(nullptr);
  REQUIRE(!cut);
  CHECK(cut.error().code == Code::io);
  CHECK(read_file(file.path()) == torn);
}

TEST_CASE("what is on the disk is told from what is not") {
  RawPartition partition;
  // Over several blocks of a read past the cache, with batches across their edges.
  std::string content;
  std::vector<std::int64_t> positions;
  for (int i = 0; i < 60; ++i) {
    positions.push_back(static_cast<std::int64_t>(content.size()));
    content += raw_batch({i}, 1, {1000}, 50'000 + static_cast<std::size_t>(i) * 37);
  }
  const auto bytes = static_cast<std::int64_t>(content.size());
  const std::string name = log_file_name({0});
  must(partition.write_log(content).sync_data());
  CHECK(must(batches_on_disk(partition.directory, name, 0, {0}, bytes)));
  for (const std::size_t i : {1, 20, 21, 22, 59}) {
    CAPTURE(i);
    CHECK(must(batches_on_disk(partition.directory, name, positions[i], {static_cast<std::int64_t>(i)}, bytes)));
    CHECK(must(batches_on_disk(partition.directory, name, 0, {0}, positions[i])));
    CHECK(!must(batches_on_disk(partition.directory, name, positions[i], {static_cast<std::int64_t>(i) + 1}, bytes)));
    CHECK(!must(batches_on_disk(partition.directory, name, 0, {0}, positions[i] + 1)));
  }
  CHECK(!must(batches_on_disk(partition.directory, name, 0, {0}, bytes + 100)));
  CHECK(!must(batches_on_disk(partition.directory, "missing", 0, {0}, bytes)));
  flip_byte(partition.temp / name, as_size(positions[30]) + 100);
  must(partition.open_log().sync_data());
  CHECK(!must(batches_on_disk(partition.directory, name, 0, {0}, bytes)));
  CHECK(must(batches_on_disk(partition.directory, name, positions[31], {31}, bytes)));
}

TEST_CASE("damage is named with path, byte, cause, last good and next readable offset") {
  const Error error = damage_error("dir/x.log", 4711, "the checksum is wrong", {10}, {0}, Offset{12});
  CHECK(error.code == Code::damaged);
  CHECK(error.message ==
        "dir/x.log: damaged at byte 4711: the checksum is wrong; last good offset 9, next readable offset 12");
  CHECK(damage_error("x", 0, "why", {5}, {5}, {}).message ==
        "x: damaged at byte 0: why; no good offset before it, nothing readable behind it");
}
