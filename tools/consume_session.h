// The run of a `consume`: records from a reader to standard output, until there is a reason to end, with the consumer's
// offsets committed behind what has been accepted there. Parses no flags.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "leat/backend/backend.h"
#include "leat/base/clock.h"
#include "tools/consume_size.h"
#include "tools/delivery.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/record_output.h"

namespace leat::tools {

struct SessionOptions {
  std::optional<std::int64_t> records_max = {};   // ends after so many
  std::optional<TimestampMs> until = {};          // leaves out records from here on; ends when past and caught up
  std::optional<Milliseconds> idle_timeout = {};  // ends when nothing came for so long
  std::optional<std::string> key_filter = {};     // only records with exactly this key
  std::optional<Milliseconds> commit_every = {};  // commits so often, and at the end; never, when absent
  bool track = false;                             // keep positions() even if nothing is committed
  bool unbuffered = false;                        // flush behind every record
  bool verbose = false;                           // tell which partitions come and go
  std::vector<Position> starts = {};              // what positions() says of partitions nothing came from
  SessionSize ahead = {};                         // shown as progress when not empty
  const std::atomic<bool>* stop = nullptr;
};

struct SessionTotals {
  std::int64_t records = 0;  // put out
  std::int64_t bytes = 0;    // of their keys and values
  std::int64_t read = 0;     // put out or left out
};

enum class Ending {
  ended,    // the reader has no more
  limit,    // records_max
  until,    // the time is past and the reader caught up
  idle,     // idle_timeout
  stopped,  // the stop flag
  broken,   // standard output's reader has gone away
};

class ConsumeSession {
 public:
  // `group` is `reader` when offsets are to be committed, else nullptr. All must outlive the session.
  ConsumeSession(Reader& reader, GroupReader* group, RecordOutput output, StandardOutput& out, SessionOptions options);

  ConsumeSession(const ConsumeSession&) = delete;
  ConsumeSession& operator=(const ConsumeSession&) = delete;
  ~ConsumeSession();

  // Runs to an end. Whatever it is, an error of the reader too, what has been read before is written out (unless stdout
  // is broken) and committed as far as it was accepted. Errors: those of Reader::next and GroupReader::commit, io for
  // stdout, bad_data for a record that cannot be written in the format.
  Result<Ending> run();

  const SessionTotals& totals() const { return totals_; }
  // Where each partition stands of which something was accepted (SessionOptions::commit_every or track).
  std::vector<Position> positions() const { return delivery_.positions(); }

 private:
  Result<Ending> read_and_write();
  Result<std::optional<Ending>> take(const Fetch& fetch);
  bool takes_values() const;
  Result<std::optional<Ending>> take_values(std::span<const RecordView> records);
  Result<void> push();
  Result<void> flush();
  Result<void> keep_up(SteadyTime now);
  Result<void> commit_if_due(SteadyTime now);
  Result<void> commit();
  Result<void> finish();
  Result<void> settle_all();
  Result<std::vector<Position>> let_go(std::span<const Position> positions);
  void show_events();
  std::uint64_t written() const { return out_.written() - written_before_; }
  std::uint64_t accepted() const;
  bool reader_gone() const;
  void show_notices();
  Milliseconds wait_time(SteadyTime now) const;
  bool idle_too_long(SteadyTime now) const;

  Reader& reader_;
  GroupReader* group_;
  RecordOutput output_;
  StandardOutput& out_;
  SessionOptions options_;
  bool tracking_;
  bool stdout_is_pipe_;
  Progress progress_;

  std::string block_;                 // put out, but not yet handed to out_
  std::uint64_t handed_ = 0;          // bytes handed to out_ since the session began
  std::uint64_t written_before_ = 0;  // by others, before that
  Delivery delivery_;
  SessionTotals totals_;
  SteadyTime flushed_at_;
  SteadyTime committed_at_;
  SteadyTime arrived_at_;
};

}  // namespace leat::tools
