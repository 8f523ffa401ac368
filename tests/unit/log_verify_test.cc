#include "leat/log/verify.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/group/offsets.h"
#include "leat/log/log_start.h"
#include "leat/log/maintenance.h"
#include "leat/log/named_producer.h"
#include "leat/log/producer_state.h"
#include "leat/log/segment_index.h"
#include "tests/support/verify_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

using Level = Finding::Level;

// Offsets 0 to 2, 3 to 5 and 6 in three segments, a record a batch; no tree beside them.
struct ThreeSegments : VerifyFixture {
  ThreeSegments() : VerifyFixture({.proofs = false}) {
    produce({"zero", "one", "two"});
    roll();
    produce({"three", "four", "five"});
    roll();
    produce({"six"});
  }

  void remove_segment(Offset base) const {
    for (const std::string& name : {log_file_name(base), index_file_name(base), time_index_file_name(base)})
      std::filesystem::remove(partition_path(name));
  }
};

void append_to(const std::string& path, const std::string& bytes) {
  write_file(path, read_file(path) + bytes);
}

std::int64_t batch_bytes(const std::string& log) {
  return static_cast<std::int64_t>(
      load_batch_header(reinterpret_cast<const std::byte*>(read_file(log).data())).total_bytes());
}

// Segments with index entries: three batches of 5000 bytes.
struct IndexedSegment : VerifyFixture {
  IndexedSegment() : VerifyFixture({.proofs = false}) {
    produce({std::string(5000, 'a'), std::string(5000, 'b'), std::string(5000, 'c')});
    roll();
  }
};

}  // namespace

TEST_CASE("a log that is whole has no findings, whatever is in it") {
  VerifyFixture log({.partitions = 2});
  CHECK(log.verify().empty());
  log.produce({"a", "b"});
  for (const Codec codec : {Codec::none, Codec::lz4, Codec::zstd}) {
    Topic topic = log.writer_topic();
    Partition partition = must(Partition::open(topic, {1}));
    BatchBuilder builder(codec);
    for (int i = 0; i < 500; ++i)
      must(builder.add({.key = "key", .value = fmt::format("value {}", i / 9)}, {i * 7 % 50}));
    std::vector<EncodedBatch> batches;
    batches.push_back(must(builder.finish()));
    must(partition.commit(must(partition.append(batches))));
    must(partition.roll());
  }
  CHECK(log.verify(true).empty());
  CHECK(log.counts.segments == 5);
  CHECK(log.counts.batches == 5);
  CHECK(log.counts.records == 1502);
  CHECK(log.verify(false).empty());
}

TEST_CASE("verification changes nothing") {
  ThreeSegments log;
  append_to(log.log_path({6}), "torn");
  flip_byte(log.log_path({0}), 70);
  const auto before = log.files();
  log.verify(true);
  log.verify(false);
  CHECK(log.files() == before);
}

TEST_CASE("every flipped byte of a log is found, but for the epoch, which says nothing of records") {
  ThreeSegments log;
  const auto whole = log.records();
  int harmless = 0;
  for (const std::int64_t base : {0, 3, 6}) {
    const std::string path = log.log_path({base});
    const std::string content = read_file(path);
    for (std::size_t at = 0; at < content.size(); ++at) {
      CAPTURE(base);
      CAPTURE(at);
      flip_byte(path, at);
      const bool unchanged = log.records() == whole;
      REQUIRE(log.is_damaged() == !unchanged);
      harmless += unchanged;
      write_file(path, content);
    }
  }
  CHECK(harmless == 7 * 4);
  CHECK(log.verify().empty());
}

