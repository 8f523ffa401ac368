#include "leat/store/replay.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/log/compaction.h"

namespace leat {

namespace {

constexpr Milliseconds kLook(100);

// A snapshot is believed for half of the time that a deletion behind it stays in the changelog.
bool is_recent(TimestampMs written_at, const TopicSettings& settings, TimestampMs now) {
  // A cluster keeps them for a day, too, unless told otherwise, whatever its retention time.
  const std::int64_t day_ms = kTombstoneRetention.count();
  const std::int64_t kept_ms = std::min(settings.retention_ms.value_or(day_ms), day_ms);
  constexpr std::int64_t kClockSkewMs = 60'000;
  return now - written_at < kept_ms / 2 && written_at - now < kClockSkewMs;
}

Result<PartitionInfo> info_of(Backend& backend, const std::string& topic, PartitionId partition) {
  for (PartitionInfo& info : TRY(backend.partitions(topic)))
    if (info.partition == partition) return std::move(info);
  return fail(Code::not_found, fmt::format("topic \"{}\" has no partition {}", topic, partition.value));
}

Result<void> read_changelog(const ReplayFrom& from, Replay& replay, const std::function<void(const Change&)>& use) {
  const auto reader =
      TRY(from.backend->open_reader({.topics = {{from.changelog, {from.partition}}},
                                     .start = {StartAt::Kind::beginning},
                                     .starts = {{from.changelog, from.partition, replay.position.changelog_next}},
                                     .follow = false,
                                     .stop = from.stop}));
  for (;;) {
    const Fetch fetch = TRY(reader->next(kLook));
    for (std::string& notice : reader->take_notices()) from.notice(std::move(notice));
    if (fetch.state == Fetch::State::ended) return {};
    if (fetch.state == Fetch::State::stopped) return fail(Code::interrupted, "stopped while the changelog was read");
    if (fetch.state != Fetch::State::records) continue;
    for (const RecordView& record : fetch.records) {
      if (is_reservation(record)) continue;
      const Change change = TRY(decode_change(record));
      ++replay.from_changelog;
      if (change.source < replay.position.source_next) continue;
      use(change);
      replay.position.source_next = change.source + 1;
    }
    replay.position.changelog_next = fetch.position.next;
  }
}

}  // namespace

Result<Replay> replay_partition(const ReplayFrom& from, const std::function<void(const Change&)>& use,
                                const std::function<void(std::int64_t keys)>& restart) {
  const TopicSettings settings = TRY(check_changelog(*from.backend, from.changelog));
  const PartitionInfo log = TRY(info_of(*from.backend, from.changelog, from.partition));
  Replay replay;
  restart(0);
  if (from.snapshots != nullptr) {
    bool ahead = false;
    const auto fits = [&](const SnapshotHeader& header) {
      ahead = header.changelog_next > log.end;
      if (ahead || !is_recent(header.written_at, settings, now_ms()) || header.changelog_next < log.start) return false;
      restart(header.keys);
      return true;
    };
    std::string notice;
    const auto header = TRY(from.snapshots->read(
        from.partition, from.incarnation, fits,
        [&](const StoredValue& value) {
          ++replay.from_snapshot;
          use({value.key, value.value, value.offset});
        },
        notice));
    if (!notice.empty()) from.notice(std::move(notice));
    // The log has lost what it was made from, and will give those offsets to other records.
    if (ahead && from.writes) TRY(from.snapshots->remove(from.partition));
    if (header) {
      replay.position = {header->changelog_next, header->source_next};
      replay.snapshot_at = header->written_at;
    } else {
      if (replay.from_snapshot > 0) restart(0);
      replay = {};
    }
  }
  replay.position.changelog_next = std::max(replay.position.changelog_next, log.start);
  TRY(read_changelog(from, replay, use));
  return replay;
}

Result<TopicSettings> check_changelog(Backend& backend, const std::string& changelog) {
  const TopicInfo info = TRY(backend.describe_topic(changelog));
  const TopicSettings& settings = info.settings;
  if (!info.settings_known) return settings;
  if (settings.cleanup != Cleanup::compact) {
    return fail(Code::configuration,
                fmt::format("topic \"{}\" cannot be a changelog: its cleanup is not compact", changelog),
                "leat topic create NAME --cleanup compact, or let the store create it");
  }
  if (settings.retention_records) {
    return fail(Code::configuration,
                fmt::format("topic \"{}\" cannot be a changelog: it retires records by number", changelog),
                fmt::format("leat topic set {} retention-records=none", changelog));
  }
  return settings;
}

}  // namespace leat
