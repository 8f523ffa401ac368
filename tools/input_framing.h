// Where one record of the input ends and the next begins. Pure: looks at bytes, reads nothing.
//
//   lines   bytes up to a newline        nul     bytes up to a NUL          delim   bytes up to a given string
//   u32be   a big-endian u32 length and that many bytes; 0xFFFFFFFF is a null
//   json    lines, each one JSON object (json_record.h)                      raw     all of a file
//
// What is behind the last delimiter is a record too, unless it is empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "leat/base/error.h"

namespace leat::tools {

enum class Framing : std::uint8_t { lines, nul, delim, u32be, json, raw };

// One answer of a Framer.
struct Frame {
  enum class Kind : std::uint8_t {
    record,     // the bytes [begin, begin + size) of the window, or a null
    need_more,  // ask again with a longer window
    ended,      // the file holds nothing more
    fault,      // a bad record: see Framer::fault(); asking on goes to the next one
  } kind = Kind::need_more;
  bool is_null = false;
  std::size_t begin = 0;
  std::size_t size = 0;
  std::size_t consumed = 0;  // bytes at the start of the window that are done with, whatever the kind
};

// Cuts a file into records. The caller shows it a window that starts behind what was consumed, and grows it on
// need_more.
class Framer {
 public:
  // `delimiter` is used by Framing::delim only and not empty then. A record of more than `record_bytes_max` bytes, the
  // delimiter and the length not counted, is a fault as soon as that many have been seen.
  Framer(Framing framing, std::string delimiter, std::size_t record_bytes_max);

  // The next record at the start of `window`. `complete`: nothing follows the window.
  Frame next(std::string_view window, bool complete);

  // What was wrong with the last Frame::Kind::fault.
  const std::string& fault() const { return fault_; }
  // Whether that record was longer than the limit.
  bool fault_is_length() const { return fault_is_length_; }

  // Starts with a new file.
  void reset();

 private:
  Frame next_delimited(std::string_view window, bool complete);
  Frame next_sized(std::string_view window, bool complete);
  Frame next_whole(std::string_view window, bool complete);
  Frame discard(std::string_view window, bool complete);
  Frame too_long(std::size_t consumed);
  Frame broken_off(std::string_view window, std::string what);
  std::size_t find_delimiter(std::string_view window, std::size_t from) const;

  const Framing framing_;
  const std::string delimiter_;
  const std::size_t record_bytes_max_;
  std::size_t searched_ = 0;        // bytes of the window known to hold no delimiter
  bool discarding_ = false;         // inside a record that was a fault
  std::uint64_t discard_left_ = 0;  // of a sized one
  bool fault_is_length_ = false;
  std::string fault_;
};

}  // namespace leat::tools
