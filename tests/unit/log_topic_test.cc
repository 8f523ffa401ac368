#include "leat/log/topic.h"

#include <filesystem>
#include <set>

#include "leat/log/partitioner.h"
#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

struct TopicFixture {
  TempDir temp;
  DataDir data_dir = must(DataDir::open(temp / "data", {.create = true}));

  std::string topic_path(const std::string& name) const { return temp / ("data/topics/t/" + name); }
  bool trash_is_empty() const { return std::filesystem::is_empty(temp / "data/trash"); }
  Topic open(Topic::Access access = Topic::Access::write) const { return must(Topic::open(data_dir, "t", access)); }
};

}  // namespace

TEST_CASE("a created topic has its settings, its partitions and nothing left over") {
  TopicFixture fixture;
  TopicSettings settings{
      .partitions = 3, .retention_ms = 90'061'001, .retention_records = 7, .compression = Codec::lz4};
  settings.durability = Durability::os;
  must(create_topic(fixture.data_dir, "t", settings));
  const Topic topic = fixture.open(Topic::Access::read);
  CHECK(topic.settings() == settings);
  for (std::int32_t p = 0; p < 3; ++p) {
    const Directory partition = must(topic.open_partition({p}));
    CHECK(must(list_segments(partition)) == std::vector<Offset>{{0}});
  }
  for (const std::int32_t p : {-1, 3}) CHECK(topic.open_partition({p}).error().code == Code::not_found);
  CHECK(topic.state() != nullptr);
  CHECK(fixture.trash_is_empty());
}

TEST_CASE("a topic is created once, with a good name and good settings") {
  TopicFixture fixture;
  must(create_topic(fixture.data_dir, "t", {}));
  CHECK(create_topic(fixture.data_dir, "t", {}).error().code == Code::exists);
  CHECK(create_topic(fixture.data_dir, "../t", {}).error().code == Code::usage);
  CHECK(create_topic(fixture.data_dir, "u", {.partitions = 0}).error().code == Code::usage);
  CHECK(create_topic(fixture.data_dir, "u", {.partitions = kPartitionsMax + 1}).error().code == Code::usage);
  CHECK(must(fixture.data_dir.topic_names()) == std::vector<std::string>{"t"});
}

TEST_CASE("a topic whose creation fails is not there at all") {
  TopicFixture fixture;
  for (const DiskCall call : {DiskCall::write, DiskCall::rename}) {
    static DiskCall failing;
    failing = call;
    set_disk_fault_hook([](DiskCall made, std::string_view) { return made == failing ? ENOSPC : 0; });
    const auto created = create_topic(fixture.data_dir, "t", {});
    set_disk_fault_hook(nullptr);
    REQUIRE(!created);
    CHECK(created.error().code == Code::io);
    CHECK(must(fixture.data_dir.topic_names()).empty());
    CHECK(fixture.trash_is_empty());
  }
  must(create_topic(fixture.data_dir, "t", {}));
}

TEST_CASE("a deleted topic is gone, known to those who have it open, and its name is free for another") {
  TopicFixture fixture;
  must(create_topic(fixture.data_dir, "t", {}));
  const Topic open = fixture.open();
  const TopicId id = open.id();
  CHECK(!open.deleted());
  must(delete_topic(fixture.data_dir, "t"));
  CHECK(open.deleted());
  CHECK(open.check_alive().error().code == Code::not_found);
  CHECK(fixture.trash_is_empty());
  CHECK(delete_topic(fixture.data_dir, "t").error().code == Code::not_found);
  must(create_topic(fixture.data_dir, "t", {}));
  CHECK(fixture.open().id() != id);
  CHECK(open.deleted());
}

TEST_CASE("those who have a topic open are told when its delete was killed half-way") {
  TopicFixture fixture;
  must(create_topic(fixture.data_dir, "t", {.partitions = 2}));
  const Topic open = fixture.open();
  std::filesystem::rename(fixture.temp / "data/topics/t", fixture.temp / ("data/trash/" + to_string(open.id())));
  must(create_topic(fixture.data_dir, "t", {}));
  CHECK(open.state()->header().deleted.load() == 1);
  CHECK(fixture.trash_is_empty());
}

TEST_CASE("a topic whose settings file is damaged can be deleted") {
  TopicFixture fixture;
  must(create_topic(fixture.data_dir, "t", {}));
  write_file(fixture.topic_path("topic.toml"), "garbage");
  must(delete_topic(fixture.data_dir, "t"));
  CHECK(must(fixture.data_dir.topic_names()).empty());
  CHECK(fixture.trash_is_empty());
}