TEST_CASE("a finding says where it is, what it is, what it means and whether it can be repaired") {
  ThreeSegments log;
  const std::int64_t bytes = batch_bytes(log.log_path({3}));
  flip_byte(log.log_path({3}), static_cast<std::size_t>(bytes) - 1);
  const Finding finding = log.only_finding();
  CHECK(finding.level == Level::damage);
  CHECK(finding.topic == "t");
  CHECK(finding.partition == PartitionId{0});
  CHECK(finding.path == log.log_path({3}));
  CHECK(finding.byte == 0);
  CHECK(finding.offset == Offset{3});
  CHECK(finding.what == "the checksum is wrong");
  CHECK(finding.meaning == fmt::format("offset 3 cannot be read ({} bytes)", bytes));
  CHECK(finding.repairable);
}

TEST_CASE("what lies between batches, or is missing there, is told from what is damaged") {
  ThreeSegments log;
  const std::string path = log.log_path({0});
  const std::string content = read_file(path);
  const auto each = static_cast<std::size_t>(batch_bytes(path));
  SUBCASE("bytes pushed in") {
    write_file(path, content.substr(0, each) + "garbage" + content.substr(each));
    const Finding finding = log.only_finding();
    CHECK(finding.meaning == "7 bytes push themselves in between: reading stops there, no record is lost");
    CHECK(finding.byte == static_cast<std::int64_t>(each));
    CHECK(finding.repairable);
  }
  SUBCASE("a batch missing in the middle") {
    const std::size_t second = static_cast<std::size_t>(
        load_batch_header(reinterpret_cast<const std::byte*>(content.data() + each)).total_bytes());
    write_file(path, content.substr(0, each) + content.substr(each + second));
    const Finding finding = log.only_finding();
    CHECK(finding.meaning == "offset 1 is missing");
    CHECK(finding.offset == Offset{1});
  }
  SUBCASE("a segment that lost its end") {
    write_file(path, content.substr(0, each));
    for (const bool deep : {true, false}) {
      const Finding finding = log.only_finding(deep);
      CHECK(finding.meaning == "offsets 1 to 2 are missing");
      CHECK(finding.byte == static_cast<std::int64_t>(each));
    }
  }
  SUBCASE("a segment that lost all it had") {
    write_file(path, "");
    for (const bool deep : {true, false}) CHECK(log.only_finding(deep).meaning == "offsets 0 to 2 are missing");
  }
  SUBCASE("a segment that is missing") {
    log.remove_segment({3});
    for (const bool deep : {true, false}) {
      const Finding finding = log.only_finding(deep);
      CHECK(finding.path == path);
      CHECK(finding.meaning == "offsets 3 to 5 are missing");
    }
  }
  SUBCASE("the first segment is missing") {
    log.remove_segment({0});
    for (const bool deep : {true, false}) {
      const Finding finding = log.only_finding(deep);
      CHECK(finding.what == "the first segment begins at offset 3, the log at 0");
      CHECK(finding.repairable);
    }
  }
  SUBCASE("a segment that goes on where the next one begins") {
    append_to(path, read_file(log.log_path({3})));
    const Finding finding = log.only_finding();
    CHECK(finding.what == "the batch runs past the offset where the next segment begins");
    CHECK(finding.offset == Offset{3});
  }
}

TEST_CASE("a batch that only lost what its checksum does not cover is known to be whole") {
  ThreeSegments log;
  for (const std::size_t at : {std::size_t{6}, std::size_t{11}, std::size_t{16}}) {
    CAPTURE(at);
    const std::string content = read_file(log.log_path({3}));
    flip_byte(log.log_path({3}), at);
    const Finding finding = log.only_finding();
    CHECK(finding.meaning == "offset 3 cannot be read until it is repaired, which loses nothing");
    write_file(log.log_path({3}), content);
  }
}

TEST_CASE("records that look like batches do not hide what is damaged") {
  VerifyFixture log({.proofs = false});
  log.produce({"a", "b", "c"});
  // The inner batch has the offset that comes behind the outer one.
  auto inner = batch_of({"inner"})[0].bytes;
  place_batch(inner, {4}, 0);
  log.produce({std::string(as_text(inner)), "last"});
  const std::string content = read_file(log.log_path());
  const std::size_t outer = content.find("inner") - 61 - 68;
  flip_byte(log.log_path(), outer + 40);  // a byte of the outer header, near where the inner one begins
  const auto findings = log.verify();
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].meaning.starts_with("offset 3 cannot be read"));
}

