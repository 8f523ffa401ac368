// A copy between two directories: what it makes of gaps, offsets beyond 31 bits, retention, compaction, crashes, and
// what it refuses.
#include "leat/backend/copy.h"

#include "leat/log/producer_state.h"
#include "tests/support/copy_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

// Records with the source offsets they claim to have.
struct Claimed {
  explicit Claimed(std::vector<std::int64_t> offsets) {
    for (const std::int64_t offset : offsets) values.push_back("v" + std::to_string(offset));
    for (std::size_t i = 0; i < offsets.size(); ++i)
      records.push_back({.offset = {offsets[i]}, .timestamp = {1000}, .value = values[i]});
  }
  std::vector<std::string> values;
  std::vector<RecordView> records;
};

struct WriterFixture {
  explicit WriterFixture(TopicSettings settings = {}) : backend(open()) { must(backend->create_topic("t", settings)); }

  std::unique_ptr<Backend> open() {
    return must(open_backend(temp / "data", {.create = true, .lock_timeout = Milliseconds(200)}));
  }
  std::unique_ptr<CopyWriter> writer(bool merge = false, const std::string& name = "leat-copy-a") {
    return must(backend->open_copy("t", {name, merge}));
  }
  void write(const std::vector<std::int64_t>& offsets) {
    const Claimed claimed(offsets);
    const auto one = writer();
    must(one->write({0}, claimed.records));
    must(one->flush());
  }
  std::int64_t next() {
    const auto progress = writer(true)->progress({0});
    return progress ? progress->next.value : -1;
  }
  std::vector<std::int64_t> translated(const std::vector<std::int64_t>& offsets) {
    std::vector<Offset> asked;
    for (const std::int64_t offset : offsets) asked.push_back({offset});
    std::vector<std::int64_t> found;
    for (const auto& one : must(writer(true)->translate({0}, asked, {}))) found.push_back(must(one).value);
    return found;
  }
  std::vector<std::string> values() {
    std::vector<std::string> all;
    for (const WholeRecord& record : whole_records(*backend)) all.push_back(*record.value);
    return all;
  }
  void produce_others(int count) {
    auto producer = must(backend->open_producer("t", {}));
    for (int n = 0; n < count; ++n) must(producer->send({.value = "other"}));
    must(producer->flush());
  }

  TempDir temp;
  std::unique_ptr<Backend> backend;
};

constexpr std::int64_t k31 = std::int64_t{1} << 31;

}  // namespace

TEST_CASE("where a copy goes on is what the batch headers say, over gaps and beyond 31 bits") {
  WriterFixture f;
  CHECK(f.next() == -1);
  f.write({0, 1, 2});
  CHECK(f.next() == 3);
  f.write({7, 9, 10});
  CHECK(f.next() == 11);
  f.write({k31 - 2, k31 - 1, k31, k31 + 1});
  CHECK(f.next() == k31 + 2);
  f.write({9 * k31 + 5});
  CHECK(f.next() == 9 * k31 + 6);
  f.write({kCopiedOffsetMax.value - 1});
  CHECK(f.next() == kCopiedOffsetMax.value);
  CHECK(f.values().size() == 12);
}

TEST_CASE("a source offset that a batch header has no room for is refused") {
  WriterFixture f;
  const Claimed claimed({kCopiedOffsetMax.value});
  CHECK(code_of(f.writer()->write({0}, claimed.records)) == Code::bad_data);
  CHECK(f.values().empty());
}

TEST_CASE("a source offset becomes the offset of the first record copied from there or behind it") {
  WriterFixture f;
  CHECK(f.translated({0, 5}) == std::vector<std::int64_t>{0, 0});
  f.write({10, 11, 12});
  f.write({20, 22, 2 * k31});
  CHECK(f.translated({0, 10, 11, 12, 13, 20, 21, 22, 23, 2 * k31, 2 * k31 + 1, 99 * k31}) ==
        std::vector<std::int64_t>{0, 0, 1, 2, 3, 3, 4, 4, 5, 5, 6, 6});
  CHECK(f.translated({22}) == std::vector<std::int64_t>{4});
  CHECK(f.translated({2 * k31 + 1}) == std::vector<std::int64_t>{6});
}

