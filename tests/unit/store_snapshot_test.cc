#include "leat/store/snapshot.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>

#include "leat/base/file_lock.h"
#include "tests/support/backend_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

constexpr HashKey kIncarnation = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

using Contents = std::map<std::string, std::string>;

void fill(Table& table, const Contents& contents) {
  for (const auto& [key, value] : contents) table.put(table.hash(key), table.make(key, value, {5}));
}

struct Snapshots {
  Snapshots() {
    for (int i = 0; i < 3000; ++i)
      contents[fmt::format("key-{}", i)] = std::string(static_cast<std::size_t>(i) % 900, 'v');
    contents[""] = std::string("\0\n", 2);
    fill(table, contents);
  }

  SnapshotPlace place() const { return must(SnapshotPlace::make(temp.path(), "s")); }
  std::string path() const { return temp / "stores/s/3.snapshot"; }
  bool write(std::int64_t next = 100) const {
    return must(
        place().write({kIncarnation, {next}, {77}, {1'700'000'000'000}, 3, {3}, "s"}, table, [] { return false; }));
  }

  std::optional<SnapshotHeader> read(Contents& read, std::string& notice, const HashKey& incarnation = kIncarnation,
                                     bool fits = true) const {
    return must(place().read(
        {3}, incarnation, [&](const SnapshotHeader&) { return fits; },
        [&](const StoredValue& value) { read.emplace(value.key, value.value); }, notice));
  }

  TempDir temp;
  Contents contents;
  Table table{kIncarnation};
};

}  // namespace

TEST_CASE("a snapshot is read back as it was written") {
  const Snapshots f;
  CHECK(f.write());
  Contents found;
  std::string notice;
  const auto header = f.read(found, notice);
  REQUIRE(header);
  CHECK(header->changelog_next == Offset{100});
  CHECK(header->source_next == Offset{77});
  CHECK(header->written_at == TimestampMs{1'700'000'000'000});
  CHECK(header->store == "s");
  CHECK(found == f.contents);
  CHECK(notice.empty());
}

// What version 01 looks like, for as long as there are such files: never to be changed.
constexpr std::string_view kVersion01 =
    "6c65617473733031a96555430000004a0102030405060708090a0b0c0d0e0f1000000000000003e80000000000000384"
    "0000018bcfe56800000000000000000300000003707269636573"
    "000000030000000ef47cb1100c0200620a02026131d804000263"
    "000000000000000000000003383046a9";

TEST_CASE("a snapshot of version 01 is written, and read, as ever") {
  const TempDir temp;
  const SnapshotPlace place = must(SnapshotPlace::make(temp.path(), "prices"));
  Table table(kIncarnation);
  for (const auto& [key, value, offset] : {std::tuple("a", "1", 5), std::tuple("b", "", 6), std::tuple("", "c", 300)})
    table.put(table.hash(key), table.make(key, value, {offset}));
  const SnapshotHeader header{kIncarnation, {1000}, {900}, {1'700'000'000'000}, 3, {3}, "prices"};
  CHECK(must(place.write(header, table, [] { return false; })));
  std::string digits;
  const std::string written = read_file(temp / "stores/prices/3.snapshot");
  for (const char byte : written) digits += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  CHECK(digits == kVersion01);
  std::map<std::string, std::pair<std::string, std::int64_t>> found;
  std::string notice;
  const auto read = must(place.read(
      {3}, kIncarnation, [](const SnapshotHeader&) { return true; },
      [&](const StoredValue& value) { found[std::string(value.key)] = {std::string(value.value), value.offset.value}; },
      notice));
  REQUIRE(read);
  CHECK(read->source_next == Offset{900});
  CHECK(found == decltype(found){{"a", {"1", 5}}, {"b", {"", 6}}, {"", {"c", 300}}});
}

TEST_CASE("a snapshot of another changelog, or one that does not fit, is passed over") {
  const Snapshots f;
  Contents found;
  std::string notice;
  CHECK(!f.read(found, notice));
  f.write();
  CHECK(!f.read(found, notice, {9}));
  CHECK(!f.read(found, notice, kIncarnation, false));
  CHECK(notice.empty());
  CHECK(found.empty());
}

TEST_CASE("a newer snapshot is not replaced by an older one, nor one that somebody is writing") {
  const Snapshots f;
  CHECK(f.write(100));
  CHECK(!f.write(99));
  CHECK(!f.write(100));
  CHECK(f.write(101));
  const Directory directory = must(Directory::open_root(f.temp / "stores/s"));
  const File lock = must(directory.open_file("lock", OpenMode::create_or_open));
  CHECK(must(try_lock_range(lock, {3, 1}, LockKind::exclusive)));
  CHECK(!f.write(102));
}

TEST_CASE("a snapshot that was begun and given up leaves what was there") {
  const Snapshots f;
  CHECK(f.write(100));
  CHECK(!must(f.place().write({kIncarnation, {200}, {0}, {0}, 0, {3}, "s"}, f.table, [] { return true; })));
  Contents found;
  std::string notice;
  CHECK(f.read(found, notice)->changelog_next == Offset{100});
  CHECK(must(must(Directory::open_root(f.temp / "stores/s")).list()) == Strings{"3.snapshot", "lock"});
}

TEST_CASE("a snapshot with any byte changed, or cut anywhere, is not used") {
  Snapshots f;
  f.table.erase(f.table.hash(""), "");
  Table small(kIncarnation);
  fill(small, {{"a", "1"}, {"b", ""}, {"", "c"}});
  must(f.place().write({kIncarnation, {100}, {77}, {1}, 3, {3}, "s"}, small, [] { return false; }));
  const std::string whole = read_file(f.path());
  for (std::size_t at = 0; at < whole.size(); ++at) {
    CAPTURE(at);
    std::string bad = whole;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    write_file(f.path(), bad);
    Contents found;
    std::string notice;
    // Another incarnation is another changelog's; everything else is damage, and said.
    CHECK(!f.read(found, notice));
    CHECK(!notice.empty());
    write_file(f.path(), whole.substr(0, at));
    CHECK(!f.read(found, notice));
  }
  write_file(f.path(), whole);
  Contents found;
  std::string notice;
  CHECK(f.read(found, notice));
}
