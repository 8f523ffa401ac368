// stdout and stderr: the only writer of both. Tables, JSON and sentences are laid out here; nothing is computed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/error.h"
#include "leat/base/text.h"
#include "leat/base/types.h"

namespace leat::tools {

// Buffered standard output, written in large blocks.
class StandardOutput {
 public:
  // Appends; written through once the buffer is full. Errors: io. A reader that has gone away (EPIPE) is no error here:
  // it sets broken(), and what is still to be written is dropped.
  Result<void> write(std::string_view bytes);
  // Writes out all that is buffered.
  Result<void> flush();
  // Whether the other end has been closed. Nothing more is written then.
  bool broken() const { return broken_; }
  // Bytes that have really been written to the descriptor so far.
  std::uint64_t written() const { return written_; }

 private:
  Result<void> write_through(std::string_view bytes);

  std::string buffer_;
  std::uint64_t written_ = 0;
  bool broken_ = false;
  bool looked_at_pipe_ = false;
};

// The one standard output of the process.
StandardOutput& out();

bool stdout_is_terminal();
bool stderr_is_terminal();

// Whether print_warning() and print_error() may use colour. Off until set.
void set_error_color(bool on);

// One line on stderr each; control characters in them are escaped. note() is silenced by -q.
void print_note(std::string_view sentence);
void print_warning(std::string_view sentence);  // "leat: warning: ..."
void print_error(const Error& error);           // "leat: error: ..." and "hint: ..."
void set_quiet(bool quiet);
void print_text(std::string_view lines);  // help on stderr, as it is

// A cell: what a person sees, and the same as a JSON value already in JSON ("12", "\"a\"", "null").
struct Cell {
  std::string text;
  std::string json;
};
Cell cell(std::string_view text);
Cell cell(std::int64_t number);
Cell time_cell(TimestampMs time);                   // RFC 3339 in both
Cell age_cell(TimestampMs since, TimestampMs now);  // an age for people, RFC 3339 in JSON
Cell size_cell(std::int64_t bytes);                 // "1.2 KiB" for people, a number in JSON
Cell null_cell();                                   // "-" and null
Cell optional_cell(std::optional<std::int64_t> number);

struct Column {
  std::string heading;  // "LAST SEEN"
  std::string key;      // "last_seen"
};

// A row as an object on one line of JSON.
std::string json_object(const std::vector<Column>& columns, const std::vector<Cell>& row);
// A list inside a row: a JSON array of objects; people see nothing of it.
Cell array_cell(const std::vector<Column>& columns, const std::vector<std::vector<Cell>>& rows);

enum class ListFormat { table, json };

// Prints rows as they come, for listings that may be longer than memory: a table's columns grow where a later row is
// wider. finish() ends the listing. The columns must outlive it.
class RowPrinter {
 public:
  RowPrinter(ListFormat format, const std::vector<Column>& columns);
  Result<void> add(std::vector<Cell> row);
  Result<void> finish(std::string_view when_empty);

 private:
  Result<void> print_table();

  ListFormat format_;
  const std::vector<Column>* columns_;
  std::vector<std::size_t> widths_;
  std::vector<std::vector<Cell>> rows_;  // not printed yet
  bool any_ = false;
};

// Prints rows as a table (two leading spaces, two between columns, left-aligned, no trailing spaces) or as a JSON array
// of objects. An empty table prints `when_empty` on stderr; empty JSON is [].
Result<void> print_rows(ListFormat format, const std::vector<Column>& columns,
                        const std::vector<std::vector<Cell>>& rows, std::string_view when_empty);

}  // namespace leat::tools
