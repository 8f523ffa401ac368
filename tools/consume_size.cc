#include "tools/consume_size.h"

#include <algorithm>

namespace leat::tools {
namespace {

std::uint64_t share(std::int64_t bytes, std::int64_t part, std::int64_t whole) {
  return static_cast<std::uint64_t>(static_cast<double>(bytes) * static_cast<double>(part) /
                                    static_cast<double>(whole));
}

Offset start_offset(const StartAt& start, const PartitionInfo& info) {
  switch (start.kind) {
    case StartAt::Kind::end:
      return info.end;
    case StartAt::Kind::after_beginning:
      return info.start + std::min(start.value, info.end - info.start);
    case StartAt::Kind::before_end:
      return info.end - std::min(start.value, info.end - info.start);
    case StartAt::Kind::offset:
      return Offset{start.value};
    case StartAt::Kind::beginning:
    case StartAt::Kind::time:
      break;
  }
  return info.start;
}

}  // namespace

std::int64_t records_ahead(const ReadOptions& options, const PartitionInfo& info, std::optional<Offset> resumed) {
  const Offset from = std::max(info.start, resumed ? *resumed : start_offset(options.start, info));
  const Offset to = std::min(info.end, options.end.value_or(info.end));
  return std::max<std::int64_t>(0, to - from);
}

SessionSize session_size(Backend& backend, const ReadOptions& options, std::optional<std::int64_t> records_max,
                         const GroupReader* group) {
  SessionSize size;
  const std::vector<Position> positions = group != nullptr ? group->positions() : std::vector<Position>();
  for (const TopicSelection& selection : options.topics) {
    const auto partitions = backend.partitions(selection.topic);
    if (!partitions) return {};
    const auto& wanted = selection.partitions;
    for (const PartitionInfo& info : *partitions) {
      if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), info.partition) == wanted.end()) continue;
      if (info.bytes <= 0 || info.end <= info.start) continue;
      const auto at = std::find_if(positions.begin(), positions.end(), [&](const Position& position) {
        return position.topic == info.topic && position.partition == info.partition;
      });
      const auto records =
          records_ahead(options, info, at == positions.end() ? std::nullopt : std::optional<Offset>(at->next));
      size.records += records;
      size.bytes += share(info.bytes, records, info.end - info.start);
    }
  }
  if (records_max && *records_max < size.records) {
    size.bytes = share(static_cast<std::int64_t>(size.bytes), *records_max, size.records);
    size.records = *records_max;
  }
  return size;
}

}  // namespace leat::tools
