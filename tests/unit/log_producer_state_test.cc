#include "leat/log/producer_state.h"

#include "leat/log/maintenance.h"
#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

struct ProducersFixture : LogFixture {
  ProducersFixture() : LogFixture({.segment_bytes = kSegmentBytesLeast}) {}

  static constexpr std::int64_t kSegmentBytesLeast = 1 << 20;

  // One batch of records with these producer fields.
  void append(std::int64_t id, std::int32_t sequence, const std::vector<std::string>& values, std::int16_t epoch = 0) {
    BatchBuilder builder;
    for (const std::string& value : values) must(builder.add({.key = "k", .value = value}, {1000}));
    std::vector<EncodedBatch> batches;
    batches.push_back(must(builder.finish({id, epoch, sequence})));
    must(partition.commit(must(partition.append(batches))));
  }
  Result<ProducerTable> read() { return read_producers(partition.directory(), must(partition.end())); }
  void remove_segment(Offset base) {
    std::filesystem::remove(log_path(base));
    std::filesystem::remove(partition_path(producers_file_name(base)));
  }

  Topic topic = writer_topic();
  Partition partition = must(Partition::open(topic, {0}));
};

}  // namespace

TEST_CASE("records are counted by producer id, and the last one is known") {
  ProducersFixture f;
  CHECK(must(f.read()).producers.empty());
  f.append(7, 0, {"a", "b"});
  f.append(-1, -1, {"nobody's"});
  f.append(9, 0, {"x"});
  f.append(7, 2, {"c"}, 3);
  const ProducerTable table = must(f.read());
  CHECK(table.complete_from.value == 0);
  REQUIRE(table.producers.size() == 2);
  CHECK(table.producers.at(7).records == 3);
  CHECK(table.producers.at(7).last_offset.value == 4);
  CHECK(table.producers.at(7).epoch == 3);
  CHECK(table.producers.at(7).last_hash == hash_of_record("k", "c"));
  CHECK(table.producers.at(9).last_hash == hash_of_record("k", "x"));
}

TEST_CASE("a gap in the sequence and an older epoch are refused, naming the batch") {
  for (const bool gap : {true, false}) {
    ProducersFixture f;
    f.append(7, 0, {"a", "b"}, 5);
    f.append(7, gap ? 3 : 2, {"c"}, gap ? 5 : 4);
    const auto refused = f.read();
    REQUIRE(!refused);
    CHECK(refused.error().code == Code::damaged);
    CHECK(refused.error().message.find("producer id 7 at offset 2") != std::string::npos);
    CHECK(refused.error().message.find(gap ? "sequence 3 where 2" : "epoch 4, older than 5") != std::string::npos);
  }
}

TEST_CASE("epochs go round, and the one behind the largest is newer") {
  ProducersFixture f;
  f.append(7, 0, {"a"}, 32767);
  f.append(7, 1, {"b"}, 0);
  CHECK(must(f.read()).producers.at(7).records == 2);
}

TEST_CASE("a snapshot says the same as the walk, and outlives the segments before it") {
  ProducersFixture f;
  f.append(7, 0, {"a", "b"});
  must(f.partition.roll());
  f.append(7, 2, {"c"});
  f.append(9, 0, {"x"});
  must(f.partition.roll());
  f.append(7, 3, {"d"});
  const ProducerTable walked = must(f.read());
  must(snapshot_producers(f.partition.directory(), {2}));
  must(snapshot_producers(f.partition.directory(), {4}));
  must(snapshot_producers(f.partition.directory(), {0}));
  f.remove_segment({0});
  f.remove_segment({2});
  const ProducerTable kept = must(f.read());
  CHECK(kept.complete_from.value == 0);
  REQUIRE(kept.producers.size() == walked.producers.size());
  for (const auto& [id, progress] : walked.producers) {
    CHECK(kept.producers.at(id).records == progress.records);
    CHECK(kept.producers.at(id).last_offset == progress.last_offset);
    CHECK(kept.producers.at(id).last_hash == progress.last_hash);
  }
}

TEST_CASE("without a snapshot the table says from where on it knows, and a damaged one is not believed") {
  ProducersFixture f;
  f.append(7, 0, {"a", "b"});
  must(f.partition.roll());
  must(snapshot_producers(f.partition.directory(), {2}));
  f.append(7, 2, {"c"});
  f.append(8, 0, {"x"});
  const std::string snapshot = f.partition_path(producers_file_name({2}));
  const std::string good = read_file(snapshot);
  for (std::size_t byte = 0; byte < good.size(); ++byte) {
    write_file(snapshot, good);
    flip_byte(snapshot, byte);
    CHECK(must(f.read()).producers.at(7).records == 3);  // walked from the beginning instead
  }
  f.remove_segment({0});
  const ProducerTable table = must(f.read());
  CHECK(table.complete_from.value == 2);
  CHECK(!table.producers.contains(7));
  CHECK(table.producers.at(8).records == 1);
}

TEST_CASE("retention keeps what producers have in the segments that go, when the topic has any") {
  ProducersFixture f;
  f.append(7, 0, {"a"});
  must(trim_partition(f.partition, {1}));
  CHECK(!std::filesystem::exists(f.partition_path(producers_file_name({1}))));
  std::filesystem::create_directories(f.temp / "data/topics/t/producers");
  f.append(9, 0, {"b"});
  must(trim_partition(f.partition, {2}));
  CHECK(!std::filesystem::exists(f.log_path({1})));
  const ProducerTable table = must(f.read());
  CHECK(table.complete_from.value == 1);
  CHECK(table.producers.at(9).records == 1);
}

TEST_CASE("records are told apart by key and value, and null from empty") {
  CHECK(hash_of_record("a", "b") != hash_of_record("b", "a"));
  CHECK(hash_of_record("a", "") != hash_of_record("a", std::nullopt));
  CHECK(hash_of_record("", "a") != hash_of_record(std::nullopt, "a"));
  CHECK(hash_of_record("a", "b") == hash_of_record("a", "b"));
}
