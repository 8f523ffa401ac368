#include "leat/log/segment_index.h"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <optional>
#include <ranges>
#include <vector>

#include "leat/log/file_names.h"

namespace leat {

namespace {

// One index file open for lookups: entries of fixed size in ascending order.
template <class Entry, std::size_t kEntryBytes, Entry (*load)(const std::byte*, Offset)>
class EntryFile {
 public:
  EntryFile(File file, Offset base) : file_(std::move(file)), base_(base) {}

  Result<std::int64_t> count() const { return TRY(file_.size()) / static_cast<std::int64_t>(kEntryBytes); }

  Result<Entry> at(std::int64_t i) const {
    std::array<std::byte, kEntryBytes> raw{};
    const std::size_t got = TRY(file_.read_at(raw, i * static_cast<std::int64_t>(kEntryBytes)));
    if (got != raw.size()) return fail(Code::io, file_.path() + " ends inside an entry");
    return load(raw.data(), base_);
  }

  // The number of entries for which `before` holds, assuming it holds for a prefix of the entries.
  template <class Before>
  Result<std::int64_t> count_before(Before before) const {
    std::int64_t low = 0;
    std::int64_t high = TRY(count());
    if (high <= kReadAtOnce) {
      std::array<std::byte, kReadAtOnce * kEntryBytes> raw;
      const std::span<std::byte> present(raw.data(), static_cast<std::size_t>(high) * kEntryBytes);
      if (TRY(file_.read_at(present, 0)) != present.size()) return fail(Code::io, file_.path() + " has become shorter");
      const auto entries = std::views::iota(std::int64_t{0}, high);
      return std::ranges::partition_point(
                 entries,
                 [&](std::int64_t i) {
                   return before(load(raw.data() + static_cast<std::size_t>(i) * kEntryBytes, base_));
                 }) -
             entries.begin();
    }
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      if (before(TRY(at(middle)))) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  // The last of them.
  template <class Before>
  Result<std::optional<Entry>> last(Before before) const {
    const std::int64_t count = TRY(count_before(before));
    if (count == 0) return std::nullopt;
    return TRY(at(count - 1));
  }

  // No segment has more than so many; what a file claims beyond is not looked at.
  Result<std::vector<Entry>> all() const {
    constexpr std::int64_t kMost = kSegmentBytesMax / kIndexIntervalBytes + 1;
    std::vector<std::byte> raw(static_cast<std::size_t>(std::min(TRY(count()), kMost)) * kEntryBytes);
    raw.resize(TRY(file_.read_at(raw, 0)) / kEntryBytes * kEntryBytes);
    std::vector<Entry> entries;
    for (std::size_t i = 0; i < raw.size(); i += kEntryBytes) entries.push_back(load(raw.data() + i, base_));
    return entries;
  }

  // Whether the file holds so many entries and not a byte more.
  Result<bool> is_exactly(std::int64_t entries) const {
    return TRY(file_.size()) == entries * static_cast<std::int64_t>(kEntryBytes);
  }

  // Keeps the first `entries`, drops all behind them, a torn one too.
  Result<void> cut(std::int64_t entries) const {
    const auto wanted = entries * static_cast<std::int64_t>(kEntryBytes);
    return TRY(file_.size()) == wanted ? Result<void>{} : file_.truncate(wanted);
  }

  Result<void> append(std::int64_t entries, Bytes more) const {
    return more.empty() ? Result<void>{} : file_.write_at(more, entries * static_cast<std::int64_t>(kEntryBytes));
  }

 private:
  // A file of so many entries is read whole to be searched: one call instead of ten.
  static constexpr std::int64_t kReadAtOnce = 1024;

  File file_;
  Offset base_;
};

OffsetIndexEntry load_offset_entry(const std::byte* raw, Offset base) {
  return {base + load_be<std::int32_t>(raw), load_be<std::int32_t>(raw + 4)};
}
TimeIndexEntry load_time_entry(const std::byte* raw, Offset base) {
  return {{load_be<std::int64_t>(raw)}, base + load_be<std::int32_t>(raw + 8)};
}

using OffsetIndexFile = EntryFile<OffsetIndexEntry, kIndexEntryBytes, load_offset_entry>;
using TimeIndexFile = EntryFile<TimeIndexEntry, kTimeIndexEntryBytes, load_time_entry>;

Result<OffsetIndexFile> open_offset_index(const Directory& partition, Offset base, OpenMode mode) {
  return OffsetIndexFile(TRY(partition.open_file(index_file_name(base), mode)), base);
}
Result<TimeIndexFile> open_time_index(const Directory& partition, Offset base, OpenMode mode) {
  return TimeIndexFile(TRY(partition.open_file(time_index_file_name(base), mode)), base);
}

// Whether a batch with this base offset starts at `position`: its header, or all of it.
bool batch_at(const File& log, std::int64_t position, Offset base, WalkDepth depth) {
  std::array<std::byte, kBatchHeaderBytes> raw{};
  if (position < 0) return false;
  const auto got = log.read_at(raw, position);
  if (!got || *got != raw.size()) return false;
  const BatchHeader header = load_batch_header(raw.data());
  if (header_fault(header) != nullptr || header.base_offset != base) return false;
  if (depth == WalkDepth::headers) return true;
  const auto bytes = std::make_unique_for_overwrite<std::byte[]>(header.total_bytes());
  const std::span<std::byte> batch(bytes.get(), header.total_bytes());
  const auto count = log.read_at(batch, position);
  return count && *count == batch.size() && batch_crc_matches(batch);
}

bool whole_batch_at(const File& log, std::int64_t position, Offset base) {
  return batch_at(log, position, base, WalkDepth::checked);
}

void append_entry(std::vector<std::byte>& to, auto first, auto second) {
  const std::size_t at = to.size();
  to.resize(at + sizeof first + sizeof second);
  store_be(to.data() + at, first);
  store_be(to.data() + at + sizeof first, second);
}

// Whether a batch of this base offset and maximum timestamp is in the segment.
bool time_entry_holds(const Directory& partition, Offset base, const File& log, const TimeIndexEntry& entry) {
  const auto size = log.size();
  if (!size || entry.offset < base) return false;
  const IndexHint hint = find_by_offset(partition, base, log, entry.offset);
  SegmentWalk walk(log, hint.position, hint.base, WalkDepth::headers);
  for (;;) {
    const auto step = walk.next(*size);
    if (!step || step->kind != WalkStep::Kind::batch || step->batch.header.base_offset > entry.offset) return false;
    if (step->batch.header.base_offset == entry.offset) return step->batch.header.max_timestamp == entry.timestamp;
  }
}

// Where to go on with two indexes that may be missing, behind, torn or damaged.
struct Resume {
  std::int64_t offset_entries = 0;
  std::int64_t time_entries = 0;
  IndexHint from{};
  bool from_is_indexed = false;  // the batch at `from` has its entry
  bool complete = false;         // nothing has to be added or cut
  TimestampMs maximum{std::numeric_limits<std::int64_t>::min()};
};

// Behind the last entries that fit the log; at the start of the segment when they do not, which costs a walk over
// headers.
Result<Resume> find_resume(const Directory& partition, const OffsetIndexFile& offsets, const TimeIndexFile& times,
                           const File& log, Offset base, std::int64_t end_position) {
  const Resume anew{.from = {0, base}};
  const std::int64_t offset_entries = TRY(offsets.count());
  if (offset_entries == 0) return anew;
  const OffsetIndexEntry last = TRY(offsets.at(offset_entries - 1));
  if (last.position >= end_position || !whole_batch_at(log, last.position, last.offset)) return anew;
  // A process that died between the two files leaves a time entry too many.
  std::int64_t time_entries = TRY(times.count());
  TimeIndexEntry newest;
  for (; time_entries > 0; --time_entries) {
    newest = TRY(times.at(time_entries - 1));
    if (newest.offset <= last.offset) break;
  }
  if (time_entries == 0 || !time_entry_holds(partition, base, log, newest)) return anew;
  // Neither file is synced, so a power cut may have taken time entries alone: that the maximum has not grown since the
  // newest one is not believed but read again, from the place it was written at. With growing timestamps that is the
  // last place.
  const std::int64_t places =
      TRY(offsets.count_before([&](const OffsetIndexEntry& e) { return e.offset < newest.offset; })) + 1;
  const OffsetIndexEntry place = TRY(offsets.at(places - 1));
  const bool whole = TRY(offsets.is_exactly(offset_entries)) && TRY(times.is_exactly(time_entries));
  const bool complete = whole && end_position - last.position <= kIndexIntervalBytes;
  if (!whole_batch_at(log, place.position, place.offset)) return anew;
  return Resume{places, time_entries, {place.position, place.offset}, true, complete, newest.timestamp};
}

}  // namespace

IndexHint find_by_offset(const Directory& partition, Offset base, const File& log, Offset offset, WalkDepth depth) {
  const IndexHint start{0, base};
  const auto index = open_offset_index(partition, base, OpenMode::read);
  if (!index) return start;
  const auto entry = index->last([&](const OffsetIndexEntry& e) { return e.offset <= offset; });
  if (!entry || !*entry || (*entry)->offset > offset) return start;
  if (!batch_at(log, (*entry)->position, (*entry)->offset, depth)) return start;
  return {(*entry)->position, (*entry)->offset};
}

Offset find_by_time(const Directory& partition, Offset base, const File& log, TimestampMs time) {
  const auto index = open_time_index(partition, base, OpenMode::read);
  if (!index) return base;
  const auto count = index->count_before([&](const TimeIndexEntry& e) { return e.timestamp < time; });
  if (!count || *count == 0) return base;
  const auto entry = index->at(*count - 1);
  if (!entry || !time_entry_holds(partition, base, log, *entry)) return base;
  // Timestamps that went back make an entry look right that points too far; the next one shows it.
  const auto entries = index->count();
  if (!entries) return base;
  if (*count < *entries) {
    const auto next = index->at(*count);
    if (!next || next->offset <= entry->offset || !time_entry_holds(partition, base, log, *next)) return base;
  }
  return entry->offset;
}

Result<void> catch_up_index(const Directory& partition, Offset base, const File& log, std::int64_t end_position) {
  const OffsetIndexFile offsets = TRY(open_offset_index(partition, base, OpenMode::create_or_open));
  const TimeIndexFile times = TRY(open_time_index(partition, base, OpenMode::create_or_open));
  const Resume resume = TRY(find_resume(partition, offsets, times, log, base, end_position));
  if (resume.complete) return {};
  TRY(offsets.cut(resume.offset_entries));
  TRY(times.cut(resume.time_entries));

  std::vector<std::byte> offset_bytes;
  std::vector<std::byte> time_bytes;
  TimestampMs maximum = resume.maximum;
  TimestampMs maximum_written = resume.maximum;
  Offset maximum_at = resume.from.base;
  std::int64_t last_position = resume.from.position;
  SegmentWalk walk(log, resume.from.position, resume.from.base, WalkDepth::headers);
  for (bool skip = resume.from_is_indexed;; skip = false) {
    const WalkStep step = TRY(walk.next(end_position));
    if (step.kind != WalkStep::Kind::batch) break;  // damage is for others to report
    if (skip) continue;
    const BatchHeader& header = step.batch.header;
    if (header.max_timestamp > maximum) {
      maximum = header.max_timestamp;
      maximum_at = header.base_offset;
    }
    if (step.batch.position - last_position < kIndexIntervalBytes) continue;
    last_position = step.batch.position;
    append_entry(offset_bytes, static_cast<std::int32_t>(header.base_offset - base),
                 static_cast<std::int32_t>(last_position));
    if (maximum > maximum_written) {
      append_entry(time_bytes, maximum.value, static_cast<std::int32_t>(maximum_at - base));
      maximum_written = maximum;
    }
  }
  // The time entries first: one too many is recognised by the offset index, one too few is not.
  TRY(times.append(resume.time_entries, time_bytes));
  return offsets.append(resume.offset_entries, offset_bytes);
}

Result<std::vector<OffsetIndexEntry>> read_offset_index(const Directory& partition, Offset base) {
  if (!partition.exists(index_file_name(base))) return {};
  return TRY(open_offset_index(partition, base, OpenMode::read)).all();
}

Result<std::vector<TimeIndexEntry>> read_time_index(const Directory& partition, Offset base) {
  if (!partition.exists(time_index_file_name(base))) return {};
  return TRY(open_time_index(partition, base, OpenMode::read)).all();
}

}  // namespace leat
