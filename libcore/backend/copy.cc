#include "leat/backend/copy.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/log/producer_state.h"
#include "leat/proof/sha256.h"

namespace leat {

namespace {

// While following, a source that never pauses must not keep what was copied from becoming visible for longer.
constexpr Milliseconds kFlushEvery(500);

// Partitions that are read at a time before following.
constexpr std::size_t kReadAtOnce = 16;

}  // namespace

std::string copy_name(std::string_view identity) {
  return std::string(kCopyPrefix) + to_hex(sha256(as_bytes(identity))).substr(0, 32);
}

// ---- Beginning ----

Result<std::unique_ptr<Copy>> Copy::open(Backend& source, Backend& destination, const CopyRequest& request) {
  std::unique_ptr<Copy> copy(new Copy(source, destination, request));
  TRY(copy->prepare());
  return copy;
}

Result<void> Copy::prepare() {
  if (TRY(source_->identity()) == TRY(destination_->identity()))
    return fail(Code::usage, "the source and the destination are the same place");
  if (request_.topics.empty()) request_.topics = TRY(source_->topic_names());
  for (const std::string& name : request_.topics) topics_[name];
  TRY(create_missing());
  for (auto& [name, topic] : topics_) {
    const CopySource source{copy_name(TRY(source_->topic_identity(name))), request_.merge};
    topic.writer = TRY(destination_->open_copy(name, source));
    TRY(find_starts(name, topic));
  }
  flushed_at_ = std::chrono::steady_clock::now();
  return open_next_reader();
}

Result<void> Copy::create_missing() {
  std::vector<std::pair<std::string, TopicSettings>> missing;
  const std::vector<std::string> there = TRY(destination_->topic_names());
  for (const auto& [name, topic] : topics_) {
    const TopicSettings settings = TRY(source_->chosen_settings(name));
    if (std::ranges::find(there, name) == there.end()) {
      missing.emplace_back(name, destination_->applicable(settings));
    } else {
      TRY(check_partitions(name, settings.partitions));
    }
  }
  for (const auto& [name, settings] : missing) {
    const auto created = destination_->create_topic(name, settings);
    // Another copy that began at the same time may have been quicker.
    if (!created && created.error().code != Code::exists) return created;
    if (!created) TRY(check_partitions(name, settings.partitions));
  }
  return {};
}

Result<void> Copy::check_partitions(const std::string& name, std::int32_t at_source) const {
  const std::int32_t here = TRY(destination_->chosen_settings(name)).partitions;
  if (here == at_source) return {};
  return fail(Code::usage,
              fmt::format("topic \"{}\" has {} partition{} at the source and {} at the destination", name, at_source,
                          at_source == 1 ? "" : "s", here),
              here < at_source ? fmt::format("leat -D DST topic add-partition {} -c {}", name, at_source - here) : "");
}

// Where each partition is to be read from: at the last record that was copied, which is compared, or behind it.
Result<void> Copy::find_starts(const std::string& name, Topic& topic) {
  for (const PartitionInfo& info : TRY(source_->partitions(name))) {
    if (info.partition.value >= topic.writer->partitions()) break;  // it has just been added: take() says so
    const std::optional<CopyProgress> progress = topic.writer->progress(info.partition);
    const Offset next = progress ? progress->next : info.start;
    if (info.end < next) {
      return fail(
          Code::other_input,
          fmt::format("partition {} of \"{}\" ends at offset {} at the source, and what lies before {} was copied "
                      "already: it is not the topic that was copied",
                      info.partition.value, name, info.end.value, next.value));
    }
    Lane& lane = topic.lanes.emplace_back();
    const Offset from = std::max(next, info.start);
    lane.copied = {.topic = name, .partition = info.partition, .from = from, .to = from};
    if (progress && progress->last_hash && info.start < next) lane.seen = progress;
    lane.next = lane.seen ? next - 1 : next;
    places_.emplace_back(name, info.partition);
    offsets_ahead_ += info.end - from;
  }
  return {};
}

ReadOptions Copy::read_options(std::span<const std::pair<std::string, PartitionId>> places, bool follow) const {
  ReadOptions read{.start = {StartAt::Kind::beginning}, .follow = follow, .stop = request_.stop};
  for (const auto& [name, partition] : places) {
    if (read.topics.empty() || read.topics.back().topic != name) read.topics.push_back({name});
    // Following, those that are added are to be noticed.
    if (!follow) read.topics.back().partitions.push_back(partition);
    const Lane& lane = topics_.find(name)->second.lanes[static_cast<std::size_t>(partition.value)];
    read.starts.push_back({name, partition, lane.next});
  }
  return read;
}

Result<void> Copy::open_next_reader() {
  reader_.reset();
  const std::span<const std::pair<std::string, PartitionId>> left = std::span(places_).subspan(begun_);
  if (!left.empty()) {
    const auto some = left.first(std::min(left.size(), kReadAtOnce));
    reader_ = TRY(source_->open_reader(read_options(some, false)));
    begun_ += some.size();
  } else if (request_.follow && !failure_ && !places_.empty()) {
    reader_ = TRY(source_->open_reader(read_options(places_, true)));
    following_ = true;
  }
  return {};
}

// ---- Copying ----

Result<Fetch::State> Copy::step(Milliseconds wait) {
  if (!reader_) return finish_reader(nullptr);
  const auto fetch = reader_->next(wait);
  if (!fetch) return finish_reader(&fetch.error());
  if (fetch->state == Fetch::State::ended) return finish_reader(nullptr);
  if (fetch->state != Fetch::State::records) {
    TRY(flush());
    return fetch->state;
  }
  TRY(take(*fetch));
  if (following_ && std::chrono::steady_clock::now() - flushed_at_ >= kFlushEvery) TRY(flush());
  return fetch->state;
}

// What was read has come to its end, or to `error`.
Result<Fetch::State> Copy::finish_reader(const Error* error) {
  TRY(flush());
  if (error != nullptr) {
    if (error->code != Code::damaged || following_) return std::unexpected(*error);
    if (!failure_) failure_ = *error;
  }
  if (reader_) {
    for (std::string& notice : reader_->take_notices()) notices_.push_back(std::move(notice));
    TRY(open_next_reader());
  }
  if (reader_) return Fetch::State::records;
  if (failure_) return std::unexpected(*std::exchange(failure_, std::nullopt));
  return Fetch::State::ended;
}

Result<void> Copy::take(const Fetch& fetch) {
  Topic& topic = topics_.find(fetch.position.topic)->second;
  const auto partition = static_cast<std::size_t>(fetch.position.partition.value);
  if (partition >= topic.lanes.size()) {
    TRY(flush());
    return fail(Code::usage,
                fmt::format("topic \"{}\" has {} partitions at the source now, and {} at the destination",
                            fetch.position.topic, partition + 1, topic.lanes.size()),
                fmt::format("leat -D DST topic add-partition {}, and run the copy again", fetch.position.topic));
  }
  Lane& lane = topic.lanes[partition];
  lane.next = fetch.position.next;
  const std::span<const RecordView> records = TRY(without_seen(lane, fetch.records));
  if (records.empty()) return {};
  TRY(topic.writer->write(fetch.position.partition, records));
  lane.copied.records += static_cast<std::int64_t>(records.size());
  lane.copied.to = records.back().offset + 1;
  records_ += static_cast<std::int64_t>(records.size());
  return {};
}

// Takes the record that was copied last off the front, having compared it.
Result<std::span<const RecordView>> Copy::without_seen(Lane& lane, std::span<const RecordView> records) const {
  if (!lane.seen) return records;
  const CopyProgress seen = *std::exchange(lane.seen, std::nullopt);
  const RecordView& first = records.front();
  if (first.offset >= seen.next) return records;  // it has been removed since
  if (hash_of_record(first.key, first.value) == *seen.last_hash) return records.subspan(1);
  return fail(Code::other_input,
              fmt::format("partition {} of \"{}\" has another record at offset {} at the source than the one that was "
                          "copied from there: it is not the topic that was copied",
                          lane.copied.partition.value, lane.copied.topic, first.offset.value));
}

Result<void> Copy::flush() {
  flushed_at_ = std::chrono::steady_clock::now();
  for (auto& [name, topic] : topics_) TRY(topic.writer->flush());
  return {};
}

// ---- Telling ----

std::vector<CopiedPartition> Copy::partitions() const {
  std::vector<CopiedPartition> partitions;
  for (const auto& [name, topic] : topics_)
    for (const Lane& lane : topic.lanes) partitions.push_back(lane.copied);
  return partitions;
}

std::vector<std::string> Copy::take_notices() {
  std::vector<std::string> notices = std::exchange(notices_, {});
  if (reader_)
    for (std::string& notice : reader_->take_notices()) notices.push_back(std::move(notice));
  for (const auto& [name, topic] : topics_)
    for (std::string& notice : topic.writer->take_notices()) notices.push_back(std::move(notice));
  return notices;
}

}  // namespace leat
