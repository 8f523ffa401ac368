#include "leat/group/offsets.h"

#include <unistd.h>

#include "leat/backend/backend.h"
#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

using Access = OffsetsFile::Access;
constexpr std::size_t kSlots = 20480;  // offsets.h: where the slot pairs begin
constexpr std::size_t kSlotBytes = 32;

struct OffsetsFixture : LogFixture {
  Result<std::optional<OffsetsFile>> open(Access access, std::uint8_t id = 7) {
    return OffsetsFile::open(data_dir, "g", "t", TopicId{id}, 3, access);
  }
  OffsetsFile writer(std::uint8_t id = 7) { return std::move(*must(open(Access::write, id))); }
  std::string path() const { return temp / "data/groups/g/t/offsets"; }
};

void store(OffsetsFile& file, std::int32_t partition, std::int64_t next) {
  REQUIRE(must(file.claim({partition})));
  must(file.store({partition}, {next}, {1000 + next}));
  must(file.sync());
}

}  // namespace

TEST_CASE("a stored offset is read back, by partition, and others have none") {
  OffsetsFixture f;
  CHECK(!must(f.open(Access::read)));
  {
    OffsetsFile file = f.writer();
    CHECK(!must(file.load({0})));
    store(file, 1, 41);
    store(file, 1, 42);
  }
  const auto file = must(f.open(Access::read));
  REQUIRE(file);
  CHECK(must(file->load({1}))->next.value == 42);
  CHECK(must(file->load({1}))->committed_at.value == 1042);
  CHECK(!must(file->load({0})));
  CHECK(!must(file->load({2})));
  CHECK(!must(file->load({500})));
}

TEST_CASE("a torn slot leaves the commit before it, whichever byte is torn, and the next one overwrites it") {
  for (std::size_t byte = 0; byte < 28; byte += 3) {
    OffsetsFixture f;
    OffsetsFile file = f.writer();
    store(file, 0, 5);
    store(file, 0, 9);  // the second commit is in the first slot
    flip_byte(f.path(), kSlots + byte);
    CHECK(must(file.load({0}))->next.value == 5);
    store(file, 0, 11);
    CHECK(must(file.load({0}))->next.value == 11);
    flip_byte(f.path(), kSlots + byte);
    CHECK(must(file.load({0}))->next.value == 5);
  }
}

TEST_CASE("two damaged slots are damage with path and byte, never the beginning; other partitions stay readable") {
  OffsetsFixture f;
  OffsetsFile file = f.writer();
  store(file, 0, 5);
  store(file, 0, 9);
  store(file, 2, 3);
  flip_byte(f.path(), kSlots + 8);
  flip_byte(f.path(), kSlots + kSlotBytes + 8);
  const auto loaded = file.load({0});
  REQUIRE(!loaded);
  CHECK(loaded.error().code == Code::damaged);
  CHECK(loaded.error().message.find(f.path()) != std::string::npos);
  CHECK(loaded.error().message.find("byte 20480") != std::string::npos);
  CHECK(loaded.error().hint.find("--reset") != std::string::npos);
  CHECK(must(file.load({2}))->next.value == 3);
  store(file, 0, 1);
  CHECK(must(file.load({0}))->next.value == 1);
}

TEST_CASE("a damaged header is damage, and only begun anew on demand") {
  OffsetsFixture f;
  {
    OffsetsFile file = f.writer();
    store(file, 0, 5);
  }
  SUBCASE("magic") {
    flip_byte(f.path(), 0);
  }
  SUBCASE("topic id") {
    flip_byte(f.path(), 12);
  }
  SUBCASE("checksum") {
    flip_byte(f.path(), 25);
  }
  SUBCASE("empty") {
    write_file(f.path(), "");
  }
  for (const Access access : {Access::read, Access::write}) {
    const auto opened = f.open(access);
    REQUIRE(!opened);
    CHECK(opened.error().code == Code::damaged);
    CHECK(opened.error().message.find(f.path()) != std::string::npos);
  }
  const auto anew = must(f.open(Access::write_anew));
  REQUIRE(anew);
  CHECK(!must(anew->load({0})));
  CHECK(f.open(Access::read));
}

TEST_CASE("offsets of another topic of the same name count as none") {
  OffsetsFixture f;
  {
    OffsetsFile file = f.writer(7);
    store(file, 0, 5);
  }
  CHECK(!must(f.open(Access::read, 8)));
  CHECK(!must(f.writer(8).load({0})));
  CHECK(!must(f.open(Access::read, 7)));
}

