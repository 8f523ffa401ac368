#include "leat/store/table.h"

#include <sodium.h>
#include <urcu/urcu-memb.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <utility>

#include "leat/base/error.h"

#ifdef __SANITIZE_THREAD__
extern "C" void __tsan_acquire(void* address);  // NOLINT(bugprone-reserved-identifier): the sanitizer's own
extern "C" void __tsan_release(void* address);  // NOLINT(bugprone-reserved-identifier)
#endif

namespace leat {

namespace {

constexpr std::uint64_t kNever = 0;
constexpr std::uint64_t kDeleted = 1;
constexpr int kAddressBits = 45;  // of an address of 48 bits, a multiple of 8
constexpr int kTagBits = 64 - kAddressBits;
constexpr std::uint64_t kAddressMask = (std::uint64_t{1} << kAddressBits) - 1;
constexpr std::size_t kSlotsMin = 8;
// What was replaced is handed over when there is so much of it: little is asked of the thread that frees it.
constexpr std::size_t kRetiredBytesMax = 512 << 10;
// So many such lots may wait; whoever makes more waits, too.
constexpr int kLotsMax = 16;
// Slots that a scan looks at under one guard.
constexpr std::size_t kChunkSlots = 512;

// A thread must be known to the library before it reads.
struct Registration {
  Registration() { urcu_memb_register_thread(); }
  ~Registration() { urcu_memb_unregister_thread(); }
};

// ThreadSanitizer does not know what a grace period orders: everything that a reader did before it left, and that the
// writer did before it handed memory over, comes before that is freed.
#ifdef __SANITIZE_THREAD__
char grace;
void note_done() {
  __tsan_release(&grace);
}
void note_grace() {
  __tsan_acquire(&grace);
}
#else
void note_done() {}
void note_grace() {}
#endif

const Entry* entry_of(std::uint64_t slot) {
  return reinterpret_cast<const Entry*>((slot & kAddressMask) << 3);  // NOLINT(performance-no-int-to-ptr): it shares
}

}  // namespace

ReadGuard::ReadGuard() {
  thread_local const Registration registration;
  (void)registration;
  urcu_memb_read_lock();
}

ReadGuard::~ReadGuard() {
  note_done();
  urcu_memb_read_unlock();
}

// The bits of a hash that follow those which choose the shard: where a slot's home is, and whose it may be.
std::uint64_t Table::tag_of(std::uint64_t hash) {
  return hash << kShardBits >> kAddressBits << kAddressBits;
}

std::uint64_t Table::slot_of(std::uint64_t hash, const Entry* entry) {
  const auto address = reinterpret_cast<std::uintptr_t>(entry);
  ASSERT(address % 8 == 0 && (address >> 3 & ~kAddressMask) == 0 && address >> 3 > kDeleted);
  return tag_of(hash) | address >> 3;
}

// An array of slots; followed by them in memory.
struct Table::Shard {
  using Slot = std::atomic<std::uint64_t>;

  std::size_t mask;
  int shift;             // of a hash without the bits that chose the shard, to its home
  std::size_t used = 0;  // not kNever; the writer's

  Slot* slots() { return reinterpret_cast<Slot*>(this + 1); }
  const Slot* slots() const { return reinterpret_cast<const Slot*>(this + 1); }
  std::size_t home(std::uint64_t hash) const { return static_cast<std::size_t>((hash << kShardBits) >> shift); }
  std::size_t bytes() const { return sizeof(Shard) + (mask + 1) * sizeof(Slot); }

  static Shard* make(std::size_t count) {
    ASSERT(std::has_single_bit(count));
    // Zeros are kNever, and those of a large block cost nothing before they are used.
    void* memory = std::calloc(1, sizeof(Shard) + count * sizeof(Slot));
    if (memory == nullptr) throw std::bad_alloc();
    return ::new (memory) Shard{count - 1, 64 - std::countr_zero(count)};
  }
};

// What was replaced and not handed over to be freed yet: a lot.
struct Table::Retired {
  rcu_head head;  // the first, so that its address is the lot's
  std::vector<Shard*> shards;
  std::vector<EntryHeap::Run*> runs;
  std::size_t bytes = 0;

