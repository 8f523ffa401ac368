// Which table a store keeps its values in: the store's own, liburcu's cds_lfht, and maps behind locks, one after the
// other on the same keys. Prints a line each: bytes a key beside key and value, reads a second alone and beside a
// writer, and how many changes a second that writer made. The figures in store/table.h come from here.
#include <fmt/format.h>
#include <unistd.h>
#include <urcu/urcu-memb.h>
#define URCU_API_MAP
#include <urcu/map/urcu-memb.h>
#include <urcu/rculfhash.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "leat/store/table.h"

namespace {

using leat::Entry;

constexpr std::size_t kKeys = 2'000'000;
constexpr std::size_t kValueBytes = 200;
constexpr auto kPeriod = std::chrono::seconds(3);

std::string key_of(std::size_t number) {
  return fmt::format("key-{:012}", number);
}

// Memory in use, whoever has got it from the kernel.
std::size_t resident() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

class Own {
 public:
  void put(const std::string& key, const std::string& value) {
    table_.put(table_.hash(key), table_.make(key, value, {1}));
    table_.reclaim();
  }
  std::size_t read(const std::string& key) const {
    const leat::ReadGuard guard;
    const auto found = table_.find(key);
    return found ? found->value.size() : 0;
  }
  static void enter() {}
  static void leave() {}

 private:
  leat::Table table_{{1, 2, 3}};
};

class Lfht {
  struct Node {
    cds_lfht_node node;
    rcu_head head;
    Entry* entry;
  };

 public:
  void put(const std::string& key, const std::string& value) {
    void* memory = std::malloc(Entry::bytes_for(key.size() + value.size()));
    auto* node = new Node{{}, {}, ::new (memory) Entry(key, value, {1})};
    cds_lfht_node_init(&node->node);
    urcu_memb_read_lock();
    cds_lfht_node* old = cds_lfht_add_replace(table_, hasher_.hash(key), match, &key, &node->node);
    urcu_memb_read_unlock();
    if (old == nullptr) return;
    urcu_memb_call_rcu(&caa_container_of(old, Node, node)->head, [](rcu_head* head) {
      Node* const gone = caa_container_of(head, Node, head);
      std::free(gone->entry);
      delete gone;
    });
  }
  std::size_t read(const std::string& key) const {
    urcu_memb_read_lock();
    cds_lfht_iter iter;
    cds_lfht_lookup(table_, hasher_.hash(key), match, &key, &iter);
    cds_lfht_node* node = cds_lfht_iter_get_node(&iter);
    const std::size_t size = node == nullptr ? 0 : caa_container_of(node, Node, node)->entry->value().size();
    urcu_memb_read_unlock();
    return size;
  }
  static void enter() {
    if (entered++ == 0) urcu_memb_register_thread();
  }
  static void leave() {
    if (--entered == 0) urcu_memb_unregister_thread();
  }

 private:
  static int match(cds_lfht_node* node, const void* key) {
    return caa_container_of(node, Node, node)->entry->key() == *static_cast<const std::string*>(key) ? 1 : 0;
  }

  static inline thread_local int entered = 0;
  leat::Table hasher_{{1, 2, 3}};
  cds_lfht* table_ = cds_lfht_new(1024, 1024, 0, CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING, nullptr);
};

class Sharded {
  struct Shard {
    mutable std::shared_mutex mutex;
    std::unordered_map<std::string, std::string> values;
  };

 public:
  void put(const std::string& key, const std::string& value) {
    Shard& shard = shards_[std::hash<std::string>{}(key) % shards_.size()];
    const std::unique_lock lock(shard.mutex);
    shard.values[key] = value;
  }
  std::size_t read(const std::string& key) const {
    const Shard& shard = shards_[std::hash<std::string>{}(key) % shards_.size()];
    const std::shared_lock lock(shard.mutex);
    const auto found = shard.values.find(key);
    return found == shard.values.end() ? 0 : found->second.size();
  }
  static void enter() {}
  static void leave() {}

 private:
  std::array<Shard, 64> shards_;
};

template <class Act>
double per_second(Act act) {
  const auto started = std::chrono::steady_clock::now();
  std::size_t count = 0;
  while (std::chrono::steady_clock::now() - started < kPeriod)
    for (int i = 0; i < 1000; ++i, ++count) act();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  return static_cast<double>(count) / seconds.count();
}

template <class Tried>
void measure(const char* name) {
  const std::size_t before = resident();
  auto table = std::make_unique<Tried>();
  Tried::enter();
  const std::string value(kValueBytes, 'v');
  for (std::size_t i = 0; i < kKeys; ++i) table->put(key_of(i), value);
  const double beside = static_cast<double>(resident() - before) / kKeys - kValueBytes - 16;
  const auto read_some = [&] {
    Tried::enter();
    std::minstd_rand random(1);
    std::size_t found = 0;
    const double rate = per_second([&] { found += table->read(key_of(random() % kKeys)); });
    Tried::leave();
    if (found == 0) std::abort();
    return rate;
  };
  const double alone = read_some();
  double together = 0;
  std::thread reader([&] { together = read_some(); });
  std::minstd_rand random(2);
  const double changes = per_second([&] { table->put(key_of(random() % kKeys), value); });
  reader.join();
  fmt::print("{:32} {:6.1f} bytes a key, {:6.2f} M reads/s alone, {:6.2f} M beside {:6.2f} M changes/s\n", name, beside,
             alone / 1e6, together / 1e6, changes / 1e6);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view which = argc > 1 ? argv[1] : "";
  if (which == "own") measure<Own>("the store's table");
  if (which == "lfht") measure<Lfht>("cds_lfht");
  if (which == "maps") measure<Sharded>("64 unordered_map, shared_mutex");
  std::_Exit(which.empty() ? EXIT_FAILURE : EXIT_SUCCESS);  // tables of such a size are not taken apart
}
