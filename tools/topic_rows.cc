#include "tools/topic_rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/base/units.h"

namespace leat::tools {
namespace {

using Row = std::vector<Cell>;

// What is kept, in one cell: "7d, 10GiB, 500 records"; nothing when everything is.
Cell retention_cell(const TopicSettings& settings) {
  std::vector<std::string> limits;
  if (settings.retention_ms) limits.push_back(format_duration(Milliseconds(*settings.retention_ms)));
  if (settings.retention_bytes) limits.push_back(format_size(*settings.retention_bytes));
  if (settings.retention_records) limits.push_back(fmt::format("{} records", *settings.retention_records));
  return limits.empty() ? null_cell() : cell(fmt::format("{}", fmt::join(limits, ", ")));
}

Cell bytes_cell(std::int64_t bytes) {
  return bytes < 0 ? null_cell() : size_cell(bytes);
}

Cell when_cell(std::optional<TimestampMs> time) {
  return time ? time_cell(*time) : null_cell();
}

const std::vector<Column> kPartitionColumns = {
    {"TOPIC", "topic"}, {"PARTITION", "partition"}, {"SEGMENTS", "segments"}, {"SIZE", "size"},    {"START", "start"},
    {"END", "end"},     {"RECORDS", "records"},     {"OLDEST", "oldest"},     {"NEWEST", "newest"}};

Row partition_row(const PartitionInfo& info) {
  return {cell(info.topic),
          cell(std::int64_t{info.partition.value}),
          info.segments < 0 ? null_cell() : cell(info.segments),
          bytes_cell(info.bytes),
          cell(info.start.value),
          cell(info.end.value),
          cell(info.end - info.start),
          when_cell(info.oldest),
          when_cell(info.newest)};
}

std::vector<Column> consumer_columns(bool with_lag) {
  std::vector<Column> columns = {{"CONSUMER", "consumer"},
                                 {"TOPIC", "topic"},
                                 {"PARTITION", "partition"},
                                 {"OFFSET", "offset"},
                                 {"LAST SEEN", "last_seen"}};
  if (with_lag) columns.push_back({"LAG", "lag"});
  return columns;
}

Row consumer_row(const ConsumerOffset& offset, TimestampMs now, bool with_lag) {
  Row row = {cell(offset.consumer), cell(offset.topic), cell(std::int64_t{offset.partition.value}),
             last_seen_cell(offset.next), offset.committed_at ? age_cell(*offset.committed_at, now) : null_cell()};
  if (with_lag) row.push_back(optional_cell(offset.lag));
  return row;
}

std::vector<Row> partition_rows(std::span<const PartitionInfo> partitions) {
  std::vector<Row> rows;
  for (const PartitionInfo& partition : partitions) rows.push_back(partition_row(partition));
  return rows;
}

std::vector<Row> consumer_rows(std::span<const ConsumerOffset> offsets, bool with_lag) {
  const TimestampMs now = now_ms();
  std::vector<Row> rows;
  for (const ConsumerOffset& offset : offsets) rows.push_back(consumer_row(offset, now, with_lag));
  return rows;
}

std::string snake_case(std::string_view key) {
  std::string name(key);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

// A setting in JSON: none is null, sizes and durations are numbers of bytes and milliseconds, words are strings.
std::vector<std::pair<std::string, Cell>> setting_cells(const TopicSettings& settings) {
  std::vector<std::pair<std::string, Cell>> cells;
  for (const auto& [key, text] : list_settings(settings)) {
    Cell value = cell(text);
    if (text == "none" && key.starts_with("retention")) value.json = "null";
    if (key == "retention-time" && settings.retention_ms) value.json = std::to_string(*settings.retention_ms);
    if (key == "retention-bytes" && settings.retention_bytes) value.json = std::to_string(*settings.retention_bytes);
    if (key == "retention-records" && settings.retention_records) value.json = text;
    if (key == "segment-size") value.json = std::to_string(settings.segment_bytes);
    if (key == "max-record-size") value.json = std::to_string(settings.max_record_bytes);
    std::string name = snake_case(key);
    if (name == "retention-time" || name == "retention_time") name = "retention_time_ms";
    cells.emplace_back(std::move(name), std::move(value));
  }
  return cells;
}

Result<void> print_description_json(const TopicInfo& info, std::span<const PartitionInfo> partitions,
                                    std::span<const ConsumerOffset> consumers) {
  std::vector<Column> columns = {{"", "name"}, {"", "records"}, {"", "size"}};
  Row row = {cell(info.name), cell(info.records), bytes_cell(info.bytes)};
  for (auto& [key, value] : setting_cells(info.settings)) {
    columns.push_back({"", key});
    row.push_back(value);
  }
  columns.push_back({"", "partitions"});
  row.push_back(array_cell(kPartitionColumns, partition_rows(partitions)));
  columns.push_back({"", "consumers"});
  row.push_back(array_cell(consumer_columns(true), consumer_rows(consumers, true)));
  return print_rows(ListFormat::json, columns, {row}, "");
}

}  // namespace

Cell last_seen_cell(std::optional<Offset> next) {
  return next && next->value > 0 ? cell(next->value - 1) : null_cell();
}

Result<void> print_topics(ListFormat format, std::span<const TopicInfo> topics) {
  std::vector<Column> columns = {{"NAME", "name"},           {"PARTITIONS", "partitions"},
                                 {"RETENTION", "retention"}, {"COMPRESSION", "compression"},
                                 {"RECORDS", "records"},     {"SIZE", "size"}};
  // A program wants the limits as numbers.
  const bool json = format == ListFormat::json;
  if (json) {
    columns.insert(columns.end(), {{"", "retention_time_ms"}, {"", "retention_bytes"}, {"", "retention_records"}});
  }
  std::vector<Row> rows;
  for (const TopicInfo& topic : topics) {
    Row& row = rows.emplace_back(Row{cell(topic.name), cell(std::int64_t{topic.settings.partitions}),
                                     retention_cell(topic.settings), cell(to_string(topic.settings.compression)),
                                     cell(topic.records), bytes_cell(topic.bytes)});
    if (!json) continue;
    row.push_back(optional_cell(topic.settings.retention_ms));
    row.push_back(optional_cell(topic.settings.retention_bytes));
    row.push_back(optional_cell(topic.settings.retention_records));
  }
  return print_rows(format, columns, rows, "No topics found");
}

Result<void> print_partitions(ListFormat format, std::span<const PartitionInfo> partitions) {
  return print_rows(format, kPartitionColumns, partition_rows(partitions), "No partitions found");
}

void keep_those_on(std::string_view topic, ConsumerOffsets& consumers) {
  std::erase_if(consumers.offsets, [&](const ConsumerOffset& offset) { return offset.topic != topic; });
  std::erase_if(consumers.unreadable, [&](const UnreadableOffsets& one) { return one.topic != topic; });
}

Result<void> report_unreadable(std::span<const UnreadableOffsets> unreadable) {
  if (unreadable.empty()) return {};
  for (const UnreadableOffsets& one : unreadable.first(unreadable.size() - 1)) print_error(one.error);
  return std::unexpected(unreadable.back().error);
}

Result<void> print_consumers(ListFormat format, std::span<const ConsumerOffset> offsets, bool with_lag) {
  return print_rows(format, consumer_columns(with_lag), consumer_rows(offsets, with_lag), "No consumers found");
}

Result<void> print_description(ListFormat format, const TopicInfo& info, std::span<const PartitionInfo> partitions,
                               std::span<const ConsumerOffset> consumers) {
  if (format == ListFormat::json) return print_description_json(info, partitions, consumers);
  std::vector<Row> settings = {{cell("name"), cell(info.name)},
                               {cell("partitions"), cell(std::int64_t{info.settings.partitions})}};
  for (const auto& [key, text] : list_settings(info.settings)) settings.push_back({cell(key), cell(text)});
  settings.push_back({cell("records"), cell(info.records)});
  settings.push_back({cell("size"), bytes_cell(info.bytes)});
  TRY(print_rows(format, {{"SETTING", "setting"}, {"VALUE", "value"}}, settings, ""));
  TRY(out().write("\n"));
  TRY(print_partitions(format, partitions));
  if (consumers.empty()) return {};
  TRY(out().write("\n"));
  return print_consumers(format, consumers, true);
}

}  // namespace leat::tools