TEST_CASE("offsets are translated past the records of others, and behind the log start") {
  WriterFixture f;
  f.produce_others(3);
  {
    const Claimed first({0, 1});
    const Claimed second({2, 3});
    const auto writer = f.writer(true);
    must(writer->write({0}, first.records));
    must(writer->flush());
    f.produce_others(100);
    must(writer->write({0}, second.records));
    must(writer->flush());
  }
  f.produce_others(5);
  CHECK(f.translated({0, 1, 2, 3, 4}) == std::vector<std::int64_t>{3, 4, 105, 106, 107});
  CHECK(f.translated({1}) == std::vector<std::int64_t>{4});
  must(f.backend->trim_topic("t", {TrimTarget::Kind::before_offset, 50}, {}, true));
  CHECK(f.translated({0, 1, 2}) == std::vector<std::int64_t>{105, 105, 105});
}

TEST_CASE("what was copied is known when retention has removed all of it") {
  WriterFixture f({.retention_records = 1, .segment_bytes = 64 << 10});
  std::vector<std::int64_t> offsets;
  for (std::int64_t n = 0; n < 3000; ++n) offsets.push_back(3 * n);
  for (int round = 0; round < 3; ++round) {
    for (std::int64_t& offset : offsets) offset += round == 0 ? k31 : 9001;
    f.write(offsets);
    CHECK(f.next() == offsets.back() + 1);
  }
  must(f.backend->trim_topic("t", {TrimTarget::Kind::keep_records, 0}, {}, true));
  f.backend = f.open();
  CHECK(f.values().empty());
  CHECK(f.next() == offsets.back() + 1);
}

TEST_CASE("a second copy of the same source is busy, and one of another source is not") {
  WriterFixture f;
  const auto first = f.writer();
  const auto refused = f.backend->open_copy("t", {"leat-copy-a"});
  CHECK(code_of(refused) == Code::busy);
  CHECK(f.backend->open_copy("t", {"leat-copy-b"}));
}

TEST_CASE("records of others are noticed while a copy runs, and at the next run") {
  WriterFixture f;
  {
    const auto writer = f.writer();
    const Claimed first({0});
    must(writer->write({0}, first.records));
    must(writer->flush());
    f.produce_others(1);
    const Claimed second({1});
    must(writer->write({0}, second.records));
    CHECK(code_of(writer->flush()) == Code::exists);
    CHECK(code_of(writer->flush()) == Code::exists);
  }
  CHECK(code_of(f.backend->open_copy("t", {"leat-copy-a"})) == Code::exists);
  CHECK(f.values() == Strings{"v0", "other"});
}

TEST_CASE("a copy of another source under the same name is refused, unless both are wanted") {
  CopyFixture f;
  f.produce({"first"});
  CHECK(f.copied() == 1);
  must(f.from->delete_topic("t"));
  must(f.from->create_topic("t", {.partitions = 2}));
  f.produce({"second", "third"});
  CHECK(f.refused() == Code::other_input);
  CHECK(f.copied({.merge = true}) == 2);
  CHECK(whole_records(*f.to).size() == 3);
}

TEST_CASE("a source that was put back to an older state is refused") {
  CopyFixture f;
  f.produce({"a", "b"});
  auto& place = dynamic_cast<DirectoryPlace&>(*f.from_place);
  const TempDir backup;
  const auto copy_files = [](const std::string& from, const std::string& to) {
    std::filesystem::remove_all(to);
    std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
  };
  f.from.reset();
  copy_files(place.path(), backup / "data");
  f.from = place.open();
  f.produce({"c", "d"});
  CHECK(f.copied() == 4);
  f.from.reset();
  copy_files(backup / "data", place.path());
  f.from = place.open();
  CHECK(f.refused() == Code::other_input);  // it ends before what was copied
  f.produce({"c", "another d", "e"});
  CHECK(f.refused() == Code::other_input);  // another record where the last one was
  CHECK(whole_records(*f.to).size() == 4);
}

