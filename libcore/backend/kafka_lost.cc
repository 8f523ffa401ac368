#include "leat/backend/kafka_lost.h"

namespace leat::kafka {

void LostProgress::lose(std::string_view topic, PartitionId id, std::optional<Offset> stored) {
  lost_.try_emplace(Place(topic, id), Lost{stored, std::nullopt});
}

void LostProgress::remember(std::string_view topic, PartitionId id, std::optional<Offset> stored, Offset done) {
  lost_.insert_or_assign(Place(topic, id), Lost{stored, done});
}

void LostProgress::forget(std::string_view topic, PartitionId id) {
  lost_.erase(Place(topic, id));
}

std::optional<Offset> LostProgress::regain(std::string_view topic, PartitionId id, std::optional<Offset> stored,
                                           bool reset) {
  const auto found = lost_.find(Place(topic, id));
  if (found == lost_.end()) return std::nullopt;
  const Lost was = found->second;
  lost_.erase(found);
  if (reset) return was.done;
  // Others have sought: that counts.
  if (!was.done || (was.stored && (!stored || *stored < *was.stored))) return std::nullopt;
  if (stored && *stored >= *was.done) return std::nullopt;
  return was.done;
}

std::vector<std::pair<LostProgress::Place, Offset>> LostProgress::give_up(const Whether& is_held) {
  std::vector<std::pair<Place, Offset>> read_again;
  std::erase_if(lost_, [&](const auto& one) {
    const auto& [place, was] = one;
    if (is_held(place.first, place.second)) return false;
    if (was.unstored()) read_again.emplace_back(place, was.stored.value_or(Offset{0}));
    return true;
  });
  return read_again;
}

std::vector<std::pair<LostProgress::Place, Offset>> LostProgress::unstored() const {
  std::vector<std::pair<Place, Offset>> places;
  for (const auto& [place, was] : lost_)
    if (was.unstored()) places.emplace_back(place, *was.done);
  return places;
}

}  // namespace leat::kafka
