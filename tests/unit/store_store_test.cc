#include "leat/store/store.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "leat/log/partitioner.h"
#include "tests/support/backend_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

using Model = std::map<std::string, std::string>;

// A directory with a source of three partitions, and stores over it.
struct StoreFixture {
  explicit StoreFixture(std::int64_t segment_bytes = 1 << 30)
      : backend(must(open_backend(temp / "data", {.create = true, .lock_timeout = Milliseconds(200)}))) {
    must(backend->create_topic("source", {.partitions = 3, .segment_bytes = segment_bytes}));
  }

  void send(const std::string& key, std::optional<std::string> value) {
    if (!producer) producer = must(backend->open_producer("source", {}));
    must(producer->send({.key = key, .value = value}));
    if (value) {
      model[key] = *value;
    } else {
      model.erase(key);
    }
  }
  void flush() {
    if (producer) must(producer->flush());
  }

  StoreOptions options(const std::string& id = "s") const {
    return {.id = id,
            .source = "source",
            .changelog = id + "-changelog",
            .flush_every = Milliseconds(20),
            .snapshot_base = temp / "data"};
  }
  std::unique_ptr<Store> open(StoreOptions options) const {
    return must(Store::open({backend.get(), backend.get(), backend.get()}, std::move(options)));
  }
  std::unique_ptr<Store> open() const { return open(options()); }

  // Waits until everything in the source is visible, in the partitions that the store holds.
  void catch_up(const Store& store) {
    flush();
    const auto infos = must(backend->partitions("source"));
    const SteadyTime deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    for (const PartitionInfo& info : infos) {
      const StorePartition* partition = store.partition(info.partition);
      while (partition != nullptr && (!partition->ready() || partition->position().source_next < info.end)) {
        if (const auto failed = store.failure()) FAIL(failed->message);
        REQUIRE(std::chrono::steady_clock::now() < deadline);
        std::this_thread::sleep_for(Milliseconds(2));
      }
    }
  }

  std::unique_ptr<Store> open_and_catch_up() {
    auto store = open();
    catch_up(*store);
    return store;
  }

  static Model contents(const Store& store) {
    Model found;
    CHECK(store.scan({}, [&](const StorePartition&, const StoredValue& value) {
      CHECK(found.emplace(value.key, value.value).second);
      return true;
    }));
    return found;
  }
  static std::optional<std::string> get(const Store& store, const std::string& key) {
    std::optional<std::string> found;
    store.find(key, [&](const StorePartition&, const StoredValue& value) { found = value.value; });
    return found;
  }

  // How often each source record is in the changelog; the last value of each key there.
  std::int64_t check_changelog() {
    std::map<std::pair<int, std::int64_t>, int> seen;
    auto reader =
        must(backend->open_reader({.topics = {{"s-changelog"}}, .start = {StartAt::Kind::beginning}, .follow = false}));
    for (;;) {
      const Fetch fetch = must(reader->next(Milliseconds(0)));
      if (fetch.state != Fetch::State::records) break;
      for (const RecordView& record : fetch.records) {
        if (is_reservation(record)) continue;
        ++seen[{record.partition.value, must(decode_change(record)).source.value}];
      }
    }
    for (const auto& [place, count] : seen) CHECK(count == 1);
    return static_cast<std::int64_t>(seen.size());
  }

  TempDir temp;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Producer> producer;
  Model model;
};

void change_some(StoreFixture& f, std::mt19937& random, int count) {
  for (int i = 0; i < count; ++i) {
    const std::string key = fmt::format("key-{}", random() % 200);
    if (random() % 4 == 0) {
      f.send(key, std::nullopt);
    } else {
      f.send(key, fmt::format("{}", random()));
    }
  }
}

}  // namespace

TEST_CASE("a store holds the last value of each key, over restarts, ends without a flush, and lost snapshots") {
  // Segments so small that the changelog is compacted meanwhile.
  StoreFixture f;
  std::mt19937 random(11);
  must(f.backend->create_topic("s-changelog",
                               {.partitions = 3, .segment_bytes = 64 << 10, .cleanup = Cleanup::compact}));
  for (int round = 0; round < 12; ++round) {
    CAPTURE(round);
    auto store = f.open();
    change_some(f, random, 2000);
    if (round % 3 == 0) f.flush();
    if (round % 2 == 0) {
      f.catch_up(*store);
      CHECK(StoreFixture::contents(*store) == f.model);
    }
    // As good as a kill, or in order, with a snapshot.
    if (round % 4 < 2) must(store->stop());
    store.reset();
    if (round == 7) {
      for (int p = 0; p < 3; ++p) std::filesystem::remove(f.temp / fmt::format("data/stores/s/{}.snapshot", p));
    }
    if (round == 9) flip_byte(f.temp / "data/stores/s/1.snapshot", 70);
  }
  const auto store = f.open();
  f.catch_up(*store);
  CHECK(StoreFixture::contents(*store) == f.model);
  for (const auto& [key, value] : f.model) REQUIRE(StoreFixture::get(*store, key) == value);
  CHECK(!StoreFixture::get(*store, "never"));
  f.check_changelog();
}

