#include "leat/log/repair.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <set>

#include "leat/log/log_start.h"
#include "leat/log/maintenance.h"
#include "leat/log/producer_state.h"
#include "tests/support/verify_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

using Action = RepairStep::Action;
using Records = std::map<std::int64_t, std::string>;

std::string value_of(std::int64_t offset) {
  return fmt::format("record {}", offset);
}

// Records "record N" at the offsets N of three segments: 0 to 3, 4 to 7, 8 to 11, one a batch.
struct RepairFixture : VerifyFixture {
  explicit RepairFixture(TopicSettings settings = {.proofs = false}) : VerifyFixture(settings) {
    for (std::int64_t base = 0; base < 12; base += 4) {
      if (base > 0) roll();
      produce({value_of(base), value_of(base + 1), value_of(base + 2), value_of(base + 3)});
    }
  }

  // Where the batch at `offset` lies in its segment, by the headers.
  std::pair<std::size_t, std::size_t> place_of(std::int64_t offset) const {
    const std::string content = read_file(log_path({offset / 4 * 4}));
    std::size_t at = 0;
    for (;;) {
      const BatchHeader header = load_batch_header(reinterpret_cast<const std::byte*>(content.data() + at));
      if (header.base_offset.value == offset) return {at, header.total_bytes()};
      at += header.total_bytes();
    }
  }

  // Flips a byte of the record at `offset`.
  void damage(std::int64_t offset) const {
    const auto [at, bytes] = place_of(offset);
    flip_byte(log_path({offset / 4 * 4}), at + bytes - 2);
  }

  void remove_segment(Offset base) const {
    for (const std::string& name : {log_file_name(base), index_file_name(base), time_index_file_name(base)})
      std::filesystem::remove(partition_path(name));
  }

  void forget_state() const { std::filesystem::remove(state_path()); }

  std::vector<std::string> kept() const {
    std::vector<std::string> names;
    if (!std::filesystem::exists(partition_path("cut"))) return names;
    for (const auto& entry : std::filesystem::directory_iterator(partition_path("cut"))) names.push_back(entry.path());
    std::ranges::sort(names);
    return names;
  }

  // Everything that has to hold after a repair by which `lost` went: nothing is damaged, the rest is readable at its
  // offsets, the next record gets offset `next`, and repairing again does nothing.
  void check_repaired(const std::set<std::int64_t>& lost, std::int64_t next = 12) {
    for (const bool deep : {true, false}) {
      std::string all;
      for (const Finding& finding : verify(deep))
        all += finding.path + ": " + finding.what + "; " + finding.meaning + "\n";
      CHECK(all == "");
    }
    Records expected;
    for (std::int64_t offset = 0; offset < 12; ++offset) {
      if (!lost.contains(offset)) expected[offset] = value_of(offset);
    }
    CHECK(records() == expected);
    CHECK(values().size() == expected.size());  // in one go, without an error on the way
    CHECK(plan().steps.empty());
    Topic topic = writer_topic();
    Partition partition = must(Partition::open(topic, {0}));
    auto batches = batch_of({"next"});
    const Appended appended = must(partition.append(batches));
    must(partition.commit(appended));
    CHECK(appended.base.value == next);
    CHECK(partition.take_notices().empty());
    expected[next] = "next";
    CHECK(records() == expected);
  }
};

BadPlace bad(std::int64_t from, std::int64_t to, std::int64_t first, std::int64_t end) {
  return {.from = from, .to = to, .first = {first}, .end = {end}, .fault = "why"};
}

}  // namespace

// ---- Planning ----

TEST_CASE("nothing is planned for a partition that is whole") {
  const PartitionRepair repair =
      must(plan_repair({.segments = {{.base = {0}, .end = {4}, .any_batch = true}}, .known_end = {4}}));
  CHECK(repair.steps.empty());
  CHECK(repair.segments.empty());
  CHECK(repair.end == Offset{4});
  CHECK_FALSE(repair.seals);
}

