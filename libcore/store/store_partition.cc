#include "leat/store/store_partition.h"

#include <algorithm>

namespace leat {

namespace {

// Slots are asked for this many changes ahead.
constexpr std::size_t kAhead = 8;

}  // namespace

Result<void> StorePartition::restore(const ReplayFrom& from, std::int64_t capacity) {
  incarnation_ = from.incarnation;
  replay_ = TRY(replay_partition(
      from,
      [this](const Change& change) {
        PreparedChange prepared = prepare(change.key, change.value, change.source);
        put(prepared);
        table_->reclaim();
      },
      [&](std::int64_t keys) { table_ = std::make_unique<Table>(incarnation_, std::max(capacity, keys)); }));
  source_next_.store(replay_.position.source_next.value, std::memory_order_relaxed);
  changelog_next_.store(replay_.position.changelog_next.value, std::memory_order_relaxed);
  ready_.store(true, std::memory_order_release);
  return {};
}

PreparedChange StorePartition::prepare(std::string_view key, std::optional<std::string_view> value, Offset source) {
  return {table_->hash(key), table_->make(key, value.value_or(""), source), !value};
}

void StorePartition::put(PreparedChange& change) {
  if (change.erases) {
    table_->erase(change.hash, change.entry->key());
    table_->discard(change.entry);
  } else {
    table_->put(change.hash, change.entry);
  }
}

void StorePartition::apply(std::span<PreparedChange> changes, StorePosition position) {
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (i + kAhead < changes.size()) table_->prefetch(changes[i + kAhead].hash);
    put(changes[i]);
  }
  table_->reclaim();
  applied_.fetch_add(static_cast<std::int64_t>(changes.size()), std::memory_order_relaxed);
  changelog_next_.store(position.changelog_next.value, std::memory_order_release);
  source_next_.store(position.source_next.value, std::memory_order_release);
}

}  // namespace leat
