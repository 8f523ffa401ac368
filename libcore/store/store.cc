#include "leat/store/store.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/backend/local.h"
#include "leat/store/store_worker.h"

namespace leat {

namespace {

// How often the keeper looks how far source and changelog have come, and how often for anything else.
constexpr Milliseconds kLookAtEnds(5000);
constexpr Milliseconds kKeeperLook(500);
// Room in the changelog for what a record has more there than in the source.
constexpr std::int64_t kHeaderRoom = 128;

}  // namespace

Store::Store(const StoreBackends& backends, StoreOptions options) : backends_(backends), options_(std::move(options)) {}

Result<std::unique_ptr<Store>> Store::open(const StoreBackends& backends, StoreOptions options) {
  TRY(check_name("store", options.id));
  if (!options.replica_only || !options.source.empty()) TRY(check_name("topic", options.source));
  TRY(check_name("topic", options.changelog));
  if (options.source == options.changelog) return fail(Code::usage, "a store cannot have its source for a changelog");
  std::unique_ptr<Store> store(new Store(backends, std::move(options)));
  TRY(store->prepare());
  store->start();
  return store;
}

Store::~Store() {
  abandon_.store(true);
  stop_.store(true);
  woken_.notify_all();
  join();
}

// ---- Starting ----

Result<void> Store::prepare() {
  const std::int32_t count = TRY(count_partitions());
  TRY(choose_shares(options_, count));
  TRY(prepare_changelog(!options_.replica_only, count));
  if (options_.snapshot_base) snapshots_ = TRY(SnapshotPlace::make(*options_.snapshot_base, options_.id));
  return hold(count);
}

// Those of the source. Copies are made without one: the changelog has as many.
Result<std::int32_t> Store::count_partitions() {
  if (!options_.replica_only) return TRY(backends_.source->describe_topic(options_.source)).settings.partitions;
  if (!options_.source.empty()) {
    const auto source = backends_.source->describe_topic(options_.source);
    if (source || source.error().code == Code::unavailable)
      return source ? Result<std::int32_t>(source->settings.partitions) : std::unexpected(source.error());
  }
  return TRY(check_changelog(*backends_.changelog, options_.changelog)).partitions;
}

// A changelog has as many partitions as its source.
Result<void> Store::prepare_changelog(bool has_source, std::int32_t source_partitions) {
  Backend& backend = *backends_.changelog;
  const auto present = check_changelog(backend, options_.changelog);
  if (!present && present.error().code != Code::not_found) return std::unexpected(present.error());
  if (present) {
    if (present->partitions >= source_partitions || !has_source) return {};
    return backend.add_partitions(options_.changelog, source_partitions - present->partitions);
  }
  // Whoever has it for a source only waits until there is one.
  if (!has_source) return {};
  const TopicSettings source = TRY(backends_.source->describe_topic(options_.source)).settings;
  const TopicSettings wanted{.partitions = source_partitions,
                             .max_record_bytes = std::min(source.max_record_bytes + kHeaderRoom, kRecordBytesMax),
                             .cleanup = Cleanup::compact,
                             .durability = source.durability};
  auto created = backend.create_topic(options_.changelog, wanted);
  // Another process of the store may have been faster.
  if (!created && created.error().code == Code::exists) return {};
  return created;
}

// Takes the partitions of a source that has so many and that are not held yet. Readers see them when they are taken.
Result<void> Store::hold(std::int32_t source_partitions) {
  auto grown = std::make_unique<StoreLayout>();
  if (!layouts_.empty()) *grown = layout();
  grown->source_partitions = source_partitions;
  grown->by_number.resize(static_cast<std::size_t>(source_partitions));
  std::vector<StorePartition*> primaries;
  std::vector<StorePartition*> replicas;
  for (const auto [id, role] : TRY(choose_shares(options_, source_partitions))) {
    StorePartition*& place = grown->by_number[static_cast<std::size_t>(id.value)];
    if (place != nullptr) continue;
    place = partitions_.emplace_back(std::make_unique<StorePartition>(id, role)).get();
    grown->held.push_back(place);
    (role == StoreRole::primary ? primaries : replicas).push_back(place);
  }
  TRY(take(primaries, std::ssize(grown->held)));
  {
    const std::lock_guard lock(mutex_);
    ends_.resize(static_cast<std::size_t>(source_partitions));
  }
  snapshot_offsets_.resize(static_cast<std::size_t>(source_partitions));
  layout_.store(layouts_.emplace_back(std::move(grown)).get(), std::memory_order_release);
  if (!replicas.empty()) followers_.push_back(std::make_unique<StoreFollower>(*this, std::move(replicas)));
  return {};
}

// Shares partitions out to new workers. More of them than processors: while one waits for the disk, another one works.
Result<void> Store::take(const std::vector<StorePartition*>& primaries, std::int64_t held) {
  const std::size_t count =
      std::min<std::size_t>(primaries.size(), 2 * std::max(1U, std::thread::hardware_concurrency()));
  std::vector<std::vector<StorePartition*>> shares(count);
  for (std::size_t i = 0; i < primaries.size(); ++i) shares[i % count].push_back(primaries[i]);
  for (const auto& share : shares) {
    auto worker = std::make_unique<StoreWorker>(*this, share, options_.initial_capacity / held);
    TRY(worker->claim());
    const std::lock_guard lock(mutex_);
    workers_.push_back(std::move(worker));
  }
  return {};
}

// Starts the threads of workers and followers that have none.
void Store::set_to_work() {
  for (; working_ < workers_.size(); ++working_)
    threads_.emplace_back([this, worker = workers_[working_].get()] { run([worker] { return worker->run(); }); });
  for (; following_ < followers_.size(); ++following_)
    threads_.emplace_back(
        [this, follower = followers_[following_].get()] { run([follower] { return follower->run(); }); });
}

void Store::start() {
  set_to_work();
  keeper_ = std::thread([this] { run([this] { return keep(); }); });
}

// The keeper first: it starts others.
void Store::join() {
  if (keeper_.joinable()) keeper_.join();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Store::run(const std::function<Result<void>()>& work) {
  auto result = work();
  if (result || (stopping() && result.error().code == Code::interrupted)) return;
  fail_with(std::move(result).error());
}

// The first error is the one that counts; the others follow from it.
void Store::fail_with(Error error) {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(error);
  }
  abandon_.store(true);
  stop_.store(true);
  woken_.notify_all();
  changed();
}

std::optional<Error> Store::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void Store::note(std::string sentence) const {
  if (options_.notice) options_.notice(std::move(sentence));
}

void Store::on_change(std::function<void()> callback) {
  const std::lock_guard lock(mutex_);
  on_change_ = std::move(callback);
}

void Store::changed() const {
  const std::lock_guard lock(mutex_);
  if (on_change_) on_change_();
}

Result<void> Store::stop() {
  stop_.store(true);
  woken_.notify_all();
  join();
  auto failed = failure();
  auto written = failed ? Result<void>{} : write_snapshots(true);
  for (const auto& worker : workers_) worker->release();
  if (failed) return std::unexpected(*std::move(failed));
  return written;
}

// ---- Reading ----

Store::Answer Store::find(std::string_view key,
                          const std::function<void(const StorePartition&, const StoredValue&)>& use) const {
  const StoreLayout& layout = this->layout();
  const StorePartition* home = layout.find(layout.home_of(key));
  const ReadGuard guard;
  bool restoring = home != nullptr && !home->ready();
  const auto look = [&](const StorePartition& partition) {
    const auto found = partition.table().find(key);
    if (found) use(partition, *found);
    return found.has_value();
  };
  if (restoring) return Answer::restoring;
  if (home != nullptr && look(*home)) return Answer::found;
  for (const StorePartition* other : layout.held) {
    if (other == home) continue;
    if (!other->ready()) {
      restoring = true;
    } else if (look(*other)) {
      return Answer::found;
    }
  }
  if (home == nullptr) return Answer::elsewhere;
  return restoring ? Answer::restoring : Answer::absent;
}

bool Store::scan(const std::optional<Place>& after,
                 const std::function<bool(const StorePartition&, const StoredValue&)>& use) const {
  const StoreLayout& layout = this->layout();
  for (const StorePartition* partition : layout.held)
    if (!partition->ready()) return false;
  bool more = true;
  for (const StorePartition* partition : layout.held) {
    if (after && partition->id() < after->partition) continue;
    const bool here = after && partition->id() == after->partition;
    const auto hand = [&](const StoredValue& value) { return more = use(*partition, value); };
    if (const auto* hash = here ? std::get_if<std::uint64_t>(&after->key) : nullptr) {
      partition->table().scan_behind(*hash, hand);
    } else {
      partition->table().scan(here ? std::optional<std::string_view>(std::get<std::string>(after->key)) : std::nullopt,
                              hand);
    }
    if (!more) break;
  }
  return true;
}

bool Store::is_ready() const {
  return std::ranges::all_of(layout().held, [this](const StorePartition* partition) {
    return partition->ready() || (partition->role() == StoreRole::replica && !options_.wait_for_replicas);
  });
}

std::vector<StoreStatus> Store::status() const {
  std::vector<StoreStatus> all;
  const StoreLayout& layout = this->layout();
  const std::lock_guard lock(mutex_);
  for (const StorePartition* partition : layout.held) {
    StoreStatus status{.partition = partition->id(), .role = partition->role(), .ready = partition->ready()};
    if (status.ready) {
      status.keys = partition->table().size();
      status.payload_bytes = partition->table().payload_bytes();
      status.replay = partition->replay();
    }
    status.applied = partition->applied();
    status.position = partition->position();
    const Ends& ends = ends_[static_cast<std::size_t>(status.partition.value)];
    status.behind = std::max<std::int64_t>(0, status.role == StoreRole::primary
                                                  ? ends.source - status.position.source_next.value
                                                  : ends.changelog - status.position.changelog_next.value);
    const std::int64_t current = partition->current_at_ms.load(std::memory_order_relaxed);
    if (current > 0) status.current_at = TimestampMs{current};
    all.push_back(status);
  }
  return all;
}

std::uint64_t Store::request_flush() {
  return flush_wanted_.fetch_add(1, std::memory_order_acq_rel) + 1;
}

bool Store::flushed(std::uint64_t ticket) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::all_of(workers_, [&](const auto& worker) { return worker->flushed() >= ticket; });
}