TEST_CASE("the end of a log is judged as recovery judges it") {
  ThreeSegments log;
  const std::string path = log.log_path({6});
  const std::string whole = read_file(path);
  SUBCASE("an unfinished write is a note") {
    append_to(path, "torn bytes");
    for (const bool deep : {true, false}) {
      const Finding finding = log.only_finding(deep);
      CHECK(finding.level == Level::note);
      CHECK(finding.what == "10 bytes of an unfinished write");
      CHECK(finding.byte == static_cast<std::int64_t>(whole.size()));
      CHECK_FALSE(finding.repairable);
    }
  }
  SUBCASE("zeros are a note") {
    append_to(path, std::string(100, '\0'));
    for (const bool deep : {true, false}) CHECK(log.only_finding(deep).what == "100 bytes of zeros");
  }
  SUBCASE("what was durable is damage") {
    flip_byte(path, whole.size() - 1);
    for (const bool deep : {true, false}) {
      const Finding finding = log.only_finding(deep);
      CHECK(finding.level == Level::damage);
      CHECK(finding.offset == Offset{6});
    }
    std::filesystem::remove(log.state_path());  // nobody knows any more that it was durable
    const auto findings = log.verify();
    CHECK(std::ranges::all_of(findings, [](const Finding& f) { return f.level == Level::note; }));
  }
  SUBCASE("what was durable and has gone is damage") {
    write_file(path, "");
    for (const bool deep : {true, false}) CHECK(log.only_finding(deep).meaning == "offset 6 is missing");
    std::filesystem::remove(path);
    for (const bool deep : {true, false}) CHECK(log.only_finding(deep).meaning == "offset 6 is missing");
    for (const std::int64_t base : {0, 3}) log.remove_segment({base});
    for (const bool deep : {true, false}) CHECK(log.only_finding(deep).what == "no segment is left");
  }
  SUBCASE("a batch of a higher offset is damage") {
    auto stray = batch_of({"stray"})[0].bytes;
    place_batch(stray, {9}, 0);
    append_to(path, std::string(as_text(stray)));
    for (const bool deep : {true, false}) {
      CHECK(log.only_finding(deep).meaning ==
            "73 bytes at the end cannot be read, and the partition refuses to be written to");
    }
  }
}

TEST_CASE("what a living writer is about to write is no finding") {
  ThreeSegments log;
  Topic topic = log.writer_topic();
  Partition partition = must(Partition::open(topic, {0}));
  auto batches = batch_of({"seven"});
  must(partition.append(batches));
  append_to(log.log_path({6}), "half of a batch");
  CHECK(log.verify(true).empty());
  CHECK(log.verify(false).empty());
  CHECK(log.counts.segments == 3);
}

TEST_CASE("segments that are retired, rolled or appended to meanwhile are no findings") {
  ThreeSegments log;
  Topic topic = log.writer_topic();
  Partition partition = must(Partition::open(topic, {0}));
  must(partition.end());
  std::vector<Finding> findings;
  int calls = 0;
  Verification verification{.deep = true, .report = [&](Finding finding) { findings.push_back(std::move(finding)); }};
  verification.progress = [&](std::int64_t) -> Result<void> {
    if (calls++ > 0) return {};
    auto batches = batch_of({"seven", "eight"});
    must(partition.commit(must(partition.append(batches))));
    must(partition.roll());
    must(trim_partition(partition, {6}));
    return {};
  };
  must(verify_topic(verification, log.data_dir, "t"));
  CHECK(calls > 1);
  CHECK(findings.empty());
  CHECK(!std::filesystem::exists(log.log_path({3})));
}

