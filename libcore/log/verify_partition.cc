// Verification of one partition: its start, its segments with their indexes, what is derived from all of them, and its
// names.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "leat/log/file_names.h"
#include "leat/log/index_watch.h"
#include "leat/log/producer_state.h"
#include "leat/log/survey.h"
#include "leat/log/verify_parts.h"

namespace leat {

namespace {

// Files that change while they are read are read again so often.
constexpr int kAttempts = 3;
// Entries of an index that are looked at without --deep.
constexpr std::size_t kEntriesSampled = 16;

std::string offsets_text(Offset first, Offset end) {
  if (end - first == 1) return fmt::format("offset {}", first.value);
  return fmt::format("offsets {} to {}", first.value, end.value - 1);
}

std::string bytes_text(std::int64_t bytes) {
  return fmt::format("{} byte{}", bytes, bytes == 1 ? "" : "s");
}

// One partition of a topic.
class PartitionVerification {
 public:
  PartitionVerification(Verification& verification, FindingScope scope, Directory directory, const TopicState* state,
                        bool appended)
      : verification_(verification),
        scope_(std::move(scope)),
        directory_(std::move(directory)),
        state_(state),
        appended_(appended) {}

  Result<void> run() {
    bounds_ = TRY(note_bounds(directory_, state_, id(), appended_));
    const std::vector<Offset> bases = bounds_.bases;
    const Offset start = TRY(verify_start(bases));
    for (const Offset base : bases) TRY(verify_segment(base, start));
    TRY(verify_end(bases, start));
    TRY(verify_producer_snapshots(verification_, scope_, directory_, bases));
    // What is derived from the records of all segments, and can be checked against them only where they are whole.
    if (verification_.deep && !damaged_) {
      TRY(verify_sequences());
      if (directory_.exists("tree")) TRY(verify_tree(verification_, scope_, directory_, end_.end));
    }
    return verify_file_names();
  }

 private:
  PartitionId id() const { return *scope_.partition; }

  void report(Finding finding) {
    damaged_ |= finding.level == Finding::Level::damage;
    verification_.report(std::move(finding));
  }

  // The log start, as far as it can be read.
  Result<Offset> verify_start(std::span<const Offset> bases) {
    const StartSurvey start = TRY(survey_start(directory_));
    const std::string path = directory_.path_of(kStartFile);
    if (start.missing) {
      report(scope_.note(path, "the file is missing", "the log starts at offset 0"));
    } else if (start.health == SlotHealth::older_lost) {
      report(scope_.note(path, "the older slot has the wrong checksum", "nothing is lost: the newer one counts"));
    } else if (start.health == SlotHealth::newer_lost || start.health == SlotHealth::damaged) {
      const bool both = start.health == SlotHealth::damaged;
      Finding finding = both ? scope_.damage(path, "neither slot's checksum is right", "the partition cannot be used")
                             : scope_.damage(path, "a slot has the wrong checksum",
                                             "records that were trimmed away may be there again");
      finding.byte = 0;
      finding.repairable = true;
      report(std::move(finding));
      return bases.empty() ? start.start : std::max(start.start, bases.front());
    }
    if (!bases.empty() && bases.front() > start.start) {
      Finding finding = scope_.damage(
          directory_.path_of(log_file_name(bases.front())),
          fmt::format("the first segment begins at offset {}, the log at {}", bases.front().value, start.start.value),
          fmt::format("{} are missing, and the partition refuses to be written to",
                      offsets_text(start.start, bases.front())));
      finding.offset = start.start;
      finding.repairable = true;
      report(std::move(finding));
    }
    return start.start;
  }

