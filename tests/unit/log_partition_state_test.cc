#include "leat/log/partition_state.h"

#include <cstddef>
#include <filesystem>
#include <set>

#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

struct StateFixture {
  StateFixture() : topic(must(Directory::open_root(temp.path()))), id(must(make_topic_id())) {
    must(TopicState::create(topic, id, 2));
  }
  std::string path() const { return temp / "state"; }
  // Whether the file is refused as something a writer makes anew.
  bool refused(std::int32_t partitions = 2) const {
    const auto state = TopicState::open_existing(topic, id, partitions, true);
    return !state && state.error().code == Code::not_found;
  }

  TempDir temp;
  Directory topic;
  TopicId id;
};

}  // namespace

TEST_CASE("a fresh state is written out in full and holds nothing") {
  StateFixture fixture;
  CHECK(std::filesystem::file_size(fixture.path()) == 3 * kStatePageBytes);
  CHECK(must(fixture.topic.list()) == std::vector<std::string>{"state"});
  const TopicState state = must(TopicState::open_existing(fixture.topic, fixture.id, 2, false));
  CHECK(state.partitions() == 2);
  CHECK(!state.deleted());
  for (std::int32_t p = 0; p < 2; ++p) {
    CHECK(!state.page({p}).published.load());
    CHECK(!state.page({p}).durable.load());
    CHECK(state.page({p}).poisoned.load() == 0);
  }
}

TEST_CASE("what one open stores another sees, each partition for itself") {
  StateFixture fixture;
  const TopicState writer = must(TopicState::open_existing(fixture.topic, fixture.id, 2, true));
  const TopicState reader = must(TopicState::open_existing(fixture.topic, fixture.id, 2, false));
  const LogEnd end{{5}, 500, {0}, 1, {2}};
  writer.page({1}).published.store(end);
  REQUIRE(reader.page({1}).published.load());
  CHECK(reader.page({1}).published.load()->value == end);
  CHECK(!reader.page({0}).published.load());
  writer.header().deleted.store(1);
  CHECK(reader.deleted());
}

TEST_CASE("a state of another topic, another file or with a damaged header is not believed") {
  StateFixture fixture;
  SUBCASE("missing") {
    std::filesystem::remove(fixture.path());
  }
  SUBCASE("another topic") {
    fixture.id = must(make_topic_id());
  }
  SUBCASE("a copy") {
    write_file(fixture.temp / "copy", read_file(fixture.path()));
    std::filesystem::rename(fixture.temp / "copy", fixture.path());
  }
  SUBCASE("short") {
    std::filesystem::resize_file(fixture.path(), 3 * kStatePageBytes - 1);
  }
  SUBCASE("empty") {
    std::filesystem::resize_file(fixture.path(), 0);
  }
  SUBCASE("zeros") {
    write_file(fixture.path(), std::string(3 * kStatePageBytes, '\0'));
  }
  CHECK(fixture.refused());
}

TEST_CASE("any flipped byte of what the header's checksum spans makes it foreign") {
  StateFixture fixture;
  for (std::size_t at = 0; at < offsetof(StateHeader, crc) + sizeof(std::uint32_t); ++at) {
    CAPTURE(at);
    flip_byte(fixture.path(), at);
    REQUIRE(fixture.refused());
    flip_byte(fixture.path(), at);
  }
  CHECK(!fixture.refused());
}

TEST_CASE("a grown state has room for more partitions and open mappings stay valid") {
  StateFixture fixture;
  const TopicState before = must(TopicState::open_existing(fixture.topic, fixture.id, 2, true));
  CHECK(fixture.refused(5));
  must(TopicState::grow(fixture.topic, 5));
  const TopicState after = must(TopicState::open_existing(fixture.topic, fixture.id, 5, true));
  CHECK(after.partitions() == 5);
  after.page({1}).published.store({{9}, 9, {0}, 0, {0}});
  CHECK(before.page({1}).published.load()->value.end.value == 9);
  CHECK(!after.page({4}).published.load());
  must(TopicState::grow(fixture.topic, 3));
  CHECK(std::filesystem::file_size(fixture.path()) == 6 * kStatePageBytes);
}

TEST_CASE("a state that cannot be written leaves the one that was there") {
  StateFixture fixture;
  for (const bool sync : {false, true}) {
    set_disk_fault_hook(sync ? [](DiskCall call, std::string_view) { return call == DiskCall::sync ? EIO : 0; }
                             : [](DiskCall call, std::string_view) { return call == DiskCall::write ? ENOSPC : 0; });
    const auto created = TopicState::create(fixture.topic, must(make_topic_id()), 7);
    set_disk_fault_hook(nullptr);
    REQUIRE(!created);
    CHECK(created.error().code == Code::io);
    CHECK(!fixture.refused());
  }
  must(TopicState::create(fixture.topic, fixture.id, 2));
  CHECK(must(fixture.topic.list()) == std::vector<std::string>{"state"});
}

TEST_CASE("every lock of every partition is a byte of its own") {
  std::set<std::int64_t> bytes;
  for (std::int32_t p = 0; p < 20; ++p) {
    for (const ByteRange range :
         {StateLocks::writers({p}), StateLocks::sync({p}), StateLocks::index({p}), StateLocks::maintenance({p})}) {
      CHECK(range.count == 1);
      CHECK(bytes.insert(range.start).second);
    }
  }
}

TEST_CASE("a topic id is written in hexadecimal and read back, and nothing else is one") {
  const TopicId id = must(make_topic_id());
  const std::string text = to_string(id);
  CHECK(text.size() == 32);
  CHECK(parse_topic_id(text) == id);
  CHECK(must(make_topic_id()) != id);
  CHECK(to_string(*parse_topic_id("000102030405060708090a0b0c0d0eff")) == "000102030405060708090a0b0c0d0eff");
  for (const std::string& bad : {std::string(), std::string(31, '0'), std::string(33, '0'), std::string(31, '0') + "g",
                                 std::string(31, '0') + "A"}) {
    CAPTURE(bad);
    CHECK(!parse_topic_id(bad));
  }
}