TEST_CASE("a topic that is deleted meanwhile is not found rather than damaged") {
  ThreeSegments log;
  std::vector<Finding> findings;
  Verification verification{.deep = true, .report = [&](Finding finding) { findings.push_back(std::move(finding)); }};
  verification.progress = [&](std::int64_t) -> Result<void> {
    (void)delete_topic(log.data_dir, "t");
    return {};
  };
  const auto verified = verify_topic(verification, log.data_dir, "t");
  REQUIRE(!verified);
  CHECK(verified.error().code == Code::not_found);
  CHECK(findings.empty());
}

TEST_CASE("index entries that do not agree with the log are noted with the first of them") {
  IndexedSegment log;
  REQUIRE(log.verify().empty());
  for (const auto& [name, entry_bytes] : {std::pair(index_file_name({0}), kIndexEntryBytes),
                                          std::pair(time_index_file_name({0}), kTimeIndexEntryBytes)}) {
    CAPTURE(name);
    const std::string path = log.partition_path(name);
    const std::string content = read_file(path);
    REQUIRE(content.size() >= entry_bytes);
    for (std::size_t at = 0; at < content.size(); ++at) {
      CAPTURE(at);
      flip_byte(path, at);
      for (const bool deep : {true, false}) {
        const Finding finding = log.only_finding(deep);
        CHECK(finding.level == Level::note);
        CHECK(finding.path == path);
        CHECK(finding.byte == static_cast<std::int64_t>(at / entry_bytes * entry_bytes));
      }
      write_file(path, content);
    }
    append_to(path, "x");
    CHECK(log.only_finding().what == "the file ends inside an entry");
    write_file(path, content);
    std::filesystem::remove(path);
    CHECK(log.verify().empty());
    write_file(path, content);
  }
}

TEST_CASE("a start file is judged slot by slot") {
  ThreeSegments log;
  const std::string path = log.partition_path("start");
  {
    Topic topic = log.writer_topic();
    Partition partition = must(Partition::open(topic, {0}));
    must(partition.raise_log_start({1}));
    must(partition.raise_log_start({2}));
  }
  REQUIRE(log.verify().empty());
  const std::string content = read_file(path);
  for (std::size_t at = 0; at < content.size(); ++at) {
    CAPTURE(at);
    flip_byte(path, at);
    const Finding finding = log.only_finding();
    // Slot 0 holds the newer one; of the older one, only its number being wrong makes it look like a newer one.
    const bool older = at >= content.size() / 2;
    if (!older) CHECK(finding.level == Level::damage);
    CHECK(finding.repairable == (finding.level == Level::damage));
    if (older && at >= content.size() / 2 + 8) CHECK(finding.level == Level::note);
    write_file(path, content);
  }
  flip_byte(path, 9);
  flip_byte(path, content.size() - 9);
  CHECK(log.only_finding().what == "neither slot's checksum is right");
  std::filesystem::remove(path);
  CHECK(log.only_finding().what == "the file is missing");
}

TEST_CASE("a topic's settings that cannot be read are damage, and its log is verified all the same") {
  ThreeSegments log;
  const std::string path = log.temp / "data/topics/t/topic.toml";
  const std::string content = read_file(path);
  SUBCASE("no TOML") {
    write_file(path, "nonsense = = 1\n");
    flip_byte(log.log_path({0}), 70);
    const auto findings = log.verify();
    REQUIRE(findings.size() == 2);
    CHECK(findings[0].path == path);
    CHECK(findings[1].path == log.log_path({0}));
  }
  SUBCASE("another id than that of the state") {
    std::string other = content;
    char& digit = other[other.find('"') + 1];
    digit = digit == '0' ? '1' : '0';
    write_file(path, other);
    const Finding finding = log.only_finding();
    CHECK(finding.level == Level::damage);
    CHECK(finding.path == path);
  }
  SUBCASE("more partitions than there are") {
    std::string other = content;
    other.replace(other.find("partitions = 1"), 14, "partitions = 2");
    write_file(path, other);
    CHECK(log.is_damaged());
  }
  SUBCASE("fewer partitions than there are") {
    std::filesystem::create_directory(log.temp / "data/topics/t/1");
    write_file(log.temp / ("data/topics/t/1/" + log_file_name({0})), "");
    CHECK(log.only_finding().level == Level::note);
    write_file(log.temp / ("data/topics/t/1/" + log_file_name({0})), read_file(log.log_path({0})));
    CHECK(log.only_finding().level == Level::damage);
  }
}