  static inline std::atomic<int> waiting = 0;

  ~Retired() {
    for (Shard* shard : shards) std::free(shard);
    for (EntryHeap::Run* run : runs) EntryHeap::free_run(run);
  }

  void add(Shard* shard) {
    shards.push_back(shard);
    bytes += shard->bytes();
  }

  void add(std::span<EntryHeap::Run* const> more) {
    runs.insert(runs.end(), more.begin(), more.end());
    for (const EntryHeap::Run* run : more) bytes += EntryHeap::bytes_of(run);
  }

  static void free_lot(rcu_head* head) {
    note_grace();
    delete reinterpret_cast<Retired*>(head);
    waiting.fetch_sub(1, std::memory_order_relaxed);
  }
};

Table::Table(const HashKey& hash_key, std::int64_t capacity)
    : hash_key_(hash_key), retired_(std::make_unique<Retired>()) {
  if (capacity <= 0) return;
  const auto per_shard = static_cast<std::size_t>(capacity) / kShards * 8 / 7 + 1;
  const std::size_t slots = std::bit_ceil(std::max(kSlotsMin, per_shard));
  for (auto& shard : shards_) shard.store(Shard::make(slots), std::memory_order_relaxed);
}

Table::~Table() {
  for (auto& place : shards_) std::free(place.load(std::memory_order_relaxed));
}

std::uint64_t Table::hash(std::string_view key) const {
  std::uint64_t hash = 0;
  static_assert(crypto_shorthash_BYTES == sizeof hash && crypto_shorthash_KEYBYTES == std::tuple_size_v<HashKey>);
  crypto_shorthash(reinterpret_cast<unsigned char*>(&hash), reinterpret_cast<const unsigned char*>(key.data()),
                   key.size(), hash_key_.data());
  return hash;
}

void Table::prefetch(std::uint64_t hash) const {
  const Shard* shard = shards_[hash >> (64 - kShardBits)].load(std::memory_order_relaxed);
  if (shard != nullptr) __builtin_prefetch(&shard->slots()[shard->home(hash)]);
}

std::optional<StoredValue> Table::find(std::string_view key) const {
  const std::uint64_t hash = this->hash(key);
  const Shard* shard = shards_[hash >> (64 - kShardBits)].load(std::memory_order_acquire);
  if (shard == nullptr) return std::nullopt;
  for (std::size_t i = shard->home(hash);; i = (i + 1) & shard->mask) {
    const std::uint64_t slot = shard->slots()[i].load(std::memory_order_acquire);
    if (slot == kNever) return std::nullopt;
    if (slot == kDeleted || ((slot ^ tag_of(hash)) & ~kAddressMask) != 0) continue;
    if (const Entry* entry = entry_of(slot); entry->key() == key) return entry->view();
  }
}

void Table::discard(Entry* entry) {
  heap_.settle(entry);
  heap_.drop(entry);
}

void Table::put(std::uint64_t hash, Entry* entry) {
  heap_.settle(entry);
  auto& place = shards_[hash >> (64 - kShardBits)];
  Shard* shard = place.load(std::memory_order_relaxed);
  if (shard == nullptr || (shard->used + 1) * 8 > (shard->mask + 1) * 7) {
    rebuild(place, kSlotsMin);
    shard = place.load(std::memory_order_relaxed);
  }
  Shard::Slot* free = nullptr;
  std::size_t i = shard->home(hash);
  for (;; i = (i + 1) & shard->mask) {
    const std::uint64_t slot = shard->slots()[i].load(std::memory_order_relaxed);
    if (slot == kNever) break;
    if (slot == kDeleted) {
      if (free == nullptr) free = &shard->slots()[i];
      continue;
    }
    if (((slot ^ tag_of(hash)) & ~kAddressMask) != 0) continue;
    const Entry* old = entry_of(slot);
    if (old->key() != entry->key()) continue;
    payload_.fetch_add(static_cast<std::int64_t>(entry->payload()) - static_cast<std::int64_t>(old->payload()),
                       std::memory_order_relaxed);
    shard->slots()[i].store(slot_of(hash, entry), std::memory_order_release);
    heap_.drop(old);
    return;
  }
  if (free == nullptr) {
    free = &shard->slots()[i];
    ++shard->used;
  }
  payload_.fetch_add(static_cast<std::int64_t>(entry->payload()), std::memory_order_relaxed);
  size_.fetch_add(1, std::memory_order_relaxed);
  free->store(slot_of(hash, entry), std::memory_order_release);
}

void Table::erase(std::uint64_t hash, std::string_view key) {
  Shard* shard = shards_[hash >> (64 - kShardBits)].load(std::memory_order_relaxed);
  if (shard == nullptr) return;
  for (std::size_t i = shard->home(hash);; i = (i + 1) & shard->mask) {
    const std::uint64_t slot = shard->slots()[i].load(std::memory_order_relaxed);
    if (slot == kNever) return;
    if (slot == kDeleted || ((slot ^ tag_of(hash)) & ~kAddressMask) != 0) continue;
    const Entry* old = entry_of(slot);
    if (old->key() != key) continue;
    shard->slots()[i].store(kDeleted, std::memory_order_release);
    payload_.fetch_sub(static_cast<std::int64_t>(old->payload()), std::memory_order_relaxed);
    size_.fetch_sub(1, std::memory_order_relaxed);
    heap_.drop(old);
    return;
  }
}

// A shard of twice the size where it is more than half full of entries, else of the same: what was deleted goes.
void Table::rebuild(std::atomic<Shard*>& place, std::size_t slots) {
  Shard* old = place.load(std::memory_order_relaxed);
  std::size_t live = 0;
  if (old != nullptr) {
    for (std::size_t i = 0; i <= old->mask; ++i)
      live += old->slots()[i].load(std::memory_order_relaxed) > kDeleted ? 1 : 0;
    slots = old->mask + 1;
    if (live * 2 >= slots) slots *= 2;
  }
  Shard* grown = Shard::make(slots);
  // A slot tells its home, but in a huge shard: what is in it need not be looked at.
  const bool told = 64 - grown->shift <= kTagBits;
  for (std::size_t i = 0; old != nullptr && i <= old->mask; ++i) {
    const std::uint64_t slot = old->slots()[i].load(std::memory_order_relaxed);
    if (slot <= kDeleted) continue;
    std::size_t to = told ? static_cast<std::size_t>(slot >> grown->shift) : grown->home(hash(entry_of(slot)->key()));
    while (grown->slots()[to].load(std::memory_order_relaxed) != kNever) to = (to + 1) & grown->mask;
    grown->slots()[to].store(slot, std::memory_order_relaxed);
  }
  grown->used = live;
  place.store(grown, std::memory_order_release);
  if (old != nullptr) retired_->add(old);
}

// The slot that holds this very entry; nullptr when it was replaced or deleted.
std::atomic<std::uint64_t>* Table::place_of(std::uint64_t hash, const Entry* entry) {
  Shard* shard = shards_[hash >> (64 - kShardBits)].load(std::memory_order_relaxed);
  if (shard == nullptr) return nullptr;
  const std::uint64_t wanted = slot_of(hash, entry);
  for (std::size_t i = shard->home(hash);; i = (i + 1) & shard->mask) {
    const std::uint64_t slot = shard->slots()[i].load(std::memory_order_relaxed);
    if (slot == wanted) return &shard->slots()[i];
    if (slot == kNever) return nullptr;
  }
}

// Readers see the one or the other, which are alike.
void Table::move_out(EntryHeap::Run& run) {
  constexpr std::size_t kTogether = 16;  // so many slots are asked for at a time
  std::vector<std::pair<std::uint64_t, const Entry*>> some;
  const auto move = [&] {
    for (const auto& [hash, entry] : some) {
      Shard::Slot* const slot = place_of(hash, entry);
      if (slot == nullptr) continue;
      Entry* const moved = heap_.copy_of(*entry);
      slot->store(slot_of(hash, moved), std::memory_order_release);
      heap_.settle(moved);
      heap_.drop(entry);
    }
    some.clear();
  };
  heap_.walk(run, [&](const Entry* entry) {
    some.emplace_back(hash(entry->key()), entry);
    prefetch(some.back().first);
    if (some.size() == kTogether) move();
  });
  move();
}

void Table::reclaim() {
  while (EntryHeap::Run* const run = heap_.crowded_with_holes()) move_out(*run);
  retired_->add(heap_.take_empty());
  if (retired_->bytes < kRetiredBytesMax) return;
  if (Retired::waiting.fetch_add(1, std::memory_order_relaxed) >= kLotsMax) urcu_memb_barrier();
  Retired* lot = std::exchange(retired_, std::make_unique<Retired>()).release();
  static_assert(offsetof(Retired, head) == 0);
  note_done();
  urcu_memb_call_rcu(&lot->head, Retired::free_lot);
}

// ---- Scanning ----

// The order of a scan: by hash, then by key. A part of it that is looked at at once: the hashes from `from` up to
// `below`, which is absent at the end of the shard.
struct Table::Chunk {
  struct Found {
    std::uint64_t hash;
    const Entry* entry;
  };

