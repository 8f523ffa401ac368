// Copying topics from one backend to another, each record once. Decides what is to be copied and checks that it can be;
// how a destination remembers what it has is in copy_writer.h.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "leat/backend/backend.h"

namespace leat {

struct CopyRequest {
  std::vector<std::string> topics = {};     // all of the source, when empty
  bool follow = true;                       // false: to the ends noted at the beginning
  bool merge = false;                       // the destination's topics may hold other records, too
  const std::atomic<bool>* stop = nullptr;  // ends waiting when it becomes true
};

// What this run has copied of a partition.
struct CopiedPartition {
  std::string topic;
  PartitionId partition{};
  std::int64_t records = 0;
  Offset from{};  // the source offset it began at
  Offset to{};    // and the one behind the last record copied
};

// A consumer's offset that was stored at the destination.
struct CopiedConsumer {
  std::string consumer;
  std::string topic;
  PartitionId partition{};
  Offset at_source{};
  Offset next{};  // here
};

// What became of the consumers.
struct CopiedConsumers {
  std::vector<CopiedConsumer> stored;
  std::vector<std::string> left;  // a sentence for each that stands further on at the destination already
  std::vector<Error> failures;    // one for each that could not be stored
};

// A copy that is under way. Belongs to one thread at a time; the backends must outlive it.
class Copy {
 public:
  // Checks everything that can be checked, then creates the topics that are missing. Errors: usage (the same place, no
  // such topic name, another partition count), not_found, other_input (the source is not the one the destination has a
  // copy of), exists (somebody else has written to the destination), busy (another copy runs), and those of the
  // backends.
  static Result<std::unique_ptr<Copy>> open(Backend& source, Backend& destination, const CopyRequest& request);

  // Copies some more, or waits up to `wait` for some when following. `caught_up`, `ended` and `stopped` come when all
  // that was copied is durable. Errors: those of Reader::next(), when all that was read before is durable; those of
  // CopyWriter.
  Result<Fetch::State> step(Milliseconds wait);

  // By topic and partition.
  std::vector<CopiedPartition> partitions() const;
  std::int64_t records() const { return records_; }
  // Offsets between where this run began and the ends that it found: no fewer than the records it had to copy.
  std::int64_t offsets_ahead() const { return offsets_ahead_; }
  // Sentences for the user that have come up since the last call.
  std::vector<std::string> take_notices();

  // Stores at the destination, for every offset that a consumer has stored at the source on the copied topics, the
  // offset its next record has there; never moves a consumer back. To be called when step() has ended. Errors: those of
  // reading either side; what fails for one consumer is among the failures.
  Result<CopiedConsumers> copy_consumers();

 private:
  struct Lane {
    CopiedPartition copied;
    Offset next{};  // to read
    // The last record that earlier runs have copied, read again to see that the source still is the same.
    std::optional<CopyProgress> seen;
  };
  struct Topic {
    std::unique_ptr<CopyWriter> writer;
    std::vector<Lane> lanes;
  };
  using Topics = std::map<std::string, Topic, std::less<>>;

  Copy(Backend& source, Backend& destination, CopyRequest request)
      : source_(&source), destination_(&destination), request_(std::move(request)) {}

  Result<void> prepare();
  Result<void> create_missing();
  Result<void> check_partitions(const std::string& name, std::int32_t at_source) const;
  Result<void> find_starts(const std::string& name, Topic& topic);
  Result<void> open_next_reader();
  ReadOptions read_options(std::span<const std::pair<std::string, PartitionId>> places, bool follow) const;
  Result<Fetch::State> finish_reader(const Error* error);
  Result<void> take(const Fetch& fetch);
  Result<std::span<const RecordView>> without_seen(Lane& lane, std::span<const RecordView> records) const;
  Result<void> flush();
  Result<SourceTail> tail_of(const std::string& topic, PartitionId partition, Offset from, Offset to);
  Result<void> translate(const std::vector<ConsumerOffset>& offsets, CopiedConsumers& result);
  Result<void> store(const std::string& consumer, std::vector<CopiedConsumer> moves, CopiedConsumers& result);

  Backend* source_;
  Backend* destination_;
  CopyRequest request_;
  Topics topics_;
  // Partitions are read some at a time to the ends they have then, so that the memory for them is bounded; what
  // follows, follows all of them.
  std::vector<std::pair<std::string, PartitionId>> places_;
  std::size_t begun_ = 0;  // of them
  bool following_ = false;
  std::unique_ptr<Reader> reader_;
  std::vector<std::string> notices_;  // of readers that have ended
  std::optional<Error> failure_;      // damage of a partition: told when the others are through
  std::int64_t records_ = 0;
  std::int64_t offsets_ahead_ = 0;
  SteadyTime flushed_at_{};
};

}  // namespace leat
