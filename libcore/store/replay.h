// What a store holds, from its snapshot and the changelog behind it: how a store starts, and how it is looked at
// without one running.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "leat/backend/backend.h"
#include "leat/store/changelog.h"
#include "leat/store/snapshot.h"

namespace leat {

// How far a store has come in one partition.
struct StorePosition {
  Offset changelog_next{};
  Offset source_next{};  // everything before is in the store
};

struct Replay {
  StorePosition position = {};
  std::int64_t from_snapshot = 0;   // records
  std::int64_t from_changelog = 0;  // records
  std::optional<TimestampMs> snapshot_at = {};
};

struct ReplayFrom {
  Backend* backend = nullptr;  // of the changelog
  std::string changelog = {};
  PartitionId partition{};
  HashKey incarnation{};
  const SnapshotPlace* snapshots = nullptr;  // none, when absent
  bool writes = false;                       // whoever asks writes the changelog
  const std::atomic<bool>* stop = nullptr;
  std::function<void(std::string)> notice = {};  // sentences for the user; never empty
};

// Hands `use` every change that makes up the partition's present state, in order: the snapshot's, then those of the
// changelog up to its present end. `restart` is called before the first, and where what was handed over so far counts
// for nothing, with the number of keys that are about to come, as far as it is known. Errors:
// interrupted, configuration (the changelog holds what no store wrote), those of the reader.
Result<Replay> replay_partition(const ReplayFrom& from, const std::function<void(const Change&)>& use,
                                const std::function<void(std::int64_t keys)>& restart);

// The settings of a changelog, and whether a store can live with them; where they cannot be seen, they are believed to
// be right. Errors: configuration (its cleanup is not compact, or it retires records by number), not_found.
Result<TopicSettings> check_changelog(Backend& backend, const std::string& changelog);

}  // namespace leat
