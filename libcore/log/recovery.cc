#include "leat/log/recovery.h"

#include <fmt/format.h>
#include <linux/magic.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "leat/base/clock.h"
#include "leat/log/blocks.h"
#include "leat/log/file_names.h"
#include "leat/log/segment_index.h"

namespace leat {

namespace {

Result<void> copy_bytes(const File& from, std::int64_t start, std::int64_t end, const File& to) {
  std::vector<std::byte> block(std::min(kCopyBlockBytes, static_cast<std::size_t>(end - start)));
  for (std::int64_t at = start; at < end;) {
    const auto wanted = static_cast<std::size_t>(std::min<std::int64_t>(end - at, std::ssize(block)));
    const std::size_t count = TRY(from.read_at(std::span(block).first(wanted), at));
    if (count == 0) break;
    TRY(to.write_at(Bytes(block).first(count), at - start));
    at += static_cast<std::int64_t>(count);
  }
  return to.sync_data();
}

}  // namespace

Result<bool> only_zeros(const File& log, std::int64_t from, std::int64_t to) {
  if (from >= to) return true;
  std::vector<std::byte> block(std::min(kCopyBlockBytes, static_cast<std::size_t>(to - from)));
  while (from < to) {
    const auto wanted = static_cast<std::size_t>(std::min<std::int64_t>(to - from, std::ssize(block)));
    const std::size_t count = TRY(log.read_at(std::span(block).first(wanted), from));
    if (count == 0) break;
    if (!std::ranges::all_of(std::span(block).first(count), [](std::byte b) { return b == std::byte{0}; }))
      return false;
    from += static_cast<std::int64_t>(count);
  }
  return true;
}

namespace {

// Whether a whole batch lies behind the bad place at `position` that was appended when everything up to and with that
// place was durable: then what is bad there was not just an unfinished write. Batches that were in flight together may
// reach the disk in any order, and say that they were.
Result<bool> was_durable(const File& log, std::int64_t position, std::int64_t limit, Offset expected) {
  for (;;) {
    const auto found = TRY(find_batch_behind(log, position + 1, limit, expected - 1));
    if (!found) return false;
    SegmentWalk walk(log, found->position, found->base);
    for (;;) {
      const WalkStep step = TRY(walk.next(limit));
      if (step.kind != WalkStep::Kind::batch) break;
      const BatchHeader& header = step.batch.header;
      if (header.durable_before() > expected) return true;
      // One of the very offset that is due stands behind bytes that were put in between; unless its base offset did not
      // reach the disk, which leaves zeros: then it says that more was in flight than there are offsets before it.
      if (header.base_offset == expected && header.durable_before() >= Offset{0}) return true;
    }
    if (walk.position() >= limit) return false;
    position = walk.position();
  }
}

}  // namespace

Result<TailVerdict> examine_tail(const File& log, std::int64_t from, Offset expected) {
  TailVerdict verdict;
  verdict.file_bytes = TRY(log.size());
  verdict.position = from;
  verdict.end = expected;
  if (verdict.file_bytes < from) {
    verdict.kind = TailVerdict::Kind::damaged;
    verdict.fault = fmt::format("the file has {} bytes where {} were durable", verdict.file_bytes, from);
    return verdict;
  }
  SegmentWalk walk(log, from, expected);
  for (;;) {
    const WalkStep step = TRY(walk.next(verdict.file_bytes));
    verdict.position = walk.position();
    verdict.end = walk.expected();
    if (step.kind == WalkStep::Kind::end) return verdict;
    if (step.kind == WalkStep::Kind::batch) continue;
    verdict.fault = step.fault;
    if (TRY(only_zeros(log, verdict.position, verdict.file_bytes))) {
      verdict.kind = TailVerdict::Kind::zeros;
      return verdict;
    }
    // A batch of the very offset expected may lie behind, too, when bytes were inserted; it counts as damage like any
    // other.
    auto found = TRY(find_batch_behind(log, verdict.position, verdict.file_bytes, verdict.end - 1));
    // One at the bad place itself stands too high: what it followed has gone, or its base offset was changed. A write
    // that was cut short leaves no such thing: of a base offset that did not reach the disk zeros are left, never more.
    const bool stands_too_high = found && found->position == verdict.position;
    if (!stands_too_high && !TRY(was_durable(log, verdict.position, verdict.file_bytes, verdict.end))) {
      verdict.kind = TailVerdict::Kind::torn;
      return verdict;
    }
    if (stands_too_high) found = TRY(find_batch_behind(log, verdict.position + 1, verdict.file_bytes, verdict.end - 1));
    verdict.next_good = found;
    verdict.kind = TailVerdict::Kind::damaged;
    return verdict;
  }
}

Result<std::string> cut_tail(const Directory& partition, const File& log, const TailVerdict& verdict) {
  std::string sentence;
  if (verdict.kind == TailVerdict::Kind::torn) {
    const std::string kept = TRY(keep_bytes(partition, log, verdict.position, verdict.file_bytes, verdict.end));
    sentence = fmt::format("{}: an unfinished write of {} bytes behind offset {} was cut and kept in {}", log.path(),
                           verdict.file_bytes - verdict.position, verdict.end.value - 1, kept);
  }
  TRY(log.truncate(verdict.position));
  TRY(log.sync_data());
  return sentence;
}

Result<std::string> keep_bytes(const Directory& partition, const File& log, std::int64_t from, std::int64_t to,
                               Offset first) {
  const Directory cut = TRY(partition.make_directory(kCutDirectory));
  // Two places of one offset within a millisecond get two files.
  TimestampMs now = now_ms();
  while (cut.exists(cut_file_name(first, now))) now += 1;
  const File copy = TRY(cut.open_file(cut_file_name(first, now), OpenMode::create_new));
  TRY(copy_bytes(log, from, to, copy));
  TRY(cut.sync());
  return copy.path();
}

Result<bool> batches_on_disk(const Directory& partition, const std::string& name, std::int64_t start, Offset expected,
                             std::int64_t end) {
  constexpr std::int64_t kAlign = 4096;
  const bool in_memory = TRY(file_system_magic(partition)) == TMPFS_MAGIC;
  const auto log = partition.open_file(name, in_memory ? OpenMode::read : OpenMode::direct_read);
  if (!log && log.error().code == Code::not_found) return false;
  if (!log) return std::unexpected(log.error());
  // Read in aligned blocks; a batch may span two, so what is left of one is kept in front of the next.
  struct alignas(kAlign) Block {
    std::array<std::byte, kCopyBlockBytes> bytes;
  };
  const auto block = std::make_unique_for_overwrite<Block>();
  std::vector<std::byte> pending;
  std::int64_t at = start;  // of pending's first byte
  while (at < end) {
    const std::int64_t wanted = at + static_cast<std::int64_t>(pending.size());
    const std::int64_t aligned = wanted / kAlign * kAlign;
    const std::span<const std::byte> read(block->bytes.data(), TRY(log->read_at(block->bytes, aligned)));
    const auto skip = static_cast<std::size_t>(wanted - aligned);
    if (read.size() <= skip) return false;
    pending.insert(pending.end(), read.begin() + static_cast<std::ptrdiff_t>(skip), read.end());
    std::size_t used = 0;
    while (at < end && pending.size() - used >= kBatchHeaderBytes) {
      const BatchHeader header = load_batch_header(pending.data() + used);
      if (header_fault(header) != nullptr || header.base_offset != expected) return false;
      if (pending.size() - used < header.total_bytes()) break;
      if (!batch_crc_matches(Bytes(pending).subspan(used, header.total_bytes()))) return false;
      used += header.total_bytes();
      at += static_cast<std::int64_t>(header.total_bytes());
      expected = header.end_offset();
    }
    pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(used));
  }
  return at == end;
}