  std::uint64_t from;
  std::optional<std::uint64_t> below;
  std::vector<Found> found;
};

// Entries lie at or behind their home, with no unused slot between.
void Table::collect(const Shard& shard, Chunk& chunk) const {
  const std::size_t first = shard.home(chunk.from);
  const std::size_t slots = shard.mask + 1;
  const std::uint64_t high = chunk.from >> (64 - kShardBits) << (64 - kShardBits);
  chunk.below.reset();
  if (first + kChunkSlots < slots) chunk.below = high | std::uint64_t{first + kChunkSlots} << shard.shift >> kShardBits;
  chunk.found.clear();
  const std::size_t homes = std::min(kChunkSlots, slots - first);
  for (std::size_t i = 0; i < slots; ++i) {
    const std::uint64_t slot = shard.slots()[(first + i) & shard.mask].load(std::memory_order_acquire);
    if (slot == kNever && i + 1 >= homes) break;
    if (slot <= kDeleted) continue;
    const Entry* entry = entry_of(slot);
    const std::uint64_t hash = this->hash(entry->key());
    if (hash >= chunk.from && (!chunk.below || hash < *chunk.below)) chunk.found.push_back({hash, entry});
  }
  std::ranges::sort(chunk.found, [](const Chunk::Found& a, const Chunk::Found& b) {
    return a.hash != b.hash ? a.hash < b.hash : a.entry->key() < b.entry->key();
  });
}

void Table::scan(std::optional<std::string_view> after, const std::function<bool(const StoredValue&)>& use) const {
  scan_from(after ? std::optional(hash(*after)) : std::nullopt, after, use);
}

void Table::scan_behind(std::uint64_t hash, const std::function<bool(const StoredValue&)>& use) const {
  scan_from(hash, std::nullopt, use);
}

// Without a key, what has the hash is passed over whole.
void Table::scan_from(std::optional<std::uint64_t> after, std::optional<std::string_view> key,
                      const std::function<bool(const StoredValue&)>& use) const {
  const auto is_before = [&](const Chunk::Found& found) {
    if (!after || found.hash != *after) return after && found.hash < *after;
    return !key || found.entry->key() <= *key;
  };
  Chunk chunk{};
  chunk.from = after.value_or(0);
  for (std::size_t shard_number = chunk.from >> (64 - kShardBits); shard_number < kShards;) {
    const ReadGuard guard;
    const Shard* shard = shards_[shard_number].load(std::memory_order_acquire);
    chunk.below.reset();
    if (shard != nullptr) {
      collect(*shard, chunk);
      for (const Chunk::Found& found : chunk.found) {
        if (is_before(found)) continue;
        if (!use(found.entry->view())) return;
      }
    }
    if (chunk.below) {
      chunk.from = *chunk.below;
    } else {
      chunk.from = std::uint64_t{++shard_number} << (64 - kShardBits);
    }
  }
}

}  // namespace leat