  Result<void> verify_segment(Offset base, Offset start) {
    for (int attempt = 1;; ++attempt) {
      const auto opened = directory_.open_file(log_file_name(base), OpenMode::read);
      if (!opened && opened.error().code == Code::not_found) return report_vanished(base, start);
      if (!opened) return std::unexpected(opened.error());
      const auto number = std::ranges::find(bounds_.bases, base) - bounds_.bases.begin();
      if (number == std::ssize(bounds_.bases)) return {};  // retired, as the later bounds say
      const SegmentBounds bounds = bounds_.segment(static_cast<std::size_t>(number), TRY(opened->size()));
      const VerifyCounts before = verification_.counts;
      findings_.clear();
      TRY(verification_.deep ? read_segment(*opened, bounds) : look_at_segment(*opened, bounds));
      if (!findings_.empty() && attempt < kAttempts && TRY(has_changed(*opened, bounds))) {
        verification_.counts = before;
        bounds_ = TRY(note_bounds(directory_, state_, id(), appended_));
        continue;
      }
      ++verification_.counts.segments;
      for (Finding& finding : findings_) report(std::move(finding));
      return {};
    }
  }

  // Whether the segment is not what it was when it was opened: replaced, retired, or a writer has come to life in it.
  Result<bool> has_changed(const File& log, const SegmentBounds& bounds) const {
    if (!directory_.names_file(log_file_name(bounds.base), log)) return true;
    return !bounds.next && TRY(note_bounds(directory_, state_, id(), appended_)) != bounds_;
  }

  // A segment that was there is not: retired, or lost.
  Result<void> report_vanished(Offset base, Offset start) {
    const auto next = std::ranges::upper_bound(bounds_.bases, base);
    const StartSurvey now = TRY(survey_start(directory_));
    if (next != bounds_.bases.end() && std::max(start, now.start) >= *next) return {};
    Finding finding = scope_.damage(directory_.path_of(log_file_name(base)),
                                    "the segment has gone while it was verified", "its records are missing");
    finding.offset = base;
    report(std::move(finding));
    return {};
  }

  // Whether a living writer may be appending to it.
  bool grows(const SegmentBounds& bounds) const { return bounds_.end && bounds_.end->segment_base == bounds.base; }

  // The whole of it, in one pass.
  Result<void> read_segment(const File& log, const SegmentBounds& bounds) {
    IndexWatch watch = TRY(IndexWatch::open(directory_, bounds.base));
    SegmentScan scan(log, bounds);
    const std::int64_t bytes_before = verification_.counts.bytes;
    bool any_bad = false;
    std::int64_t unfinished_bytes = 0;  // behind the end of the log
    std::int64_t late = 0;              // records behind the largest timestamp that their batch gives
    BatchAt first_late;
    for (;;) {
      const SegmentScan::Step step = TRY(scan.next());
      verification_.counts.bytes = bytes_before + scan.position();
      if (verification_.progress) TRY(verification_.progress(verification_.counts.bytes));
      if (step.kind == SegmentScan::Step::Kind::end) break;
      if (step.kind == SegmentScan::Step::Kind::bad) {
        note_place(log, step.place);
        if (step.place.unfinished) unfinished_bytes = step.place.bytes();
        any_bad = true;
        continue;
      }
      ++verification_.counts.batches;
      verification_.counts.records += std::ssize(step.records);
      watch.pass(step.batch);
      const auto beyond = std::ranges::count_if(
          step.records, [&](const RecordView& record) { return record.timestamp > step.batch.header.max_timestamp; });
      if (beyond > 0 && late == 0) first_late = step.batch;
      late += beyond;
    }
    if (grows(bounds)) watch.excuse_behind(scan.position(), scan.expected());
    end_ = {.end = scan.expected(), .position = scan.position() - unfinished_bytes, .segment_base = bounds.base};
    if (late > 0) {
      findings_.push_back(scope_.note(log.path(), fmt::format("{} records are later than their batch says", late),
                                      "a search by time may miss them"));
      findings_.back().byte = first_late.position;
      findings_.back().offset = first_late.header.base_offset;
    }
    if (any_bad) return {};  // the indexes cannot agree with what is damaged
    TRY(note_wrong_entries(index_file_name(bounds.base), static_cast<std::int64_t>(kIndexEntryBytes),
                           watch.wrong_offsets()));
    return note_wrong_entries(time_index_file_name(bounds.base), static_cast<std::int64_t>(kTimeIndexEntryBytes),
                              watch.wrong_times());
  }

