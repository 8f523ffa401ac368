#include "leat/base/checked_slots.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

struct Pair {
  std::int64_t first;
  std::int64_t second;
  friend bool operator==(const Pair&, const Pair&) = default;
};
using Slots = FileSlots<Pair>;
constexpr std::size_t kSlotBytes = CheckedSlot<Pair>::kBytes;

struct SlotsFile {
  SlotsFile()
      : directory(must(Directory::open_root(temp.path()))),
        file(must(directory.open_file("slots", OpenMode::create_new))) {}

  std::string path() const { return temp / "slots"; }
  Slots::Loaded load() const { return must(Slots::load(file, 0)); }

  TempDir temp;
  Directory directory;
  File file;
};

}  // namespace

TEST_CASE("a value stored in slots is the one that is loaded") {
  SlotsFile slots;
  for (std::int64_t i = 1; i < 6; ++i) {
    must(Slots::store(slots.file, 0, {i, -i}));
    const auto loaded = slots.load();
    CHECK(loaded.health == Slots::Health::good);
    CHECK(loaded.value == Pair{i, -i});
    CHECK(loaded.sequence == static_cast<std::uint64_t>(i));
  }
}

TEST_CASE("slots never written are empty, whether zeros or behind the end of the file") {
  SlotsFile slots;
  CHECK(slots.load().health == Slots::Health::empty);
  write_file(slots.path(), std::string(10, '\0'));
  CHECK(slots.load().health == Slots::Health::empty);
  must(Slots::store(slots.file, 0, {1, 2}));
  must(Slots::clear(slots.file, 0));
  CHECK(slots.load().health == Slots::Health::empty);
  CHECK(must(slots.file.size()) == Slots::kBytes);
}

TEST_CASE("each byte flipped of the newer slot gives the older value, and the next store goes on from it") {
  SlotsFile slots;
  for (const int stores : {2, 3}) {  // the newer one is the first, then the second slot
    must(Slots::clear(slots.file, 0));
    for (std::int64_t i = 1; i <= stores; ++i) must(Slots::store(slots.file, 0, {i, 10 * i}));
    const std::string content = read_file(slots.path());
    const std::size_t newer = static_cast<std::size_t>(stores % 2) * kSlotBytes;
    for (std::size_t at = newer; at < newer + kSlotBytes; ++at) {
      CAPTURE(at);
      flip_byte(slots.path(), at);
      const auto loaded = slots.load();
      REQUIRE(loaded.health == Slots::Health::good);
      REQUIRE(loaded.value == Pair{stores - 1, 10 * (stores - 1)});
      must(Slots::store(slots.file, 0, {77, 77}));
      REQUIRE(slots.load().value == Pair{77, 77});
      write_file(slots.path(), content);
    }
  }
}

TEST_CASE("a store torn after any byte leaves the value before it or the new one") {
  SlotsFile slots;
  must(Slots::store(slots.file, 0, {1, 1}));
  must(Slots::store(slots.file, 0, {2, 2}));
  const std::string before = read_file(slots.path());
  must(Slots::store(slots.file, 0, {3, 3}));
  const std::string after = read_file(slots.path());
  for (std::size_t written = 0; written <= kSlotBytes; ++written) {
    CAPTURE(written);
    std::string torn = before;
    torn.replace(kSlotBytes, written, after, kSlotBytes, written);
    write_file(slots.path(), torn);
    const auto loaded = slots.load();
    REQUIRE(loaded.health == Slots::Health::good);
    REQUIRE(loaded.value == (torn == after ? Pair{3, 3} : Pair{2, 2}));
  }
}

TEST_CASE("both slots bad is damage, never empty") {
  SlotsFile slots;
  must(Slots::store(slots.file, 0, {1, 1}));
  must(Slots::store(slots.file, 0, {2, 2}));
  flip_byte(slots.path(), 3);
  flip_byte(slots.path(), kSlotBytes + 9);
  CHECK(slots.load().health == Slots::Health::damaged);
  // One slot that was never written does not make the other one's damage good.
  must(Slots::clear(slots.file, 0));
  must(Slots::store(slots.file, 0, {1, 1}));
  flip_byte(slots.path(), kSlotBytes + 9);
  CHECK(slots.load().health == Slots::Health::damaged);
}

TEST_CASE("a read error is not taken for an empty slot") {
  SlotsFile slots;
  must(Slots::store(slots.file, 0, {1, 1}));
  set_disk_fault_hook([](DiskCall call, std::string_view) { return call == DiskCall::read ? EIO : 0; });
  const auto loaded = Slots::load(slots.file, 0);
  const auto stored = Slots::store(slots.file, 0, {2, 2});
  set_disk_fault_hook(nullptr);
  REQUIRE(!loaded);
  CHECK(loaded.error().code == Code::io);
  CHECK(!stored);
  CHECK(slots.load().value == Pair{1, 1});
}

TEST_CASE("shared slots start empty and hold what was stored last") {
  const auto slots = std::make_unique<SharedSlots<Pair>>();
  CHECK(!slots->load());
  for (std::int64_t i = 1; i < 5; ++i) {
    slots->store({i, i});
    REQUIRE(slots->load());
    CHECK(slots->load()->value == Pair{i, i});
  }
}

TEST_CASE("readers beside a writer of shared slots never see a mix, nothing, or an older value than before") {
  const auto slots = std::make_unique<SharedSlots<Pair>>();
  slots->store({0, 0});
  constexpr std::int64_t kStores = 200'000;
  std::atomic<int> mixed = 0;
  std::atomic<int> missing = 0;
  std::atomic<int> backwards = 0;
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&] {
      std::uint64_t last = 0;
      while (!done.load()) {
        const auto found = slots->load();
        if (!found) {
          ++missing;
          continue;
        }
        if (found->value.second != -3 * found->value.first) ++mixed;
        if (found->sequence < last) ++backwards;
        last = found->sequence;
      }
    });
  }
  for (std::int64_t i = 1; i <= kStores; ++i) slots->store({i, -3 * i});
  done = true;
  for (std::thread& reader : readers) reader.join();
  CHECK(mixed == 0);
  CHECK(missing == 0);
  CHECK(backwards == 0);
  CHECK(slots->load()->value == Pair{kStores, -3 * kStores});
}
