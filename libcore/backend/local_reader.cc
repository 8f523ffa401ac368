#include "leat/backend/local_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <thread>

#include "leat/backend/local.h"

namespace leat {

namespace {

// A waiting reader looks at the stop flag, and asks whether writers still live, this often.
constexpr Milliseconds kLookAgain(100);
// Without a state file there is nothing to be woken by.
constexpr Milliseconds kPollWithoutState(10);
// With more partitions than this, only the ones being read keep a buffer.
constexpr std::size_t kBuffersMax = 16;

}  // namespace

// ---- Opening ----

Result<std::unique_ptr<LocalReader>> LocalReader::open(const DataDir& data_dir, const ReadOptions& options) {
  std::unique_ptr<LocalReader> reader(new LocalReader(data_dir, options));
  for (const TopicSelection& selection : options.topics) {
    Topic& topic = *TRY(reader->open_topic(selection.topic));
    const StartOf start_of = [&](const Topic&, PartitionId id, const VisibleRange&) -> Result<std::optional<Offset>> {
      return start_named(options, selection.topic, id);
    };
    for (const PartitionId partition : partitions_or_all(selection.partitions, topic.settings().partitions))
      TRY(reader->add(topic, partition, {.start_of = start_of}));
  }
  return reader;
}

Result<std::unique_ptr<LocalReader>> LocalReader::open_topics(const DataDir& data_dir, const ReadOptions& options) {
  std::unique_ptr<LocalReader> reader(new LocalReader(data_dir, options));
  reader->chosen_by_owner_ = true;
  for (const TopicSelection& selection : options.topics) TRY(reader->open_topic(selection.topic));
  return reader;
}

Result<Topic*> LocalReader::open_topic(const std::string& name) {
  topics_.push_back(std::make_unique<Topic>(TRY(Topic::open(*data_dir_, name, Topic::Access::read))));
  return topics_.back().get();
}

Result<Cursor*> LocalReader::add(Topic& topic, PartitionId partition, const Add& how) {
  const bool uncommitted = options_.isolation == Isolation::read_uncommitted;
  auto cursor = std::make_unique<Cursor>(topic, TRY(PartitionReader::open(topic, partition, uncommitted)), how.is_new);
  cursor->range = TRY(cursor->reader.visible());
  cursor->next = TRY(start_offset(*cursor, how.start_of));
  if (!options_.follow) cursor->stop = how.stop.value_or(cursor->range.end);
  if (options_.end) cursor->stop = cursor->stop ? std::min(*cursor->stop, *options_.end) : *options_.end;
  cursor->done = cursor->stop && cursor->next >= *cursor->stop;
  if (!cursor->done) TRY(cursor->reader.seek(cursor->next));
  cursors_.push_back(std::move(cursor));
  return cursors_.back().get();
}

void LocalReader::remove(const Cursor& cursor) {
  std::erase_if(cursors_, [&](const auto& one) { return one.get() == &cursor; });
}

Result<Offset> LocalReader::start_offset(Cursor& cursor, const StartOf& start_of) {
  const VisibleRange& range = cursor.range;
  Offset wanted = range.start;
  std::optional<Offset> known;
  if (start_of) known = TRY(start_of(*cursor.topic, cursor.reader.id(), range));
  if (known) {
    wanted = *known;
  } else if (!cursor.is_new) {
    switch (options_.start.kind) {
      case StartAt::Kind::beginning:
        wanted = range.start;
        break;
      case StartAt::Kind::end:
        wanted = range.end;
        break;
      case StartAt::Kind::after_beginning:
        wanted = std::min(range.start + options_.start.value, range.end);
        break;
      case StartAt::Kind::before_end:
        wanted = std::max(range.end - options_.start.value, range.start);
        break;
      case StartAt::Kind::offset:
        wanted = Offset{options_.start.value};
        break;
      case StartAt::Kind::time:
        wanted = TRY(cursor.reader.find_time({options_.start.value}));
        break;
    }
  }
  if (wanted >= range.start) return wanted;
  const std::string sentence =
      fmt::format("topic \"{}\" partition {}: offset {} has been trimmed away, the log starts at {}",
                  cursor.topic->name(), cursor.reader.id().value, wanted.value, range.start.value);
  if (options_.strict) return fail(Code::not_found, sentence);
  notices_.push_back(sentence);
  return range.start;
}

Result<void> LocalReader::notice_changes() {
  for (std::size_t i = 0; i < topics_.size(); ++i) {
    Topic& topic = *topics_[i];
    TRY(topic.check_alive());
    const std::int32_t before = topic.settings().partitions;
    if (!TRY(topic.refresh_settings()) || chosen_by_owner_ || !options_.topics[i].partitions.empty()) continue;
    for (PartitionId p{before}; p.value < topic.settings().partitions; p += 1) TRY(add(topic, p, {.is_new = true}));
  }
  return {};
}

// ---- Reading ----

// The cursor ends here, the others go on; the first failure is what next() returns when they are through.
void LocalReader::fail_cursor(Cursor& cursor, Error error) {
  cursor.done = true;
  cursor.head.reset();
  if (!failure_) failure_ = std::move(error);
}

// Makes sure the cursor's next batch is at hand; false when there is none.
Result<bool> LocalReader::load_head(Cursor& cursor) {
  if (cursor.paused) return false;
  if (cursor.done || cursor.head) return !cursor.done;
  auto batch = cursor.reader.next(cursor.range);
  for (std::string& notice : cursor.reader.take_notices()) notices_.push_back(std::move(notice));
  if (!batch) {
    if (batch.error().code != Code::damaged) return std::unexpected(std::move(batch).error());
    fail_cursor(cursor, std::move(batch).error());
    return false;
  }
  if (!*batch) {
    if (cursors_.size() > kBuffersMax) cursor.reader.release_memory();
    return false;
  }
  cursor.head = **batch;
  return true;
}

// The cursor whose batch comes next: in turn, or the oldest first timestamp when merging. nullptr when none has any.
Result<Cursor*> LocalReader::pick() {
  Cursor* oldest = nullptr;
  for (std::size_t i = 0; i < cursors_.size(); ++i) {
    Cursor& cursor = *cursors_[options_.merge_by_time ? i : (turn_ + i) % cursors_.size()];
    if (!TRY(load_head(cursor))) continue;
    if (!options_.merge_by_time) {
      turn_ = (turn_ + i) % cursors_.size();
      return &cursor;
    }
    if (oldest == nullptr || cursor.head->header.base_timestamp < oldest->head->header.base_timestamp) oldest = &cursor;
  }
  return oldest;
}

// The records of the cursor's batch that count; nullopt when none does.
Result<std::optional<Fetch>> LocalReader::hand_out(Cursor& cursor) {
  const BatchAt batch = *std::exchange(cursor.head, std::nullopt);
  auto decoded = decoder_.decode(batch.bytes, {cursor.topic->name(), cursor.reader.id()});
  if (!decoded) {
    Error error = std::move(decoded).error();
    error.message = fmt::format("{}: damaged at byte {}: {}", cursor.reader.log_path(), batch.position, error.message);
    fail_cursor(cursor, std::move(error));
    return std::nullopt;
  }
  const Offset from = std::max(cursor.next, cursor.reader.sought());
  std::span<RecordView> records = *decoded;
  while (!records.empty() && records.front().offset < from) records = records.subspan(1);
  while (!records.empty() && cursor.stop && records.back().offset >= *cursor.stop)
    records = records.first(records.size() - 1);
  cursor.next = batch.header.end_offset();
  if (cursor.stop && cursor.next >= *cursor.stop) {
    cursor.next = std::min(cursor.next, *cursor.stop);
    cursor.done = true;
  }
  if (records.empty()) return std::nullopt;
  return Fetch{Fetch::State::records, records, {cursor.topic->name(), cursor.reader.id(), cursor.next}};
}

// Looks at every partition's visible end again; true when one that was read to its end has more now.
Result<bool> LocalReader::refresh(bool after_wait) {
  bool more = false;
  for (const auto& cursor : cursors_) {
    if (cursor->done || cursor->paused) continue;
    cursor->range = TRY(after_wait ? cursor->reader.visible_after_wait() : cursor->reader.visible());
    more |= cursor->reader.place() < cursor->range.end;
  }
  return more;
}

Result<Fetch> LocalReader::next(Milliseconds wait) {
  const SteadyTime deadline = std::chrono::steady_clock::now() + wait;
  for (bool waited = false;; waited = true) {
    const Fetch fetch = TRY(look(waited));
    if (fetch.state != Fetch::State::caught_up) return fetch;
    const auto left = std::chrono::ceil<Milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return fetch;
    this->wait(left);
  }
}

Result<Fetch> LocalReader::look(bool after_wait) {
  const SteadyTime now = std::chrono::steady_clock::now();
  after_wait = after_wait && now - asked_at_ >= kLookAgain;
  if (after_wait) asked_at_ = now;
  for (;;) {
    if (stopped()) return Fetch{.state = Fetch::State::stopped};
    // The wake words are read before the ends they announce, so that no wake is lost in between.
    wakes_.clear();
    for (const auto& topic : topics_) {
      if (topic->state() == nullptr) continue;
      const WakeWord& word = topic->state()->header().wake;
      wakes_.push_back({&word, word.load(std::memory_order_acquire)});
    }
    while (Cursor* cursor = TRY(pick())) {
      if (auto fetch = TRY(hand_out(*cursor))) {
        turn_ = (turn_ + 1) % cursors_.size();
        return *fetch;
      }
    }
    if (options_.follow) TRY(notice_changes());
    if (TRY(refresh(after_wait))) {
      after_wait = false;
      continue;
    }
    const bool all_done = std::ranges::all_of(cursors_, [](const auto& cursor) { return cursor->done; });
    // With damage somewhere, following ends as soon as the others have been read to what is there.
    if (failure_) return std::unexpected(*std::exchange(failure_, std::nullopt));
    const bool paused = std::ranges::any_of(cursors_, [](const auto& cursor) { return cursor->paused; });
    if (!paused && (!options_.follow || (all_done && !cursors_.empty()))) return Fetch{.state = Fetch::State::ended};
    return Fetch{.state = Fetch::State::caught_up};
  }
}

void LocalReader::wait(Milliseconds timeout, std::span<const WakeWait> others) {
  if (wakes_.size() == topics_.size()) {
    wakes_.insert(wakes_.end(), others.begin(), others.end());
    wait_for_any_wake(wakes_, std::min(timeout, kLookAgain));
  } else {
    std::this_thread::sleep_for(std::min(timeout, kPollWithoutState));
  }
}

std::vector<std::string> LocalReader::take_notices() {
  return std::exchange(notices_, {});
}

Result<std::unique_ptr<Reader>> open_local_reader(const DataDir& data_dir, const ReadOptions& options) {
  return TRY(LocalReader::open(data_dir, options));
}

}  // namespace leat