TEST_CASE("each record of the source is in the changelog once") {
  StoreFixture f;
  std::mt19937 random(12);
  for (int round = 0; round < 6; ++round) {
    auto store = f.open();
    change_some(f, random, 500);
    f.flush();
    std::this_thread::sleep_for(Milliseconds(5 * round));
  }
  const auto store = f.open();
  f.catch_up(*store);
  CHECK(f.check_changelog() == 3000);
}

TEST_CASE("a start behind a snapshot replays the rest only") {
  StoreFixture f;
  for (int i = 0; i < 1000; ++i) f.send(fmt::format("k{}", i), "v");
  auto store = f.open();
  f.catch_up(*store);
  must(store->stop());
  store = f.open();
  f.send("late", "x");
  f.catch_up(*store);
  std::int64_t from_snapshot = 0;
  std::int64_t from_changelog = 0;
  for (const StoreStatus& status : store->status()) {
    from_snapshot += status.replay.from_snapshot;
    from_changelog += status.replay.from_changelog;
  }
  CHECK(from_snapshot == 1000);
  CHECK(from_changelog == 0);
  CHECK(StoreFixture::contents(*store) == f.model);
}

TEST_CASE("a source that was made anew is another one, however many records it has") {
  StoreFixture f;
  for (int i = 0; i < 100; ++i) f.send(fmt::format("k{}", i), "v");
  must(f.open_and_catch_up()->stop());
  f.producer.reset();
  must(f.backend->delete_topic("source"));
  must(f.backend->create_topic("source", {.partitions = 3}));
  for (int i = 0; i < 500; ++i) f.send(fmt::format("new-{}", i), "v");
  f.flush();
  CHECK(code_of(Store::open({f.backend.get(), f.backend.get(), f.backend.get()}, f.options())) == Code::configuration);
}

TEST_CASE("a snapshot that is ahead of its changelog is removed, and not believed later") {
  StoreFixture f;
  for (int i = 0; i < 100; ++i) f.send(fmt::format("k{}", i), "v");
  auto store = f.open();
  f.catch_up(*store);
  must(store->stop());
  const auto reservation = must(read_reservation(*f.backend, "s-changelog", {0}));
  const SnapshotPlace place = must(SnapshotPlace::make(f.temp / "data", "s"));
  Table phantom(reservation->incarnation);
  phantom.put(phantom.hash("phantom"), phantom.make("phantom", "x", {5000}));
  CHECK(must(
      place.write({reservation->incarnation, {6000}, {6000}, now_ms(), 1, {0}, "s"}, phantom, [] { return false; })));
  // Whoever only looks leaves it.
  ReplayFrom look{.backend = f.backend.get(),
                  .changelog = "s-changelog",
                  .incarnation = reservation->incarnation,
                  .snapshots = &place};
  must(replay_partition(look, [](const Change& change) { CHECK(change.key != "phantom"); }, [](std::int64_t) {}));
  CHECK(std::filesystem::exists(f.temp / "data/stores/s/0.snapshot"));
  store = f.open();
  f.catch_up(*store);
  CHECK(StoreFixture::contents(*store) == f.model);
  CHECK(!std::filesystem::exists(f.temp / "data/stores/s/0.snapshot"));
}

TEST_CASE("a changelog belongs to one store, one source and one process") {
  StoreFixture f;
  const auto store = f.open();
  const StoreBackends backends{f.backend.get(), f.backend.get(), f.backend.get()};
  CHECK(code_of(Store::open(backends, f.options())) == Code::busy);
  StoreOptions other = f.options("other");
  other.changelog = "s-changelog";
  CHECK(code_of(Store::open(backends, other)) == Code::configuration);
  must(f.backend->create_topic("elsewhere", {.partitions = 3}));
  StoreOptions moved = f.options("s");
  moved.source = "elsewhere";
  must(store->stop());
  CHECK(code_of(Store::open(backends, moved)) == Code::configuration);
  StoreOptions plain = f.options("plain");
  plain.changelog = "elsewhere";
  CHECK(code_of(Store::open(backends, plain)) == Code::configuration);
}