Result<bool> looks_begun(const Directory& partition, const std::vector<Offset>& bases) {
  if (bases.size() < 2) return false;
  const Offset last = bases.back();
  if (TRY(TRY(partition.open_file(log_file_name(last), OpenMode::read)).size()) != 0) return false;
  const Offset base = bases[bases.size() - 2];
  const File before = TRY(partition.open_file(log_file_name(base), OpenMode::read));
  const IndexHint hint = find_by_offset(partition, base, before, last);
  SegmentWalk walk(before, hint.position, hint.base);  // a damaged header must not make the last one go
  const std::int64_t bytes = TRY(before.size());
  while (walk.expected() <= last && TRY(walk.next(bytes)).kind == WalkStep::Kind::batch) {
  }
  return walk.expected() > last;
}

Result<bool> drop_begun_segment(const Directory& partition, const std::vector<Offset>& bases) {
  if (!TRY(looks_begun(partition, bases))) return false;
  TRY(partition.unlink(log_file_name(bases.back())));
  TRY(partition.sync());
  return true;
}

Error damage_error(const std::string& path, std::int64_t position, std::string_view fault, Offset expected,
                   Offset first, std::optional<Offset> next_readable) {
  const std::string last_good =
      expected > first ? fmt::format("last good offset {}", expected.value - 1) : "no good offset before it";
  const std::string next =
      next_readable ? fmt::format("next readable offset {}", next_readable->value) : "nothing readable behind it";
  return {Code::damaged, fmt::format("{}: damaged at byte {}: {}; {}, {}", path, position, fault, last_good, next)};
}

}  // namespace leat
