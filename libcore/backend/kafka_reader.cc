#include "leat/backend/kafka_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "leat/backend/local.h"

namespace leat::kafka {

namespace {

constexpr Milliseconds kStopLook(100);  // a waiting reader looks at the stop flag this often
constexpr Milliseconds kEndLook(10);    // and waits so long for what is there and has not come yet
constexpr Milliseconds kTopicLook(5000);
constexpr std::size_t kMessagesMax = 1000;  // taken in, and handed out, at a time

TimestampMs time_of(const rd_kafka_message_t& message) {
  return {rd_kafka_message_timestamp(&message, nullptr)};
}

std::optional<std::string_view> bytes_of(const void* data, std::size_t size) {
  if (data == nullptr) return std::nullopt;
  return std::string_view(static_cast<const char*>(data), size);
}

}  // namespace

// ---- Opening ----

Result<std::unique_ptr<KafkaReader>> KafkaReader::open_topics(const Config& config, const ReadOptions& options) {
  std::unique_ptr<KafkaReader> reader(new KafkaReader(config, options));
  const bool committed = options.isolation == Isolation::read_committed;
  reader->handle_ = TRY(Handle::open(
      config, RD_KAFKA_CONSUMER,
      {{"enable.partition.eof", "true"},
       {"enable.auto.commit", "false"},
       {"auto.offset.reset", "error"},
       {"isolation.level", committed ? "read_committed" : "read_uncommitted"}},
      {{"check.crcs", "true"}, {"queued.max.messages.kbytes", "16384"}, {"fetch.error.backoff.ms", "50"}}));
  reader->queue_.reset(rd_kafka_queue_new(reader->handle_->get()));
  reader->heard_at_ = reader->looked_at_ = std::chrono::steady_clock::now();
  const Topics known = TRY(reader->handle_->topics());
  for (const TopicSelection& selection : options.topics) {
    const std::int32_t partitions = TRY(kafka::partition_count(known, selection.topic));
    for (const PartitionId id : selection.partitions) TRY(check_partition(selection.topic, id, partitions));
    TopicHandle handle(rd_kafka_topic_new(reader->handle_->get(), selection.topic.c_str(), nullptr));
    if (!handle) return std::unexpected(reader->handle_->error(rd_kafka_last_error(), selection.topic));
    reader->topics_.push_back({selection.topic, partitions, std::move(handle)});
  }
  reader->chosen_by_owner_ = true;
  return reader;
}

Result<std::unique_ptr<KafkaReader>> KafkaReader::open(const Config& config, const ReadOptions& options) {
  auto reader = TRY(open_topics(config, options));
  reader->chosen_by_owner_ = false;
  std::vector<Add> all;
  for (std::size_t i = 0; i < options.topics.size(); ++i) {
    const TopicEntry& topic = reader->topics_[i];
    for (const PartitionId id : partitions_or_all(options.topics[i].partitions, topic.partitions))
      all.push_back({.topic = topic.name, .partition = id, .stored = start_named(options, topic.name, id)});
  }
  TRY(reader->add(all));
  return reader;
}

KafkaReader::~KafkaReader() {
  handed_.clear();
  for (const auto& cursor : cursors_) stop_fetching(*cursor);
  cursors_.clear();
  queue_.reset();
  topics_.clear();
}

Result<std::vector<Cursor*>> KafkaReader::add(std::span<const Add> more) {
  std::vector<OffsetQuery> queries;
  const bool by_time = options_.start.kind == StartAt::Kind::time;
  for (const Add& how : more) {
    queries.push_back({how.topic, how.partition, kAtStart});
    queries.push_back({how.topic, how.partition, kAtEnd});
  }
  // Of a partition, one request can ask for one offset only.
  std::array<std::vector<std::optional<Offset>>, 3> answers;
  for (const std::int64_t which : {kAtStart, kAtEnd, options_.start.value}) {
    const std::size_t place = which == kAtStart ? 0 : which == kAtEnd ? 1 : 2;
    if (place == 2 && !by_time) break;
    std::vector<OffsetQuery> some;
    for (const Add& how : more) some.push_back({how.topic, how.partition, which});
    answers[place] = TRY(handle_->offsets(some));
  }
  std::vector<Cursor*> added;
  for (std::size_t i = 0; i < more.size(); ++i) {
    const Add& how = more[i];
    const auto topic = std::ranges::find(topics_, how.topic, &TopicEntry::name);
    ASSERT(topic != topics_.end());
    const Offset start = answers[0][i].value_or(Offset{0});
    const Offset end = std::max(start, answers[1][i].value_or(start));
    auto cursor =
        std::make_unique<Cursor>(Cursor{topic->name, how.partition, topic->handle.get(), how.is_new, start, end});
    cursor->next = TRY(start_offset(how, start, end, by_time ? answers[2][i] : std::nullopt));
    if (!options_.follow) cursor->stop = how.stop.value_or(end);
    if (options_.end) cursor->stop = cursor->stop ? std::min(*cursor->stop, *options_.end) : *options_.end;
    cursor->done = cursor->stop && cursor->next >= *cursor->stop;
    if (!cursor->done) TRY(start_fetching(*cursor));
    cursors_.push_back(std::move(cursor));
    added.push_back(cursors_.back().get());
  }
  heard_at_ = std::chrono::steady_clock::now();
  return added;
}

void KafkaReader::pause(Cursor& cursor) {
  stop_fetching(cursor);
  cursor.held.clear();
  cursor.paused = true;
}

void KafkaReader::forgive_silence() {
  heard_at_ = std::chrono::steady_clock::now();
  behind_since_.reset();
}

void KafkaReader::remove(const Cursor& cursor) {
  const auto found = std::ranges::find_if(cursors_, [&](const auto& one) { return one.get() == &cursor; });
  stop_fetching(**found);
  cursors_.erase(found);
}

Result<Offset> KafkaReader::start_offset(const Add& how, Offset start, Offset end, std::optional<Offset> at_time) {
  Offset wanted = start;
  if (how.stored) {
    wanted = *how.stored;
  } else if (!how.is_new) {
    switch (options_.start.kind) {
      case StartAt::Kind::beginning:
        break;
      case StartAt::Kind::end:
        wanted = end;
        break;
      case StartAt::Kind::after_beginning:
        wanted = start + std::min(options_.start.value, end - start);
        break;
      case StartAt::Kind::before_end:
        wanted = end - std::min(options_.start.value, end - start);
        break;
      case StartAt::Kind::offset:
        wanted = Offset{options_.start.value};
        break;
      case StartAt::Kind::time:
        wanted = at_time.value_or(end);
        break;
    }
  }
  if (wanted >= start) return wanted;
  const std::string sentence =
      fmt::format("topic \"{}\" partition {}: offset {} has been trimmed away, the log starts at {}", how.topic,
                  how.partition.value, wanted.value, start.value);
  if (options_.strict) return fail(Code::not_found, sentence);
  notices_.push_back(sentence);
  return start;
}

Result<void> KafkaReader::start_fetching(Cursor& cursor) {
  // Behind the end, the cluster would have nothing to say; what comes before `next` is left out later.
  const Offset from = std::min(cursor.next, cursor.end);
  const int started = options_.merge_by_time
                          ? rd_kafka_consume_start(cursor.handle, cursor.id.value, from.value)
                          : rd_kafka_consume_start_queue(cursor.handle, cursor.id.value, from.value, queue_.get());
  if (started != 0) return std::unexpected(handle_->error(rd_kafka_last_error(), cursor.topic));
  cursor.fetching = true;
  return {};
}

void KafkaReader::stop_fetching(Cursor& cursor) {
  if (std::exchange(cursor.fetching, false)) rd_kafka_consume_stop(cursor.handle, cursor.id.value);
}

// Partitions that were added, topics that were deleted.
Result<void> KafkaReader::notice_changes() {
  looked_at_ = std::chrono::steady_clock::now();
  const Topics known = TRY(handle_->topics());
  std::vector<Add> more;
  for (std::size_t i = 0; i < topics_.size(); ++i) {
    TopicEntry& topic = topics_[i];
    const std::int32_t partitions = TRY(kafka::partition_count(known, topic.name));
    if (!chosen_by_owner_ && options_.topics[i].partitions.empty()) {
      for (PartitionId p{topic.partitions}; p.value < partitions; p += 1)
        more.push_back({.topic = topic.name, .partition = p, .is_new = true});
    }
    topic.partitions = std::max(topic.partitions, partitions);
  }
  if (!more.empty()) TRY(add(more));
  return {};
}

// ---- Taking in ----

Cursor* KafkaReader::find(const rd_kafka_message_t& message) {
  for (const auto& cursor : cursors_) {
    if (cursor->handle == message.rkt && cursor->id.value == message.partition) return cursor.get();
  }
  return nullptr;
}

void KafkaReader::take_in(Message message) {
  Cursor* cursor = message->rkt == nullptr ? nullptr : find(*message);
  if (cursor == nullptr || !cursor->fetching) return;
  if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    heard_at_ = std::chrono::steady_clock::now();
    cursor->clear = std::max(cursor->clear.value_or(Offset{0}), Offset{message->offset});
  } else if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    note_error(*cursor, *message);
  } else {
    heard_at_ = std::chrono::steady_clock::now();
    const Offset offset{message->offset};
    if (cursor->stop && offset >= *cursor->stop) {
      cursor->clear = *cursor->stop;
    } else if (offset >= cursor->next) {
      cursor->held.push_back(std::move(message));
    }
  }
  advance(*cursor);
}

