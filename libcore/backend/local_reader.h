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
  bool paused = false;            // nothing more of it is handed out
};

class LocalReader final : public Reader {
 public:
  // Where a partition is to start when something is known of it; nullopt leaves it to options.start.
  using StartOf = std::function<Result<std::optional<Offset>>(const Topic& topic, PartitionId partition,
                                                              const VisibleRange& range)>;

  // Errors: not_found (topic; partition; with options.strict a start that is gone), usage, damaged, io.
  static Result<std::unique_ptr<LocalReader>> open(const DataDir& data_dir, const ReadOptions& options);
  // The same, but only opens the topics; partitions are read from add() on.
  static Result<std::unique_ptr<LocalReader>> open_topics(const DataDir& data_dir, const ReadOptions& options);

  Result<Fetch> next(Milliseconds wait) override;
  std::vector<std::string> take_notices() override;

  const std::vector<std::unique_ptr<Topic>>& topics() const { return topics_; }
  const std::vector<std::unique_ptr<Cursor>>& cursors() const { return cursors_; }

  // How a partition is to be read.
  struct Add {
    bool is_new = false;              // it was added while reading: from its beginning on
    std::optional<Offset> stop = {};  // exclusive; when not following, the present end where this is absent
    StartOf start_of = {};
  };
  // Reads this partition, too, until remove(). Errors: as open().
  Result<Cursor*> add(Topic& topic, PartitionId partition, const Add& how);
  // Hands out nothing more of it, until remove(). A reader of which something is paused has not ended.
  static void pause(Cursor& cursor) { cursor.paused = true; }
  void remove(const Cursor& cursor);

  // One look without waiting: Fetch::State::caught_up when there is nothing now. `after_wait`: asks the kernel whether
  // writers still live, unless it did so a moment ago. Errors: as next().
  Result<Fetch> look(bool after_wait);
  // Returns when there may be more than the last look() saw, when one of `others` has changed, or after `timeout`.
  void wait(Milliseconds timeout, std::span<const WakeWait> others = {});

 private:
  LocalReader(const DataDir& data_dir, const ReadOptions& options) : data_dir_(&data_dir), options_(options) {}

  Result<Topic*> open_topic(const std::string& name);
  Result<Offset> start_offset(Cursor& cursor, const StartOf& start_of);
  Result<void> notice_changes();

  Result<bool> load_head(Cursor& cursor);
  Result<Cursor*> pick();
  Result<std::optional<Fetch>> hand_out(Cursor& cursor);
  Result<bool> refresh(bool after_wait);
  void fail_cursor(Cursor& cursor, Error error);
  bool stopped() const { return options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed); }

  const DataDir* data_dir_;
  ReadOptions options_;
  bool chosen_by_owner_ = false;  // which partitions are read: only what add() was called for
  std::vector<std::unique_ptr<Topic>> topics_;
  std::vector<std::unique_ptr<Cursor>> cursors_;
  std::size_t turn_ = 0;
  SteadyTime asked_at_{};  // when the kernel was asked last whether writers live
  BatchDecoder decoder_;
  std::vector<WakeWait> wakes_;
  std::optional<Error> failure_;
  std::vector<std::string> notices_;
};

}  // namespace leat
