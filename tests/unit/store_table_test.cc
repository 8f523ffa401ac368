#include "leat/store/table.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>

using namespace leat;

namespace {

constexpr HashKey kSecret = {7, 7, 7};

void put(Table& table, const std::string& key, const std::string& value, std::int64_t offset = 0) {
  table.put(table.hash(key), table.make(key, value, {offset}));
  table.reclaim();
}

std::optional<std::string> find(const Table& table, const std::string& key) {
  const ReadGuard guard;
  const auto found = table.find(key);
  if (!found) return std::nullopt;
  CHECK(found->key == key);
  return std::string(found->value);
}

std::vector<std::string> scan(const Table& table, const std::optional<std::string>& after = {},
                              std::size_t limit = SIZE_MAX) {
  std::vector<std::string> keys;
  table.scan(after, [&](const StoredValue& value) {
    keys.emplace_back(value.key);
    return keys.size() < limit;
  });
  return keys;
}

}  // namespace

TEST_CASE("a table holds what a map holds, whatever is put and erased") {
  Table table(kSecret);
  std::map<std::string, std::string> model;
  std::mt19937 random(4);
  for (int i = 0; i < 200'000; ++i) {
    const std::string key = fmt::format("k{}", random() % 9000);
    if (random() % 3 == 0) {
      table.erase(table.hash(key), key);
      model.erase(key);
    } else {
      const std::string value(random() % 40, static_cast<char>('a' + random() % 26));
      put(table, key, value, i);
      model[key] = value;
    }
  }
  CHECK(table.size() == static_cast<std::int64_t>(model.size()));
  std::int64_t payload = 0;
  for (const auto& [key, value] : model) {
    payload += static_cast<std::int64_t>(key.size() + value.size());
    REQUIRE(find(table, key) == value);
  }
  CHECK(table.payload_bytes() == payload);
  CHECK(!find(table, "other"));
  const std::vector<std::string> keys = scan(table);
  CHECK(keys.size() == model.size());
  for (const std::string& key : keys) REQUIRE(model.contains(key));
  CHECK(std::set(keys.begin(), keys.end()).size() == keys.size());
}

TEST_CASE("keys and values may be empty, and hold any byte") {
  Table table(kSecret);
  put(table, "", "");
  put(table, std::string("\0\xff", 2), std::string("\0", 1));
  CHECK(find(table, "") == "");
  CHECK(find(table, std::string("\0\xff", 2)) == std::string("\0", 1));
  CHECK(scan(table).size() == 2);
}

TEST_CASE("pages of a scan are the scan, in an order that neither size nor history changes") {
  Table grown(kSecret);
  Table roomy(kSecret, 100'000);
  for (int i = 0; i < 5000; ++i) put(grown, fmt::format("gone{}", i), "x");
  for (int i = 0; i < 5000; ++i) {
    put(grown, fmt::format("k{}", i), "x");
    put(roomy, fmt::format("k{}", 4999 - i), "x");
  }
  for (int i = 0; i < 5000; ++i) grown.erase(grown.hash(fmt::format("gone{}", i)), fmt::format("gone{}", i));
  const std::vector<std::string> all = scan(grown);
  CHECK(all.size() == 5000);
  CHECK(scan(roomy) == all);
  std::vector<std::string> paged;
  for (std::vector<std::string> page = scan(grown, {}, 7); !page.empty(); page = scan(grown, paged.back(), 7))
    paged.insert(paged.end(), page.begin(), page.end());
  CHECK(paged == all);
  for (const std::size_t at : {0U, 10U, 4998U}) {
    std::string next;
    grown.scan_behind(grown.hash(all[at]), [&](const StoredValue& value) {
      next = value.key;
      return false;
    });
    CHECK(next == all[at + 1]);
  }
  // The key that a page ended with may have gone.
  grown.erase(grown.hash(all[10]), all[10]);
  CHECK(scan(grown, all[10], 2) == std::vector(all.begin() + 11, all.begin() + 13));
}

TEST_CASE("readers see a key's old value or its new one while a writer changes and moves everything") {
  Table table(kSecret);
  constexpr int kKeys = 400;
  const auto value_of = [](int key, int round) { return fmt::format("{}:{}:{}", key, round, std::string(50, 'v')); };
  for (int key = 0; key < kKeys; ++key) put(table, fmt::format("k{}", key), value_of(key, 0));
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0;
  std::atomic<std::int64_t> reads = 0;
  std::vector<std::thread> readers;
  for (unsigned seed = 0; seed < 2; ++seed) {
    readers.emplace_back([&, seed] {
      std::minstd_rand random(seed + 1);
      while (!stop.load()) {
        const int key = static_cast<int>(random() % kKeys);
        const auto value = find(table, fmt::format("k{}", key));
        const std::string prefix = fmt::format("{}:", key);
        if (!value || !value->starts_with(prefix) || !value->ends_with(std::string(50, 'v'))) wrong.fetch_add(1);
        if (reads.fetch_add(1) % 512 == 0) {
          std::size_t seen = 0;
          for (const std::string& scanned : scan(table)) seen += scanned.starts_with('k') ? 1 : 0;
          if (seen != kKeys) wrong.fetch_add(1);
        }
      }
    });
  }
  for (int round = 1; round < 40 || reads.load() < 2000; ++round) {
    // What stays as it is gets in the way of what goes, and is moved.
    for (int key = 0; key < kKeys; ++key)
      if (key % 4 != 0) put(table, fmt::format("k{}", key), value_of(key, round));
    // Shards grow, and are cleared of what was deleted.
    for (int i = 0; i < 500; ++i) put(table, fmt::format("x{}-{}", round, i), "x");
    for (int i = 0; i < 500; ++i) {
      const std::string key = fmt::format("x{}-{}", round, i);
      table.erase(table.hash(key), key);
    }
  }
  stop.store(true);
  for (std::thread& reader : readers) reader.join();
  CHECK(wrong.load() == 0);
  CHECK(table.size() == kKeys);
}

TEST_CASE("memory stays within a bound of what lives, whatever sizes come and go") {
  Table table(kSecret);
  std::map<std::string, std::string> model;
  std::mt19937 random(8);
  std::size_t most = 0;
  for (int round = 0; round < 60; ++round) {
    // Sizes differ from round to round, now and then by much, and some keys are changed in the first rounds only.
    const std::size_t size = round % 7 == 3 ? 200'000 : 20 + random() % 600;
    const int changes = size > 1000 ? 20 : 8000;
    for (int i = 0; i < changes; ++i) {
      const int key = static_cast<int>(random() % (round < 5 ? 10'000 : 5000));
      const std::string name = fmt::format("key{}", key);
      if (random() % 10 == 0) {
        table.erase(table.hash(name), name);
        model.erase(name);
      } else {
        put(table, name, std::string(size, static_cast<char>('a' + round % 26)));
        model[name] = std::string(size, static_cast<char>('a' + round % 26));
      }
      if (random() % 100 == 0) table.discard(table.make(name, "never put", {0}));
    }
    table.reclaim();
    std::size_t live = 0;
    for (const auto& [key, value] : model) live += Entry::bytes_for(key.size() + value.size());
    // A fifth are holes, runs end with some room, and a few runs more.
    most = std::max(most, table.held_bytes() * 100 / (live + (2 << 20)));
  }
  CHECK(most < 135);
  CHECK(table.size() == static_cast<std::int64_t>(model.size()));
  for (const auto& [key, value] : model) CHECK(find(table, key) == value);
}