// ---- Keeping ----

Result<void> Store::keep() {
  SteadyTime looked_at{};
  SteadyTime written_at = std::chrono::steady_clock::now();
  while (!stopping()) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (now - looked_at >= kLookAtEnds) {
      looked_at = now;
      TRY(look_at_topics());
    }
    if (now - written_at >= options_.snapshot_every) {
      written_at = now;
      // Only starting is slower without one.
      if (const auto written = write_snapshots(false); !written)
        note(fmt::format("no snapshot was written: {}", written.error().message));
    }
    std::unique_lock lock(mutex_);
    woken_.wait_for(lock, kKeeperLook, [this] { return stopping(); });
  }
  return {};
}

Result<void> Store::look_at_topics() {
  // Whoever reads them says what is wrong with them.
  std::vector<PartitionInfo> source;
  if (!options_.source.empty())
    source = backends_.source->partitions(options_.source).value_or(std::vector<PartitionInfo>());
  const auto changelog = backends_.changelog->partitions(options_.changelog).value_or(std::vector<PartitionInfo>());
  note_ends(source, changelog);
  const bool copies = options_.replica_only && source.empty();
  const auto count = static_cast<std::int32_t>(copies ? changelog.size() : source.size());
  if (count <= layout().source_partitions || stopping()) return {};
  // Of several processes that share the partitions, each would add what is missing.
  if (!options_.replica_only && options_.partitions.empty()) TRY(prepare_changelog(true, count));
  TRY(hold(count));
  note(fmt::format("topic \"{}\" has {} partitions by now", copies ? options_.changelog : options_.source, count));
  set_to_work();
  changed();
  return {};
}

