// What a member of a cluster's group was done with when it lost partitions, and could not store any more. Decides what
// becomes of it; asks and stores nothing.
//
// A member that the group has not heard of for long loses what it has without being asked, and joins again. So does one
// whose commit is on its way while the group shares out anew: librdkafka sends it behind the request to join, when it
// is outdated already. What the member had done with by then is remembered: where it gets a partition back, it goes on
// there, so that nothing comes twice; what others get they read again.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "leat/base/types.h"

namespace leat::kafka {

class LostProgress {
 public:
  using Place = std::pair<std::string, PartitionId>;  // a topic, and one of its partitions
  using Whether = std::function<bool(std::string_view topic, PartitionId id)>;

  // The partition is not the member's any more. What remember() has said of it holds.
  void lose(std::string_view topic, PartitionId id, std::optional<Offset> stored);
  // The member is done with what is before `done`, and only what is before `stored` could be stored.
  void remember(std::string_view topic, PartitionId id, std::optional<Offset> stored, Offset done);
  // It is stored after all.
  void forget(std::string_view topic, PartitionId id);

  // Where to go on with a partition that is the member's again, when that is behind what is stored: that is over then.
  // `reset`: what is stored does not count.
  std::optional<Offset> regain(std::string_view topic, PartitionId id, std::optional<Offset> stored, bool reset);
  // After a sharing out: what is not the member's again has been given to others, and is forgotten. Returns what they
  // read again, with the offset from which on.
  std::vector<std::pair<Place, Offset>> give_up(const Whether& is_held);
  // What is done with and not stored, with the offset to store.
  std::vector<std::pair<Place, Offset>> unstored() const;

 private:
  struct Lost {
    std::optional<Offset> stored;
    std::optional<Offset> done;  // behind what the member is done with

    bool unstored() const { return done && (!stored || *done > *stored); }
  };

  std::map<Place, Lost> lost_;
};

}  // namespace leat::kafka