TEST_CASE("each kind of bad place has its step") {
  PartitionSurvey survey{.path = "p", .known_end = {40}};
  BadPlace restorable = bad(100, 180, 3, 4);
  restorable.restorable = true;
  BadPlace missing = bad(900, 900, 8, 20);
  missing.is_tail = true;
  survey.segments.push_back({.base = {0},
                             .path = "p/0.log",
                             .places = {bad(10, 50, 1, 3), restorable, bad(300, 307, 5, 5), missing},
                             .end = {20},
                             .any_batch = true});
  survey.segments.push_back({.base = {20}, .path = "p/20.log", .end = {40}, .any_batch = true});
  const PartitionRepair repair = must(plan_repair(survey));
  REQUIRE(repair.steps.size() == 4);
  CHECK(repair.steps[0].action == Action::fill);
  CHECK(repair.steps[0].from == 10);
  CHECK(repair.steps[0].to == 50);
  CHECK(repair.steps[0].end - repair.steps[0].first == 2);
  CHECK(repair.steps[1].action == Action::restore);
  CHECK(repair.steps[1].to - repair.steps[1].from == 21);
  CHECK(repair.steps[1].end == repair.steps[1].first);
  CHECK(repair.steps[2].action == Action::cut);
  CHECK(repair.steps[2].end == repair.steps[2].first);
  CHECK(repair.steps[3].action == Action::bridge);
  CHECK(repair.steps[3].path == "p/00000000000000000008.log");
  CHECK(repair.gaps == std::vector<OffsetGap>{{{8}, {20}}});
  CHECK(repair.segments.size() == 1);
  CHECK_FALSE(repair.seals);
}

TEST_CASE("the active segment is closed before it is mended, but not for an unfinished write at its end") {
  PartitionSurvey survey{.known_end = {4}};
  survey.segments.push_back({.base = {0}, .places = {bad(10, 50, 1, 3)}, .end = {4}, .any_batch = true});
  CHECK(must(plan_repair(survey)).seals);
  BadPlace torn = bad(10, 50, 4, 4);
  torn.unfinished = torn.is_tail = true;
  survey.segments[0].places = {torn};
  const PartitionRepair repair = must(plan_repair(survey));
  CHECK_FALSE(repair.seals);
  REQUIRE(repair.steps.size() == 1);
  CHECK(repair.steps[0].action == Action::cut);
}

TEST_CASE("the log start is stored again where it is damaged, and never below the first segment") {
  PartitionSurvey survey{.segments = {{.base = {10}, .end = {14}, .any_batch = true}}, .known_end = {14}};
  const auto start_of = [&](SlotHealth health, std::int64_t start, std::int64_t known) {
    survey.start = {.health = health, .start = {start}};
    survey.known_start = {known};
    return must(plan_repair(survey)).start;
  };
  CHECK(start_of(SlotHealth::good, 10, 10) == std::nullopt);
  CHECK(start_of(SlotHealth::good, 12, 12) == std::nullopt);
  CHECK(start_of(SlotHealth::older_lost, 12, 12) == std::nullopt);
  CHECK(start_of(SlotHealth::newer_lost, 11, 13) == Offset{13});
  CHECK(start_of(SlotHealth::newer_lost, 5, 0) == Offset{10});
  CHECK(start_of(SlotHealth::damaged, 0, 0) == Offset{10});
  CHECK(start_of(SlotHealth::good, 3, 3) == Offset{10});
  const PartitionRepair repair = must(plan_repair(survey));
  REQUIRE(repair.steps.size() == 1);
  CHECK(repair.steps[0].first == Offset{3});  // these records are missing
  CHECK(repair.steps[0].end == Offset{10});
}

TEST_CASE("a segment whose name cannot be right is not bridged to") {
  PartitionSurvey survey{.known_end = {0}};
  BadPlace far = bad(10, 10, 4, std::int64_t{1} << 40);
  far.is_tail = true;
  survey.segments.push_back({.base = {0}, .path = "p", .places = {far}, .end = far.end, .any_batch = true});
  survey.segments.push_back({.base = far.end, .path = "p", .end = far.end});
  const auto repair = plan_repair(survey);
  REQUIRE(!repair);
  CHECK(repair.error().code == Code::damaged);
}

// ---- Carrying it out ----

