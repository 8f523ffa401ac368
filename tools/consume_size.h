// How much a `consume` that does not follow has ahead of it, for showing how far it has come. An estimate: records are
// counted, and a share of the bytes on disk is taken for them.
#pragma once

#include <cstdint>
#include <optional>

#include "leat/backend/backend.h"

namespace leat::tools {

struct SessionSize {
  std::int64_t records = 0;
  std::uint64_t bytes = 0;  // on disk; 0: not known
};

// Of the partitions `options` names, read from where `group` stands, when it is there. Zero where a topic cannot be
// asked.
SessionSize session_size(Backend& backend, const ReadOptions& options, std::optional<std::int64_t> records_max,
                         const GroupReader* group);

// Records of the partition from the start of `options`, or from `resumed`, to its end. Pure.
std::int64_t records_ahead(const ReadOptions& options, const PartitionInfo& info, std::optional<Offset> resumed);

}  // namespace leat::tools
