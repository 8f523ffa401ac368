#include "leat/backend/background_sync.h"

#include "leat/proof/tree_file.h"
#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

// Two partitions, and appends to them that nobody has synced.
struct BackgroundFixture : LogFixture {
  BackgroundFixture() : LogFixture({.partitions = 2}) {}

  Appended append(Partition& partition, int records) {
    auto batches = batch_of(std::vector<std::string>(static_cast<std::size_t>(records), "value"));
    return must(partition.append(batches));
  }
  static std::uint64_t blocks_kept(const Partition& partition) {
    return must(must(TreeFiles::open(partition.directory())).count(kTileLevel));
  }

  Topic topic = writer_topic();
  Partition first = must(Partition::open(topic, {0}));
  Partition second = must(Partition::open(topic, {1}));
};

int disk_is_full(DiskCall call, std::string_view /*path*/) {
  return call == DiskCall::sync ? ENOSPC : 0;
}

}  // namespace

TEST_CASE("what was requested is durable and in the tree when the background work ends") {
  BackgroundFixture log;
  const Appended ends[] = {log.append(log.first, 600), log.append(log.second, 300)};
  CHECK(must(log.first.durable_end()).end == Offset{0});
  {
    BackgroundSync background(log.topic, true);
    background.request({0}, ends[0]);
    background.request({1}, ends[1]);
  }
  CHECK(must(log.first.durable_end()).end == Offset{600});
  CHECK(must(log.second.durable_end()).end == Offset{300});
  CHECK(BackgroundFixture::blocks_kept(log.first) == 2);
  CHECK(BackgroundFixture::blocks_kept(log.second) == 1);
}

TEST_CASE("the background work goes on while the same partition is appended to and rolled") {
  BackgroundFixture log;
  {
    BackgroundSync background(log.topic, true);
    for (int i = 0; i < 40; ++i) {
      const Appended appended = log.append(log.first, 100);
      background.request({0}, appended);
      if (i % 10 == 9) must(log.first.roll());
      if (i % 7 == 6) must(log.first.commit(appended));
    }
  }
  CHECK(must(log.first.durable_end()).end == Offset{4000});
  CHECK(BackgroundFixture::blocks_kept(log.first) == 15);
  CHECK(log.values().size() == 4000);
}

TEST_CASE("without syncing, the tree grows over what others made durable") {
  BackgroundFixture log;
  const Appended appended = log.append(log.first, 600);
  {
    BackgroundSync(log.topic, false).request({0}, appended);
  }
  CHECK(must(log.first.durable_end()).end == Offset{0});
  CHECK(BackgroundFixture::blocks_kept(log.first) == 0);
  must(log.first.commit(appended));
  {
    BackgroundSync(log.topic, false).request({0}, appended);
  }
  CHECK(BackgroundFixture::blocks_kept(log.first) == 2);
}

TEST_CASE("a sync that fails in the background is found out by whoever commits") {
  BackgroundFixture log;
  const Appended appended = log.append(log.first, 10);
  set_disk_fault_hook(disk_is_full);
  {
    BackgroundSync(log.topic, true).request({0}, appended);
  }
  set_disk_fault_hook(nullptr);
  const auto committed = log.first.commit(appended);
  REQUIRE(!committed);
  CHECK(committed.error().code == Code::io);
  CHECK(must(log.first.durable_end()).end == Offset{0});
}

TEST_CASE("a topic that took the place of a deleted one is left alone") {
  BackgroundFixture log;
  const Appended appended = log.append(log.first, 600);
  {
    BackgroundSync background(log.topic, true);
    must(delete_topic(log.data_dir, "t"));
    must(create_topic(log.data_dir, "t", {}));
    background.request({0}, appended);
  }
  CHECK(log.values().empty());
}