// Moves the cursor over what holds no records.
void KafkaReader::advance(Cursor& cursor) {
  if (!cursor.held.empty() || cursor.done) return;
  if (cursor.clear && *cursor.clear > cursor.next) {
    cursor.next = *cursor.clear;
    if (cursor.stop && cursor.next > *cursor.stop) cursor.next = std::max(*cursor.stop, cursor.start);
  }
  cursor.clear.reset();
  if (!cursor.stop || cursor.next < *cursor.stop) return;
  cursor.done = true;
  stop_fetching(cursor);
}

void KafkaReader::note_error(Cursor& cursor, const rd_kafka_message_t& message) {
  const std::string where = fmt::format("topic \"{}\" partition {}", cursor.topic, cursor.id.value);
  switch (message.err) {
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      go_on_at_start(cursor);
      return;
    default:
      break;
  }
  Error error = handle_->error(message.err, where, rd_kafka_message_errstr(&message));
  switch (error.code) {
    case Code::unavailable:  // it tries again by itself
      return;
    case Code::not_found:  // whether it is really gone is seen there
      looked_at_ = {};
      return;
    case Code::damaged:
      error.message =
          fmt::format("{}: damaged at offset {}: {}", where, message.offset, rd_kafka_message_errstr(&message));
      fail_cursor(cursor, std::move(error));
      return;
    default:
      if (!broken_) broken_ = std::move(error);
  }
}

