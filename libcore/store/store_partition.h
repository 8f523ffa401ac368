// One partition as a running store has it: its table, how far it has come, and whether it may be read yet. One thread,
// its owner, changes it; any number read.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "leat/store/replay.h"
#include "leat/store/table.h"

namespace leat {

enum class StoreRole : std::uint8_t {
  primary,  // reads the source, writes the changelog
  replica,  // reads the changelog
};

// A change on its way into a table: its bytes are copied once, into the entry; of a deletion only the key counts.
struct PreparedChange {
  std::uint64_t hash;
  Entry* entry;
  bool erases;
};

class StorePartition {
 public:
  StorePartition(PartitionId id, StoreRole role) : id_(id), role_(role) {}

  // ---- Any thread ----

  PartitionId id() const { return id_; }
  StoreRole role() const { return role_; }
  bool ready() const { return ready_.load(std::memory_order_acquire); }
  // Only once it is ready().
  const Table& table() const { return *table_; }
  // What readers see; from before what the table shows.
  StorePosition position() const {
    return {{changelog_next_.load(std::memory_order_acquire)}, {source_next_.load(std::memory_order_acquire)}};
  }
  std::int64_t applied() const { return applied_.load(std::memory_order_relaxed); }
  const Replay& replay() const { return replay_; }  // only once it is ready()
  const HashKey& incarnation() const { return incarnation_; }
  // Until when its source, or its changelog, was seen to be read to the end.
  std::atomic<std::int64_t> current_at_ms = 0;

  // ---- The owner ----

  // Fills a new table; it is ready when this returns. Errors: those of replay_partition().
  Result<void> restore(const ReplayFrom& from, std::int64_t capacity);
  PreparedChange prepare(std::string_view key, std::optional<std::string_view> value, Offset source);
  // Makes the changes visible, and then the position. They are durable.
  void apply(std::span<PreparedChange> changes, StorePosition position);

 private:
  void put(PreparedChange& change);

  PartitionId id_;
  StoreRole role_;
  HashKey incarnation_{};
  std::unique_ptr<Table> table_;
  Replay replay_;
  std::atomic<bool> ready_ = false;
  std::atomic<std::int64_t> source_next_ = 0;
  std::atomic<std::int64_t> changelog_next_ = 0;
  std::atomic<std::int64_t> applied_ = 0;
};

}  // namespace leat
