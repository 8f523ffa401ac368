// A small value kept in two checksummed slots, so that a crash in the middle of an update leaves the other one: the
// newest slot that checks out is the value. Overwriting in place costs one fdatasync of one file (56 us where temp +
// rename took 1,480). Layout of a slot, little-endian as the machine has it (the files do not travel between byte
// orders; a foreign one fails the checksum):
//
//   sequence  8   from 1; 0 is never valid, so zeros are an empty slot
//   value     n   trivially copyable, a multiple of 8 bytes
//   crc       4   CRC-32C of sequence and value
//   zero      4
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>

#include "leat/base/bytes.h"
#include "leat/base/crc32c.h"
#include "leat/base/disk.h"

namespace leat {

template <class Value>
  requires std::is_trivially_copyable_v<Value> && (sizeof(Value) % 8 == 0)
struct CheckedSlot {
  static constexpr std::size_t kWords = sizeof(Value) / 8 + 2;
  static constexpr std::size_t kBytes = kWords * 8;
  using Words = std::array<std::uint64_t, kWords>;

  static Words seal(std::uint64_t sequence, const Value& value) {
    Words words{};
    words[0] = sequence;
    std::memcpy(&words[1], &value, sizeof value);
    words[kWords - 1] = checksum(words);
    return words;
  }

  // The value, when the slot was written whole.
  static std::optional<Value> open(const Words& words) {
    if (words[0] == 0 || words[kWords - 1] != checksum(words)) return std::nullopt;
    Value value;
    std::memcpy(static_cast<void*>(&value), &words[1], sizeof value);
    return value;
  }

 private:
  static std::uint64_t checksum(const Words& words) {
    return crc32c(std::as_bytes(std::span(words).first(kWords - 1)));
  }
};

// A value and its place in the order of updates.
template <class Value>
struct Sequenced {
  std::uint64_t sequence;
  Value value;
};

// The newer of two slots' contents that checks out, if any does.
template <class Value>
std::optional<Sequenced<Value>> newest(const typename CheckedSlot<Value>::Words& a,
                                       const typename CheckedSlot<Value>::Words& b) {
  const std::optional<Value> in_a = CheckedSlot<Value>::open(a);
  const std::optional<Value> in_b = CheckedSlot<Value>::open(b);
  if (in_a && (!in_b || a[0] > b[0])) return Sequenced<Value>{a[0], *in_a};
  if (in_b) return Sequenced<Value>{b[0], *in_b};
  return std::nullopt;
}

// Two slots in memory shared by processes. One writer at a time (a lock decides which); any number of readers without a
// lock, who never wait for a writer, dead or stopped in the middle: it is only ever writing the slot that is not
// current.
template <class Value>
class SharedSlots {
 public:
  std::optional<Sequenced<Value>> load() const {
#ifdef LEAT_SMALL_BLOCKS  // of the fuzz targets, where damaged slots are the rule
    constexpr int kAttempts = 10;
#else
    constexpr int kAttempts = 1000;
#endif
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const Words a = copy(0);
      const Words b = copy(1);
      std::atomic_thread_fence(std::memory_order_acquire);
      const bool stable =
          a[0] == slots_[0][0].load(std::memory_order_relaxed) && b[0] == slots_[1][0].load(std::memory_order_relaxed);
      if (const auto found = newest<Value>(a, b); found && (stable || attempt + 1 == kAttempts)) return found;
      // Nothing was ever stored. Else one slot is whole at any moment: finding none, one has looked at two moments.
      if (a == Words{} && b == Words{}) return std::nullopt;
    }
    return std::nullopt;
  }

  // Lock required: the one that makes the caller the only writer.
  void store(const Value& value) {
    const auto present = load();
    const std::uint64_t sequence = present ? present->sequence + 1 : 1;
    const Words words = CheckedSlot<Value>::seal(sequence, value);
    auto& slot = slots_[sequence & 1];
    slot[0].store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    for (std::size_t i = 1; i < words.size(); ++i) slot[i].store(words[i], std::memory_order_relaxed);
    slot[0].store(words[0], std::memory_order_release);
  }

 private:
  using Words = typename CheckedSlot<Value>::Words;

  Words copy(std::size_t slot) const {
    Words words;
    for (std::size_t i = 0; i < words.size(); ++i)
      words[i] = slots_[slot][i].load(i == 0 ? std::memory_order_acquire : std::memory_order_relaxed);
    return words;
  }

  std::array<std::array<std::atomic<std::uint64_t>, CheckedSlot<Value>::kWords>, 2> slots_;
};

// Two slots in a file, at `position`.
template <class Value>
class FileSlots {
 public:
  static constexpr std::int64_t kBytes = 2 * static_cast<std::int64_t>(CheckedSlot<Value>::kBytes);

  enum class Health { empty, good, damaged };  // empty: never written (zeros, or behind the end of the file)
  struct Loaded {
    Health health = Health::empty;
    Value value{};
    std::uint64_t sequence = 0;
  };

  static Result<Loaded> load(const File& file, std::int64_t position) {
    std::array<typename CheckedSlot<Value>::Words, 2> slots{};
    TRY(file.read_at(std::as_writable_bytes(std::span(slots)), position));
    if (const auto found = newest<Value>(slots[0], slots[1]))
      return Loaded{Health::good, found->value, found->sequence};
    const decltype(slots) zeros{};
    return Loaded{slots == zeros ? Health::empty : Health::damaged, {}, 0};
  }

  // Overwrites the older slot. Durable once the caller has synced the file. Lock required: the one that guards the
  // value.
  static Result<void> store(const File& file, std::int64_t position, const Value& value) {
    const std::uint64_t sequence = TRY(load(file, position)).sequence + 1;
    const auto words = CheckedSlot<Value>::seal(sequence, value);
    const auto place = position + static_cast<std::int64_t>((sequence & 1) * CheckedSlot<Value>::kBytes);
    return file.write_at(std::as_bytes(std::span(words)), place);
  }

  // Zeros both slots.
  static Result<void> clear(const File& file, std::int64_t position) {
    const std::array<std::byte, static_cast<std::size_t>(kBytes)> zeros{};
    return file.write_at(Bytes(zeros), position);
  }
};

}  // namespace leat
