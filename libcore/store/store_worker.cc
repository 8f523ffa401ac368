#include "leat/store/store_worker.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/log/limits.h"

namespace leat {

namespace {

// How long a worker waits for records before it looks whether somebody hurries.
constexpr Milliseconds kIdleLook(100);
constexpr Milliseconds kPendingLook(20);
// A follower's, and how often it looks for a changelog that is not there yet.
constexpr Milliseconds kFollowLook(100);
constexpr Milliseconds kAttachAgain(200);
// Of how far the store has come, for others to see.
constexpr Milliseconds kCommitEvery(1000);
// A worker that is behind publishes more at a time: what it holds back is old anyway.
constexpr std::int64_t kBehindCount = 100'000;
constexpr std::int64_t kBehindBytes = 32 << 20;

std::string writer_name(const std::string& store, PartitionId partition) {
  return fmt::format("store.{}.{}", store, partition.value);
}

}  // namespace

// ---- Primaries ----

StoreWorker::StoreWorker(Store& store, const std::vector<StorePartition*>& partitions, std::int64_t capacity)
    : store_(store), capacity_(capacity) {
  for (StorePartition* partition : partitions) lanes_.push_back({partition, nullptr, {}});
}

Result<void> StoreWorker::claim() {
  const StoreOptions& options = store_.options_;
  source_identity_ = TRY(store_.backends_.source->topic_identity(options.source));
  for (Lane& lane : lanes_) {
    const PartitionId id = lane.partition->id();
    lane.producer = TRY(store_.backends_.producer->open_producer(
        options.changelog, {.partition = id, .sole_writer = writer_name(options.id, id)}));
    lane.incarnation = TRY(reserve(*store_.backends_.changelog, *lane.producer, options.changelog, id,
                                   {options.id, options.source, {}, source_identity_}))
                           .incarnation;
    lane.producer->on_acknowledged(
        [&lane](std::span<const Receipt> receipts) { lane.reached.changelog_next = receipts.back().offset + 1; });
  }
  return {};
}

void StoreWorker::release() {
  source_.reset();
  for (Lane& lane : lanes_) lane.producer.reset();
}

Result<void> StoreWorker::run() {
  TRY(restore());
  TRY(check_source());
  if (store_.options_.make_transform) transform_ = TRY(store_.options_.make_transform());
  TRY(open_source());
  TRY(follow());
  if (store_.abandon_.load()) return {};
  TRY(publish());
  TRY(commit());
  return source_->leave();
}

Result<void> StoreWorker::restore() {
  for (Lane& lane : lanes_) {
    TRY(lane.partition->restore({.backend = store_.backends_.changelog,
                                 .changelog = store_.options_.changelog,
                                 .partition = lane.partition->id(),
                                 .incarnation = lane.incarnation,
                                 .snapshots = store_.snapshots_ ? &*store_.snapshots_ : nullptr,
                                 .writes = true,
                                 .stop = &store_.stop_,
                                 .notice = [this](std::string sentence) { store_.note(std::move(sentence)); }},
                                capacity_));
    lane.reached = lane.partition->position();
    store_.changed();
  }
  return {};
}

// A source that holds less than was read of it is another one.
Result<void> StoreWorker::check_source() const {
  const auto infos = TRY(store_.backends_.source->partitions(store_.options_.source));
  for (const Lane& lane : lanes_) {
    for (const PartitionInfo& info : infos) {
      if (info.partition != lane.partition->id() || lane.reached.source_next <= info.end) continue;
      return fail(Code::configuration,
                  fmt::format("store \"{}\" has read partition {} of \"{}\" up to offset {}, but the log ends at {}",
                              store_.options_.id, info.partition.value, info.topic, lane.reached.source_next.value,
                              info.end.value),
                  "a topic that was made anew needs a new changelog");
    }
  }
  return {};
}

Result<void> StoreWorker::open_source() {
  GroupOptions options{.read = {.start = {StartAt::Kind::beginning}, .stop = &store_.stop_},
                       .strategy = OffsetStrategy::manual,
                       .description = store_.options_.description};
  TopicSelection selection{store_.options_.source};
  for (const Lane& lane : lanes_) {
    selection.partitions.push_back(lane.partition->id());
    options.read.starts.push_back({store_.options_.source, lane.partition->id(), lane.reached.source_next});
  }
  options.read.topics = {std::move(selection)};
  source_ = TRY(store_.backends_.source->join_group("store." + store_.options_.id, options));
  // It may have been made anew since claim() looked.
  if (TRY(store_.backends_.source->topic_identity(store_.options_.source)) == source_identity_) return {};
  return fail(Code::not_found, fmt::format("topic \"{}\" has been deleted, and made anew", store_.options_.source));
}

Result<void> StoreWorker::follow() {
  for (bool behind = true;;) {
    const std::uint64_t wanted = store_.flush_wanted_.load(std::memory_order_acquire);
    const Fetch fetch = TRY(source_->next(pending_ > 0 ? kPendingLook : kIdleLook));
    for (std::string& notice : source_->take_notices()) store_.note(std::move(notice));
    if (fetch.state == Fetch::State::stopped) return {};
    if (fetch.state == Fetch::State::records) {
      TRY(take(fetch));
    } else {
      behind = false;
      TRY(acknowledge());
      for (const Lane& lane : lanes_) lane.partition->current_at_ms.store(now_ms().value, std::memory_order_relaxed);
    }
    const SteadyTime now = std::chrono::steady_clock::now();
    const bool hurried = wanted != flushed_.load(std::memory_order_relaxed);
    const bool waited = moved_ && now - pending_since_ >= store_.options_.flush_every;
    const bool full = has_enough(behind);
    if (full || waited || (moved_ && pending_ == 0)) {
      behind = full;
      TRY(publish());
    }
    if (hurried) {
      TRY(publish());
      flushed_.store(wanted, std::memory_order_release);
      store_.changed();
    }
    if (commit_due_ && now - committed_at_ >= kCommitEvery) TRY(commit());
  }
}

// Whether what is pending is to become visible for its number.
bool StoreWorker::has_enough(bool behind) const {
  const std::int64_t count = store_.options_.flush_count;
  if (!behind) return pending_ >= count;
  return pending_ >= std::max(count, kBehindCount) || (pending_ >= count && pending_bytes_ >= kBehindBytes);
}

StoreWorker::Lane& StoreWorker::lane_of(PartitionId partition) {
  const auto lane = std::ranges::find_if(lanes_, [&](const Lane& one) { return one.partition->id() == partition; });
  ASSERT(lane != lanes_.end());
  return *lane;
}

// Whether a record can be stored; those that cannot are passed over, and said once.
bool StoreWorker::usable(const RecordView& record) {
  if (record.key && *record.key != kReservationKey) return true;
  store_.skipped_.fetch_add(1, std::memory_order_relaxed);
  if (!std::exchange(said_unusable_, true)) {
    store_.note(
        fmt::format("topic \"{}\" partition {} offset {}: a record {} cannot be stored; it is passed over, as "
                    "will be others",
                    record.topic, record.partition.value, record.offset.value,
                    record.key ? "with a key that the changelog needs" : "without a key"));
  }
  return false;
}

Result<void> StoreWorker::take(const Fetch& fetch) {
  Lane& lane = lane_of(fetch.position.partition);
  if (!moved_) pending_since_ = std::chrono::steady_clock::now();
  moved_ = true;
  if (transform_) TRY(transform(fetch.records));
  std::size_t transformed = 0;
  const TimestampMs now = now_ms();
  for (const RecordView& record : fetch.records) {
    if (!usable(record)) continue;
    std::optional<std::string_view> value = record.value;
    if (transform_ && value) value = outputs_[transformed++];
    TRY(take_record(lane, record, value, now));
  }
  lane.reached.source_next = fetch.position.next;
  return {};
}

// Fills outputs_ with what the values of the records become.
Result<void> StoreWorker::transform(std::span<const RecordView> records) {
  inputs_.clear();
  for (const RecordView& record : records)
    if (record.key && *record.key != kReservationKey && record.value) inputs_.push_back(*record.value);
  outputs_.clear();
  TRY(transform_(inputs_, outputs_));
  ASSERT(outputs_.size() == inputs_.size());
  return {};
}

Result<void> StoreWorker::take_record(Lane& lane, const RecordView& record, std::optional<std::string_view> value,
                                      TimestampMs now) {
  const SourceText source(record.offset);
  const HeaderView header{kSourceHeader, source.text()};
  auto sent = lane.producer->send({.key = record.key, .value = value, .headers = {&header, 1}, .timestamp = now});
  if (!sent) {
    sent.error().message = fmt::format("topic \"{}\" partition {} offset {} cannot go to the changelog: {}",
                                       record.topic, record.partition.value, record.offset.value, sent.error().message);
    return sent;
  }
  lane.unacknowledged = true;
  lane.pending.push_back(lane.partition->prepare(*record.key, value, record.offset));
  ++pending_;
  pending_bytes_ += static_cast<std::int64_t>(lane.pending.back().entry->payload());
  return {};
}

// The changelog is as far as the source was read.
Result<void> StoreWorker::acknowledge() {
  for (Lane& lane : lanes_) {
    if (!lane.unacknowledged) continue;
    TRY(lane.producer->flush());
    lane.unacknowledged = false;
    for (std::string& notice : lane.producer->take_notices()) store_.note(std::move(notice));
  }
  return {};
}

// Everything that was read becomes visible.
Result<void> StoreWorker::publish() {
  if (!moved_) return {};
  TRY(acknowledge());
  for (Lane& lane : lanes_) {
    lane.partition->apply(lane.pending, lane.reached);
    lane.pending.clear();
  }
  pending_ = 0;
  pending_bytes_ = 0;
  moved_ = false;
  commit_due_ = true;
  store_.changed();
  return {};
}

// Only for others to see: a cluster whose coordinator is away for a while does not end the store.
Result<void> StoreWorker::commit() {
  std::vector<Position> positions;
  for (const Lane& lane : lanes_)
    positions.push_back({store_.options_.source, lane.partition->id(), lane.partition->position().source_next});
  commit_due_ = false;
  committed_at_ = std::chrono::steady_clock::now();
  auto committed = source_->commit(positions);
  if (committed || committed.error().code != Code::unavailable) return committed;
  store_.note(fmt::format("how far the store has come is not stored: {}", committed.error().message));
  commit_due_ = true;
  return {};
}

// ---- Replicas ----

Result<void> StoreFollower::run() {
  SteadyTime tried_at{};
  bool all = false;
  while (!store_.stopping()) {
    if (const SteadyTime now = std::chrono::steady_clock::now(); !all && now - tried_at >= kAttachAgain) {
      all = TRY(attach());
      tried_at = now;
    }
    if (reader_ == nullptr) {
      std::this_thread::sleep_for(kFollowLook);
      continue;
    }
    const Fetch fetch = TRY(reader_->next(kFollowLook));
    for (std::string& notice : reader_->take_notices()) store_.note(std::move(notice));
    if (fetch.state == Fetch::State::records) {
      TRY(take(fetch));
    } else if (fetch.state == Fetch::State::caught_up) {
      for (StorePartition* partition : partitions_)
        if (partition->ready()) partition->current_at_ms.store(now_ms().value, std::memory_order_relaxed);
    }
  }
  return {};
}

// Restores those whose primary has begun; whether that were all.
Result<bool> StoreFollower::attach() {
  const StoreOptions& options = store_.options_;
  bool all = true;
  bool more = false;
  for (StorePartition* partition : partitions_) {
    if (partition->ready()) continue;
    const auto found = read_reservation(*store_.backends_.changelog, options.changelog, partition->id());
    if (!found && found.error().code != Code::not_found) return std::unexpected(found.error());
    if (!found || !*found) {
      all = false;
      continue;
    }
    TRY(check_reservation(**found, options.changelog, {options.id, options.source}));
    const std::int64_t capacity = options.initial_capacity / std::ssize(store_.layout().held);
    TRY(partition->restore({.backend = store_.backends_.changelog,
                            .changelog = options.changelog,
                            .partition = partition->id(),
                            .incarnation = (*found)->incarnation,
                            .snapshots = store_.snapshots_ ? &*store_.snapshots_ : nullptr,
                            .stop = &store_.stop_,
                            .notice = [this](std::string sentence) { store_.note(std::move(sentence)); }},
                           capacity));
    more = true;
    store_.changed();
  }
  if (more) TRY(open_reader());
  return all;
}

Result<void> StoreFollower::open_reader() {
  const std::string& changelog = store_.options_.changelog;
  ReadOptions options{.start = {StartAt::Kind::beginning}, .stop = &store_.stop_};
  TopicSelection selection{changelog};
  for (const StorePartition* partition : partitions_) {
    if (!partition->ready()) continue;
    selection.partitions.push_back(partition->id());
    options.starts.push_back({changelog, partition->id(), partition->position().changelog_next});
  }
  options.topics = {std::move(selection)};
  reader_ = TRY(store_.backends_.changelog->open_reader(options));
  return {};
}

Result<void> StoreFollower::take(const Fetch& fetch) {
  StorePartition& partition = *store_.layout().find(fetch.position.partition);
  StorePosition position = partition.position();
  changes_.clear();
  for (const RecordView& record : fetch.records) {
    if (is_reservation(record)) continue;
    const Change change = TRY(decode_change(record));
    if (change.source < position.source_next) continue;
    changes_.push_back(partition.prepare(change.key, change.value, change.source));
    position.source_next = change.source + 1;
  }
  position.changelog_next = fetch.position.next;
  partition.apply(changes_, position);
  store_.changed();
  return {};
}

}  // namespace leat