TEST_CASE("compacted and trimmed sources are copied over their gaps, and consumers find their places") {
  CopyFixture f(kCopyPairs[0], {.segment_bytes = 64 << 10, .cleanup = Cleanup::compact});
  must(f.to->set_topic("t", [](TopicSettings& settings) -> Result<void> {
    settings.cleanup = Cleanup::remove;
    return {};
  }));
  const std::string filler(4000, 'x');
  const auto number = [&](const std::string& value) { return std::stoi(value.substr(filler.size())); };
  const auto produce = [&](int from, int to) {
    auto producer = must(f.from->open_producer("t", {}));
    for (int n = from; n < to; ++n)
      must(producer->send(
          {.key = "k" + std::to_string(n % 5), .value = filler + std::to_string(n), .timestamp = TimestampMs{n}}));
    must(producer->flush());
  };
  produce(0, 100);
  f.copied();
  const auto gone =
      must(f.from->partitions("t"))[0].end - Offset{static_cast<std::int64_t>(whole_records(*f.from).size())};
  CHECK(gone > 10);
  produce(100, 200);
  must(f.from->seek_consumer("c", std::vector<SeekRequest>{{"t", {{0}}, {SeekTarget::Kind::end}}}, true, true));
  produce(200, 300);
  auto copy = must(Copy::open(*f.from, *f.to, {.follow = false}));
  while (must(copy->step(Milliseconds(100))) != Fetch::State::ended) {
  }
  const CopiedConsumers moved = must(copy->copy_consumers());
  REQUIRE(moved.stored.size() == 1);
  const auto rest = [](Backend& backend) {
    auto reader =
        must(backend.join_group("c", {.read = {.topics = {{"t"}}, .follow = false}, .strategy = OffsetStrategy::none}));
    return Fixture::values_of(*reader);
  };
  // The source may have been compacted further since.
  const Strings due = rest(*f.from);
  const Strings there = rest(*f.to);
  CHECK(number(there.front()) >= 200);
  CHECK(number(there.front()) <= number(due.front()));
  for (const std::string& value : due) CHECK(std::ranges::count(there, value) == 1);
}

TEST_CASE("what retention took from the source before it was copied is said, and copying goes on") {
  CopyFixture f;
  f.produce({"a", "b", "c"});
  CHECK(f.copied() == 3);
  f.produce({"d", "e", "f", "g"});
  must(f.from->trim_topic("t", {TrimTarget::Kind::before_offset, 5}, std::vector<PartitionId>{{0}}, true));
  auto copy = must(Copy::open(*f.from, *f.to, {.follow = false}));
  const auto notices = copy->take_notices();
  REQUIRE(notices.size() == 1);
  CHECK(notices[0].find("offset 3 has been trimmed away") != std::string::npos);
  while (must(copy->step(Milliseconds(100))) != Fetch::State::ended) {
  }
  CHECK(copy->records() == 2);
  CHECK(copy->partitions()[0].from.value == 5);
  copy.reset();
  CHECK(f.copied() == 0);
}

TEST_CASE("missing topics are created with the settings of the source") {
  CopyFixture f;
  const TopicSettings settings{.partitions = 3,
                               .retention_ms = 3'600'000,
                               .retention_records = 77,
                               .segment_bytes = 1 << 20,
                               .compression = Codec::zstd,
                               .durability = Durability::os};
  must(f.from->create_topic("u", settings));
  f.copied({.topics = {"u"}});
  CHECK(must(f.to->describe_topic("u")).settings == settings);
  CHECK(must(f.to->topic_names()) == Strings{"t", "u"});
}

