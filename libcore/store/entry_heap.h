// Where the entries of one table lie: runs of memory that are filled from their beginning, one entry after the other,
// and given back whole. What is dropped in a run leaves a hole that is not filled again; the table's owner moves what
// still lives out of the run with the most holes (Table::reclaim()), so that what is held stays within a bound of what
// lives, whatever sizes come and go. Knows nothing of readers.
//
// An allocator of single pieces (glibc's) had an end of its own: under changes of size for minutes its holes came to as
// much as they liked, 5 % more every three minutes; and of the time to take in a record, a fifth went into its small
// pages. Here what is held is at most 1.25 times what lives, and a few runs more (store_table_test.cc).
//
//   run      one mapping, aligned to kRunBytes, so that an entry's address tells its run; its first 64 bytes describe
//   it entry    at a multiple of 8: offset of the source record 8, key bytes 4, value bytes 4, key, value
//
// Runs of a small table are small. An entry that would take a large part of a run has a run of its own.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "leat/base/types.h"

namespace leat {

// A stored value. Its bytes live as long as the ReadGuard under which it was found.
struct StoredValue {
  std::string_view key;
  std::string_view value;
  Offset offset;  // of the record in the source that set it
};

// One entry as it lies in memory: the bytes of a change are copied once, into here.
class Entry {
 public:
  static constexpr std::size_t kHeaderBytes = 16;

  Entry(std::string_view key, std::string_view value, Offset offset);

  std::string_view key() const { return {bytes(), key_bytes_}; }
  std::string_view value() const { return {bytes() + key_bytes_, value_bytes_}; }
  StoredValue view() const { return {key(), value(), {offset_}}; }
  std::size_t payload() const { return std::size_t{key_bytes_} + value_bytes_; }
  // Of memory.
  static std::size_t bytes_for(std::size_t payload) { return (kHeaderBytes + payload + 7) / 8 * 8; }

 private:
  const char* bytes() const { return reinterpret_cast<const char*>(this) + kHeaderBytes; }

  std::int64_t offset_;
  std::uint32_t key_bytes_;
  std::uint32_t value_bytes_;
};
static_assert(sizeof(Entry) == Entry::kHeaderBytes);

// Belongs to one thread.
class EntryHeap {
 public:
  class Run;

  EntryHeap() = default;
  EntryHeap(const EntryHeap&) = delete;
  EntryHeap& operator=(const EntryHeap&) = delete;
  // Frees all of it.
  ~EntryHeap();

  // A new entry, which stays where it is until settle() was called for it. Preconditions: both sizes below 2^32. Aborts
  // without memory, as all of leat does.
  Entry* make(std::string_view key, std::string_view value, Offset offset);
  // The entry has come to its place, and may be moved from now on.
  void settle(const Entry* entry);
  // A settled entry is not wanted any more. Its bytes stay until its run is freed.
  void drop(const Entry* entry);

  // A run out of which everything that lives is to be moved: all of it to be passed to `walk`, copied with copy_of()
  // and dropped where it lives; then take_empty() has it. nullptr while what is held is within the bound.
  Run* crowded_with_holes();
  // Calls `use(entry)` for each entry of a run, those that were dropped, too.
  template <class Use>
  void walk(Run& run, const Use& use);
  Entry* copy_of(const Entry& entry);

  // Runs of which nothing lives: the caller frees them, once nobody reads them, with free_run().
  std::vector<Run*> take_empty();
  static void free_run(Run* run);
  static std::size_t bytes_of(const Run* run);

  // Bytes of memory in runs that were not taken.
  std::size_t held_bytes() const { return held_; }

 private:
  void* room(std::size_t bytes);
  void add_run(std::size_t capacity);
  void check_empty(Run* run);

  std::vector<Run*> runs_;  // those with entries that live, and the open one
  std::vector<Run*> empty_;
  Run* open_ = nullptr;
  std::size_t held_ = 0;
  std::size_t holes_ = 0;  // bytes dropped, in runs_
};

// What an entry's address leads to. The counts are the owner's.
class EntryHeap::Run {
 public:
  static constexpr std::size_t kRunBytes = std::size_t{2} << 20;
  static constexpr std::size_t kFirstEntry = 64;

  static Run* of(const Entry* entry);

  std::size_t capacity;
  std::size_t used = kFirstEntry;
  std::size_t dropped = 0;    // bytes
  std::size_t unsettled = 0;  // entries
  std::size_t number = 0;     // where it is in runs_
};

template <class Use>
void EntryHeap::walk(Run& run, const Use& use) {
  for (std::size_t at = Run::kFirstEntry; at < run.used;) {
    const auto* entry = reinterpret_cast<const Entry*>(reinterpret_cast<const char*>(&run) + at);
    at += Entry::bytes_for(entry->payload());
    use(entry);
  }
}

}  // namespace leat