TEST_CASE("a state file is disposable, unless it says that the topic is deleted") {
  ThreeSegments log;
  const std::string content = read_file(log.state_path());
  for (const std::size_t at :
       {std::size_t{0}, offsetof(StateHeader, topic_id), offsetof(StateHeader, inode), offsetof(StateHeader, crc)}) {
    CAPTURE(at);
    flip_byte(log.state_path(), at);
    CHECK(log.only_finding().level == Level::note);
    // In place: another file would be another inode.
    std::fstream(log.state_path(), std::ios::in | std::ios::out | std::ios::binary) << content;
  }
  REQUIRE(log.verify().empty());
  flip_byte(log.state_path(), offsetof(StateHeader, deleted));
  const Finding finding = log.only_finding();
  CHECK(finding.level == Level::damage);
  CHECK(finding.repairable);
  CHECK(is_falsely_deleted(log.reader_topic()));
  must(drop_false_state(log.data_dir, "t"));
  CHECK(log.only_finding().what == "the file is missing");
  CHECK(log.records().size() == 7);
}

TEST_CASE("names that are not leat's are noted, and what killed processes left") {
  ThreeSegments log;
  const std::vector<std::string> strangers = {"foreign",
                                              "topics/bad name",
                                              "topics/t/notes.txt",
                                              "topics/t/0/00000000000000000099.index",
                                              "topics/t/0/5.log",
                                              "topics/t/state.7.tmp",
                                              "topics/t/producers/a b",
                                              "topics/t/0/00000000000000000000.compacting",
                                              "groups/g/t/other",
                                              "trash/0123456789abcdef"};
  for (const std::string& name : strangers) {
    const std::filesystem::path path = log.temp / ("data/" + name);
    std::filesystem::create_directories(path.parent_path());
    write_file(path.string(), "x");
  }
  const auto findings = log.verify();
  for (const std::string& name : strangers) {
    CAPTURE(name);
    CHECK(std::ranges::count(findings, log.temp / ("data/" + name), &Finding::path) == 1);
  }
  CHECK(findings.size() == strangers.size());
  CHECK(std::ranges::all_of(findings, [](const Finding& f) { return f.level == Level::note; }));
}

TEST_CASE("named producers and what they had are verified") {
  VerifyFixture log({.proofs = false});
  Topic topic = log.writer_topic();
  Partition partition = must(Partition::open(topic, {0}));
  const std::vector<Offset> ends = {{0}};
  const std::string path = log.temp / "data/topics/t/producers/p";
  std::int64_t id = 0;
  {
    NamedProducer producer = must(NamedProducer::open(topic, "p", {}, ends));
    id = producer.id();
    for (std::int64_t i = 0; i < 4; ++i) {
      BatchBuilder builder;
      must(builder.add({.value = "v"}, {1000}));
      std::vector<EncodedBatch> batches;
      batches.push_back(must(builder.finish(producer.batch_fields(i))));
      must(partition.commit(must(partition.append(batches))));
      if (i == 1) must(partition.roll());
    }
  }
  must(keep_producers(partition, {2}));
  REQUIRE(log.verify().empty());
  const auto restored = [](const std::string& file, auto check) {
    const std::string content = read_file(file);
    check();
    write_file(file, content);
  };
  restored(path, [&] {
    flip_byte(path, 26);
    CHECK(log.only_finding().what == "the checksum is wrong");
  });
  restored(path, [&] {
    flip_byte(path, 128 + 24 + 9);  // the run's only slot
    CHECK(log.only_finding().level == Level::damage);
  });
  const std::string snapshot = log.partition_path(producers_file_name({2}));
  restored(snapshot, [&] {
    flip_byte(snapshot, 40);
    CHECK(log.only_finding().level == Level::note);  // the log says the same
  });
  must(trim_partition(partition, {2}));
  restored(snapshot, [&] {
    flip_byte(snapshot, 40);
    const Finding finding = log.only_finding();
    CHECK(finding.level == Level::damage);
    CHECK(finding.path == snapshot);
  });
  CHECK(log.verify().empty());
  // A batch that does not follow the one before it.
  EncodedBatch batch;
  BatchBuilder builder;
  must(builder.add({.value = "v"}, {1000}));
  std::vector<EncodedBatch> batches;
  batches.push_back(must(builder.finish({id, 0, 77})));
  must(partition.commit(must(partition.append(batches))));
  const Finding finding = log.only_finding();
  CHECK(finding.what.find("has sequence 77 where 4 comes next") != std::string::npos);
  CHECK(log.verify(false).empty());
}

