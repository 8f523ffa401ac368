// Waiting on words in shared memory (futex(2), futex_waitv(2)): a 20 us wake-up between processes without a broker. The
// words carry no ownership; they only say that something has changed since they were read.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "leat/base/clock.h"

namespace leat {

using WakeWord = std::atomic<std::uint32_t>;
static_assert(sizeof(WakeWord) == 4 && WakeWord::is_always_lock_free);

// A word and the value it had when the caller last looked.
struct WakeWait {
  const WakeWord* word;
  std::uint32_t seen;
};

// Kinds of waiters on one word, a bit for each, so that a wake reaches those whom it concerns (FUTEX_WAIT_BITSET).
using WaiterKinds = std::uint32_t;
inline constexpr WaiterKinds kEveryKind = ~WaiterKinds{0};

// Returns when the word no longer has the value `seen`, when woken, or after `timeout`. May return early. `kinds` are
// those the caller counts as: at least one.
void wait_for_wake(WakeWait wait, Milliseconds timeout, WaiterKinds kinds = kEveryKind);
// The same for any of several words (at most 128; more are polled).
void wait_for_any_wake(std::span<const WakeWait> waits, Milliseconds timeout);

// Changes the word and wakes everyone who waits on it.
void wake_all(WakeWord& word);
// Changes the word, wakes everyone who waits on it as one of `kinds`, and then one of those who wait as `next` only.
void wake_kinds(WakeWord& word, WaiterKinds kinds, WaiterKinds next);

}  // namespace leat