TEST_CASE("of a damaged batch only its own offset is lost, wherever it lies, with or without a state page") {
  for (const std::int64_t offset : {0, 1, 3, 4, 6, 7, 8, 10, 11}) {
    for (const bool forget : {false, true}) {
      CAPTURE(offset);
      CAPTURE(forget);
      RepairFixture log;
      const auto [at, bytes] = log.place_of(offset);
      log.damage(offset);
      const std::string damaged = read_file(log.log_path({offset / 4 * 4}));
      if (forget) log.forget_state();
      const PartitionRepair repair = log.repair();
      REQUIRE(repair.steps.size() == 1);
      // Nobody knows then that the last one was ever there: it is cut as a torn tail is.
      const bool torn = forget && offset == 11;
      CHECK(repair.steps[0].action == (torn ? Action::cut : Action::fill));
      CHECK(repair.steps[0].from == static_cast<std::int64_t>(at));
      const auto kept = log.kept();
      REQUIRE(!kept.empty());
      CHECK(read_file(kept[0]) == damaged.substr(at, bytes));
      if (!torn) {
        REQUIRE(kept.size() == 2);
        CHECK(repair.steps[0].kept_in == kept[0]);
        CHECK(kept[1] == kept[0] + ".txt");
        const std::string note = read_file(kept[1]);
        CHECK(note.find(log.log_path({offset / 4 * 4})) != std::string::npos);
        CHECK(note.find("the checksum is wrong") != std::string::npos);
        CHECK(note.find(fmt::format("bytes:         {} to {}", at, at + bytes - 1)) != std::string::npos);
      }
      log.check_repaired({offset}, torn ? 11 : 12);
    }
  }
}

TEST_CASE("what a batch's checksum does not cover is restored, and nothing is lost") {
  for (const std::int64_t offset : {0, 5, 7, 8, 11}) {
    for (const std::size_t at : {0, 6, 7, 8, 11, 16}) {
      CAPTURE(offset);
      CAPTURE(at);
      RepairFixture log;
      flip_byte(log.log_path({offset / 4 * 4}), log.place_of(offset).first + at);
      const PartitionRepair repair = log.repair();
      REQUIRE(repair.steps.size() == 1);
      CHECK(repair.steps[0].action == Action::restore);
      CHECK(log.kept().size() == 2);
      log.check_repaired({});
    }
  }
}

TEST_CASE("bytes that push themselves in between are cut, and nothing is lost") {
  for (const std::int64_t base : {0, 4, 8}) {
    CAPTURE(base);
    RepairFixture log;
    const auto [at, bytes] = log.place_of(base + 2);
    const std::string path = log.log_path({base});
    const std::string content = read_file(path);
    // Some bytes, and a batch for the second time.
    write_file(path, content.substr(0, at) + "garbage" + content.substr(at - bytes, bytes) + content.substr(at));
    const PartitionRepair repair = log.repair();
    REQUIRE(repair.steps.size() == 1);
    CHECK(repair.steps[0].action == Action::cut);
    CHECK(repair.steps[0].to - repair.steps[0].from == 7 + static_cast<std::int64_t>(bytes));
    log.check_repaired({});
  }
}