TEST_CASE("a partition is claimed by one at a time, and free again when its owner is gone") {
  OffsetsFixture f;
  OffsetsFile other = f.writer();
  {
    OffsetsFile owner = f.writer();
    CHECK(must(owner.claim({1})));
    CHECK(!must(other.claim({1})));
    CHECK(must(other.claimed_elsewhere({1})));
    CHECK(!must(owner.claimed_elsewhere({1})));
    CHECK(must(other.claim({0})));
    owner.release({1});
    CHECK(must(other.claim({1})));
    other.release({1});
    CHECK(must(owner.claim({1})));
  }
  CHECK(must(other.claim({1})));
}

TEST_CASE("living members are listed with what they said of themselves, and only while they live") {
  OffsetsFixture f;
  OffsetsFile asking = f.writer();
  must(asking.join({.command = "asking"}));
  CHECK(must(asking.other_members()).empty());
  {
    OffsetsFile member = f.writer();
    must(member.join({.command = "leat consume t -c g"}));
    REQUIRE(must(member.claim({2})));
    OffsetsFile second = f.writer();
    must(second.join({.command = std::string(500, 'x')}));
    const auto members = must(asking.other_members());
    REQUIRE(members.size() == 2);
    CHECK(members[0].pid == ::getpid());
    CHECK(!members[0].host.empty());
    CHECK(members[0].command == "leat consume t -c g");
    CHECK(members[1].command == std::string(175, 'x'));
    const Error error = asking.in_use("g", "t", PartitionId{2});
    CHECK(error.code == Code::busy);
    CHECK(error.message.find("leat consume t -c g") != std::string::npos);
    CHECK(error.message.find("xxx") == std::string::npos);
    CHECK(must(asking.owner({2}))->command == "leat consume t -c g");
    CHECK(!must(asking.owner({1})));
    const Members all = must(asking.members());
    CHECK(all.shares.size() == 3);
    CHECK(all.self == 0);
    CHECK(all.shares[1].held == 1);
    CHECK(must(asking.still_live(all)));
    second.leave();
    CHECK(!must(asking.still_live(all)));
    CHECK(must(asking.other_members()).size() == 1);
    CHECK(error.message.find(std::to_string(::getpid())) != std::string::npos);
  }
  CHECK(must(asking.other_members()).empty());
}

TEST_CASE("a file is removed with its last offset, not while one is left or somebody has it") {
  OffsetsFixture f;
  {
    OffsetsFile file = f.writer();
    store(file, 0, 5);
  }
  must(remove_when_empty(f.data_dir, "g", "t"));
  CHECK(std::filesystem::exists(f.path()));
  {
    OffsetsFile file = f.writer();
    REQUIRE(must(file.claim({0})));
    must(file.clear({0}));
    must(file.join({.command = "still here"}));
    must(remove_when_empty(f.data_dir, "g", "t"));
    CHECK(std::filesystem::exists(f.path()));
  }
  must(remove_when_empty(f.data_dir, "g", "t"));
  CHECK(!std::filesystem::exists(f.path()));
  CHECK(must(list_group_topics(f.data_dir)).empty());
}

TEST_CASE("forgetting a topic takes the offsets of every group in it and no others") {
  LogFixture f;
  for (const char* group : {"g1", "g2"}) {
    for (const char* topic : {"t", "u"})
      must(OffsetsFile::open(f.data_dir, group, topic, TopicId{1}, 1, Access::write));
  }
  CHECK(must(list_group_topics(f.data_dir)).size() == 4);
  must(forget_topic(f.data_dir, "t", TopicId{9}));  // an earlier topic of that name
  CHECK(must(list_group_topics(f.data_dir)).size() == 4);
  must(forget_topic(f.data_dir, "t", TopicId{1}));
  const auto left = must(list_group_topics(f.data_dir));
  REQUIRE(left.size() == 2);
  CHECK(left[0].group == "g1");
  CHECK(left[0].topic == "u");
  CHECK(left[1].group == "g2");
}

TEST_CASE("a stored offset behind the end of the log is damage, and reset begins anew") {
  LogFixture f;
  f.produce({"a", "b"});
  {
    OffsetsFile file =
        std::move(*must(OffsetsFile::open(f.data_dir, "g", "t", f.reader_topic().id(), 1, Access::write)));
    store(file, 0, 3);
  }
  auto backend = must(open_backend(f.temp / "data", {}));
  GroupOptions options{.read = {.topics = {{"t"}}, .follow = false}};
  const auto joined = backend->join_group("g", options);
  REQUIRE(!joined);
  CHECK(joined.error().code == Code::damaged);
  CHECK(joined.error().hint.find("--reset") != std::string::npos);
  options.reset = true;
  CHECK(backend->join_group("g", options));
}
