// Cells and rows, laid out as a table for people or as JSON for programs.
#include <algorithm>

#include "leat/base/units.h"
#include "tools/output.h"

namespace leat::tools {
namespace {

// Columns on a terminal: one for each code point is near enough for the names that leat allows.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string json_string(std::string_view text) {
  std::string json;
  append_json_string(json, is_utf8(text) ? text : escape_controls(text));
  return json;
}

void append_line(std::string& to, const std::vector<std::string>& texts, const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    line += "  ";
    line += texts[i];
    line.append(widths[i] - width(texts[i]), ' ');
  }
  line.erase(line.find_last_not_of(' ') + 1);
  to += line;
  to += '\n';
}

std::string table(const std::vector<Column>& columns, const std::vector<std::vector<Cell>>& rows) {
  std::vector<std::vector<std::string>> lines(1);
  for (const Column& column : columns) lines[0].push_back(column.heading);
  for (const auto& row : rows) {
    auto& line = lines.emplace_back();
    for (const Cell& value : row) line.push_back(escape_controls(value.text));
  }
  std::vector<std::size_t> widths(columns.size(), 0);
  for (const auto& line : lines) {
    ASSERT(line.size() == columns.size());
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width(line[i]));
  }
  std::string text;
  for (const auto& line : lines) append_line(text, line, widths);
  return text;
}

std::string json_array(const std::vector<Column>& columns, const std::vector<std::vector<Cell>>& rows) {
  std::string text = "[";
  for (const auto& row : rows) {
    ASSERT(row.size() == columns.size());
    if (text.size() > 1) text += ',';
    text += '{';
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i > 0) text += ',';
      append_json_string(text, columns[i].key);
      text += ':';
      text += row[i].json;
    }
    text += '}';
  }
  text += "]\n";
  return text;
}

}  // namespace

Cell cell(std::string_view text) {
  return {std::string(text), json_string(text)};
}

Cell cell(std::int64_t number) {
  return {std::to_string(number), std::to_string(number)};
}

Cell time_cell(TimestampMs time) {
  return cell(format_time(time));
}

Cell age_cell(TimestampMs since, TimestampMs now) {
  return {format_age(Milliseconds(now - since)), json_string(format_time(since))};
}

Cell size_cell(std::int64_t bytes) {
  return {format_size_short(bytes), std::to_string(bytes)};
}

Cell null_cell() {
  return {"-", "null"};
}

Result<void> print_rows(ListFormat format, const std::vector<Column>& columns,
                        const std::vector<std::vector<Cell>>& rows, std::string_view when_empty) {
  if (format == ListFormat::json) return out().write(json_array(columns, rows));
  if (!rows.empty()) return out().write(table(columns, rows));
  print_note(when_empty);
  return {};
}

}  // namespace leat::tools