TEST_CASE("changes become visible by count, by time, or because somebody asks, and are in the changelog before") {
  StoreFixture f;
  StoreOptions options = f.options();
  options.flush_every = std::chrono::hours(1);
  options.flush_count = 100;
  const auto store = f.open(options);
  const auto records = [&] {
    std::int64_t count = 0;
    for (const PartitionInfo& info : must(f.backend->partitions("s-changelog"))) count += info.end.value;
    return count;
  };
  const auto wait_for = [](const auto& condition) {
    for (int i = 0; i < 5000 && !condition(); ++i) std::this_thread::sleep_for(Milliseconds(2));
    CHECK(condition());
  };
  f.send("a", "1");
  f.flush();
  wait_for([&] { return records() == 3 + 1; });  // a reservation in each partition
  std::this_thread::sleep_for(Milliseconds(50));
  CHECK(!StoreFixture::get(*store, "a"));
  const std::uint64_t ticket = store->request_flush();
  wait_for([&] { return store->flushed(ticket); });
  CHECK(StoreFixture::get(*store, "a") == "1");
  for (int i = 0; i < 1000; ++i) f.send(fmt::format("b{}", i), "2");
  f.flush();
  wait_for([&] { return StoreFixture::contents(*store).size() > 500; });
}

TEST_CASE("replicas follow, take reads when the primary is gone, and two halves know what is elsewhere") {
  StoreFixture f;
  StoreOptions left = f.options();
  left.partitions = {PartitionId{0}};
  left.replicas = {PartitionId{1}, PartitionId{2}};
  StoreOptions right = f.options();
  right.partitions = {PartitionId{1}, PartitionId{2}};
  right.replicas = {PartitionId{0}};
  StoreOptions half = f.options();
  half.replica_only = true;
  half.replicas = {PartitionId{2}};
  half.wait_for_replicas = true;
  auto a = f.open(left);
  auto b = f.open(right);
  auto c = f.open(half);
  std::mt19937 random(13);
  change_some(f, random, 3000);
  for (const Store* store : {a.get(), b.get(), c.get()}) f.catch_up(*store);
  CHECK(StoreFixture::contents(*a) == f.model);
  CHECK(StoreFixture::contents(*b) == f.model);
  CHECK(c->is_ready());
  b.reset();
  for (const auto& [key, value] : f.model) {
    REQUIRE(StoreFixture::get(*a, key) == value);
    const bool third = partition_for_key(as_bytes(key), 3) == PartitionId{2};
    const Store::Answer answer = c->find(key, [](const StorePartition&, const StoredValue&) {});
    REQUIRE(answer == (third ? Store::Answer::found : Store::Answer::elsewhere));
  }
  // What goes on while the primary is away is there once it is back.
  change_some(f, random, 1000);
  b = f.open(right);
  for (const Store* store : {a.get(), b.get(), c.get()}) f.catch_up(*store);
  CHECK(StoreFixture::contents(*a) == f.model);
  CHECK(StoreFixture::contents(*b) == f.model);
}

TEST_CASE("readers of a store and of its replica see each key go forward only, while everything happens at once") {
  StoreFixture f(64 << 10);
  constexpr int kKeys = 60;
  StoreOptions primary = f.options();
  primary.flush_every = Milliseconds(2);
  primary.snapshot_every = Milliseconds(5);
  StoreOptions copies = primary;
  copies.replica_only = true;
  const auto store = f.open(primary);
  const auto replica = f.open(copies);
  store->on_change([] {});
  for (int key = 0; key < kKeys; ++key) f.send(fmt::format("k{}", key), fmt::format("{}:0", key));
  f.catch_up(*store);
  f.catch_up(*replica);

  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0;
  std::atomic<std::int64_t> reads = 0;
  const auto read = [&](const Store& from, unsigned seed) {
    std::minstd_rand random(seed);
    std::map<int, int> latest;
    const auto look = [&](std::string_view text) {
      int key = 0;
      int round = 0;
      const bool whole = std::sscanf(std::string(text).c_str(), "%d:%d", &key, &round) == 2;
      if (!whole || round < latest[key]) wrong.fetch_add(1);
      latest[key] = round;
    };
    while (!stop.load()) {
      const int key = static_cast<int>(random() % kKeys);
      const auto answer = from.find(fmt::format("k{}", key),
                                    [&](const StorePartition&, const StoredValue& value) { look(value.value); });
      if (answer == Store::Answer::elsewhere) wrong.fetch_add(1);
      if (reads.fetch_add(1) % 256 != 0) continue;
      (void)from.scan({}, [&](const StorePartition&, const StoredValue& value) {
        look(value.value);
        return true;
      });
      (void)from.status();
      (void)from.is_ready();
    }
  };
  std::vector<std::thread> readers;
  for (unsigned seed = 1; seed <= 2; ++seed) {
    readers.emplace_back([&, seed] { read(*store, seed); });
    readers.emplace_back([&, seed] { read(*replica, seed + 2); });
  }
  for (int round = 1; round <= 120; ++round) {
    for (int key = 0; key < kKeys; ++key) {
      // Some come and go, some change their size.
      if (key % 5 == 0 && round % 3 == 0) f.send(fmt::format("k{}", key), std::nullopt);
      f.send(fmt::format("k{}", key), fmt::format("{}:{}:{}", key, round, std::string(std::size_t(round) * 7, 'v')));
    }
    f.flush();
    if (round % 20 == 0) CHECK(store->request_flush() > 0);
  }
  f.catch_up(*store);
  f.catch_up(*replica);
  stop.store(true);
  for (std::thread& reader : readers) reader.join();
  CHECK(wrong.load() == 0);
  CHECK(reads.load() > 0);
  CHECK(f.contents(*store) == f.model);
  CHECK(f.contents(*replica) == f.model);
  store->on_change({});
  must(replica->stop());
  must(store->stop());
  CHECK(f.contents(*f.open_and_catch_up()) == f.model);
}

