#include "leat/log/named_producer.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <limits>

#include "leat/base/checked_slots.h"
#include "leat/log/file_names.h"
#include "leat/log/producer_state.h"

namespace leat {

namespace {

constexpr std::array<char, 8> kMagic = {'l', 'e', 'a', 't', 'i', 'p', '0', '1'};
constexpr std::int64_t kPidAt = 64;
constexpr std::int64_t kRunAt = 128;
constexpr std::size_t kSinceAt = 256;
constexpr std::int64_t kKeylessBlock = 64;  // consecutive keyless records that stay together
constexpr ByteRange kUserLock = {0, 1};

struct Header {
  std::array<char, 8> magic;
  TopicId topic_id;
  std::int64_t producer_id;
  std::int32_t partitions;
  std::int32_t fixed;
  std::uint32_t crc;
  std::uint32_t zero;
};
static_assert(sizeof(Header) == 48);

struct Run {
  std::int64_t number;
};
using RunSlots = FileSlots<Run>;

std::uint32_t checksum(const Header& header, std::span<const Offset> since) {
  const Bytes fields = {reinterpret_cast<const std::byte*>(&header), offsetof(Header, crc)};
  return crc32c(std::as_bytes(since), crc32c(fields));
}

// Kafka's ids are not negative; those of copies are, and not its word for none.
Result<std::int64_t> random_id(bool copies) {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random) return fail_errno(errno, "no random producer id");
  const auto id = static_cast<std::int64_t>(random >> 1);
  return copies ? -2 - id / 2 : id;
}

// Lock required: the directory's.
Result<void> register_name(const Directory& directory, const std::string& name, const TopicId& topic,
                           const ProducerRouting& routing, std::span<const Offset> ends) {
  Header header{
      kMagic, topic, TRY(random_id(routing.copies)), routing.partitions, routing.fixed ? routing.fixed->value : -1,
      0,      0};
  header.crc = checksum(header, ends);
  std::string content(kSinceAt, '\0');
  std::memcpy(content.data(), &header, sizeof header);
  content.append(reinterpret_cast<const char*>(ends.data()), ends.size_bytes());
  return directory.replace_file(name, content);
}

std::string describe(const ProducerRouting& routing) {
  if (routing.copies) return "where they are copied from";
  if (routing.fixed) return fmt::format("all to partition {}", routing.fixed->value);
  return fmt::format("over {} partition{}", routing.partitions, routing.partitions == 1 ? "" : "s");
}

}  // namespace

PartitionId partition_for_number(std::int64_t number, std::int32_t partitions) {
  return {static_cast<std::int32_t>(number / kKeylessBlock % partitions)};
}

Result<NamedProducer> NamedProducer::open(const Topic& topic, std::string_view name, const ProducerRouting& routing,
                                          std::span<const Offset> ends) {
  TRY(check_name("producer", name));
  const std::string file_name(name);
  Directory directory = TRY(topic.directory().make_directory(kProducersDirectory));
  const DirectoryLock lock = TRY(DirectoryLock::acquire(directory, topic.data_dir().lock_timeout()));
  auto found = directory.open_file(file_name, OpenMode::read_write);
  if (!found && found.error().code == Code::not_found) {
    TRY(register_name(directory, file_name, topic.id(), routing, ends));
    found = directory.open_file(file_name, OpenMode::read_write);
  }
  File file = TRY(std::move(found));
  // Whoever made the name may have died before it was durable.
  TRY(directory.sync());
  TRY(topic.directory().sync());
  if (!TRY(try_lock_range(file, kUserLock, LockKind::exclusive))) {
    std::int64_t pid = 0;
    TRY(file.read_at(std::as_writable_bytes(std::span(&pid, 1)), kPidAt));
    if (routing.copies) {
      return fail(Code::busy,
                  fmt::format("topic \"{}\" is being copied to already, by {}", topic.name(), describe_process(pid)));
    }
    return fail(Code::busy, fmt::format("producer \"{}\" of topic \"{}\" is in use by {}", name, topic.name(),
                                        describe_process(pid)));
  }
  NamedProducer producer(file_name, TRY(topic.directory().open_directory(kProducersDirectory)), std::move(file));
  TRY(producer.load(topic.id(), routing));
  TRY(producer.begin_run());
  return producer;
}

Result<void> NamedProducer::load(const TopicId& topic, const ProducerRouting& routing) {
  const auto damaged = [this](std::string_view why) {
    return fail(Code::damaged, fmt::format("{}: damaged at byte 0: {}", file_.path(), why));
  };
  Header header{};
  if (TRY(file_.read_at(std::as_writable_bytes(std::span(&header, 1)), 0)) != sizeof header)
    return damaged("the header is short");
  if (header.magic != kMagic || header.partitions < 1 || header.partitions > kPartitionsMax)
    return damaged("the header is not one of a producer");
  since_.resize(static_cast<std::size_t>(header.partitions));
  TRY(file_.read_at(std::as_writable_bytes(std::span(since_)), kSinceAt));
  if (header.crc != checksum(header, since_)) return damaged("the checksum is wrong");
  if (header.topic_id != topic) return damaged("it belongs to another topic");
  const ProducerRouting registered{header.partitions,
                                   header.fixed < 0 ? std::nullopt : std::optional(PartitionId{header.fixed}),
                                   header.producer_id < 0};
  // A copy's partitions are those of its source, each by itself: there may be more of them than there were.
  if (routing.copies ? !registered.copies : registered != routing) {
    return fail(Code::other_input, fmt::format("producer \"{}\" began with its records {}; now they would go {}", name_,
                                               describe(registered), describe(routing)));
  }
  id_ = header.producer_id;
  return {};
}

Result<void> NamedProducer::begin_run() {
  const RunSlots::Loaded last = TRY(RunSlots::load(file_, kRunAt));
  if (last.health == RunSlots::Health::damaged)
    return fail(Code::damaged,
                fmt::format("{}: damaged at byte {}: neither slot's checksum is right", file_.path(), kRunAt));
  run_ = last.health == RunSlots::Health::empty ? 0 : last.value.number + 1;
  TRY(RunSlots::store(file_, kRunAt, {run_}));
  const std::int64_t pid = ::getpid();
  TRY(file_.write_at(std::as_bytes(std::span(&pid, 1)), kPidAt));
  return file_.sync_data();
}

BatchProducer NamedProducer::batch_fields(std::int64_t records) const {
  return {id_, static_cast<std::int16_t>(run_ & std::numeric_limits<std::int16_t>::max()), sequence_behind(records)};
}

Result<void> NamedProducer::check_current() const {
  if (!directory_.names_file(name_, file_))
    return fail(Code::not_found, fmt::format("{} was removed while it was in use", file_.path()));
  const RunSlots::Loaded last = TRY(RunSlots::load(file_, kRunAt));
  if (last.health == RunSlots::Health::good && last.value.number == run_) return {};
  return fail(Code::busy, fmt::format("producer \"{}\" has begun run {}; run {} is older and may not append", name_,
                                      last.value.number, run_));
}

}  // namespace leat
