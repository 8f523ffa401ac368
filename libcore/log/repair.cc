#include "leat/log/repair.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/base/units.h"
#include "leat/log/compaction.h"
#include "leat/log/file_names.h"
#include "leat/log/log_start.h"
#include "leat/log/maintenance.h"
#include "leat/log/recovery.h"

namespace leat {

namespace {

// The offsets of a segment, and so those that a segment of one filler spans.
constexpr std::int64_t kOffsetsPerFiller = kSegmentBytesMax;
// Offsets missing in one place: with more, it is the name of a file that is wrong.
constexpr std::int64_t kGapMax = 64 * kOffsetsPerFiller;
// What stands before the bytes that a batch's checksum covers.
constexpr std::int64_t kUncheckedBytes = 21;

// Whether nothing but a segment of its own can span the missing offsets: the file has ended in order.
bool needs_bridge(const SurveyedSegment& segment, const BadPlace& place) {
  return place.is_tail && place.bytes() == 0 && segment.any_batch;
}

// ---- Writing one segment again ----

// The readable note beside kept bytes.
Result<void> write_note(const Directory& partition, const std::string& kept_in, const RepairStep& step) {
  const Directory cut = TRY(partition.open_directory(kCutDirectory));
  const std::string name = kept_in.substr(kept_in.rfind('/') + 1);
  std::string lost = "none";
  if (step.end > step.first)
    lost = fmt::format("{} to {}; a filler takes their place in the log", step.first.value, step.end.value - 1);
  return cut.replace_file(
      name + ".txt",
      fmt::format("{}\n\ncut by:        leat repair, {}\nfrom:          {}\nbytes:         {} to {} ({} bytes)\n"
                  "why:           {}\noffsets lost:  {}\n",
                  step.action == RepairStep::Action::restore
                      ? "The start of a batch as it was before what its checksum does not cover was written anew."
                      : "Bytes that could not be read, as they were.",
                  format_time(now_ms()), step.path, step.from, step.to - 1, step.to - step.from, step.why, lost));
}

// Writes a segment beside the old one, with fillers and restored batches in the bad places.
class Mender {
 public:
  Mender(const Directory& directory, const File& log, const SegmentBounds& bounds, std::optional<TimestampMs> time)
      : directory_(directory), log_(log), bounds_(bounds), time_(time) {}

  // Synced on return; after an error nothing is left of it. `place` is called for every bad place, before it is mended.
  template <class OnPlace>
  Result<void> write(OnPlace on_place) {
    auto written = write_file(on_place);
    if (!written) (void)directory_.unlink(compacting_file_name(bounds_.base));
    return written;
  }

 private:
  static constexpr std::size_t kBlockBytes = 1 << 20;

  template <class OnPlace>
  Result<void> write_file(OnPlace on_place) {
    file_ = TRY(directory_.open_file(compacting_file_name(bounds_.base), OpenMode::create_or_open));
    TRY(file_.truncate(0));
    SegmentScan scan(log_, bounds_);
    for (;;) {
      const SegmentScan::Step step = TRY(scan.next());
      if (step.kind == SegmentScan::Step::Kind::end) break;
      if (step.kind == SegmentScan::Step::Kind::batch) {
        time_ = std::max(time_.value_or(step.batch.header.max_timestamp), step.batch.header.max_timestamp);
        TRY(append(step.batch.bytes));
        continue;
      }
      TRY(on_place(step.place));
      TRY(mend(step.place));
    }
    TRY(flush());
    return file_.sync_data();
  }

  Result<void> mend(const BadPlace& place) {
    if (place.restorable) {
      std::vector<std::byte> bytes(static_cast<std::size_t>(place.bytes()));
      if (TRY(log_.read_at(bytes, place.from)) == bytes.size()) {
        if (const auto restored = restore_batch(bytes, place.first)) return append(*restored);
      }
      return fail(Code::busy, fmt::format("{}: byte {} changed while it was repaired", log_.path(), place.from));
    }
    if (place.offsets() == 0) return {};
    return append(make_filler(place.first, place.end, time_.value_or(now_ms())));
  }

  Result<void> append(Bytes bytes) {
    pending_.insert(pending_.end(), bytes.begin(), bytes.end());
    return pending_.size() < kBlockBytes ? Result<void>{} : flush();
  }