TEST_CASE("what consumers have committed is verified") {
  ThreeSegments log;
  const Topic topic = log.reader_topic();
  const auto open = [&] {
    return *must(OffsetsFile::open(log.data_dir, "g", "t", topic.id(), 1, OffsetsFile::Access::write_anew));
  };
  {
    OffsetsFile offsets = open();
    must(offsets.store({0}, {3}, {1000}));
    must(offsets.store({0}, {5}, {1000}));
  }
  const std::string path = log.temp / "data/groups/g/t/offsets";
  REQUIRE(log.verify().empty());
  const std::string content = read_file(path);
  constexpr std::size_t kSlots = 20480;
  SUBCASE("header") {
    for (const std::size_t at : {0, 8, 24}) {
      flip_byte(path, static_cast<std::size_t>(at));
      const Finding finding = log.only_finding();
      CHECK(finding.what == "the header is not one of an offsets file");
      CHECK(finding.hint == "leat consumer seek g -t t --to start");
      write_file(path, content);
    }
  }
  SUBCASE("the newer slot, the older one, both") {
    flip_byte(path, kSlots + 9);
    CHECK(log.only_finding().what == "an offset has the wrong checksum");
    flip_byte(path, kSlots + 32 + 9);
    const Finding both = log.only_finding();
    CHECK(both.what == "neither offset's checksum is right");
    CHECK(both.byte == 20480);
    CHECK(both.hint == "leat consumer seek g -t t -p 0 --to start");
    flip_byte(path, kSlots + 9);
    CHECK(log.only_finding().level == Level::note);
  }
  SUBCASE("behind the end of the log") {
    OffsetsFile offsets = open();
    must(offsets.store({0}, {8}, {1000}));
    const Finding finding = log.only_finding();
    CHECK(finding.level == Level::damage);
    CHECK(finding.offset == Offset{8});
    must(offsets.store({0}, {7}, {1000}));
    CHECK(log.verify().empty());
  }
  SUBCASE("of another topic of that name") {
    must(delete_topic(log.data_dir, "t"));
    must(create_topic(log.data_dir, "t", {}));
    CHECK(log.only_finding().what == "it belongs to a topic that is gone");
  }
}

TEST_CASE("without --deep, a flipped byte in the middle of a sealed segment stays for --deep to find") {
  ThreeSegments log;
  flip_byte(log.log_path({0}), 65);
  CHECK(log.verify(false).empty());
  CHECK(log.is_damaged(true));
}

TEST_CASE("a verification that is stopped says so") {
  ThreeSegments log;
  Verification verification{.deep = true, .report = [](const Finding&) {}};
  verification.progress = [](std::int64_t) -> Result<void> { return fail(Code::interrupted, "stopped"); };
  const auto verified = verify_topic(verification, log.data_dir, "t");
  REQUIRE(!verified);
  CHECK(verified.error().code == Code::interrupted);
  const std::vector<PartitionId> none = {{4}};
  verification.progress = {};
  CHECK(verify_topic(verification, log.data_dir, "t", none).error().code == Code::not_found);
}
