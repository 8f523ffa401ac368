#include "tools/local_topic.h"

#include <fmt/format.h>

#include <algorithm>

namespace leat::tools {

Result<LocalTopic> LocalTopic::open(const Context& context, const std::string& name) {
  TRY(check_name("topic", name));
  const std::string& location = context.globals().data_dir;
  if (location.find("://") != std::string::npos)
    return fail(Code::usage, fmt::format("inspect looks into data directories, and {} is none", location));
  TRY(context.open_backend());  // for its checks of the location
  DataDirOptions options;
  options.lock_timeout = context.globals().lock_timeout;
  options.allow_any_file_system = context.globals().allow_any_file_system;
  auto data_dir = std::make_unique<DataDir>(TRY(DataDir::open(location, options)));
  auto topic = std::make_unique<Topic>(TRY(Topic::open(*data_dir, name, Topic::Access::read)));
  return LocalTopic(std::move(data_dir), std::move(topic));
}

Result<std::vector<PartitionId>> LocalTopic::partitions(std::span<const PartitionId> asked) const {
  std::vector<PartitionId> chosen(asked.begin(), asked.end());
  if (chosen.empty()) {
    for (std::int32_t i = 0; i < topic_->settings().partitions; ++i) chosen.push_back(PartitionId{i});
  }
  for (auto i = chosen.begin(); i != chosen.end(); ++i) {
    if (std::find(chosen.begin(), i, *i) != i)
      return fail(Code::usage, fmt::format("--partition: {} is given twice", i->value));
  }
  return chosen;
}

Result<PartitionId> LocalTopic::partition(std::span<const PartitionId> asked) const {
  const std::vector<PartitionId> chosen = TRY(partitions(asked));
  if (chosen.size() == 1) return chosen.front();
  if (!asked.empty()) return fail(Code::usage, "one partition is looked at at a time, and --partition names several");
  return fail(Code::usage,
              fmt::format("topic \"{}\" has {} partitions: say which with --partition", topic_->name(), chosen.size()));
}

}  // namespace leat::tools