// The records that were to come have been removed.
void KafkaReader::go_on_at_start(Cursor& cursor) {
  stop_fetching(cursor);
  const std::array query = {OffsetQuery{std::string(cursor.topic), cursor.id, kAtStart}};
  const auto answers = handle_->offsets(query);
  if (!answers) {
    broken_ = answers.error();
    return;
  }
  const Offset start = answers->front().value_or(Offset{0});
  if (start <= cursor.next) {
    broken_ = Error{Code::io, fmt::format("topic \"{}\" partition {}: the log no longer reaches offset {}",
                                          cursor.topic, cursor.id.value, cursor.next.value)};
    return;
  }
  notices_.push_back(fmt::format("topic \"{}\" partition {}: offset {} has been trimmed away, the log starts at {}",
                                 cursor.topic, cursor.id.value, cursor.next.value, start.value));
  cursor.held.clear();
  cursor.start = cursor.next = start;
  cursor.end = std::max(cursor.end, start);
  if (auto started = start_fetching(cursor); !started) broken_ = started.error();
}

void KafkaReader::fail_cursor(Cursor& cursor, Error error) {
  cursor.done = true;
  cursor.held.clear();
  stop_fetching(cursor);
  if (!failure_) failure_ = std::move(error);
}

void KafkaReader::take_in_all(std::span<rd_kafka_message_t*> messages) {
  for (rd_kafka_message_t* message : messages) take_in(Message(message));
}

void KafkaReader::wait(Milliseconds timeout) {
  std::array<rd_kafka_message_t*, kMessagesMax> messages{};
  const int wait_ms = static_cast<int>(std::min(timeout, kStopLook).count());
  rd_kafka_poll(handle_->get(), 0);
  if (!options_.merge_by_time) {
    const ssize_t count = rd_kafka_consume_batch_queue(queue_.get(), wait_ms, messages.data(), messages.size());
    if (count > 0) take_in_all(std::span(messages).first(static_cast<std::size_t>(count)));
    return;
  }
  // Each partition must have something to compare; the first that has not is waited for.
  bool waited = false;
  for (std::size_t i = 0; i < cursors_.size(); ++i) {
    Cursor& cursor = *cursors_[i];
    if (cursor.done || !cursor.held.empty() || !cursor.fetching) continue;
    const ssize_t count = rd_kafka_consume_batch(
        cursor.handle, cursor.id.value, std::exchange(waited, true) ? 0 : wait_ms, messages.data(), messages.size());
    if (count > 0) take_in_all(std::span(messages).first(static_cast<std::size_t>(count)));
  }
}

// ---- Handing out ----

// The cursor whose records come next: in turn, or the oldest time when merging. nullptr when none is at hand, or when
// it cannot be known which.
Cursor* KafkaReader::pick() {
  Cursor* oldest = nullptr;
  for (std::size_t i = 0; i < cursors_.size(); ++i) {
    Cursor& cursor = *cursors_[options_.merge_by_time ? i : (turn_ + i) % cursors_.size()];
    if (cursor.held.empty()) {
      if (options_.merge_by_time && !cursor.done) return nullptr;
      continue;
    }
    if (!options_.merge_by_time) {
      turn_ = (turn_ + i + 1) % cursors_.size();
      return &cursor;
    }
    if (oldest == nullptr || time_of(*cursor.held.front()) < time_of(*oldest->held.front())) oldest = &cursor;
  }
  return oldest;
}

