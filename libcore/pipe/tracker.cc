#include "leat/pipe/tracker.h"

#include <algorithm>

namespace leat::pipe {

Tracker::Lane& Tracker::lane_of(std::string_view topic, PartitionId partition) {
  auto found = topics_.find(topic);
  if (found == topics_.end()) found = topics_.emplace(topic, Lanes{}).first;
  return found->second[partition];
}

const Tracker::Lane* Tracker::find(std::string_view topic, PartitionId partition) const {
  const auto lanes = topics_.find(topic);
  if (lanes == topics_.end()) return nullptr;
  const auto lane = lanes->second.find(partition);
  return lane == lanes->second.end() ? nullptr : &lane->second;
}

void Tracker::open(std::string_view topic, PartitionId partition, Offset offset) {
  Lane& lane = lane_of(topic, partition);
  ASSERT(offset >= lane.next);
  lane.open.push_back({offset, false});
  lane.next = offset + 1;
  ++open_records_;
}

void Tracker::read_to(std::string_view topic, PartitionId partition, Offset next) {
  Lane& lane = lane_of(topic, partition);
  ASSERT(next >= lane.next);
  lane.next = next;
}

void Tracker::take_back(std::string_view topic, PartitionId partition, Offset next) {
  Lane& lane = lane_of(topic, partition);
  while (!lane.open.empty() && lane.open.back().offset >= next) {
    ASSERT(!lane.open.back().closed);
    lane.open.pop_back();
    --open_records_;
  }
  lane.next = std::min(lane.next, next);
}

void Tracker::close(const SourceRange& range) {
  Lane& lane = lane_of(range.topic, range.partition);
  auto at = lane.open.begin();
  if (at == lane.open.end() || at->offset != range.first)
    at = std::ranges::lower_bound(lane.open, range.first, {}, &Open::offset);
  ASSERT(at != lane.open.end() && at->offset == range.first);
  Offset last{};
  for (; at != lane.open.end() && at->offset <= range.last; ++at) {
    ASSERT(!at->closed);
    at->closed = true;
    last = at->offset;
    --open_records_;
  }
  ASSERT(last == range.last);
  while (!lane.open.empty() && lane.open.front().closed) lane.open.pop_front();
}

std::optional<Offset> Tracker::position(std::string_view topic, PartitionId partition) const {
  const Lane* lane = find(topic, partition);
  if (lane == nullptr) return std::nullopt;
  return lane->position();
}

std::int64_t Tracker::open_records(std::string_view topic, PartitionId partition) const {
  const Lane* lane = find(topic, partition);
  return lane == nullptr ? 0 : std::ranges::count(lane->open, false, &Open::closed);
}

std::vector<Position> Tracker::positions() const {
  std::vector<Position> positions;
  for (const auto& [topic, lanes] : topics_)
    for (const auto& [partition, lane] : lanes) positions.push_back({topic, partition, lane.position()});
  return positions;
}

std::vector<Position> Tracker::moved() const {
  std::vector<Position> moved;
  for (const auto& [topic, lanes] : topics_)
    for (const auto& [partition, lane] : lanes)
      if (lane.committed != lane.position()) moved.push_back({topic, partition, lane.position()});
  return moved;
}

void Tracker::mark_committed(const std::vector<Position>& positions) {
  for (const Position& position : positions) lane_of(position.topic, position.partition).committed = position.next;
}

void Tracker::forget(std::string_view topic, PartitionId partition) {
  const auto lanes = topics_.find(topic);
  if (lanes == topics_.end()) return;
  const auto lane = lanes->second.find(partition);
  if (lane == lanes->second.end()) return;
  for (const Open& open : lane->second.open) open_records_ -= open.closed ? 0 : 1;
  lanes->second.erase(lane);
}

}  // namespace leat::pipe
