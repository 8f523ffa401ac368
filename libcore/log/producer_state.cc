#include "leat/log/producer_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "leat/log/file_names.h"
#include "leat/log/segment.h"

namespace leat {

namespace {

constexpr std::array<char, 8> kMagic = {'l', 'e', 'a', 't', 'p', 's', '0', '1'};
constexpr std::size_t kSnapshotBytesMax = 64 << 20;

struct SnapshotHeader {
  std::array<char, 8> magic;
  std::int64_t base;
  std::int64_t complete_from;
  std::uint64_t entries;
};
static_assert(sizeof(SnapshotHeader) == 32);

struct SnapshotEntry {
  std::int64_t id;
  std::int64_t epoch;
  std::int64_t records;
  std::int64_t last_offset;
  std::uint64_t last_hash;
};
static_assert(sizeof(SnapshotEntry) == 40);

template <class T>
void append_bytes(std::string& to, const T& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::uint32_t checksum(std::string_view text) {
  return crc32c(std::as_bytes(std::span(text)));
}

std::string encode(const ProducerTable& table, Offset base) {
  std::string text;
  append_bytes(text, SnapshotHeader{kMagic, base.value, table.complete_from.value, table.producers.size()});
  for (const auto& [id, progress] : table.producers) {
    append_bytes(text,
                 SnapshotEntry{id, progress.epoch, progress.records, progress.last_offset.value, progress.last_hash});
  }
  append_bytes(text, checksum(text));
  return text;
}

// nullopt for what is not a whole snapshot of that base.
std::optional<ProducerTable> decode(std::string_view text, Offset base) {
  SnapshotHeader header{};
  std::uint32_t crc = 0;
  if (text.size() < sizeof header + sizeof crc) return std::nullopt;
  std::memcpy(&header, text.data(), sizeof header);
  const std::string_view body = text.substr(0, text.size() - sizeof crc);
  std::memcpy(&crc, text.data() + body.size(), sizeof crc);
  if (header.magic != kMagic || header.base != base.value || crc != checksum(body)) return std::nullopt;
  if ((body.size() - sizeof header) / sizeof(SnapshotEntry) != header.entries) return std::nullopt;
  ProducerTable table{{header.complete_from}, {}};
  for (std::size_t i = 0; i < header.entries; ++i) {
    SnapshotEntry entry{};
    std::memcpy(&entry, body.data() + sizeof header + i * sizeof entry, sizeof entry);
    table.producers[entry.id] = {entry.epoch, entry.records, {entry.last_offset}, entry.last_hash};
  }
  return table;
}

// Whether the file is as long as its header says, so that there is something to read in it.
bool has_its_size(const Directory& partition, Offset base) {
  const auto file = partition.open_file(producers_file_name(base), OpenMode::read);
  const auto bytes = file ? file->size() : fail(Code::not_found, {});
  SnapshotHeader header{};
  if (!bytes || !file->read_at(std::as_writable_bytes(std::span(&header, 1)), 0)) return false;
  const auto most = (kSnapshotBytesMax - sizeof header) / sizeof(SnapshotEntry);
  return header.magic == kMagic && header.entries <= most &&
         static_cast<std::size_t>(*bytes) ==
             sizeof header + header.entries * sizeof(SnapshotEntry) + sizeof(std::uint32_t);
}

std::optional<ProducerTable> load_snapshot(const Directory& partition, Offset base) {
  if (!has_its_size(partition, base)) return std::nullopt;
  const auto text = partition.read_file(producers_file_name(base), kSnapshotBytesMax);
  return text ? decode(*text, base) : std::nullopt;
}

std::unexpected<Error> refuse(const File& log, const BatchAt& batch, std::string_view fault) {
  return fail(Code::damaged,
              fmt::format("{}: damaged at byte {}: the batch of producer id {} at offset {} {}", log.path(),
                          batch.position, batch.header.producer_id, batch.header.base_offset.value, fault));
}

// The same for a batch of a copy.
Result<void> enter_copied(ProducerTable& table, const File& log, const BatchAt& batch) {
  const BatchHeader& header = batch.header;
  ProducerProgress& progress = table.producers[header.producer_id];
  const Offset source = source_of(header);
  if (source.value < progress.records)
    return refuse(log, batch, fmt::format("is from source offset {}, behind {}", source.value, progress.records - 1));
  progress.epoch = header.producer_epoch;
  // Compaction takes records away and leaves what the batch spans.
  progress.records = source.value + header.last_offset_delta + 1;
  progress.last_offset = header.end_offset() - 1;
  return {};
}

// Enters a batch into the table, but for the hash of its last record.
Result<void> enter(ProducerTable& table, const File& log, const BatchAt& batch) {
  const BatchHeader& header = batch.header;
  if (is_copy_id(header.producer_id)) return enter_copied(table, log, batch);
  const auto [found, is_new] = table.producers.try_emplace(header.producer_id);
  ProducerProgress& progress = found->second;
  if (header.base_sequence != sequence_behind(progress.records)) {
    // Of a producer registered before the table begins nobody asks.
    if (is_new && table.complete_from > Offset{0}) {
      table.producers.erase(found);
      return {};
    }
    return refuse(
        log, batch,
        fmt::format("has sequence {} where {} comes next", header.base_sequence, sequence_behind(progress.records)));
  }
  // Epochs count runs modulo 2^15: what is behind by less than half of that is older.
  constexpr std::int64_t kEpochs = 1 << 15;
  const std::int64_t ahead = (header.producer_epoch - progress.epoch) & (kEpochs - 1);
  if (!is_new && ahead >= kEpochs / 2)
    return refuse(log, batch, fmt::format("has epoch {}, older than {}", header.producer_epoch, progress.epoch));
  progress.epoch = header.producer_epoch;
  progress.records += header.record_count;
  progress.last_offset = header.end_offset() - 1;
  return {};
}

// The hash of the last record of the batch at a place.
Result<std::uint64_t> last_hash(const File& log, std::int64_t position, Offset base, std::int64_t limit) {
  SegmentWalk walk(log, position, base);
  const WalkStep step = TRY(walk.next(limit));
  if (step.kind != WalkStep::Kind::batch) {
    return fail(Code::damaged, fmt::format("{}: damaged at byte {}: {}", log.path(), position,
                                           step.fault == nullptr ? "no batch" : step.fault));
  }
  BatchDecoder decoder;
  const auto records = TRY(decoder.decode(step.batch.bytes));
  if (records.empty() || records.back().offset + 1 != step.batch.header.end_offset()) return 0;
  return hash_of_record(records.back().key, records.back().value);
}

// Takes the batches of one segment up to byte `limit` into the table.
Result<void> walk_segment(ProducerTable& table, const File& log, Offset base, std::int64_t limit) {
  struct Place {
    std::int64_t position;
    Offset base;
  };
  std::map<std::int64_t, Place> last;  // batch, by producer id
  SegmentWalk walk(log, 0, base, WalkDepth::headers);
  for (;;) {
    const WalkStep step = TRY(walk.next(limit));
    if (step.kind == WalkStep::Kind::end) break;
    if (step.kind == WalkStep::Kind::bad)
      return fail(Code::damaged, fmt::format("{}: damaged at byte {}: {}", log.path(), walk.position(), step.fault));
    if (step.batch.header.producer_id == -1 || step.batch.header.record_count == 0) continue;
    TRY(enter(table, log, step.batch));
    last[step.batch.header.producer_id] = {step.batch.position, step.batch.header.base_offset};
  }
  for (const auto& [id, place] : last) {
    if (const auto found = table.producers.find(id); found != table.producers.end())
      found->second.last_hash = TRY(last_hash(log, place.position, place.base, limit));
  }
  return {};
}

// The table of what lies before `end`; `limit` is the byte it has in the last of `bases`.
Result<ProducerTable> walk_from_snapshot(const Directory& partition, std::span<const Offset> bases,
                                         std::int64_t limit) {
  std::size_t first = bases.size();
  std::optional<ProducerTable> table;
  while (first > 0 && !table) table = load_snapshot(partition, bases[--first]);
  if (!table) table = ProducerTable{bases[0], {}};
  for (std::size_t i = first; i < bases.size(); ++i) {
    const File log = TRY(partition.open_file(log_file_name(bases[i]), OpenMode::read));
    TRY(walk_segment(*table, log, bases[i], i + 1 == bases.size() ? limit : TRY(log.size())));
  }
  return std::move(*table);
}

}  // namespace

std::int32_t sequence_behind(std::int64_t records) {
  return static_cast<std::int32_t>(records & std::numeric_limits<std::int32_t>::max());
}

BatchProducer copied_from(std::int64_t producer_id, Offset source) {
  ASSERT(is_copy_id(producer_id) && source.value >= 0 && source < kCopiedOffsetMax);
  return {producer_id, static_cast<std::int16_t>(source.value >> 31), sequence_behind(source.value)};
}

Offset source_of(const BatchHeader& header) {
  return {std::int64_t{header.producer_epoch} << 31 | std::int64_t{header.base_sequence}};
}

std::uint64_t hash_of_record(std::optional<std::string_view> key, std::optional<std::string_view> value) {
  const auto half = [](std::optional<std::string_view> text) -> std::uint64_t {
    return text ? std::uint64_t{1} + checksum(*text) : 0;
  };
  return half(key) << 32 ^ half(value);
}

Result<ProducerTable> read_producers(const Directory& partition, const LogEnd& end) {
  // A segment may be retired between listing and opening; then there is a snapshot at the next.
  constexpr int kAttempts = 5;
  for (int attempt = 1;; ++attempt) {
    std::vector<Offset> bases = TRY(list_segments(partition));
    std::erase_if(bases, [&](Offset base) { return base > end.segment_base; });
    if (bases.empty()) return ProducerTable{end.end, {}};
    auto table = walk_from_snapshot(partition, bases, end.position);
    if (table || table.error().code != Code::not_found || attempt == kAttempts) return table;
  }
}

Result<void> snapshot_producers(const Directory& partition, Offset base) {
  if (load_snapshot(partition, base)) return {};
  std::vector<Offset> before = TRY(list_segments(partition));
  std::erase_if(before, [&](Offset other) { return other >= base; });
  if (before.empty()) return {};
  const File last = TRY(partition.open_file(log_file_name(before.back()), OpenMode::read));
  const ProducerTable table = TRY(walk_from_snapshot(partition, before, TRY(last.size())));
  return partition.replace_file(producers_file_name(base), encode(table, base));
}

}  // namespace leat