// Some records of one cursor: as many as are at hand, or as come before those of the others.
Fetch KafkaReader::hand_out(Cursor& cursor) {
  const auto comes_first = [&](TimestampMs time) {
    if (!options_.merge_by_time) return true;
    bool before = true;
    bool behind = false;  // whether the other one has a higher number
    for (const auto& other : cursors_) {
      if (other.get() == &cursor) {
        behind = true;
      } else if (!other->held.empty()) {
        const TimestampMs theirs = time_of(*other->held.front());
        before &= behind ? time <= theirs : time < theirs;
      }
    }
    return before;
  };
  while (!cursor.held.empty() && handed_.size() < kMessagesMax) {
    if (!handed_.empty() && !comes_first(time_of(*cursor.held.front()))) break;
    handed_.push_back(std::move(cursor.held.front()));
    cursor.held.pop_front();
  }
  records_.clear();
  headers_.clear();
  std::vector<std::size_t> first_header;
  for (const Message& message : handed_) {
    first_header.push_back(headers_.size());
    rd_kafka_headers_t* headers = nullptr;
    if (rd_kafka_message_headers(message.get(), &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
         ++i)
      headers_.push_back({name, bytes_of(value, size)});
  }
  first_header.push_back(headers_.size());
  for (std::size_t i = 0; i < handed_.size(); ++i) {
    const rd_kafka_message_t& message = *handed_[i];
    records_.push_back({cursor.topic, cursor.id, Offset{message.offset}, time_of(message),
                        bytes_of(message.key, message.key_len), bytes_of(message.payload, message.len),
                        std::span(headers_).subspan(first_header[i], first_header[i + 1] - first_header[i])});
  }
  cursor.next = records_.back().offset + 1;
  advance(cursor);
  return {Fetch::State::records, records_, {cursor.topic, cursor.id, cursor.next}};
}

Result<Fetch> KafkaReader::look() {
  handed_.clear();
  if (stopped()) return Fetch{.state = Fetch::State::stopped};
  Cursor* cursor = pick();
  if (cursor == nullptr) {
    wait(Milliseconds(0));
    cursor = pick();
  }
  if (broken_) return std::unexpected(*broken_);
  if (cursor != nullptr) return hand_out(*cursor);
  const bool all_done = std::ranges::all_of(cursors_, [](const auto& one) { return one->done; });
  if (all_done || options_.follow) {
    if (failure_ && (all_done || TRY(at_ends()))) return std::unexpected(*std::exchange(failure_, std::nullopt));
  }
  if (all_done && (!options_.follow || !cursors_.empty())) return Fetch{.state = Fetch::State::ended};
  const SteadyTime now = std::chrono::steady_clock::now();
  if (options_.follow && now - looked_at_ >= kTopicLook) TRY(notice_changes());
  const bool paused = std::ranges::any_of(cursors_, [](const auto& one) { return one->paused; });
  // With noted ends there is always something to come.
  if (!options_.follow && !paused && now - heard_at_ >= config_.timeout) return std::unexpected(handle_->unreachable());
  return Fetch{.state = Fetch::State::caught_up};
}

Result<bool> KafkaReader::at_ends() {
  TRY(notice_changes());
  std::vector<OffsetQuery> queries;
  std::vector<const Cursor*> asked;
  for (const auto& cursor : cursors_) {
    if (cursor->done || cursor->paused) continue;
    if (!cursor->held.empty()) return false;
    queries.push_back({std::string(cursor->topic), cursor->id, kAtEnd});
    asked.push_back(cursor.get());
  }
  const auto ends = TRY(handle_->offsets(queries));
  const SteadyTime now = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (asked[i]->next >= ends[i].value_or(Offset{0})) continue;
    if (!behind_since_) behind_since_ = now;
    if (now - std::max(*behind_since_, heard_at_) < config_.timeout) return false;
    return std::unexpected(handle_->unreachable());
  }
  behind_since_.reset();
  return true;
}

Result<Fetch> KafkaReader::next(Milliseconds wait) {
  const SteadyTime deadline = std::chrono::steady_clock::now() + wait;
  for (;;) {
    const Fetch fetch = TRY(look());
    if (fetch.state != Fetch::State::caught_up) return fetch;
    Milliseconds left = std::chrono::ceil<Milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      if (options_.follow && TRY(at_ends())) return fetch;
      left = kEndLook;
    }
    this->wait(left);
  }
}

Result<std::unique_ptr<Reader>> open_reader(const Config& config, const ReadOptions& options) {
  return TRY(KafkaReader::open(config, options));
}

}  // namespace leat::kafka
