// A topic of a data directory, opened without a backend: for commands that look at what lies beneath the records.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "leat/log/topic.h"
#include "tools/command.h"

namespace leat::tools {

class LocalTopic {
 public:
  // Opens the data directory of the command line and the topic in it, for reading. Errors: usage for a name that is
  // none, or where there is a server instead of a directory; as DataDir::open() and Topic::open().
  static Result<LocalTopic> open(const Context& context, const std::string& name);

  Topic& operator*() { return *topic_; }
  Topic* operator->() { return topic_.get(); }

  // The partitions that were asked for, each once; all of them where none was. Errors: usage for one given twice.
  Result<std::vector<PartitionId>> partitions(std::span<const PartitionId> asked) const;
  // The one partition that was asked for, or that there is. Errors: usage.
  Result<PartitionId> partition(std::span<const PartitionId> asked) const;

 private:
  LocalTopic(std::unique_ptr<DataDir> data_dir, std::unique_ptr<Topic> topic)
      : data_dir_(std::move(data_dir)), topic_(std::move(topic)) {}

  std::unique_ptr<DataDir> data_dir_;  // before the topic, which points to it
  std::unique_ptr<Topic> topic_;
};

}  // namespace leat::tools
