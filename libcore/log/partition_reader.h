// A partition as its readers see it: which records are visible, and the batches that hold them, in order. Reading never
// writes to a log, truncates it, or locks a writer out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "leat/log/recovery.h"
#include "leat/log/segment.h"
#include "leat/log/topic.h"

namespace leat {

// What can be read of a partition at a moment.
struct VisibleRange {
  Offset start{};             // log start offset, retention by records applied
  Offset end{};               // behind the last visible record
  std::int64_t position = 0;  // of `end` in the segment below
  Offset segment_base{};      // the segment `end` lies in

  bool empty() const { return start >= end; }
};

// Reads one partition forwards. Belongs to one thread at a time.
class PartitionReader {
 public:
  // `topic` must outlive the reader. With `uncommitted`, appended records are visible before they are durable. Errors:
  // not_found, damaged (the start file), io.
  static Result<PartitionReader> open(Topic& topic, PartitionId id, bool uncommitted);

  PartitionId id() const { return id_; }
  const Directory& directory() const { return directory_; }

  // The .log file being read; empty before the first seek.
  std::string log_path() const { return log_ ? log_->path() : std::string(); }

  // What is visible now. Where no writer lives, walks on from the durable end and makes what it finds durable first.
  // Errors: io, not_found when the topic is gone.
  Result<VisibleRange> visible();
  // The same, but asks the kernel whether a writer lives even when the page has not moved. To be called now and then
  // while waiting.
  Result<VisibleRange> visible_after_wait();

  // Goes to `offset`. A damaged place before it is passed over; one that covers it is reported by next(). Errors: io.
  Result<void> seek(Offset offset);
  // The first offset whose record is not older than `time`, or the visible end. Errors: io, damaged.
  Result<Offset> find_time(TimestampMs time);

  // The next batch that has an offset at or above the place, checked; nullopt at `range.end`. Its first records may lie
  // below the place. Bytes live until the next call. A place that has been trimmed away moves to the log start and
  // leaves a notice; a reader inside a segment finishes it first, retired or not. Errors: damaged (path, byte, last
  // good and next readable offset; the place stays), io.
  Result<std::optional<BatchAt>> next(const VisibleRange& range);

  // Makes sure that everything before `offset` survives loss of power. Nothing happens when the page says so already.
  // Errors: io.
  Result<void> make_durable(Offset offset);

  // The offset reading goes on at.
  Offset place() const { return place_; }
  // Where seek(), or the log start when it had passed the place, has moved the place to: what a batch holds below it is
  // not asked for. What lies above is, also when the log start passes it while its segment is being read.
  Offset sought() const { return sought_; }
  // Where damage ended reading, if anything is readable behind it.
  std::optional<Offset> readable_behind_damage() const { return readable_behind_damage_; }

  std::vector<std::string> take_notices() { return std::exchange(notices_, {}); }
  // Frees the read buffer; the next read allocates it again.
  void release_memory();

 private:
  PartitionReader(Topic& topic, PartitionId id, Directory directory, bool uncommitted)
      : topic_(&topic), id_(id), directory_(std::move(directory)), uncommitted_(uncommitted) {}

  Result<VisibleRange> visible_from_page(const LogEnd& end) const;
  Result<VisibleRange> visible_by_walking();
  Result<LogEnd> walk_behind(const LogEnd& from, const std::vector<Offset>& bases);
  Result<bool> made_durable(const File& log, const LogEnd& from, const TailVerdict& verdict) const;
  bool shows_appended() const;
  Result<bool> writer_lives() const;
  Result<void> open_segment(Offset base);
  Result<bool> place_walk(Offset offset);
  Result<bool> follow_start();
  Result<bool> step_to_next_segment();
  Result<void> jump_to_start(Offset start);
  Result<std::int64_t> limit_of_segment(const VisibleRange& range) const;
  Error damage(const char* fault, std::int64_t limit);

  Topic* topic_;
  PartitionId id_;
  Directory directory_;
  bool uncommitted_;
  std::vector<Offset> bases_;
  Offset current_{};  // base of the open segment
  std::unique_ptr<File> log_;
  std::optional<SegmentWalk> walk_;
  Offset sought_{};
  Offset place_{};
  bool started_ = false;            // a batch has been handed out since the last seek
  std::optional<LogEnd> walked_;    // what walk_behind() found last
  std::int64_t walked_bytes_ = -1;  // the active segment's size then
  std::optional<Offset> readable_behind_damage_;
  std::vector<std::string> notices_;
};

// What is visible of a partition now. Errors: as PartitionReader::open() and visible().
Result<VisibleRange> visible_range(Topic& topic, PartitionId id, bool uncommitted = false);

}  // namespace leat