TEST_CASE("partitions added to both sides are copied, and those of the source alone end a copy that follows") {
  CopyFixture f;
  f.produce({"a"});
  CHECK(f.copied() == 1);
  auto following = must(Copy::open(*f.from, *f.to, {.follow = true}));
  must(f.from->add_partitions("t", 1));
  f.produce({"in the new one"}, 2);
  Result<Fetch::State> state = Fetch::State::records;
  for (int look = 0; state && look < 100; ++look) state = following->step(Milliseconds(100));
  CHECK(code_of(state) == Code::usage);
  following.reset();
  CHECK(f.refused() == Code::usage);
  must(f.to->add_partitions("t", 1));
  CHECK(f.copied() == 1);
  CHECK(f.same());
}

TEST_CASE("consumers are brought to the same places, never back, and not while they are read by at the destination") {
  CopyFixture f;
  f.produce({"a", "b", "c", "d"});
  f.produce({"p", "q"}, 1);
  const auto seek = [](Backend& backend, const std::string& consumer, std::int32_t partition, std::int64_t next) {
    must(backend.seek_consumer(
        consumer, std::vector<SeekRequest>{{"t", {PartitionId{partition}}, {SeekTarget::Kind::offset, next}}}, true,
        true));
  };
  const auto bring = [&] {
    auto copy = must(Copy::open(*f.from, *f.to, {.follow = false}));
    while (must(copy->step(Milliseconds(100))) != Fetch::State::ended) {
    }
    return must(copy->copy_consumers());
  };
  const auto stored = [&](const std::string& consumer) {
    std::vector<std::int64_t> next;
    for (const ConsumerOffset& offset : must(f.to->consumer_offsets(false)).offsets)
      if (offset.consumer == consumer) next.push_back(offset.next.value);
    return next;
  };
  seek(*f.from, "one", 0, 3);
  seek(*f.from, "one", 1, 2);
  seek(*f.from, "two", 0, 0);
  CopiedConsumers moved = bring();
  CHECK(moved.stored.size() == 3);
  CHECK(moved.failures.empty());
  CHECK(stored("one") == std::vector<std::int64_t>{3, 2});
  CHECK(stored("two") == std::vector<std::int64_t>{0});

  seek(*f.to, "one", 0, 4);
  moved = bring();
  CHECK(moved.left.size() == 1);
  CHECK(stored("one") == std::vector<std::int64_t>{4, 2});

  seek(*f.from, "two", 0, 1);
  auto member = must(f.to->join_group("two", {.read = {.topics = {{"t"}}}, .strategy = OffsetStrategy::manual}));
  must(member->next(Milliseconds(0)));
  moved = bring();
  REQUIRE(moved.failures.size() == 1);
  CHECK(moved.failures[0].code == Code::busy);
  CHECK(stored("two") == std::vector<std::int64_t>{0});
  member.reset();
  CHECK(bring().failures.empty());
  CHECK(stored("two") == std::vector<std::int64_t>{1});
}

TEST_CASE("a damaged source is copied up to the damage, and the damage is told") {
  CopyFixture f;
  f.produce({"a", "b", "c"});
  f.produce({"p"}, 1);
  const std::string log = dynamic_cast<DirectoryPlace&>(*f.from_place).path() + "/topics/t/0/00000000000000000000.log";
  std::string bytes = read_file(log);
  f.produce({std::string(100, 'd'), "e"});
  const std::size_t at = bytes.size() + 90;
  bytes = read_file(log);
  bytes[at] ^= 1;
  write_file(log, bytes);
  CHECK(f.refused() == Code::damaged);
  CHECK(whole_records(*f.to).size() == 4);
  CHECK(f.refused() == Code::damaged);
  CHECK(whole_records(*f.to).size() == 4);
}

TEST_CASE("a record without a key does not go to a compacted topic") {
  CopyFixture f;
  must(f.from->create_topic("u", {}));
  must(f.to->create_topic("u", {.cleanup = Cleanup::compact}));
  auto producer = must(f.from->open_producer("u", {}));
  must(producer->send({.value = "keyless"}));
  must(producer->flush());
  CHECK(f.refused({.topics = {"u"}}) == Code::bad_data);
}