  // How it begins and ends, and some of its index entries. Where that is wrong, the whole is read.
  Result<void> look_at_segment(const File& log, const SegmentBounds& bounds) {
    const bool is_last = bounds.base == bounds_.bases.back();
    SegmentWalk head(log, 0, bounds.base, WalkDepth::headers);
    IndexHint hint = find_by_offset(directory_, bounds.base, log, Offset{std::numeric_limits<std::int64_t>::max()});
    if (hint.position >= bounds.limit) hint = {0, bounds.base};
    SegmentWalk tail(log, hint.position, hint.base, is_last ? WalkDepth::checked : WalkDepth::headers);
    WalkStep step = TRY(head.next(bounds.limit));
    if (step.kind != WalkStep::Kind::bad) {
      while ((step = TRY(tail.next(bounds.limit))).kind == WalkStep::Kind::batch) ++verification_.counts.batches;
    }
    const Offset due = bounds.next.value_or(std::max(bounds.known_end, tail.expected()));
    if (step.kind == WalkStep::Kind::bad || tail.expected() != due) return read_segment(log, bounds);
    end_ = {.end = tail.expected(), .position = tail.position(), .segment_base = bounds.base};
    verification_.counts.bytes += bounds.limit;
    if (verification_.progress) TRY(verification_.progress(verification_.counts.bytes));
    return sample_indexes(log, bounds);
  }

  Result<void> sample_indexes(const File& log, const SegmentBounds& bounds) {
    const auto offsets = TRY(read_offset_index(directory_, bounds.base));
    IndexWatch::Wrong wrong{.of = std::ssize(offsets)};
    for (std::size_t i = 0; i < offsets.size(); i += std::max<std::size_t>(1, offsets.size() / kEntriesSampled)) {
      if (grows(bounds) && offsets[i].position >= bounds.limit) continue;
      SegmentWalk walk(log, offsets[i].position, offsets[i].offset);
      if (offsets[i].position >= 0 && TRY(walk.next(bounds.limit)).kind == WalkStep::Kind::batch) continue;
      if (wrong.count++ == 0) wrong.first = static_cast<std::int64_t>(i);
    }
    TRY(note_wrong_entries(index_file_name(bounds.base), static_cast<std::int64_t>(kIndexEntryBytes), wrong));

    const auto times = TRY(read_time_index(directory_, bounds.base));
    wrong = {.of = std::ssize(times)};
    for (std::size_t i = 0; i < times.size(); i += std::max<std::size_t>(1, times.size() / kEntriesSampled)) {
      if ((grows(bounds) && times[i].offset >= end_.end) || TRY(has_max_time(log, bounds, times[i]))) continue;
      if (wrong.count++ == 0) wrong.first = static_cast<std::int64_t>(i);
    }
    return note_wrong_entries(time_index_file_name(bounds.base), static_cast<std::int64_t>(kTimeIndexEntryBytes),
                              wrong);
  }

  // Whether a batch of this base offset has this largest timestamp.
  Result<bool> has_max_time(const File& log, const SegmentBounds& bounds, const TimeIndexEntry& entry) const {
    if (entry.offset < bounds.base) return false;
    const IndexHint hint = find_by_offset(directory_, bounds.base, log, entry.offset);
    SegmentWalk walk(log, hint.position, hint.base, WalkDepth::headers);
    for (;;) {
      const WalkStep step = TRY(walk.next(bounds.limit));
      if (step.kind != WalkStep::Kind::batch || step.batch.header.base_offset > entry.offset) return false;
      if (step.batch.header.base_offset == entry.offset) return step.batch.header.max_timestamp == entry.timestamp;
    }
  }

  Result<void> note_wrong_entries(const std::string& name, std::int64_t entry_bytes, const IndexWatch::Wrong& wrong) {
    const std::string path = directory_.path_of(name);
    constexpr const char* kMeaning = "no record is lost: a search passes them over";
    if (wrong.count > 0) {
      findings_.push_back(scope_.note(
          path, fmt::format("{} of {} entries do not agree with the log", wrong.count, wrong.of), kMeaning));
      findings_.back().byte = wrong.first * entry_bytes;
      return {};
    }
    const auto file = directory_.open_file(name, OpenMode::read);
    if (!file) return {};
    const std::int64_t left = TRY(file->size()) % entry_bytes;
    if (left == 0) return {};
    findings_.push_back(scope_.note(path, "the file ends inside an entry", kMeaning));
    findings_.back().byte = TRY(file->size()) - left;
    return {};
  }