  Result<void> flush() {
    TRY(file_.write_at(Bytes(pending_), position_));
    position_ += std::ssize(pending_);
    pending_.clear();
    return {};
  }

  const Directory& directory_;
  const File& log_;
  SegmentBounds bounds_;
  std::optional<TimestampMs> time_;  // the largest so far: what a filler gets
  File file_;
  std::vector<std::byte> pending_;
  std::int64_t position_ = 0;
};

// ---- Carrying a repair out ----

class Repairer {
 public:
  Repairer(Partition& partition, PartitionRepair& repair) : partition_(partition), repair_(repair) {}

  Result<void> run() {
    const RangeLock lock = TRY(
        partition_.take_lock(StateLocks::maintenance(partition_.id()), partition_.topic().data_dir().lock_timeout()));
    if (!lock) return fail(Code::busy, fmt::format("{} is being maintained by another process", directory().path()));
    TRY(get_in_order());
    // What producers with names have is in headers that may be gone afterwards.
    const Offset active = TRY(list_segments(directory())).back();
    const auto kept = keep_producers(partition_, active);
    for (const SurveyedSegment& segment : repair_.segments) TRY(mend_segment(segment));
    for (const OffsetGap& gap : repair_.gaps) TRY(bridge(gap));
    if (!kept) (void)keep_producers(partition_, active);
    if (repair_.start) TRY(store_start());
    TRY(partition_.end());
    return {};
  }

 private:
  const Directory& directory() const { return partition_.directory(); }

  // Afterwards the active segment holds nothing that has to be mended, and recovery has nothing against the partition.
  Result<void> get_in_order() {
    // Recovery would judge the end of a damaged segment by a position that may not hold any more: it is passed over,
    // unless a living writer vouches for the end.
    auto begun = repair_.seals ? begin_anew() : fail(Code::busy, "");
    if (begun || begun.error().code != Code::busy) return begun;
    auto recovered = partition_.end();
    if (!recovered && recovered.error().code == Code::damaged) return begin_anew();
    if (!recovered) return std::unexpected(recovered.error());
    if (!repair_.seals) return {};
    auto rolled = partition_.roll();
    return !rolled && rolled.error().code == Code::damaged ? begun : rolled;
  }

  Result<void> begin_anew() {
    auto begun = partition_.begin_anew(repair_.end, repair_.log_start);
    begun_anew_ = begun.has_value();
    return begun;
  }

  Result<void> mend_segment(const SurveyedSegment& segment) {
    // What is unfinished at the end of the log has been cut by recovery, unless that was passed over.
    const auto counts = [this](const BadPlace& place) { return !place.unfinished || begun_anew_; };
    if (std::ranges::none_of(segment.places, counts)) return {};
    const std::vector<Offset> bases = TRY(list_segments(directory()));
    const auto behind = std::ranges::upper_bound(bases, segment.base);
    const File log = TRY(directory().open_file(log_file_name(segment.base), OpenMode::read));
    if (behind == bases.end()) return TRY(log.size()) == 0 ? Result<void>{} : changed(log, 0);  // cut already
    SegmentBounds bounds{.base = segment.base, .limit = TRY(log.size()), .next = *behind};
    for (const OffsetGap& gap : repair_.gaps) {
      if (gap.first > segment.base && gap.first < *behind) bounds.next = gap.first;
    }
    std::size_t met = 0;
    Mender mender(directory(), log, bounds, TRY(time_before(segment.base)));
    TRY(mender.write([&](const BadPlace& place) -> Result<void> {
      RepairStep* step = find_step(segment, place);
      if (step == nullptr) return changed(log, place.from);
      ++met;
      if (step->to == step->from) return {};
      step->kept_in = TRY(keep_bytes(directory(), log, step->from, step->to, step->first));
      return write_note(directory(), step->kept_in, *step);
    }));
    if (met == 0) return directory().unlink(compacting_file_name(segment.base));
    return take_place(partition_, segment.base);
  }

  static std::unexpected<Error> changed(const File& log, std::int64_t byte) {
    return fail(Code::busy, fmt::format("{}: byte {} is not as it was when the repair was planned", log.path(), byte));
  }

