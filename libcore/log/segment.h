// One segment: the batches of a .log file, walked in order. A walk takes nothing on trust: every batch is checked
// before it is handed out. Never assigns offsets, never writes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "leat/base/disk.h"
#include "leat/log/batch.h"

namespace leat {

// A batch in a segment.
struct BatchAt {
  BatchHeader header{};
  Bytes bytes = {};           // the whole batch; lives until the walk's next step. Empty in a walk over headers
  std::int64_t position = 0;  // of its first byte in the .log file
};

// What a walk found next.
struct WalkStep {
  enum class Kind {
    batch,  // `batch` holds it
    end,    // the limit of the walk, exactly at a batch boundary
    bad,    // no valid batch starts here; `fault` says why
  } kind = Kind::end;
  BatchAt batch = {};
  const char* fault = nullptr;
};

enum class WalkDepth {
  headers,  // lengths and base offsets only
  checked,  // and the CRC of every batch
};

// Walks the batches of one .log file forwards, reading it in large blocks.
class SegmentWalk {
 public:
  // Starts at `position`, where a batch with base offset `expected` must begin. `file` must outlive the walk.
  SegmentWalk(const File& file, std::int64_t position, Offset expected, WalkDepth depth = WalkDepth::checked);

  // The batch at the present place, which must end at or before `limit` (bytes from the start of the file), and steps
  // behind it. At a bad place or the end the walk stays where it is. Errors: io.
  Result<WalkStep> next(std::int64_t limit);

  std::int64_t position() const { return position_; }
  Offset expected() const { return expected_; }

  // Continues at another place of the same file.
  void jump(std::int64_t position, Offset expected);

 private:
  Result<bool> fill(std::size_t bytes, std::int64_t limit);

  const File* file_;
  WalkDepth depth_;
  std::int64_t position_;
  Offset expected_;
  std::vector<std::byte> buffer_;
  std::int64_t buffer_position_ = 0;  // of its first byte in the file
  std::size_t buffer_used_ = 0;
  std::size_t block_bytes_;
};

// The first whole, valid batch that starts in [from, limit) and has a base offset above `above`.
struct FoundBatch {
  std::int64_t position;
  Offset base;
};
Result<std::optional<FoundBatch>> find_batch_behind(const File& file, std::int64_t from, std::int64_t limit,
                                                    Offset above);

// The base offsets of the .log files of a partition, ascending.
Result<std::vector<Offset>> list_segments(const Directory& partition);

// The segment an offset belongs to: the last base at or below it; the first one when it is below all. Precondition: not
// empty.
std::size_t segment_of(const std::vector<Offset>& bases, Offset offset);

}  // namespace leat
