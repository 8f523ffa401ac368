// The file of `consume --offsets-out`: a line "TOPIC PARTITION OFFSET" per partition, OFFSET the next record to read.
// It is the user's file, not the log's: made with the umask, replaced as a whole or not at all.
#pragma once

#include <span>
#include <string>

#include "leat/backend/backend.h"
#include "leat/base/error.h"

namespace leat::tools {

// Whether `path` could be written later on: its directory is there and can be written to. Errors: not_found,
// permission.
Result<void> check_offsets_file(const std::string& path);

// Replaces `path` by `positions`, ordered by topic and partition: a temporary file beside it, synced, renamed. What is
// not a regular file (/dev/stderr, a pipe) is written to as it is. Errors: io, permission, not_found.
Result<void> write_offsets_file(const std::string& path, std::span<const Position> positions);

}  // namespace leat::tools
