// The file of `consume --offsets-out` and `consumer seek --to-file`: a line "TOPIC PARTITION OFFSET" per partition,
// OFFSET the next record to read. "#" starts a comment, blank lines count for nothing. It is the user's file, not the
// log's: made with the umask, replaced as a whole or not at all.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/backend/backend.h"
#include "leat/base/error.h"

namespace leat::tools {

// Whether `path` could be written later on: its directory is there and can be written to. Errors: not_found,
// permission.
Result<void> check_offsets_file(const std::string& path);

// Replaces `path` by `positions`, ordered by topic and partition: a temporary file beside it, synced, renamed. What is
// not a regular file (/dev/stderr, a pipe) is written to as it is. Errors: io, permission, not_found.
Result<void> write_offsets_file(const std::string& path, std::span<const Position> positions);

// A line of it.
struct OffsetsLine {
  std::string topic;
  PartitionId partition{};
  Offset next{};
};

// The lines of `text` in their order. Errors: bad_data, naming `name` and the line: not of that form, a partition that
// an earlier line has already.
Result<std::vector<OffsetsLine>> parse_offsets(std::string_view name, std::string_view text);

// The same of the file at `path`; "-" is standard input. Errors: not_found, also for a directory, permission, io,
// interrupted, and those of parse_offsets().
Result<std::vector<OffsetsLine>> read_offsets_file(const std::string& path);

}  // namespace leat::tools
