#include "tools/delivery.h"

namespace leat::tools {

void Delivery::select(std::string_view topic, PartitionId partition) {
  const auto is_it = [&](const Slot& slot) { return slot.partition == partition && slot.topic == topic; };
  if (selected_ < slots_.size() && is_it(slots_[selected_])) return;
  for (selected_ = 0; selected_ < slots_.size(); ++selected_) {
    if (is_it(slots_[selected_])) return;
  }
  slots_.push_back({topic, partition});
}

void Delivery::begin_at(const Position& position) {
  select(position.topic, position.partition);
  slots_[selected_].settled = position.next;
  slots_[selected_].committed = position.next;
}

void Delivery::forget(const Position& position) {
  select(position.topic, position.partition);
  slots_[selected_] = {position.topic, position.partition};
}

void Delivery::settle(std::uint64_t accepted) {
  while (settled_ < pending_.size() && pending_[settled_].end <= accepted) {
    const Pending& done = pending_[settled_++];
    slots_[done.slot].settled = done.next;
    moved_ = true;
  }
  if (settled_ == pending_.size()) {
    pending_.clear();
    settled_ = 0;
  }
}

std::vector<Position> Delivery::positions() const {
  std::vector<Position> positions;
  for (const Slot& slot : slots_) {
    if (slot.settled) positions.push_back({slot.topic, slot.partition, *slot.settled});
  }
  return positions;
}

std::vector<Position> Delivery::moved_positions() const {
  std::vector<Position> positions;
  for (const Slot& slot : slots_) {
    if (slot.settled && slot.settled != slot.committed) {
      positions.push_back({slot.topic, slot.partition, *slot.settled});
    }
  }
  return positions;
}

void Delivery::mark_committed() {
  for (Slot& slot : slots_) slot.committed = slot.settled;
  moved_ = false;
}

}  // namespace leat::tools
