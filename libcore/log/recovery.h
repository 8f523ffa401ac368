// What the end of a log looks like when no writer lives: one walk that classifies it as whole, torn or damaged, and the
// cut that takes a torn tail out. Deciding changes nothing; only a writer under the append lock cuts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "leat/base/disk.h"
#include "leat/log/segment.h"

namespace leat {

// Where the whole batches of a segment end, and what lies behind.
struct TailVerdict {
  enum class Kind {
    whole,    // the file ends with a batch
    zeros,    // only zeros behind the last batch: space that was set aside
    torn,     // unfinished writes behind the last batch, whole batches among them that were in flight with the first
    damaged,  // a bad place that was durable once: a later batch says so, or stands there itself
  } kind = Kind::whole;
  std::int64_t position = 0;  // behind the last whole batch
  Offset end{};               // the offset that comes next there
  std::int64_t file_bytes = 0;
  std::string fault;                         // why no batch starts at `position`; empty when whole
  std::optional<FoundBatch> next_good = {};  // when damaged
};

// Walks the segment from `from`, a batch boundary at which `expected` is the next base offset, to the end of the file.
// Errors: io.
Result<TailVerdict> examine_tail(const File& log, std::int64_t from, Offset expected);

// Takes the bytes behind verdict.position out of the log: copies a torn tail to cut/ (synced, named in the returned
// sentence), then truncates and syncs the log. Zeros are dropped without a copy. Lock required: append and sync.
// Durable on return. Returns the sentence for the user, empty when there is nothing to say. Errors: io.
Result<std::string> cut_tail(const Directory& partition, const File& log, const TailVerdict& verdict);

// Copies the bytes [from, to) of the log to a new file in cut/ that is named for the offset they stood for; its path.
// Durable on return. Errors: io.
Result<std::string> keep_bytes(const Directory& partition, const File& log, std::int64_t from, std::int64_t to,
                               Offset first);

// Whether the bytes [from, to) are zeros, as far as the file reaches. Errors: io.
Result<bool> only_zeros(const File& log, std::int64_t from, std::int64_t to);

// Whether the log `name` holds whole, valid batches in exactly [start, end) on the disk itself, read past the page
// cache (O_DIRECT), the first with base offset `expected`. On tmpfs memory is the disk. Errors: io, permission when it
// cannot be read so: then nothing is known, and nothing may be cut.
Result<bool> batches_on_disk(const Directory& partition, const std::string& name, std::int64_t start, Offset expected,
                             std::int64_t end);

// Whether the last of `bases` is an empty segment that was made but never published while appends went on in the one
// before: removes it then, durably. Lock required: append. `looks_begun` only says so. Errors: io.
Result<bool> drop_begun_segment(const Directory& partition, const std::vector<Offset>& bases);
Result<bool> looks_begun(const Directory& partition, const std::vector<Offset>& bases);

// The error for a damaged place: "PATH: damaged at byte N: WHY; last good offset A, next readable offset B".
Error damage_error(const std::string& path, std::int64_t position, std::string_view fault, Offset expected,
                   Offset first, std::optional<Offset> next_readable);

}  // namespace leat
