// The work of `leat produce`: records from an Input into a Producer, flushed whenever no input waits, with receipts and
// messages for the user. Knows no flags.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "leat/backend/backend.h"
#include "leat/base/clock.h"
#include "leat/base/error.h"
#include "tools/input.h"
#include "tools/progress.h"
#include "tools/receipts.h"

namespace leat::tools {

struct ProduceRunOptions {
  std::string topic = {};
  Milliseconds linger{0};
  std::optional<std::int64_t> records_max = {};  // stop after so many
  bool skip_bad_records = false;
  bool verbose = false;
  bool prompt = false;  // "> " before waiting for input
  bool progress = false;
  std::uint64_t input_bytes = 0;  // for progress, when known
  ReceiptFormat receipts = ReceiptFormat::none;
};

// What was read so far.
struct ProduceCounts {
  std::int64_t records = 0;
  std::int64_t keyed = 0;
  std::int64_t nulls = 0;
  std::int64_t bytes = 0;  // of keys, values and headers
  std::int64_t skipped = 0;
};

class ProduceRun {
 public:
  // Writes bytes to stdout, or passes on to flush it.
  struct Sink {
    std::function<Result<void>(std::string_view)> write;
    std::function<Result<void>()> flush;
    std::function<bool()> closed;  // nobody reads any more
  };

  // `producer` is null for a dry run. Input, producer and what the sink refers to must outlive the run.
  ProduceRun(ProduceRunOptions options, Input& input, Producer* producer, Sink sink);

  // Produces until the input ends, a stop is requested or an error. On success every record handed to the producer is
  // acknowledged and its receipt is written. An error says how many records were written; those before a bad record
  // are. Errors: partial when records were skipped; bad_data and those of Input; those of Producer.
  Result<void> run();

  const ProduceCounts& counts() const { return counts_; }

 private:
  Result<void> feed();
  Result<void> send();
  Result<void> skip_or_fail(Error error);
  Result<void> flush();
  Result<void> look_at_clock();
  void take_receipts(std::span<const Receipt> receipts);
  void show_prompt();
  void report_flush(SteadyTime begun, std::int64_t acknowledged_before);
  std::optional<SteadyTime> wait_until() const;
  std::int64_t acknowledged() const { return producer_ != nullptr ? producer_->acknowledged() : counts_.records; }
  std::int64_t counted_off() const { return producer_ != nullptr ? producer_->skipped() : 0; }
  void report(SteadyTime begun) const;
  std::string written_so_far(Code reason) const;

  const ProduceRunOptions options_;
  Input& input_;
  Producer* const producer_;
  const Sink sink_;
  Progress progress_;
  ProduceCounts counts_;
  std::optional<SteadyTime> unflushed_since_ = {};  // the first record that is not acknowledged was sent then
  std::int64_t records_since_clock_ = 0;
  bool producer_failed_ = false;
  bool sink_closed_ = false;
  bool prompt_due_ = true;
  std::string lines_;  // of some receipts
  Result<void> receipts_written_ = {};
  std::int64_t unflushed_records_max_ = std::numeric_limits<std::int64_t>::max();
  ReceiptRanges ranges_;  // of what has become acknowledged since the last report
};

}  // namespace leat::tools