  void note_place(const File& log, const BadPlace& place) {
    Finding finding;
    if (place.unfinished) {
      const bool zeros = place.only_zeros;
      finding = scope_.note(
          log.path(), fmt::format("{} {}", bytes_text(place.bytes()), zeros ? "of zeros" : "of an unfinished write"),
          zeros ? "room that was set aside: the next producer drops it"
                : "never acknowledged: the next producer moves them to cut/");
    } else {
      std::string meaning;
      if (place.restorable) {
        meaning = fmt::format("{} cannot be read until it is repaired, which loses nothing",
                              offsets_text(place.first, place.end));
      } else if (place.offsets() == 0 && place.is_tail) {
        meaning = fmt::format("{} at the end cannot be read, and the partition refuses to be written to",
                              bytes_text(place.bytes()));
      } else if (place.offsets() == 0) {
        meaning = fmt::format("{} push themselves in between: reading stops there, no record is lost",
                              bytes_text(place.bytes()));
      } else if (place.bytes() == 0) {
        meaning =
            fmt::format("{} {} missing", offsets_text(place.first, place.end), place.offsets() == 1 ? "is" : "are");
      } else {
        meaning =
            fmt::format("{} cannot be read ({})", offsets_text(place.first, place.end), bytes_text(place.bytes()));
      }
      finding = scope_.damage(log.path(), place.fault, std::move(meaning));
      finding.repairable = true;
    }
    finding.byte = place.from;
    finding.offset = place.first;
    findings_.push_back(std::move(finding));
  }

  // What no segment could say: that none is left, or that the log ends before it starts.
  Result<void> verify_end(std::span<const Offset> bases, Offset start) {
    if (bounds_.writer_lives || damaged_) return {};
    const Offset known = std::max(bounds_.known_end, start);
    const Offset end = bases.empty() ? start : end_.end;
    if (end >= known) return {};
    Finding finding = scope_.damage(
        directory_.path(), bases.empty() ? "no segment is left" : "the log ends before it starts",
        fmt::format("{} are missing, and the partition refuses to be written to", offsets_text(end, known)));
    finding.offset = end;
    finding.repairable = true;
    report(std::move(finding));
    return {};
  }

  // Whether idempotent producers can go on: their batches follow each other.
  Result<void> verify_sequences() {
    const auto table = read_producers(directory_, end_);
    if (table || table.error().code == Code::not_found) return {};
    if (table.error().code != Code::damaged) return std::unexpected(table.error());
    report(
        scope_.damage(directory_.path(), table.error().message, "producers with names cannot go on in this partition"));
    return {};
  }

  Result<void> verify_file_names() {
    const bool is_maintained =
        state_ != nullptr && TRY(lock_held_elsewhere(state_->file(), StateLocks::maintenance(id()))).has_value();
    const auto has_log = [this](std::string_view name, std::string_view suffix) {
      const auto base = parse_segment_file_name(name, suffix);
      return base && directory_.exists(log_file_name(*base));
    };
    return verify_names(verification_, scope_, directory_, [&](std::string_view name) {
      if (name == kStartFile || name == kCutDirectory || name == "tree" || parse_log_file_name(name)) return true;
      return has_log(name, ".index") || has_log(name, ".timeindex") || has_log(name, ".producers") ||
             (is_maintained && name.ends_with(".compacting"));
    });
  }

  Verification& verification_;
  FindingScope scope_;
  Directory directory_;
  const TopicState* state_;
  bool appended_;
  PartitionBounds bounds_;
  std::vector<Finding> findings_;  // of the segment that is being looked at
  LogEnd end_;                     // behind what was looked at
  bool damaged_ = false;
};

}  // namespace

Result<void> verify_partition(Verification& verification, const FindingScope& scope, Directory partition,
                              const TopicState* state, bool appended) {
  return PartitionVerification(verification, scope, std::move(partition), state, appended).run();
}

}  // namespace leat
