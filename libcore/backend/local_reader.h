// Reading topics of a data directory as one stream: which partition comes next, where each starts and stops, waiting
// for more.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "leat/backend/backend.h"
#include "leat/base/futex.h"
#include "leat/log/data_dir.h"
#include "leat/log/partition_reader.h"
#include "leat/log/topic.h"

namespace leat {

// One partition of the stream.
struct Cursor {
  Cursor(Topic& of, PartitionReader opened, bool appended_later)
      : topic(&of), reader(std::move(opened)), is_new(appended_later) {}

  Topic* topic;
  PartitionReader reader;
  bool is_new;                    // the partition was added while reading
  VisibleRange range{};           // what was visible when last looked
  std::optional<Offset> stop{};   // exclusive: the noted end or the wanted one
  std::optional<BatchAt> head{};  // read but not handed out yet
  Offset next{};                  // the offset of the next record to hand out
  bool done = false;              // reached `stop`, or failed
};

class LocalReader final : public Reader {
 public:
  // Where a partition is to start when something is known of it; nullopt leaves it to options.start.
  using StartOf = std::function<Result<std::optional<Offset>>(const Topic& topic, PartitionId partition,
                                                              const VisibleRange& range)>;

  // Errors: not_found (topic; partition; with options.strict a start that is gone), usage, damaged, io.
  static Result<std::unique_ptr<LocalReader>> open(const DataDir& data_dir, const ReadOptions& options,
                                                   const StartOf& start_of = {});

  Result<Fetch> next(Milliseconds wait) override;
  std::vector<std::string> take_notices() override;

  const std::vector<std::unique_ptr<Cursor>>& cursors() const { return cursors_; }

 private:
  LocalReader(const DataDir& data_dir, const ReadOptions& options) : data_dir_(&data_dir), options_(options) {}

  Result<void> open_topic(const TopicSelection& selection);
  Result<void> add_cursor(Topic& topic, PartitionId partition, bool is_new);
  Result<Offset> start_offset(Cursor& cursor);
  Result<void> notice_new_partitions();

  Result<bool> load_head(Cursor& cursor);
  Result<Cursor*> pick();
  Result<std::optional<Fetch>> hand_out(Cursor& cursor);
  Result<bool> refresh(bool after_wait);
  void fail_cursor(Cursor& cursor, Error error);
  void wait_for_more(Milliseconds wait);
  bool stopped() const { return options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed); }

  const DataDir* data_dir_;
  ReadOptions options_;
  StartOf start_of_;
  std::vector<std::unique_ptr<Topic>> topics_;
  std::vector<bool> whole_topic_;  // all partitions are read, later ones too
  std::vector<std::unique_ptr<Cursor>> cursors_;
  std::size_t turn_ = 0;
  BatchDecoder decoder_;
  std::vector<RecordView> kept_;  // records of a batch that only partly counts
  std::vector<WakeWait> wakes_;
  std::optional<Error> failure_;
  std::vector<std::string> notices_;
};

}  // namespace leat
