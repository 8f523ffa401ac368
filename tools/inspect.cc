// `leat inspect segments|dump|index`: the files of a topic's partitions, as they are.
#include <fmt/format.h>

#include "leat/log/inspection.h"
#include "tools/commands.h"
#include "tools/hex_dump.h"
#include "tools/interrupt.h"
#include "tools/local_directory.h"
#include "tools/options.h"

namespace leat::tools {
namespace {

// What the three have in common: which partitions and offsets are looked at, and how findings end the command.
class Inspect : public Command {
 public:
  void add_options(OptionSet& options) override {
    add_topic(options, topic_);
    add_partitions(options, partitions_, "only this partition (repeatable)");
    add_count(options, "--from", from_, "only what holds this offset or a later one");
    add_count(options, "--to", to_, "only up to this offset, inclusive");
    add_list_format(options, format_);
  }

  Result<void> run(Context& context) override {
    TRY(check_name("topic", topic_));
    if (from_ && to_ && *to_ < *from_) {
      return fail(Code::usage, fmt::format("--to {} comes before --from {}", *to_, *from_));
    }
    const DataDir data_dir = TRY(open_local_directory(context, "inspect"));
    const Topic topic = TRY(Topic::open(data_dir, topic_, Topic::Access::read));
    if (partitions_.empty()) {
      for (std::int32_t i = 0; i < topic.settings().partitions; ++i) partitions_.push_back(PartitionId{i});
    }
    RowPrinter rows(format_, columns());
    InspectionFindings findings;
    for (const PartitionId id : partitions_) TRY(inspect(topic, id, rows, findings));
    TRY(rows.finish("Nothing found"));
    return report(findings);
  }

 protected:
  virtual const std::vector<Column>& columns() const = 0;
  virtual Result<void> inspect(const Topic& topic, PartitionId id, RowPrinter& rows, InspectionFindings& findings) = 0;

  OffsetRange range() const {
    OffsetRange range;
    if (from_) range.from = Offset{*from_};
    if (to_ && *to_ < range.end.value) range.end = Offset{*to_ + 1};
    return range;
  }

 private:
  // The first damage is the command's error, the others are printed before it.
  static Result<void> report(const InspectionFindings& findings) {
    TRY(out().flush());
    for (const std::string& notice : findings.notices) print_warning(notice);
    if (findings.damage.empty()) return {};
    for (std::size_t i = 1; i < findings.damage.size(); ++i) print_error(findings.damage[i]);
    return std::unexpected(findings.damage.front());
  }

  std::string topic_;
  std::vector<PartitionId> partitions_;
  std::optional<std::int64_t> from_;
  std::optional<std::int64_t> to_;
  ListFormat format_ = ListFormat::table;
};

class InspectSegments : public Inspect {
  const std::vector<Column>& columns() const override {
    static const std::vector<Column> table_columns = {{"PARTITION", "partition"},
                                                      {"BASE", "base"},
                                                      {"NEXT", "next"},
                                                      {"BYTES", "bytes"},
                                                      {"STATE", "state"},
                                                      {"INDEX ENTRIES", "index_entries"},
                                                      {"TIME INDEX ENTRIES", "time_index_entries"}};
    return table_columns;
  }

  Result<void> inspect(const Topic& topic, PartitionId id, RowPrinter& rows, InspectionFindings& findings) override {
    const auto partition = TRY(PartitionInspection::open(topic, id));
    for (const SegmentSummary& segment : TRY(partition.segments(range(), findings))) {
      TRY(rows.add({cell(std::int64_t{id.value}), cell(segment.base.value), cell(segment.next.value),
                    cell(segment.bytes), cell(segment.active ? "active" : "sealed"), cell(segment.offset_entries),
                    cell(segment.time_entries)}));
    }
    return {};
  }
};

class InspectDump : public Inspect {
 public:
  void add_options(OptionSet& options) override {
    Inspect::add_options(options);
    options.add_flag("--deep", deep_, "decode every record too");
    options.add_flag("--hex", hex_, "every field of every batch, with its bytes and what they mean; damaged ones too");
  }

 private:
  const std::vector<Column>& columns() const override {
    static const std::vector<Column> table_columns = {
        {"PARTITION", "partition"}, {"SEGMENT", "segment"},   {"FIRST", "first"}, {"LAST", "last"},
        {"POSITION", "position"},   {"BYTES", "bytes"},       {"CODEC", "codec"}, {"RECORDS", "records"},
        {"TIME", "time"},           {"MAX TIME", "max_time"}, {"CRC", "crc"}};
    return hex_ ? hex_dump_columns() : table_columns;
  }

  Result<void> inspect(const Topic& topic, PartitionId id, RowPrinter& rows, InspectionFindings& findings) override {
    if (hex_) return hex_dump(topic, id, range(), deep_, rows, findings);
    const auto partition = TRY(PartitionInspection::open(topic, id));
    return partition.visit_batches(range(), deep_, findings, [&](Offset segment, const BatchAt& batch) -> Result<void> {
      if (stop_requested()) return fail(Code::interrupted, "stopped");
      const BatchHeader& header = batch.header;
      return rows.add({cell(std::int64_t{id.value}), cell(segment.value), cell(header.base_offset.value),
                       cell(header.end_offset().value - 1), cell(batch.position),
                       cell(static_cast<std::int64_t>(header.total_bytes())), cell(to_string(header.codec())),
                       cell(std::int64_t{header.record_count}), time_cell(header.base_timestamp),
                       time_cell(header.max_timestamp), cell(fmt::format("{:08x}", header.crc))});
    });
  }

  bool deep_ = false;
  bool hex_ = false;
};

class InspectIndex : public Inspect {
  const std::vector<Column>& columns() const override {
    static const std::vector<Column> table_columns = {{"PARTITION", "partition"},
                                                      {"SEGMENT", "segment"},
                                                      {"INDEX", "index"},
                                                      {"OFFSET", "offset"},
                                                      {"POSITION", "position"},
                                                      {"TIME", "time"},
                                                      {"POINTS AT BATCH", "points_at_batch"}};
    return table_columns;
  }

  Result<void> inspect(const Topic& topic, PartitionId id, RowPrinter& rows, InspectionFindings& findings) override {
    const auto partition = TRY(PartitionInspection::open(topic, id));
    for (const IndexEntryReport& entry : TRY(partition.index_entries(range(), findings))) {
      const bool good = entry.points_at_batch;
      TRY(rows.add({cell(std::int64_t{id.value}), cell(entry.segment.value), cell(entry.by_time ? "time" : "offset"),
                    cell(entry.offset.value), entry.by_time ? null_cell() : cell(entry.position),
                    entry.by_time ? time_cell(entry.timestamp) : null_cell(),
                    Cell{good ? "yes" : "no", good ? "true" : "false"}}));
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<Command> make_inspect_segments() {
  return std::make_unique<InspectSegments>();
}

std::unique_ptr<Command> make_inspect_dump() {
  return std::make_unique<InspectDump>();
}

std::unique_ptr<Command> make_inspect_index() {
  return std::make_unique<InspectIndex>();
}

}  // namespace leat::tools