TEST_CASE("records that are missing leave a filler, within a segment or as one") {
  RepairFixture log;
  const auto cut_at = [&](std::int64_t offset) {
    const std::string path = log.log_path({offset / 4 * 4});
    write_file(path, read_file(path).substr(0, log.place_of(offset).first));
  };
  SUBCASE("a batch in the middle") {
    const auto [at, bytes] = log.place_of(5);
    std::string content = read_file(log.log_path({4}));
    write_file(log.log_path({4}), content.erase(at, bytes));
    log.repair();
    log.check_repaired({5});
  }
  SUBCASE("the end of a sealed segment") {
    cut_at(6);
    const PartitionRepair repair = log.repair();
    REQUIRE(repair.steps.size() == 1);
    CHECK(repair.steps[0].action == Action::bridge);
    CHECK(std::filesystem::exists(log.log_path({6})));
    log.check_repaired({6, 7});
  }
  SUBCASE("the end of a sealed segment, inside a batch") {
    write_file(log.log_path({4}), read_file(log.log_path({4})).substr(0, log.place_of(6).first + 30));
    log.repair();
    log.check_repaired({6, 7});
  }
  SUBCASE("all of a sealed segment") {
    cut_at(4);
    log.repair();
    log.check_repaired({4, 5, 6, 7});
  }
  SUBCASE("a segment in the middle") {
    log.remove_segment({4});
    const PartitionRepair repair = log.repair();
    REQUIRE(repair.gaps.size() == 1);
    CHECK(std::filesystem::exists(log.log_path({4})));
    log.check_repaired({4, 5, 6, 7});
  }
  SUBCASE("the first segment") {
    log.remove_segment({0});
    log.repair();
    CHECK(must(read_log_start(must(log.reader_topic().open_partition({0})))) == Offset{4});
    log.check_repaired({0, 1, 2, 3});
  }
  SUBCASE("the end of the log, which was durable") {
    cut_at(10);
    log.repair();
    log.check_repaired({10, 11});
  }
  SUBCASE("the active segment, which was durable") {
    log.remove_segment({8});
    log.repair();
    log.check_repaired({8, 9, 10, 11});
  }
  SUBCASE("every segment") {
    for (const std::int64_t base : {0, 4, 8}) log.remove_segment({base});
    log.repair();
    log.check_repaired({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  }
}

TEST_CASE("several bad places of several segments are mended at once") {
  RepairFixture log;
  for (const std::int64_t offset : {1, 2, 4, 7, 8, 10}) log.damage(offset);
  flip_byte(log.partition_path("start"), 0);
  const PartitionRepair repair = log.repair();
  CHECK(repair.steps.size() == 6);  // 1 and 2 are one place; the start, never stored, was zeros
  log.check_repaired({1, 2, 4, 7, 8, 10});
}

TEST_CASE("a segment of garbage only is a filler then, a damaged end together with torn bytes is cut") {
  SUBCASE("sealed") {
    RepairFixture log;
    write_file(log.log_path({4}), std::string(5000, 'x'));
    log.repair();
    log.check_repaired({4, 5, 6, 7});
  }
  SUBCASE("active, known to be durable") {
    RepairFixture log;
    write_file(log.log_path({8}), std::string(5000, 'x'));
    log.repair();
    log.check_repaired({8, 9, 10, 11});
  }
  SUBCASE("active, unknown, with a start that is damaged") {
    RepairFixture log;
    {
      Topic topic = log.writer_topic();
      Partition partition = must(Partition::open(topic, {0}));
      must(partition.raise_log_start({1}));
      must(partition.raise_log_start({2}));
    }
    write_file(log.log_path({8}), std::string(5000, 'x'));
    write_file(log.partition_path("start"), std::string(48, 'x'));
    log.forget_state();
    log.repair();
    log.check_repaired({8, 9, 10, 11}, 8);
  }
  SUBCASE("damage, and an unfinished write behind it") {
    for (const bool forget : {false, true}) {
      RepairFixture log;
      log.damage(9);
      write_file(log.log_path({8}), read_file(log.log_path({8})) + "torn bytes");
      if (forget) log.forget_state();
      CHECK(log.repair().steps.size() == 2);
      log.check_repaired({9});
    }
  }
}

TEST_CASE("a damaged start is what the state page says, else the first segment's base") {
  for (const bool forget : {false, true}) {
    CAPTURE(forget);
    RepairFixture log;
    {
      Topic topic = log.writer_topic();
      Partition partition = must(Partition::open(topic, {0}));
      must(trim_partition(partition, {4}));
      must(partition.raise_log_start({6}));
    }
    write_file(log.partition_path("start"), std::string(48, 'x'));
    if (forget) log.forget_state();
    const PartitionRepair repair = log.repair();
    REQUIRE(repair.steps.size() == 1);
    CHECK(repair.steps[0].action == Action::start);
    log.check_repaired(forget ? std::set<std::int64_t>{0, 1, 2, 3} : std::set<std::int64_t>{0, 1, 2, 3, 4, 5});
  }
}

TEST_CASE("more offsets than a batch can span take several fillers") {
  RepairFixture log;
  constexpr std::int64_t kFar = std::int64_t{5} << 30;
  auto far = batch_of({"far"})[0].bytes;
  place_batch(far, {kFar}, 0);
  write_file(log.log_path({kFar}), std::string(as_text(far)));
  log.forget_state();
  log.repair();
  CHECK(log.verify().empty());
  const auto records = log.records();
  CHECK(records.size() == 13);
  CHECK(records.at(kFar) == "far");
  const auto bases = must(list_segments(must(log.reader_topic().open_partition({0}))));
  CHECK(bases.size() == 3 + 3 + 1);
  for (std::size_t i = 1; i < bases.size(); ++i) CHECK(bases[i] - bases[i - 1] <= kSegmentBytesMax);
}

TEST_CASE("beside a living writer, sealed and active segments are mended, and it goes on") {
  RepairFixture log;
  Topic topic = log.writer_topic();
  Partition writer = must(Partition::open(topic, {0}));
  must(writer.end());
  for (const std::int64_t offset : {5, 9}) log.damage(offset);
  SUBCASE("which is at rest") {
    CHECK(log.repair().steps.size() == 2);
    log.check_repaired({5, 9});
    auto batches = batch_of({"more"});
    CHECK(must(writer.append(batches)).base == Offset{13});
  }
  SUBCASE("which appends between looking and mending") {
    PartitionRepair repair = log.plan();
    auto batches = batch_of({"more"});
    must(writer.commit(must(writer.append(batches))));
    Topic other = log.writer_topic();
    Partition partition = must(Partition::open(other, {0}));
    must(repair_partition(partition, repair));
    CHECK(log.records().at(12) == "more");
    CHECK(log.verify().empty());
    must(writer.commit(must(writer.append(batches))));
    CHECK(log.records().size() == 12);
  }
  SUBCASE("but not where only recovery could tell what is left") {
    std::filesystem::resize_file(log.log_path({8}), 100);
    const auto repaired = log.try_repair();
    REQUIRE(!repaired);
    CHECK(repaired.error().code == Code::busy);
  }
}

TEST_CASE("a follower that is behind the damage reads on across a repair") {
  RepairFixture log;
  Topic reading = log.reader_topic();
  PartitionReader reader = must(PartitionReader::open(reading, {0}, false));
  must(reader.seek({11}));
  CHECK(LogFixture::read_on(reader).size() == 1);
  log.damage(9);
  log.repair();
  log.produce({"next"});
  CHECK(LogFixture::read_on(reader) == std::vector<std::string>{"next"});
}

TEST_CASE("repair waits for nobody for ever") {
  RepairFixture log;
  log.damage(5);
  const DataDir impatient = must(DataDir::open(log.temp / "data", {.lock_timeout = Milliseconds(20)}));
  Topic topic = must(Topic::open(impatient, "t", Topic::Access::write));
  Partition partition = must(Partition::open(topic, {0}));
  PartitionRepair repair = log.plan();
  const auto files = log.files();
  SUBCASE("maintenance") {
    Topic other_topic = log.writer_topic();
    Partition other = must(Partition::open(other_topic, {0}));
    const RangeLock lock = must(other.take_lock(StateLocks::maintenance(other.id())));
    CHECK(repair_partition(partition, repair).error().code == Code::busy);
  }
  SUBCASE("the append lock") {
    const Directory directory = must(log.reader_topic().open_partition({0}));
    const DirectoryLock lock = must(DirectoryLock::acquire(directory, Milliseconds(0)));
    CHECK(repair_partition(partition, repair).error().code == Code::busy);
  }
  CHECK(log.files() == files);
}

TEST_CASE("a log that is not as it was when the repair was planned is left alone") {
  RepairFixture log;
  log.damage(5);
  PartitionRepair repair = log.plan();
  log.damage(6);
  const std::string before = read_file(log.log_path({4}));
  Topic topic = log.writer_topic();
  Partition partition = must(Partition::open(topic, {0}));
  const auto repaired = repair_partition(partition, repair);
  REQUIRE(!repaired);
  CHECK(repaired.error().code == Code::busy);
  CHECK(read_file(log.log_path({4})) == before);
  CHECK(!std::filesystem::exists(log.partition_path("00000000000000000004.compacting")));
}

namespace {

int calls_made = 0;
int failing_call = 0;

// Lets the Nth call that changes something fail.
int fail_one(DiskCall call, std::string_view) {
  if (call != DiskCall::write && call != DiskCall::sync && call != DiskCall::rename && call != DiskCall::truncate &&
      call != DiskCall::unlink && call != DiskCall::make_directory)
    return 0;
  return ++calls_made == failing_call ? EIO : 0;
}

}  // namespace

TEST_CASE("a repair that fails at any call loses nothing more, and the next one does it") {
  int failed = 0;
  for (failing_call = 1;; ++failing_call) {
    CAPTURE(failing_call);
    RepairFixture log;
    log.damage(5);
    log.damage(10);
    log.remove_segment({0});
    if (failing_call % 2 == 0) log.forget_state();
    calls_made = 0;
    set_disk_fault_hook(fail_one);
    const auto repaired = log.try_repair();
    set_disk_fault_hook(nullptr);
    const bool reached = calls_made >= failing_call;
    failed += !repaired;
    Records there;
    for (const std::int64_t offset : {4, 6, 7, 8, 9}) there[offset] = value_of(offset);
    Records found = log.records();
    found.erase(11);  // without a state page the log ends where it is damaged
    CHECK(found == there);
    log.repair();
    log.check_repaired({0, 1, 2, 3, 5, 10});
    if (!reached) break;
  }
  CHECK(failed > 20);
}

TEST_CASE("what idempotent producers have is known after their batches were lost") {
  VerifyFixture log({.proofs = false});
  Topic topic = log.writer_topic();
  std::filesystem::create_directory(log.temp / "data/topics/t/producers");
  {
    Partition partition = must(Partition::open(topic, {0}));
    for (std::int64_t i = 0; i < 6; ++i) {
      BatchBuilder builder;
      must(builder.add({.value = value_of(i)}, {1000}));
      std::vector<EncodedBatch> batches;
      batches.push_back(must(builder.finish({77, 0, sequence_behind(i)})));
      must(partition.commit(must(partition.append(batches))));
    }
  }
  const std::string content = read_file(log.log_path());
  const std::size_t third = content.find(value_of(2));
  flip_byte(log.log_path(), third);
  log.repair();
  CHECK(log.verify().empty());
  Partition partition = must(Partition::open(topic, {0}));
  const LogEnd end = must(partition.end());
  const ProducerTable table = must(read_producers(partition.directory(), end));
  CHECK(table.producers.at(77).records == 6);
  CHECK(table.producers.at(77).last_offset == Offset{5});
}

TEST_CASE("whatever random damage there is, repair leaves everything else as it was") {
  for (unsigned seed = 0; seed < 150; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto below = [&](std::size_t limit) { return random() % limit; };
    RepairFixture log;
    const int changes = 1 + static_cast<int>(below(4));
    for (int i = 0; i < changes; ++i) {
      const std::string path = log.log_path({static_cast<std::int64_t>(below(3)) * 4});
      std::string content = read_file(path);
      const std::size_t at = below(content.size() + 1);
      const std::size_t bytes = below(200);
      switch (below(4)) {
        case 0:
          content.replace(at, std::min(bytes, content.size() - at), std::string(bytes % 7, 'x'));
          break;
        case 1:
          content.insert(at, std::string(bytes, static_cast<char>(below(3))));
          break;
        case 2:
          content.erase(at, bytes);
          break;
        default:
          if (at < content.size()) content[at] = static_cast<char>(random());
      }
      write_file(path, content);
    }
    if (below(3) == 0) log.forget_state();
    const auto readable = log.records();
    log.repair();
    CHECK(!log.is_damaged(true));
    CHECK(!log.is_damaged(false));
    const auto after = log.records();
    for (const auto& [offset, value] : readable) {
      CAPTURE(offset);
      CHECK(after.contains(offset));
    }
    for (const auto& [offset, value] : after) CHECK(value == value_of(offset));
    CHECK(log.values().size() == after.size());
    CHECK(log.plan().steps.empty());
    log.produce({"next"});
    CHECK(log.records().size() == after.size() + 1);
  }
}
