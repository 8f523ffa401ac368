// Where a pipeline's messages end: the seam between the stages, who know of order, batches and offsets, and what
// delivers a batch somewhere. The runner owns retries, waiting, the error stage and commits; a sink only delivers, and
// says what became of it.
//
// Threads: a sink belongs to one thread at a time.
#pragma once

#include <atomic>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "leat/base/clock.h"
#include "leat/base/error.h"
#include "leat/base/types.h"

namespace leat::pipe {

// Records of one partition, [first, last], that something was made from.
struct SourceRange {
  std::string topic;
  PartitionId partition{};
  Offset first{};
  Offset last{};

  bool operator==(const SourceRange&) const = default;
};

// What goes from stage to stage: a record as it was read, or what was made of one or several.
struct Message {
  std::optional<std::string> key = {};
  std::optional<std::string> value = {};
  std::vector<std::pair<std::string, std::optional<std::string>>> headers = {};
  TimestampMs timestamp{};
  std::vector<SourceRange> sources = {};  // never empty; one record's range has first == last
};

// A message that was refused for good: sending it again would end the same way.
struct Refusal {
  std::size_t index;   // in the batch
  std::string reason;  // one line
};

// What became of a batch: all of it is delivered but for those refused.
struct Delivery {
  std::vector<Refusal> refused = {};
};

class Sink {
 public:
  virtual ~Sink() = default;

  // Delivers `batch` and returns when whoever takes it has acknowledged it: with that, offsets below it may be
  // committed. Blocking; `stop` ends waiting (interrupted: it may or may not have been delivered).
  // Errors: unavailable, busy or io (may pass: the same batch may be sent again, and may have arrived already),
  // bad_data (the batch was refused as a whole for what is in it: the runner sends parts of it, to find what is bad),
  // all others (configuration, permission, not_found): nothing will ever be delivered, and the pipeline stops.
  virtual Result<Delivery> deliver(std::span<const Message> batch, const std::atomic<bool>& stop) = 0;

  // Asked of a last sink that is given what ranges of records of one partition came to: from which offset of the source
  // on something is still to be delivered, where it can tell. What was made of the records before was delivered by an
  // earlier run. Errors: those of deliver().
  virtual Result<std::optional<Offset>> resume(const SourceRange& partition) {
    (void)partition;
    return std::nullopt;
  }

  // Whether release() is to be called: while it is not, nobody else can deliver what comes next of a partition.
  virtual bool holds_partitions() const { return false; }
  // This process reads these partitions no longer, and all that was made of them has been delivered: whoever reads them
  // now may deliver what comes next. Errors: those of deliver().
  virtual Result<void> release(std::span<const SourceRange> partitions) {
    (void)partitions;
    return {};
  }

  // When the sink wants tend() to be called, though no batch comes; and what it does then. Errors: those of deliver().
  virtual std::optional<SteadyTime> due() const { return std::nullopt; }
  virtual Result<void> tend() { return {}; }

  // Completes what deliver() left open for more (a file to be renamed). No deliver() follows. Durable on return as far
  // as the sink promises. Errors: those of deliver().
  virtual Result<void> close() { return {}; }
};

}  // namespace leat::pipe