TEST_CASE("partitions that the source gains are taken while readers read") {
  StoreFixture f;
  StoreOptions copies = f.options();
  copies.replica_only = true;
  const auto store = f.open();
  const auto replica = f.open(copies);
  for (int i = 0; i < 50; ++i) f.send(fmt::format("k{}", i), "before");
  f.catch_up(*store);
  f.catch_up(*replica);
  std::atomic<bool> stop = false;
  std::vector<std::thread> readers;
  for (const Store* from : {store.get(), replica.get()}) {
    readers.emplace_back([&stop, from] {
      while (!stop.load()) {
        (void)StoreFixture::get(*from, "k7");
        (void)from->home_of("k7");
        (void)from->status();
      }
    });
  }
  must(f.backend->add_partitions("source", 2));
  auto late = must(f.backend->open_producer("source", {.partition = PartitionId{4}}));
  must(late->send({.key = "late", .value = "after"}));
  must(late->flush());
  const SteadyTime deadline = std::chrono::steady_clock::now() + std::chrono::seconds(40);
  for (const Store* one : {store.get(), replica.get()})
    while (StoreFixture::get(*one, "late") != "after" && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(Milliseconds(10));
  stop.store(true);
  for (std::thread& reader : readers) reader.join();
  f.model["late"] = "after";
  for (const Store* one : {store.get(), replica.get()}) {
    CHECK(one->status().size() == 5);
    CHECK(f.contents(*one) == f.model);
  }
  CHECK(store->flushed(0));
  must(store->stop());
}

TEST_CASE("records without a key are passed over, and a transform makes what is stored") {
  StoreFixture f;
  StoreOptions options = f.options();
  options.make_transform = []() -> Result<Transform> {
    return Transform([](std::span<const std::string_view> in, std::vector<std::string>& out) -> Result<void> {
      for (const std::string_view value : in) out.push_back(fmt::format("<{}>", value));
      return {};
    });
  };
  const auto store = f.open(options);
  const auto producer = must(f.backend->open_producer("source", {}));
  must(producer->send({.value = "keyless"}));
  must(producer->flush());
  f.send("a", "1");
  f.send("b", "2");
  f.send("b", std::nullopt);
  f.catch_up(*store);
  CHECK(StoreFixture::contents(*store) == Model{{"a", "<1>"}});
  CHECK(store->skipped() == 1);
}

TEST_CASE("a source that holds less than was read of it is refused") {
  StoreFixture f;
  for (int i = 0; i < 30; ++i) f.send(fmt::format("k{}", i), "v");
  f.flush();
  f.producer.reset();
  const std::filesystem::path topic = f.temp / "data/topics/source";
  const std::filesystem::path older = f.temp / "older";
  std::filesystem::copy(topic, older, std::filesystem::copy_options::recursive);
  for (int i = 0; i < 100; ++i) f.send(fmt::format("k{}", i), "v");
  must(f.open_and_catch_up()->stop());
  f.producer.reset();
  std::filesystem::remove_all(topic);
  std::filesystem::rename(older, topic);
  auto store = f.open();
  for (int i = 0; i < 2000 && !store->failure(); ++i) std::this_thread::sleep_for(Milliseconds(5));
  REQUIRE(store->failure());
  CHECK(store->failure()->code == Code::configuration);
  CHECK(code_of(store->stop()) == Code::configuration);
}

TEST_CASE("what is damaged ends the store with the place of the damage") {
  StoreFixture f;
  for (int i = 0; i < 100; ++i) f.send(fmt::format("k{}", i), "v");
  f.flush();
  f.producer.reset();
  const std::string path = f.temp / "data/topics/source/0/00000000000000000000.log";
  REQUIRE(read_file(path).size() > 100);
  flip_byte(path, 80);
  const auto store = f.open();
  for (int i = 0; i < 2000 && !store->failure(); ++i) std::this_thread::sleep_for(Milliseconds(5));
  REQUIRE(store->failure());
  CHECK(store->failure()->code == Code::damaged);
}
