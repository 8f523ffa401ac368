// The values of one partition in memory, each once: an open-addressing hash table that one thread changes while any
// number of others read it without locks.
//
//   entry    offset of the source record 8, key bytes 4, value bytes 4, key, value; in runs of memory (entry_heap.h)
//   slot     8 bytes: 0 never used, 1 deleted, else 19 bits of the hash and an address of 48 bits without its low 3
//   shard    2^n slots, linear probing, a slot's home is its hash's next bits; at most 7/8 in use
//   table    256 shards, by the top 8 bits of the hash, each of which grows on its own
//
// The 19 bits are those behind the shard's, the home and a few more: a shard of up to 2^19 slots grows without a look
// at its entries.
//
// The hash is SipHash-2-4 under a key that is random per changelog: who writes the source cannot aim at one shard. The
// key stays for the life of the changelog, so that the order of a scan does, too.
//
// Readers. A slot is published by one release store; entries and arrays that were replaced are freed after a grace
// period of userspace RCU (the memb flavour: entering and leaving cost a few instructions, the other side pays with
// sys_membarrier), by its own thread: a reader that is preempted does not hold up the writer. A reader sees each key's
// old or new value, never none between the two.
//
// Why not liburcu's cds_lfht, which is made for it: one writer needs no compare-and-swap, and its nodes and buckets
// cost more than slots. tests/bench/store_tables.cc, 2 million keys of 16 bytes with values of 200, on two processors
// that had nothing else to do, millions a second; the bytes are those of memory in use beside key and value:
//
//                                  bytes a key    reads alone    reads beside a writer    its changes
//   this table                         37.6           1.97               1.88                0.97
//   cds_lfht                           96.6           1.14               0.95                0.47
//   64 unordered_maps, shared_mutex   146.9           0.84               0.65                0.62
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/types.h"
#include "leat/store/entry_heap.h"

namespace leat {

// What one thread reads from tables must be read while it has one of these. Cheap; may be nested. Not to be held while
// waiting for anything: what is replaced meanwhile cannot be freed.
class ReadGuard {
 public:
  ReadGuard();
  ~ReadGuard();
  ReadGuard(const ReadGuard&) = delete;
  ReadGuard& operator=(const ReadGuard&) = delete;
};

// The secret of the hash.
using HashKey = std::array<std::uint8_t, 16>;

class Table {
 public:
  // `capacity` keys fit without growing.
  explicit Table(const HashKey& hash_key, std::int64_t capacity = 0);
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  // Nobody reads any more.
  ~Table();

  // ---- Any thread, under a ReadGuard ----

  std::optional<StoredValue> find(std::string_view key) const;

  // Calls `use` for the keys that follow `after` (all, when absent) in the table's order, which stays the same for as
  // long as the hash's secret does, until it says false. Every key that is there all the while is met once; `after`
  // need not be there any more. Takes its own guards, a few hundred keys each.
  void scan(std::optional<std::string_view> after, const std::function<bool(const StoredValue&)>& use) const;
  // The same behind every key of this hash, for whom a key is too long to hand around.
  void scan_behind(std::uint64_t hash, const std::function<bool(const StoredValue&)>& use) const;
  std::uint64_t hash(std::string_view key) const;

  // ---- The one thread that changes it ----

  // For put() and erase() of a key of this hash: they wait for memory less when many hashes are made beforehand.
  void prefetch(std::uint64_t hash) const;
  // An entry that is not visible yet; put() or discard() follows. The bytes are copied. Preconditions: both sizes below
  // 2^32.
  Entry* make(std::string_view key, std::string_view value, Offset offset) { return heap_.make(key, value, offset); }
  void discard(Entry* entry);
  void put(std::uint64_t hash, Entry* entry);
  void erase(std::uint64_t hash, std::string_view key);
  // Has what was replaced freed by another thread, once no reader can see it any more, when it has come to much, after
  // moving what lies between it. Only waits when far more is to be freed already.
  void reclaim();
  // Bytes of memory that its entries take, holes and all; what waits to be freed is not among them.
  std::size_t held_bytes() const { return heap_.held_bytes(); }

  // ---- Any thread ----

  std::int64_t size() const { return size_.load(std::memory_order_relaxed); }
  // Bytes of keys and values held.
  std::int64_t payload_bytes() const { return payload_.load(std::memory_order_relaxed); }

 private:
  struct Shard;
  struct Chunk;
  static constexpr int kShardBits = 8;
  static constexpr std::size_t kShards = std::size_t{1} << kShardBits;

  static std::uint64_t tag_of(std::uint64_t hash);
  static std::uint64_t slot_of(std::uint64_t hash, const Entry* entry);
  void rebuild(std::atomic<Shard*>& place, std::size_t slots);
  std::atomic<std::uint64_t>* place_of(std::uint64_t hash, const Entry* entry);
  void move_out(EntryHeap::Run& run);
  void collect(const Shard& shard, Chunk& chunk) const;
  void scan_from(std::optional<std::uint64_t> after, std::optional<std::string_view> key,
                 const std::function<bool(const StoredValue&)>& use) const;

  HashKey hash_key_;
  std::array<std::atomic<Shard*>, kShards> shards_{};
  std::atomic<std::int64_t> size_ = 0;
  std::atomic<std::int64_t> payload_ = 0;
  EntryHeap heap_;
  struct Retired;
  std::unique_ptr<Retired> retired_;
};

}  // namespace leat
