#include "leat/log/partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "leat/base/seeded_bug.h"
#include "leat/log/blocks.h"
#include "leat/log/file_names.h"
#include "leat/log/log_start.h"
#include "leat/log/recovery.h"
#include "leat/log/retention.h"
#include "leat/log/segment_index.h"

namespace leat {

namespace {

// An fdatasync that has to make a new file size durable takes half as long again as one that has not (measured: 123
// and 84 us). After so many small appends in a row, room is made for a while of them; what is left of it at the end
// goes.
constexpr int kSmallAppendsMin = 4;
constexpr std::int64_t kSmallAppendBytesMax = 64 << 10;
constexpr std::int64_t kWrittenAtOnce = 512 << 10;
constexpr std::int64_t kRetentionDueBytes = 4 << 20;

bool crosses(std::int64_t from, std::int64_t to, std::int64_t multiple) {
  return from / multiple != to / multiple;
}

// What a batch says of those before it: how many were in flight to the disk when it joined them.
std::int32_t in_flight(const std::optional<Sequenced<LogEnd>>& durable, Offset base) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  return static_cast<std::int32_t>(durable ? std::clamp(base - durable->value.end, std::int64_t{0}, kMost) : kMost);
}

}  // namespace

Result<Partition> Partition::open(Topic& topic, PartitionId id) {
  Directory directory = TRY(topic.open_partition(id));
  lose_at_fork(directory.fd());  // what appends lock
  return Partition(topic, id, std::move(directory));
}

// ---- Appending ----

Result<Appended> Partition::append(std::span<EncodedBatch> batches, const Admit& admit) {
  const DirectoryLock lock = TRY(DirectoryLock::acquire(directory_, topic_->data_dir().lock_timeout()));
  // What commits asks for the topic when its records are durable.
  TRY(prepare(topic_->settings().durability == Durability::sync));
  LogEnd end = TRY(published());
  if (admit) TRY(admit(end));
  TRY(cut_unpublished(end));
  const std::int64_t segment_bytes = effective_segment_bytes(topic_->settings());
  Appended appended{end.end, end.end, end.epoch};
  while (!batches.empty()) {
    // As many as fit the segment; one alone always does, in a fresh one.
    std::size_t count = 0;
    std::int64_t bytes = end.position;
    while (count < batches.size()) {
      const auto more = static_cast<std::int64_t>(batches[count].bytes.size());
      const bool fits =
          bytes + more <= segment_bytes && end.end - end.segment_base < kSegmentBytesMax - batches[count].record_count;
      if (!fits && bytes > 0) break;
      bytes += more;
      ++count;
      if (!fits) break;
    }
    if (count == 0) {
      TRY(roll_locked(end));
      continue;
    }
    TRY(append_group(batches.first(count), end));
    batches = batches.subspan(count);
  }
  appended.end = end.end;
  if (topic_->settings().durability == Durability::os) wake_all(topic_->state()->header().wake);
  return appended;
}

Result<void> Partition::append_group(std::span<EncodedBatch> batches, LogEnd& end) {
  std::vector<Bytes> pieces;
  pieces.reserve(batches.size());
  LogEnd after = end;
  const auto durable = load_end(page().durable);
  for (EncodedBatch& batch : batches) {
    place_batch(batch.bytes, after.end, in_flight(durable, after.end));
    pieces.emplace_back(batch.bytes);
    after.end += batch.record_count;
    after.position += static_cast<std::int64_t>(batch.bytes.size());
  }
  reserve_ahead(end, after.position - end.position);
  page().appending.store(1, std::memory_order_release);
  auto written = Result<void>{};
  if (seeded(SeededBug::acknowledge_before_write)) {
    write_at_exit(log_.fd(), pieces, end.position);
  } else {
    written = log_.write_at(pieces, end.position);
  }
  if (!written) {
    // A part may be there: it goes before anybody else can see it. Failing that, the next appender does it.
    (void)shorten_to(end);
    return written;
  }
  // Of much, the disk gets its part while the next is made ready.
  if (after.position - end.position >= kWrittenAtOnce) log_.begin_writing(end.position, after.position - end.position);
  index_due_ |= crosses(end.position, after.position, kIndexDueBytes);
  retention_due_ |= crosses(end.position, after.position, kRetentionDueBytes);
  end = after;
  page().published.store(end);
  page().appending.store(0, std::memory_order_release);
  return {};
}

