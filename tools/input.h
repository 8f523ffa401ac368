// stdin or files as records. Never where the records go.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "leat/base/clock.h"
#include "leat/base/error.h"
#include "leat/log/record.h"
#include "leat/pipe/json_record.h"
#include "tools/input_framing.h"
#include "tools/input_source.h"

namespace leat::tools {

// How input becomes records.
struct InputOptions {
  std::vector<std::string> files = {"-"};  // "-" is stdin
  Framing framing = Framing::lines;
  std::string delimiter = {};           // for Framing::delim
  bool strip_cr = false;                // one CR at the end of each record goes
  std::optional<std::string> key = {};  // of every record; not with a separator, not for json
  std::string key_separator = {};       // what is before its first occurrence is the key; none when empty
  bool empty_is_null = false;           // an empty value becomes a null
  std::vector<std::pair<std::string, std::string>> headers = {};  // of every record, before its own
  std::optional<TimestampMs> timestamp = {};                      // of every record, instead of its own
  std::int64_t record_bytes_max = 1 << 20;                        // key + value + headers
  std::string record_limit_name = "--max-request-size";           // for messages
  int stdin_fd = 0;
  const std::atomic<bool>* stop = nullptr;
};

// Where a record came from, for messages.
struct InputPlace {
  std::int64_t record = 0;  // from 1, over all files
  std::string_view file;    // its name, or "stdin"
  std::uint64_t byte = 0;   // of its first byte in the file
};

class Input {
 public:
  explicit Input(InputOptions options);

  enum class State {
    record,   // record() is the next one
    idle,     // there was none until the time was up, and no input waits
    ended,    // no more
    stopped,  // the stop flag is raised, and all that had been read has been handed out
  };
  // The next record. Reads on only when what has been read holds none, and waits for more until `until`, for ever when
  // absent; SteadyTime::min() does not wait at all. Errors: bad_data, naming record and place, for a record that cannot
  // be accepted: asking again goes on behind it; not_found, permission, io: the input is of no use any more.
  Result<State> next(std::optional<SteadyTime> until);

  // The record; lives until the next call of next().
  const RecordInput& record() const { return record_; }
  const InputPlace& place() const { return place_; }

  // "record 41: WHAT (FILE, byte BYTE)" for the latest record.
  std::string at_place(std::string_view what) const;

  // Bytes of input that are done with.
  std::uint64_t bytes_done() const { return source_.total_consumed(); }

 private:
  Result<void> take(std::span<char> bytes, bool is_null);
  Result<void> take_json(std::span<char> line);
  Result<void> take_value(std::string_view bytes, bool is_null);
  std::string too_long() const;

  const InputOptions options_;
  InputSource source_;
  Framer framer_;
  JsonRecord json_;
  std::vector<HeaderView> headers_;  // those of the options, then those of a JSON record
  RecordInput record_;
  InputPlace place_;
};

// Bytes of key, value and headers together: what limits are about.
std::int64_t record_bytes(const RecordInput& record);

}  // namespace leat::tools