  // The step that was planned for the place, if it still is the same.
  RepairStep* find_step(const SurveyedSegment& segment, const BadPlace& place) {
    const bool planned = std::ranges::any_of(segment.places, [&](const BadPlace& p) {
      return p.from == place.from && p.to == place.to && p.first == place.first && p.end == place.end &&
             p.restorable == place.restorable;
    });
    const auto found = std::ranges::find_if(repair_.steps, [&](const RepairStep& step) {
      return step.path == segment.path && step.from == place.from && step.first == place.first;
    });
    return planned && found != repair_.steps.end() ? &*found : nullptr;
  }

  // Segments of one filler each.
  Result<void> bridge(const OffsetGap& gap) {
    for (Offset first = gap.first; first < gap.end; first += kOffsetsPerFiller) {
      const Offset end = std::min(gap.end, first + kOffsetsPerFiller);
      const File file = TRY(directory().open_file(compacting_file_name(first), OpenMode::create_or_open));
      TRY(file.truncate(0));
      TRY(file.write_at(Bytes(make_filler(first, end, TRY(time_before(first)).value_or(now_ms()))), 0));
      TRY(file.sync_data());
      TRY(take_place(partition_, first));
    }
    return {};
  }

  // The largest timestamp of the segment before.
  Result<std::optional<TimestampMs>> time_before(Offset base) {
    const std::vector<Offset> bases = TRY(list_segments(directory()));
    const auto at = std::ranges::lower_bound(bases, base);
    if (at == bases.begin()) return std::nullopt;
    const TimestampMs time = TRY(segment_max_timestamp(directory(), *std::prev(at)));
    return time.value < 0 ? std::nullopt : std::optional(time);
  }

  Result<void> store_start() {
    TRY(partition_.with_append_lock([&]() -> Result<void> {
      // Twice, so that neither slot is left damaged.
      TRY(store_log_start(directory(), *repair_.start));
      return store_log_start(directory(), *repair_.start);
    }));
    return partition_.raise_log_start(*repair_.start);
  }