void Store::note_ends(const std::vector<PartitionInfo>& source, const std::vector<PartitionInfo>& changelog) {
  const std::lock_guard lock(mutex_);
  for (const PartitionInfo& info : source)
    if (const auto p = static_cast<std::size_t>(info.partition.value); p < ends_.size())
      ends_[p].source = info.end.value;
  for (const PartitionInfo& info : changelog)
    if (const auto p = static_cast<std::size_t>(info.partition.value); p < ends_.size())
      ends_[p].changelog = info.end.value;
}

Result<void> Store::write_snapshots(bool at_end) {
  if (!snapshots_) return {};
  for (const StorePartition* partition : layout().held) {
    if (!partition->ready()) continue;
    Offset& last = snapshot_offsets_[static_cast<std::size_t>(partition->id().value)];
    // The position first: the table may be newer, never older.
    const StorePosition position = partition->position();
    if (position.changelog_next <= last) continue;
    const SnapshotHeader header{partition->incarnation(),  position.changelog_next, position.source_next, now_ms(),
                                partition->table().size(), partition->id(),         options_.id};
    const auto stop = [&] { return at_end ? abandon_.load(std::memory_order_relaxed) : stopping(); };
    if (TRY(snapshots_->write(header, partition->table(), stop))) last = position.changelog_next;
  }
  return {};
}

}  // namespace leat