// Makes room behind `end` for what is appended now and some time on, if there is none and it looks worth it. Failing is
// not an error.
void Partition::reserve_ahead(const LogEnd& end, std::int64_t bytes) {
  small_appends_ = bytes <= kSmallAppendBytesMax ? std::min(small_appends_ + 1, kSmallAppendsMin) : 0;
  const std::int64_t needed = end.position + bytes;
  if (small_appends_ < kSmallAppendsMin || needed <= page().reserved.load(std::memory_order_acquire)) return;
  const std::int64_t until = std::min(needed + kReservedBytes, effective_segment_bytes(topic_->settings()));
  if (until <= needed || !log_.allocate(end.position, until - end.position)) return;
  page().reserved.store(until, std::memory_order_release);
  has_reserved_ = true;
}

// Takes away whatever the file has behind `end`.
Result<void> Partition::shorten_to(const LogEnd& end) {
  if (TRY(log_.size()) > end.position) TRY(log_.truncate(end.position));
  page().reserved.store(0, std::memory_order_release);
  page().appending.store(0, std::memory_order_release);
  return {};
}

void Partition::release_reserved() {
  if (!has_reserved_) return;
  has_reserved_ = false;
  const auto lock = DirectoryLock::acquire(directory_, topic_->data_dir().lock_timeout());
  if (!lock || !prepare()) return;
  if (const auto end = published()) (void)shorten_to(*end);
}

// Takes out what a writer left that died between writing and publishing: nobody was told of it.
Result<void> Partition::cut_unpublished(const LogEnd& end) {
  const auto known = std::exchange(log_bytes_, std::nullopt);
  const std::int64_t bytes = known ? *known : TRY(log_.size());
  const bool died = page().appending.load(std::memory_order_acquire) != 0;
  if (!died && bytes == std::max(end.position, page().reserved.load(std::memory_order_acquire))) return {};
  if (bytes >= end.position) return shorten_to(end);
  return std::unexpected(damage_error(log_.path(), bytes,
                                      fmt::format("the file has {} bytes where {} were written", bytes, end.position),
                                      end.end, end.log_start, std::nullopt));
}

Result<LogEnd> Partition::end() {
  const DirectoryLock lock = TRY(DirectoryLock::acquire(directory_, topic_->data_dir().lock_timeout()));
  TRY(prepare());
  return published();
}

Result<LogEnd> Partition::durable_end() const {
  const auto end = topic_->state() == nullptr ? std::nullopt : load_end(page().durable);
  if (!end) return fail(Code::internal, fmt::format("{}: the durable end is not known", directory_.path()));
  return end->value;
}

Result<void> Partition::with_append_lock(const std::function<Result<void>()>& work) {
  const DirectoryLock lock = TRY(DirectoryLock::acquire(directory_, topic_->data_dir().lock_timeout()));
  TRY(prepare());
  return work();
}

Result<void> Partition::roll() {
  return with_append_lock([this]() -> Result<void> {
    LogEnd end = TRY(published());
    return end.position == 0 ? Result<void>{} : roll_locked(end);
  });
}

// Sync the old segment, create the new one, sync the name, publish: all before the first append to it.
Result<void> Partition::roll_locked(LogEnd& end) {
  TRY(cut_unpublished(end));
  const RangeLock sync_lock = TRY(lock_sync());
  // A closed segment ends with its last batch, after a power cut, too.
  const bool shortened = page().reserved.load(std::memory_order_acquire) > end.position;
  if (shortened) TRY(shorten_to(end));
  TRY(sync_published(shortened));
  TRY(make_segment(end.end));
  end.segment_base = end.end;
  end.position = 0;
  const Offset old_base = log_base_;
  const File old_log = std::move(log_);
  publish_all(end);
  retention_due_ = true;
  rolled_ = true;
  TRY(open_log(end.segment_base));
  const RangeLock index_lock = TRY(take_lock(StateLocks::index(id_)));
  if (index_lock) (void)catch_up_index(directory_, old_base, old_log, TRY(old_log.size()));
  return {};
}