  Partition& partition_;
  PartitionRepair& repair_;
  bool begun_anew_ = false;
};

// ---- Planning ----

RepairStep step_for(const PartitionSurvey& survey, const SurveyedSegment& segment, const BadPlace& place) {
  RepairStep step{.partition = survey.id,
                  .path = segment.path,
                  .from = place.from,
                  .to = place.to,
                  .first = place.first,
                  .end = place.end,
                  .why = place.fault};
  if (place.restorable) {
    step.action = RepairStep::Action::restore;
    step.to = place.from + kUncheckedBytes;
    step.end = place.first;
  } else if (place.offsets() == 0) {
    step.action = RepairStep::Action::cut;
  }
  return step;
}

RepairStep gap_step(const PartitionSurvey& survey, const OffsetGap& gap, std::string_view why) {
  return {.action = RepairStep::Action::bridge,
          .partition = survey.id,
          .path = survey.path + "/" + log_file_name(gap.first),
          .first = gap.first,
          .end = gap.end,
          .why = std::string(why)};
}

void plan_start(const PartitionSurvey& survey, PartitionRepair& repair) {
  const StartSurvey& start = survey.start;
  const bool bad = start.health == SlotHealth::newer_lost || start.health == SlotHealth::damaged ||
                   (start.missing && !survey.segments.empty() && survey.segments.front().base > Offset{0});
  repair.log_start = start.start;
  if (bad) repair.log_start = std::max(start.start, survey.known_start);
  const bool nothing_left = survey.segments.empty();
  repair.log_start = std::max(repair.log_start, nothing_left ? survey.known_end : survey.segments.front().base);
  if (!bad && repair.log_start == start.start) return;
  repair.start = repair.log_start;
  RepairStep step{.action = RepairStep::Action::start,
                  .partition = survey.id,
                  .path = survey.path + "/" + std::string(kStartFile),
                  .first = repair.log_start,
                  .end = repair.log_start,
                  .why = start.missing  ? "the file is missing"
                         : bad          ? "a slot has the wrong checksum"
                         : nothing_left ? "no segment is left"
                                        : "the segments before the first one are missing"};
  if (!bad) step.first = start.start;
  repair.seals |= nothing_left;
  repair.steps.push_back(std::move(step));
}

}  // namespace

Result<PartitionSurvey> survey_partition(const Topic& topic, PartitionId id,
                                         const std::function<Result<void>(std::int64_t bytes)>& progress) {
  const Directory directory = TRY(topic.open_partition(id));
  PartitionSurvey survey{.id = id, .path = directory.path()};
  const PartitionBounds bounds =
      TRY(note_bounds(directory, topic.state(), id, topic.settings().durability == Durability::os));
  survey.known_end = bounds.end ? bounds.end->end : bounds.known_end;
  survey.start = TRY(survey_start(directory));
  if (topic.state() != nullptr && id.value < topic.state()->partitions()) {
    if (const auto end = topic.state()->page(id).published.load()) survey.known_start = end->value.log_start;
  }
  std::int64_t bytes_before = 0;
  for (std::size_t i = 0; i < bounds.bases.size(); ++i) {
    const auto log = directory.open_file(log_file_name(bounds.bases[i]), OpenMode::read);
    const bool is_gone = !log && log.error().code == Code::not_found;
    if (is_gone && i + 1 < bounds.bases.size() && TRY(survey_start(directory)).start >= bounds.bases[i + 1])
      continue;  // retired meanwhile
    if (!log) return std::unexpected(log.error());
    SurveyedSegment segment{.base = bounds.bases[i], .path = log->path()};
    SegmentScan scan(*log, bounds.segment(i, TRY(log->size())));
    for (;;) {
      SegmentScan::Step step = TRY(scan.next());
      if (progress) TRY(progress(bytes_before + scan.position()));
      if (step.kind == SegmentScan::Step::Kind::end) break;
      segment.any_batch |= step.kind == SegmentScan::Step::Kind::batch;
      if (step.kind == SegmentScan::Step::Kind::bad) segment.places.push_back(std::move(step.place));
    }
    segment.end = scan.expected();
    bytes_before += scan.position();
    survey.segments.push_back(std::move(segment));
  }
  return survey;
}

Result<PartitionRepair> plan_repair(const PartitionSurvey& survey) {
  PartitionRepair repair{.id = survey.id};
  plan_start(survey, repair);
  repair.end = survey.segments.empty() ? repair.log_start : survey.segments.back().end;
  for (const SurveyedSegment& segment : survey.segments) {
    // Room that a killed writer had made goes with the next one, by itself.
    const auto is_room = [](const BadPlace& place) { return place.unfinished && place.only_zeros; };
    if (std::ranges::all_of(segment.places, is_room)) continue;
    repair.segments.push_back(segment);
    const bool is_last = segment.base == survey.segments.back().base;
    for (const BadPlace& place : segment.places) {
      if (place.offsets() > kGapMax) {
        return fail(Code::damaged, fmt::format("{}: {} offsets are missing behind byte {}: the name of a file is wrong",
                                               segment.path, place.offsets(), place.from));
      }
      repair.seals |= is_last && !place.unfinished;
      if (needs_bridge(segment, place)) {
        repair.gaps.push_back({place.first, place.end});
        repair.steps.push_back(gap_step(survey, repair.gaps.back(), place.fault));
      } else {
        repair.steps.push_back(step_for(survey, segment, place));
      }
    }
  }
  if (const OffsetGap gap{repair.end, std::max(survey.known_end, repair.log_start)}; gap.first < gap.end) {
    if (gap.end - gap.first > kGapMax)
      return fail(Code::damaged,
                  fmt::format("{}: the log ends {} offsets before it starts", survey.path, gap.end - gap.first));
    repair.gaps.push_back(gap);
    repair.steps.push_back(gap_step(survey, gap, "the log ends before it starts"));
    repair.end = gap.end;
    repair.seals = true;
  }
  return repair;
}

Result<void> repair_partition(Partition& partition, PartitionRepair& repair) {
  return Repairer(partition, repair).run();
}

bool is_falsely_deleted(const Topic& topic) {
  const auto topics = topic.data_dir().root().open_directory(kTopicsDirectory);
  return topic.state() != nullptr && topic.state()->deleted() && topics &&
         topic.directory().still_in(*topics, topic.name());
}

Result<void> drop_false_state(const DataDir& data_dir, const std::string& name) {
  const DataDirLock lock = TRY(data_dir.lock());
  const Topic topic = TRY(Topic::open(data_dir, name, Topic::Access::read));
  if (!is_falsely_deleted(topic)) return {};
  TRY(topic.directory().unlink(kStateFile));
  return topic.directory().sync();
}

}  // namespace leat
