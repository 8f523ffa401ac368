// The snapshots of a store as files (snapshot_format.h): written whole or not at all, read whole or not at all.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "leat/base/disk.h"
#include "leat/store/snapshot_format.h"

namespace leat {

// Where a store keeps its snapshots.
class SnapshotPlace {
 public:
  // Below `base`, an existing directory. Errors: io, permission.
  static Result<SnapshotPlace> make(const std::string& base, std::string_view store);
  // The same for reading only: nothing where there is none.
  static Result<std::optional<SnapshotPlace>> find(const std::string& base, std::string_view store);

  // Writes `table` as of `header`, unless somebody else is writing that partition's, or what is there is newer; whether
  // it did. Durable on return. `stop` ends it early. Errors: io.
  Result<bool> write(const SnapshotHeader& header, const Table& table, const std::function<bool()>& stop) const;

  // Reads the partition's snapshot if there is one of this incarnation that `fits`, and hands its records to `use`. An
  // absent result says that there was none that could be used whole: then what `use` was given counts for nothing, and
  // `notice` says why where that is worth saying. Errors: io.
  Result<std::optional<SnapshotHeader>> read(PartitionId partition, const HashKey& incarnation,
                                             const std::function<bool(const SnapshotHeader&)>& fits,
                                             const std::function<void(const StoredValue&)>& use,
                                             std::string& notice) const;
  // Durable on return. Errors: io.
  Result<void> remove(PartitionId partition) const;

 private:
  SnapshotPlace(Directory directory, std::string store) : directory_(std::move(directory)), store_(std::move(store)) {}

  Directory directory_;
  std::string store_;
};

}  // namespace leat
