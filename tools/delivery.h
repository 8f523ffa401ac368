// Which records have been delivered: for each partition the position up to which every record's output has been
// accepted by whoever reads stdout. Records are entered in the order of their output with the byte their output ends
// at; bytes are accepted in the same order. Pure; does no I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "leat/backend/backend.h"

namespace leat::tools {

class Delivery {
 public:
  // The partition stands here before anything of it is delivered, committed or not. The topic's name must live on, too.
  void begin_at(const Position& position);

  // The records entered next are of this partition. The topic's name must live as long as the Delivery.
  void select(std::string_view topic, PartitionId partition);

  // The partition belongs to somebody else from now on: what is known of it goes. Nothing of it may be pending.
  void forget(const Position& position);

  // The output up to byte `end` holds every record of the selected partition before `next`.
  void add(std::uint64_t end, Offset next) {
    Slot& slot = slots_[selected_];
    if (slot.frozen) return;
    if (!pending_.empty() && pending_.back().end == end && pending_.back().slot == selected_) {
      pending_.back().next = next;
    } else {
      pending_.push_back({end, next, selected_});
    }
  }

  // A record of the selected partition was left out that someone may still want: its position stays before it.
  void freeze() { slots_[selected_].frozen = true; }

  // The first `accepted` bytes of the output have been accepted.
  void settle(std::uint64_t accepted);

  // Records entered and not yet settled; what bounds the memory.
  std::size_t pending() const { return pending_.size() - settled_; }

  // Where each partition stands, as settled. Those without a beginning and of which nothing was delivered are absent.
  std::vector<Position> positions() const;

  // Whether some position has moved since mark_committed(), and those that have.
  bool moved() const { return moved_; }
  std::vector<Position> moved_positions() const;
  void mark_committed();

 private:
  struct Slot {
    std::string_view topic;
    PartitionId partition;
    std::optional<Offset> settled = {};
    std::optional<Offset> committed = {};
    bool frozen = false;
  };
  struct Pending {
    std::uint64_t end;
    Offset next;
    std::size_t slot;
  };

  std::vector<Slot> slots_;
  std::size_t selected_ = 0;
  std::vector<Pending> pending_;  // the first settled_ are done with
  std::size_t settled_ = 0;
  bool moved_ = false;
};

}  // namespace leat::tools