TEST_CASE("partitions are added behind those there are, and open topics learn of them") {
  TopicFixture fixture;
  must(create_topic(fixture.data_dir, "t", {.partitions = 2}));
  Topic open = fixture.open(Topic::Access::read);
  CHECK(!must(open.refresh_settings()));
  Topic writer = fixture.open();
  must(add_partitions(fixture.data_dir, "t", 3));
  CHECK(must(open.refresh_settings()));
  CHECK(!must(open.refresh_settings()));
  CHECK(open.settings().partitions == 5);
  must(open.open_partition({4}));
  CHECK(open.state()->partitions() == 5);
  // A writer's locks go with its state file: it keeps the one it has.
  CHECK(must(writer.refresh_settings()));
  CHECK(writer.state_is_current());
  CHECK(writer.state()->partitions() == 2);
  for (const std::int32_t count : {0, -1, kPartitionsMax, std::numeric_limits<std::int32_t>::max()}) {
    CAPTURE(count);
    CHECK(add_partitions(fixture.data_dir, "t", count).error().code == Code::usage);
  }
  CHECK(add_partitions(fixture.data_dir, "u", 1).error().code == Code::not_found);
  CHECK(fixture.open().settings().partitions == 5);
}

TEST_CASE("partitions can be added when the state file is gone") {
  TopicFixture fixture;
  must(create_topic(fixture.data_dir, "t", {}));
  std::filesystem::remove(fixture.topic_path("state"));
  must(add_partitions(fixture.data_dir, "t", 1));
  CHECK(fixture.open(Topic::Access::read).state() == nullptr);
  CHECK(fixture.open().state()->partitions() == 2);
}

TEST_CASE("a bad settings file is named with line and column") {
  TopicFixture fixture;
  must(create_topic(fixture.data_dir, "t", {}));
  const std::string id = "id = \"00000000000000000000000000000001\"\n";
  const std::string good = id + "partitions = 1\n[settings]\n";
  const std::string path = fixture.topic_path("topic.toml");
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"id = \"xyz\"\npartitions = 1\n", ":1:"},
      {"id = 5\npartitions = 1\n", ":1:"},
      {id + "partitions = 0\n", ":2:"},
      {id + "partitions = 1025\n", ":2:"},
      {id + "partitions = \"1\"\n", ":2:"},
      {id + "partitions = 1\ncolour = \"red\"\n", ":3:"},
      {good + "retention-time = \"7\"\n", ":4:"},
      {good + "retention-tiem = \"7d\"\n", ":4:"},
      {good + "retention-records = 5\n", ":4:"},
      {good + "cleanup = \"delete\"\ncleanup = \"delete\"\n", ":5:"},
      {id + "partitions = \n", ":2:"},
      {id, ""},
      {"partitions = 1\n", ""},
      {"", ""},
  };
  for (const auto& [content, place] : bad) {
    CAPTURE(content);
    write_file(path, content);
    const auto opened = Topic::open(fixture.data_dir, "t", Topic::Access::read);
    REQUIRE(!opened);
    CHECK(opened.error().code == Code::configuration);
    CAPTURE(opened.error().message);
    CHECK(opened.error().message.starts_with(path + (place.empty() ? ":" : place)));
  }
}

TEST_CASE("a settings file is read as it was stored") {
  TopicFixture fixture;
  must(create_topic(fixture.data_dir, "t", {}));
  const Directory directory = must(fixture.data_dir.open_topic("t"));
  TopicFile file = must(load_topic_file(directory));
  file.settings.retention_bytes = 12345;
  file.settings.cleanup = Cleanup::compact;
  file.settings.proofs = false;
  must(store_topic_file(directory, file));
  const TopicFile loaded = must(load_topic_file(directory));
  CHECK(loaded.id == file.id);
  CHECK(loaded.settings == file.settings);
}

TEST_CASE("a missing state file is made by a writer only") {
  TopicFixture fixture;
  must(create_topic(fixture.data_dir, "t", {}));
  std::filesystem::remove(fixture.topic_path("state"));
  const Topic reader = fixture.open(Topic::Access::read);
  CHECK(reader.state() == nullptr);
  CHECK(!reader.deleted());
  CHECK(!std::filesystem::exists(fixture.topic_path("state")));
  const Topic writer = fixture.open();
  CHECK(writer.state_is_current());
  std::filesystem::remove(fixture.topic_path("state"));
  CHECK(!writer.state_is_current());
  // Without a state, being deleted is seen from the name.
  must(delete_topic(fixture.data_dir, "t"));
  CHECK(reader.deleted());
}

TEST_CASE("records with a key go where the key says, those without in turn") {
  PartitionChooser chooser(5);
  const PartitionId first = chooser.keyless();
  CHECK(first.value >= 0);
  CHECK(first.value < 5);
  for (const char* key : {"", "a", "sensor-3", "a longer key"}) {
    CHECK(chooser.choose({.key = key}) == partition_for_key(as_bytes(key), 5));
  }
  CHECK(chooser.choose({.value = "x"}) == first);
  CHECK(chooser.choose({.value = "y"}) == first);
  std::set<std::int32_t> seen;
  for (int i = 0; i < 5; ++i) {
    seen.insert(chooser.choose({}).value);
    chooser.advance();
  }
  CHECK(seen.size() == 5);
  CHECK(chooser.keyless() == first);
  PartitionChooser single(1);
  single.advance();
  CHECK(single.choose({.key = "k"}).value == 0);
  CHECK(single.choose({}).value == 0);
}
