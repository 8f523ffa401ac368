// What a producer of many records would otherwise stop for: making durable what it has appended, and adding it to the
// tree. A thread of its own does both, a few MiB behind. It has a topic and partitions of its own, so that to the
// producer, and to everybody else, it is like one more process; they share nothing but the files.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "leat/log/partition.h"

namespace leat {

class BackgroundSync {
 public:
  // Starts nothing yet. The data directory of `topic` must outlive it. Without `sync` nothing is made durable: the tree
  // grows over what others have.
  BackgroundSync(const Topic& topic, bool sync)
      : data_dir_(topic.data_dir()), topic_name_(topic.name()), topic_id_(topic.id()), sync_(sync) {}
  BackgroundSync(const BackgroundSync&) = delete;
  BackgroundSync& operator=(const BackgroundSync&) = delete;
  // Waits until all that was requested is done.
  ~BackgroundSync();

  // Asks for what `partition` holds up to `appended` to become durable, and its tree to grow over that. Returns at
  // once. What goes wrong is found out by whoever commits: see Partition::commit().
  void request(PartitionId partition, const Appended& appended);

 private:
  void run();
  void serve(PartitionId id, const Appended& appended);
  Result<Partition*> partition(PartitionId id);

  const DataDir& data_dir_;
  const std::string topic_name_;
  const TopicId topic_id_;
  const bool sync_;
  std::mutex mutex_;  // of the three that follow
  std::condition_variable changed_;
  std::map<PartitionId, Appended> requested_;  // the latest of each partition
  bool ending_ = false;
  std::thread thread_;
  // The thread's own.
  std::unique_ptr<Topic> topic_;
  std::map<PartitionId, Partition> partitions_;
};

}  // namespace leat
