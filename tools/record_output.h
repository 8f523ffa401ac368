// What `consume` makes of one record: bytes appended to a block, in the format that was asked for. Never writes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "leat/base/error.h"
#include "leat/log/record.h"
#include "leat/pipe/record_template.h"

namespace leat::tools {

enum class OutputFormat {
  dynamic,  // text; on a terminal with control characters escaped
  text,     // the value and a newline; a null is an empty line
  binary,   // a hex dump, and a line of dashes behind each record
  json,     // one JSON value a line: the value if it is JSON, else the value as a JSON string
  jsonl,    // the envelope of cli.md
  raw,      // the value, nothing added
  none,     // nothing
};

// How values alone are told apart.
enum class ValueFraming { lines, nul, u32be };

// The words of -O and --framing, in the order of the enumerators.
inline constexpr std::array<std::string_view, 7> kOutputFormatNames = {"dynamic", "text", "binary", "json",
                                                                       "jsonl",   "raw",  "none"};
inline constexpr std::array<std::string_view, 3> kValueFramingNames = {"lines", "nul", "u32be"};

// What the output flags say, before they are checked against each other.
struct OutputFlags {
  std::optional<OutputFormat> format = {};          // -O
  std::optional<ValueFraming> framing = {};         // --framing
  std::optional<std::string> record_template = {};  // -F
  bool keys = false;                                // -k
};

class RecordOutput {
 public:
  // `terminal`: whether a person will see it. Errors: usage.
  static Result<RecordOutput> make(const OutputFlags& flags, bool terminal);

  // Appends `record` to `to`. Errors: bad_data, with `to` as it was (a value holding NUL under --framing nul).
  Result<void> append(std::string& to, const RecordView& record) {
    switch (mode_) {
      case Mode::line:
        if (record.value) to += *record.value;
        to += '\n';
        return {};
      case Mode::raw:
        if (record.value) to += *record.value;
        return {};
      case Mode::none:
        return {};
      default:
        return append_other(to, record);
    }
  }

  // Whether of a record there is its value to be seen, and at most a newline behind it.
  bool is_values() const { return mode_ == Mode::line || mode_ == Mode::raw; }
  // Appends as many of `records`, from the first on, as the memory of `to` has room for: the same as append() of each,
  // which costs more time where records are short. Precondition: is_values().
  struct Taken {
    std::size_t records = 0;
    std::size_t bytes = 0;  // of their keys and values
  };
  Taken append_values(std::string& to, std::span<const RecordView> records) const;

  OutputFormat format() const { return format_; }

 private:
  enum class Mode { line, keyed_line, binary, json, jsonl, raw, none, nul, u32be, templated };

  Result<void> append_other(std::string& to, const RecordView& record);
  void append_key(std::string& to, const RecordView& record) const;

  OutputFormat format_ = OutputFormat::dynamic;
  Mode mode_ = Mode::line;
  bool keys_ = false;
  bool escape_ = false;    // keys and values, as one sees control characters
  bool terminal_ = false;  // no form but those that are exact by their meaning may show raw control characters
  RecordTemplate template_;
};

}  // namespace leat::tools
