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

Cell optional_cell(std::optional<std::int64_t> number) {
  return number ? cell(*number) : null_cell();
}

std::string json_object(const std::vector<Column>& columns, const std::vector<Cell>& row) {
  std::string text = "{";
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i > 0) text += ',';
    append_json_string(text, columns[i].key);
    text += ':';
    text += row[i].json;
  }
  return text + "}";
}

Cell array_cell(const std::vector<Column>& columns, const std::vector<std::vector<Cell>>& rows) {
  std::string json = "[";
  for (const auto& row : rows) json += (json.size() > 1 ? "," : "") + json_object(columns, row);
  return {"", json + "]"};
}

RowPrinter::RowPrinter(ListFormat format, const std::vector<Column>& columns)
    : format_(format), columns_(&columns), widths_(columns.size(), 0) {}

Result<void> RowPrinter::add(std::vector<Cell> row) {
  constexpr std::size_t kRowsHeld = 1000;
  ASSERT(row.size() == columns_->size());
  if (format_ == ListFormat::json) {
    TRY(out().write(any_ ? "," : "["));
    any_ = true;
    return out().write(json_object(*columns_, row));
  }
  rows_.push_back(std::move(row));
  return rows_.size() < kRowsHeld ? Result<void>() : print_table();
}

Result<void> RowPrinter::print_table() {
  std::vector<std::vector<std::string>> lines;
  if (!any_) {
    for (auto& line = lines.emplace_back(); const Column& column : *columns_) line.push_back(column.heading);
  }
  for (const auto& row : rows_) {
    for (auto& line = lines.emplace_back(); const Cell& value : row) line.push_back(escape_controls(value.text));
  }
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths_[i] = std::max(widths_[i], width(line[i]));
  }
  std::string text;
  for (const auto& line : lines) append_line(text, line, widths_);
  any_ = true;
  rows_.clear();
  return out().write(text);
}

Result<void> RowPrinter::finish(std::string_view when_empty) {
  if (format_ == ListFormat::json) return out().write(any_ ? "]\n" : "[]\n");
  if (!rows_.empty()) return print_table();
  if (!any_) print_note(when_empty);
  return {};
}

Result<void> print_rows(ListFormat format, const std::vector<Column>& columns,
                        const std::vector<std::vector<Cell>>& rows, std::string_view when_empty) {
  RowPrinter printer(format, columns);
  for (const auto& row : rows) TRY(printer.add(row));
  return printer.finish(when_empty);
}

}  // namespace leat::tools
