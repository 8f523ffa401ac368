// Reading partitions of a cluster as one stream: which comes next, where each starts and stops. Internal, as
// kafka_client.h.
#pragma once

#include <deque>

#include "leat/backend/kafka_client.h"

namespace leat::kafka {

// One partition of the stream.
struct Cursor {
  std::string_view topic;  // the reader's
  PartitionId id;
  rd_kafka_topic_t* handle;
  bool is_new;                       // it was added while reading
  Offset start;                      // of the log, when reading it began
  Offset end;                        // likewise
  Offset next{};                     // the offset of the next record to hand out
  std::optional<Offset> stop = {};   // exclusive: the noted end or the wanted one
  std::optional<Offset> clear = {};  // no record lies between what is held and this offset
  std::deque<Message> held = {};     // read but not handed out yet
  bool fetching = false;
  bool done = false;    // reached `stop`, or failed
  bool paused = false;  // nothing more of it is handed out
};

class KafkaReader final : public Reader {
 public:
  static Result<std::unique_ptr<KafkaReader>> open(const Config& config, const ReadOptions& options);
  // The same, but only looks the topics up; partitions are read from add() on.
  static Result<std::unique_ptr<KafkaReader>> open_topics(const Config& config, const ReadOptions& options);
  ~KafkaReader() override;

  Result<Fetch> next(Milliseconds wait) override;
  std::vector<std::string> take_notices() override { return std::exchange(notices_, {}); }

  struct TopicEntry {
    std::string name;
    std::int32_t partitions;
    TopicHandle handle;
  };
  const std::deque<TopicEntry>& topics() const { return topics_; }
  Handle& handle() { return *handle_; }

  // How a partition is to be read.
  struct Add {
    std::string topic;
    PartitionId partition{};
    bool is_new = false;                // it was added while reading: from its beginning on
    std::optional<Offset> stop = {};    // exclusive; when not following, the present end where this is absent
    std::optional<Offset> stored = {};  // where to start, over every start
  };
  // Reads these partitions, too, until remove(). Errors: as open().
  Result<std::vector<Cursor*>> add(std::span<const Add> more);
  // Hands out nothing more of it, until remove(). A reader of which something is paused has not ended.
  void pause(Cursor& cursor);
  void remove(const Cursor& cursor);
  // Nobody has asked for records for a while: that nothing has come means nothing.
  void forgive_silence();

  // What is at hand, without waiting: Fetch::State::caught_up when that is nothing.
  Result<Fetch> look();
  // Takes in what comes within `timeout`; returns early when something has.
  void wait(Milliseconds timeout);
  // Whether all that is in the log now has been handed out. Notices new partitions, and topics that are gone. Errors:
  // unavailable when there is more, and nothing has come for long.
  Result<bool> at_ends();

 private:
  KafkaReader(Config config, const ReadOptions& options) : config_(std::move(config)), options_(options) {}

  Result<Offset> start_offset(const Add& how, Offset start, Offset end, std::optional<Offset> at_time);
  Result<void> start_fetching(Cursor& cursor);
  void stop_fetching(Cursor& cursor);
  Result<void> notice_changes();

  void take_in(Message message);
  void take_in_all(std::span<rd_kafka_message_t*> messages);
  void note_error(Cursor& cursor, const rd_kafka_message_t& message);
  void go_on_at_start(Cursor& cursor);
  void advance(Cursor& cursor);
  void fail_cursor(Cursor& cursor, Error error);
  Cursor* find(const rd_kafka_message_t& message);
  Cursor* pick();
  Fetch hand_out(Cursor& cursor);
  bool stopped() const { return options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed); }

  Config config_;
  ReadOptions options_;
  bool chosen_by_owner_ = false;
  std::unique_ptr<Handle> handle_;
  std::deque<TopicEntry> topics_;  // places stay
  QueueHandle queue_;              // where all partitions are read together; merged ones are read apart
  std::vector<std::unique_ptr<Cursor>> cursors_;
  std::size_t turn_ = 0;
  std::vector<Message> handed_;      // what the last look() returned lives here
  std::vector<RecordView> records_;  // and here
  std::vector<HeaderView> headers_;
  SteadyTime heard_at_{};                   // when something came last
  std::optional<SteadyTime> behind_since_;  // when it was first seen that there is more
  SteadyTime looked_at_{};                  // when changes of topics were looked for last
  std::optional<Error> failure_;            // of one partition: told when the others are through
  std::optional<Error> broken_;             // of all: told at once
  std::vector<std::string> notices_;
};

}  // namespace leat::kafka
