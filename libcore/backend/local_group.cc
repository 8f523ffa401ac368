// A member of a consumer group in a data directory: a reader that starts where the group has got to, and stores how far
// it came.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "leat/backend/local.h"
#include "leat/backend/local_reader.h"

namespace leat {

namespace {

class LocalGroupReader final : public GroupReader {
 public:
  LocalGroupReader(const DataDir& data_dir, std::string consumer, const GroupOptions& options)
      : data_dir_(&data_dir),
        consumer_(std::move(consumer)),
        options_(options),
        claims_(options.strategy != OffsetStrategy::none) {}

  Result<void> open() {
    reader_ = TRY(LocalReader::open(*data_dir_, options_.read,
                                    [this](const Topic& topic, PartitionId partition, const VisibleRange& range) {
                                      return resume(topic, partition, range);
                                    }));
    return {};
  }

  Result<Fetch> next(Milliseconds wait) override { return reader_->next(wait); }
  std::vector<std::string> take_notices() override { return reader_->take_notices(); }

  Result<void> commit(std::span<const Position> positions) override {
    if (!claims_) return fail(Code::usage, "offset strategy none never commits");
    std::vector<OffsetsFile*> touched;
    for (const Position& position : positions) {
      const auto file = files_.find(position.topic);
      const auto cursor = std::ranges::find_if(reader_->cursors(), [&](const auto& c) {
        return c->topic->name() == position.topic && c->reader.id() == position.partition;
      });
      if (file == files_.end() || !file->second || cursor == reader_->cursors().end()) {
        return fail(Code::busy, fmt::format("partition {} of \"{}\" is not this member's", position.partition.value,
                                            position.topic));
      }
      TRY((*cursor)->topic->check_alive());
      // What has been handed out lies inside the range known; only a position made up by the caller needs another look.
      if (position.next > (*cursor)->range.end && position.next > TRY((*cursor)->reader.visible()).end) {
        return fail(Code::usage, fmt::format("offset {} of partition {} of \"{}\" lies behind the end of the log",
                                             position.next.value, position.partition.value, position.topic));
      }
      TRY((*cursor)->reader.make_durable(position.next));
      TRY(file->second->store(position.partition, position.next, now_ms()));
      if (std::ranges::find(touched, &*file->second) == touched.end()) touched.push_back(&*file->second);
    }
    for (const OffsetsFile* file : touched) TRY(file->sync());
    return {};
  }

  std::vector<Position> resumed() const override { return resumed_; }

  std::vector<Position> positions() const override {
    std::vector<Position> positions;
    for (const auto& cursor : reader_->cursors())
      positions.push_back({cursor->topic->name(), cursor->reader.id(), cursor->next});
    return positions;
  }

 private:
  // Where a partition goes on; claims it first, unless the strategy claims nothing.
  Result<std::optional<Offset>> resume(const Topic& topic, PartitionId partition, const VisibleRange& range) {
    if (!claims_ && options_.reset) return std::nullopt;
    auto [entry, missing] = files_.try_emplace(topic.name());
    std::optional<OffsetsFile>& file = entry->second;
    if (missing) {
      const auto access = !claims_         ? OffsetsFile::Access::read
                          : options_.reset ? OffsetsFile::Access::write_anew
                                           : OffsetsFile::Access::write;
      // A member before the first claim, so that whoever is refused can say by whom.
      file = TRY(OffsetsFile::open(*data_dir_, consumer_, topic.name(), topic.id(), topic.settings().partitions, access,
                                   claims_ ? &options_.description : nullptr));
    }
    if (!file) return std::nullopt;
    if (claims_ && !TRY(file->claim(partition)))
      return std::unexpected(file->in_use(consumer_, topic.name(), partition));
    if (options_.reset) return std::nullopt;
    const auto stored = TRY(file->load(partition));
    if (!stored) return std::nullopt;
    if (stored->next > range.end && stored->next > TRY(appended_end(topic, partition))) {
      return fail(Code::damaged,
                  fmt::format("{}: consumer \"{}\" stands at offset {} of partition {}, but the log ends at {}",
                              file->path(), consumer_, stored->next.value, partition.value, range.end.value),
                  "consume with --reset to begin anew");
    }
    resumed_.push_back({topic.name(), partition, stored->next});
    return stored->next;
  }

  // Behind everything appended, durable or not: what an earlier member that read uncommitted records may have
  // committed.
  Result<Offset> appended_end(const Topic& opened, PartitionId partition) const {
    Topic topic = TRY(Topic::open(*data_dir_, opened.name(), Topic::Access::read));
    PartitionReader reader = TRY(PartitionReader::open(topic, partition, true));
    return TRY(reader.visible()).end;
  }

  const DataDir* data_dir_;
  std::string consumer_;
  GroupOptions options_;
  bool claims_;
  std::map<std::string, std::optional<OffsetsFile>, std::less<>> files_;  // by topic
  std::unique_ptr<LocalReader> reader_;
  std::vector<Position> resumed_;
};

}  // namespace

Result<std::unique_ptr<GroupReader>> join_local_group(const DataDir& data_dir, std::string_view consumer,
                                                      const GroupOptions& options) {
  TRY(check_name("consumer", consumer));
  auto reader = std::make_unique<LocalGroupReader>(data_dir, std::string(consumer), options);
  TRY(reader->open());
  return reader;
}

}  // namespace leat
