#include "tools/hex_dump.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/log/batch_fields.h"
#include "leat/log/file_names.h"
#include "leat/log/recovery.h"
#include "leat/log/survey.h"
#include "tools/interrupt.h"

namespace leat::tools {
namespace {

// What a person sees of long bytes and texts; programs get all of it.
constexpr std::size_t kBytesShown = 12;
constexpr std::size_t kTextShown = 32;

Cell hex_cell(Bytes bytes) {
  std::string all;
  std::string shown;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::string digits = fmt::format("{:02x}", static_cast<unsigned>(bytes[i]));
    all += digits;
    if (i < kBytesShown) shown += (i == 0 ? "" : " ") + digits;
  }
  if (bytes.size() > kBytesShown) shown += " ..";
  return {shown, cell(all).json};
}

Cell text_cell(const std::string& text) {
  Cell both = cell(text);
  if (text.empty()) return {"-", both.json};
  if (text.size() > kTextShown) both.text = text.substr(0, kTextShown) + "..";
  return both;
}

// The rows of one partition.
class HexDump {
 public:
  HexDump(PartitionId id, bool deep, RowPrinter& rows) : id_(id), deep_(deep), rows_(rows) {}

  Result<void> batch(Offset segment, std::int64_t position, Bytes bytes, Offset due) {
    for (const BatchField& field : header_fields(bytes, due)) TRY(row(segment, position, field));
    if (bytes.size() <= kBatchHeaderBytes) return {};
    const BatchHeader header = load_batch_header(bytes.data());
    const Bytes records = bytes.subspan(kBatchHeaderBytes);
    const bool is_plain = header.codec() == Codec::none;
    TRY(row(
        segment, position,
        {.at = std::int64_t{kBatchHeaderBytes},
         .bytes = records,
         .name = "records",
         .value = fmt::format("{} bytes", records.size()),
         .meaning = is_plain ? "not compressed" : fmt::format("compressed together: {}", to_string(header.codec()))}));
    if (!deep_) return {};
    RecordFields fields(bytes);
    for (auto record = fields.next(); !record.empty(); record = fields.next()) {
      for (const BatchField& field : record) TRY(row(segment, position, field));
    }
    if (fields.fault().empty()) return {};
    return row(segment, position, {.name = "records", .value = "", .meaning = "WRONG: " + fields.fault()});
  }

  Result<void> bad_place(Offset segment, const File& log, const BadPlace& place) {
    const std::int64_t count = std::min<std::int64_t>(place.bytes(), kBatchBytesMax);
    std::vector<std::byte> bytes(static_cast<std::size_t>(count));
    bytes.resize(TRY(log.read_at(bytes, place.from)));
    // As much of it as the length says, where that can be.
    std::size_t used = bytes.size();
    if (used >= kBatchHeaderBytes) {
      const BatchHeader header = load_batch_header(bytes.data());
      if (header_fault(header) == nullptr) used = std::min(used, header.total_bytes());
    }
    TRY(batch(segment, place.from, Bytes(bytes).first(used), place.first));
    return row(segment, place.from,
               {.at = std::int64_t{0},
                .bytes = {},
                .name = "bad place",
                .value = fmt::format("{} bytes", place.bytes()),
                .meaning = place.unfinished ? "an unfinished write" : "DAMAGED: " + place.fault});
  }

 private:
  Result<void> row(Offset segment, std::int64_t position, const BatchField& field) {
    return rows_.add({cell(std::int64_t{id_.value}), cell(segment.value),
                      field.at ? cell(position + *field.at) : null_cell(), hex_cell(field.bytes), cell(field.name),
                      text_cell(field.value), text_cell_whole(field.meaning)});
  }

  static Cell text_cell_whole(const std::string& text) { return {text.empty() ? "-" : text, cell(text).json}; }

  PartitionId id_;
  bool deep_;
  RowPrinter& rows_;
};

// Tells what was noticed at a bad place, in the words of the other listings.
void note_place(const File& log, const BadPlace& place, Offset first, InspectionFindings& findings) {
  if (place.unfinished) {
    findings.notices.push_back(
        fmt::format("{}: {} bytes behind the last whole batch, an unfinished write", log.path(), place.bytes()));
    return;
  }
  const std::optional<Offset> next = place.is_tail ? std::nullopt : std::optional(place.end);
  findings.damage.push_back(damage_error(log.path(), place.from, place.fault, place.first, first, next));
}

}  // namespace

const std::vector<Column>& hex_dump_columns() {
  static const std::vector<Column> columns = {
      {"PARTITION", "partition"}, {"SEGMENT", "segment"}, {"BYTE", "byte"},      {"HEX", "hex"},
      {"FIELD", "field"},         {"VALUE", "value"},     {"MEANING", "meaning"}};
  return columns;
}

Result<void> hex_dump(const Topic& topic, PartitionId id, OffsetRange range, bool deep, RowPrinter& rows,
                      InspectionFindings& findings) {
  const Directory partition = TRY(topic.open_partition(id));
  const PartitionBounds bounds =
      TRY(note_bounds(partition, topic.state(), id, topic.settings().durability == Durability::os));
  HexDump dump(id, deep, rows);
  for (std::size_t i = bounds.bases.empty() ? 0 : segment_of(bounds.bases, range.from); i < bounds.bases.size(); ++i) {
    const Offset base = bounds.bases[i];
    if (base >= range.end) break;
    const File log = TRY(partition.open_file(log_file_name(base), OpenMode::read));
    const IndexHint hint = range.from > base ? find_by_offset(partition, base, log, range.from) : IndexHint{0, base};
    SegmentScan scan(log, bounds.segment(i, TRY(log.size())), hint);
    for (;;) {
      if (stop_requested()) return fail(Code::interrupted, "stopped");
      const SegmentScan::Step step = TRY(scan.next());
      if (step.kind == SegmentScan::Step::Kind::end) break;
      if (step.kind == SegmentScan::Step::Kind::bad) {
        const BadPlace& place = step.place;
        if (place.first >= range.end || (place.offsets() > 0 && place.end <= range.from)) continue;
        TRY(dump.bad_place(base, log, place));
        note_place(log, place, bounds.bases.front(), findings);
        continue;
      }
      if (step.batch.header.end_offset() <= range.from) continue;
      if (step.batch.header.base_offset >= range.end) break;
      TRY(dump.batch(base, step.batch.position, step.batch.bytes, step.batch.header.base_offset));
    }
  }
  return {};
}

}  // namespace leat::tools