Result<void> Partition::begin_anew(Offset end, Offset log_start) {
  const DirectoryLock lock = TRY(DirectoryLock::acquire(directory_, topic_->data_dir().lock_timeout()));
  TRY(topic_->check_alive());
  TRY(reopen_what_was_replaced());
  const RangeLock alone = TRY(take_lock(StateLocks::writers(id_)));
  if (!alone) return fail(Code::busy, fmt::format("{} is being written to by another process", directory_.path()));
  writer_in_opening_ = 0;
  const RangeLock sync_lock = TRY(lock_sync());
  const auto durable = load_end(page().durable);
  const auto published_end = load_end(page().published);
  const std::int64_t epoch =
      std::max(durable ? durable->value.epoch : 0, published_end ? published_end->value.epoch : 0);
  const std::vector<Offset> bases = TRY(list_segments(directory_));
  if (!bases.empty()) TRY(TRY(directory_.open_file(log_file_name(bases.back()), OpenMode::read)).sync_data());
  // Twice, so that neither slot is left damaged.
  TRY(store_log_start(directory_, log_start));
  TRY(store_log_start(directory_, log_start));
  if (directory_.exists(log_file_name(end))) {
    const File there = TRY(directory_.open_file(log_file_name(end), OpenMode::read_write));
    const std::int64_t bytes = TRY(there.size());
    const TailVerdict verdict{.kind = TailVerdict::Kind::torn, .end = end, .file_bytes = bytes, .fault = {}};
    if (bytes > 0) notices_.push_back(TRY(cut_tail(directory_, there, verdict)));
  }
  TRY(make_segment(end));
  publish_all({.end = end, .segment_base = end, .epoch = next_epoch(epoch), .log_start = log_start});
  return persist_state();
}

Result<void> Partition::raise_log_start(Offset start) {
  return with_append_lock([&]() -> Result<void> {
    LogEnd end = TRY(published());
    start = std::min(start, end.end);
    if (start <= end.log_start) return {};
    // A start that is durable must not point past what is.
    const RangeLock sync_lock = TRY(lock_sync());
    const auto durable = load_end(page().durable);
    if (!durable || durable->value.end < start) TRY(sync_published());
    wake_all(page().wake);
    TRY(store_log_start(directory_, start));
    end.log_start = start;
    page().published.store(end);
    wake_all(topic_->state()->header().wake);
    return {};
  });
}

// ---- Indexes ----

void Partition::index_closed_segments(std::size_t count) {
  const auto bases = list_segments(directory_);
  if (!bases || bases->size() < 2) return;
  const auto lock = take_lock(StateLocks::index(id_));
  if (!lock || !*lock) return;
  const std::size_t closed = bases->size() - 1;
  const auto first = static_cast<std::size_t>(boot_time_ns()) % closed;
  for (std::size_t i = 0; i < std::min(count, closed); ++i) {
    const Offset base = (*bases)[(first + i) % closed];
    const auto log = directory_.open_file(log_file_name(base), OpenMode::read);
    if (!log) continue;
    if (const auto bytes = log->size()) (void)catch_up_index(directory_, base, *log, *bytes);
  }
}

void Partition::index_to_end() {
  if (!log_ || !is_writer()) return;
  const auto end = load_end(page().published);
  if (!end || end->value.segment_base != log_base_) return;
  const auto lock = take_lock(StateLocks::index(id_));
  if (!lock || !*lock) return;
  (void)catch_up_index(directory_, log_base_, log_, end->value.position);
}

}  // namespace leat
