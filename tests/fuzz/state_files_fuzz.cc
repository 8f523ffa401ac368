// Fuzzes the small binary files of a topic and of its consumers: committed offsets, the log start, the state page,
// named producers and snapshots of what producers have written. Any bytes give an error or values that were stored
// whole, and with any state page that checks out a reader still gives only what the log holds. The first byte chooses
// the file; the second whether checksums are made right, which a fuzzer would not find.
#include <array>
#include <optional>
#include <vector>

#include "leat/base/checked_slots.h"
#include "leat/base/crc32c.h"
#include "leat/group/offsets.h"
#include "leat/log/data_dir.h"
#include "leat/log/file_names.h"
#include "leat/log/log_start.h"
#include "leat/log/named_producer.h"
#include "leat/log/partition.h"
#include "leat/log/partition_reader.h"
#include "leat/log/producer_state.h"
#include "leat/log/survey.h"
#include "leat/log/topic.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/pristine.h"

namespace leat::fuzz {
namespace {

constexpr PartitionId kPartition{0};
constexpr int kBatches = 6;

// A data directory with one topic of some records.
struct Place {
  Place() {
    Topic topic = must(Topic::open(data_dir, "t", Topic::Access::write));
    Partition partition = must(Partition::open(topic, kPartition));
    for (int i = 0; i < kBatches; ++i) {
      BatchBuilder builder;
      must(builder.add({.value = std::to_string(i)}, TimestampMs{i}));
      std::vector<EncodedBatch> batches;
      batches.push_back(must(builder.finish({7, 0, i})));
      must(partition.commit(must(partition.append(batches))));
      if (i == 2) must(partition.roll());
    }
    end = must(partition.end());
    // The active segment with the room that is made for small appends.
    for (const std::string& name : {log_file_name(Offset{0}), log_file_name(Offset{3}), std::string(kStartFile)})
      partition_files.keep(partition_directory, name);
    offsets = must(offsets_directory.read_file("offsets", std::size_t{1} << 20));
  }

  // The topic, made before it is opened.
  Directory make_topic() const {
    must(create_topic(data_dir, "t", {.partitions = 2}));
    return must(data_dir.open_topic("t"));
  }
  Directory make_offsets() const {
    must(OffsetsFile::open(data_dir, "g", "t", id, 2, OffsetsFile::Access::write));
    return must(must(must(data_dir.groups()).open_directory("g")).open_directory("t"));
  }

  void restore() {
    partition_files.restore(partition_directory);
    state.restore(topic_directory, id, 2);
  }

  Scratch scratch;
  DataDir data_dir = must(DataDir::open(scratch / "data", {.create = true, .allow_any_file_system = true}));
  Directory topic_directory = make_topic();
  TopicId id = must(load_topic_file(topic_directory)).id;
  Directory partition_directory = must(topic_directory.open_directory("0"));
  Directory producers_directory = must(topic_directory.make_directory(kProducersDirectory));
  Directory offsets_directory = make_offsets();
  LogEnd end{};
  PristineDirectory partition_files;
  PristineState state;
  PristineFile start{std::string(kStartFile), ""};
  PristineFile snapshot{producers_file_name(Offset{3}), ""};
  PristineFile producer{"n", ""};
  PristineFile offsets_file{"offsets", ""};
  std::string offsets;
};

Place& place() {
  static Place made;
  return made;
}

// A slot of the file: one that checks out, or any bytes.
template <class Value>
std::string make_slot(Source& input, const Value& value) {
  const std::uint8_t choice = input.byte();
  auto words = CheckedSlot<Value>::seal(choice % 16, value);
  if (choice >= 200) words[input.byte() % words.size()] ^= std::uint64_t{1} << input.byte() % 64;
  return std::string(reinterpret_cast<const char*>(words.data()), sizeof words);
}

// What two slots hold: the value of the later one that checks out.
template <class Value>
std::optional<Value> slots_in(std::string_view bytes, std::size_t at) {
  constexpr std::size_t kChecked = 8 + sizeof(Value);
  std::optional<Value> found;
  std::uint64_t latest = 0;
  std::string both(at < bytes.size() ? bytes.substr(at, 2 * (kChecked + 8)) : "");
  both.resize(2 * (kChecked + 8));
  for (const std::size_t begin : {std::size_t{0}, kChecked + 8}) {
    const std::string_view slot = std::string_view(both).substr(begin, kChecked + 8);
    std::uint64_t sequence = 0;
    std::uint64_t crc = 0;
    std::memcpy(&sequence, slot.data(), sizeof sequence);
    std::memcpy(&crc, slot.data() + kChecked, sizeof crc);
    if (sequence == 0 || sequence < latest || crc != crc32c(as_bytes(slot.substr(0, kChecked)))) continue;
    latest = sequence;
    std::memcpy(&found.emplace(), slot.data() + 8, sizeof(Value));
  }
  return found;
}

// ---- Committed offsets ----

struct OffsetValue {
  std::int64_t next;
  std::int64_t at_ms;
};

void check_offsets_of(const std::string& content) {
  const Place& p = place();
  const auto read = OffsetsFile::open(p.data_dir, "g", "t", p.id, 2, OffsetsFile::Access::read);
  if (!read) {
    ASSERT(read.error().code == Code::damaged);
    return;
  }
  if (!*read) return;
  constexpr std::size_t kSlotsAt = 20480;
  for (PartitionId partition{0}; partition.value < 3; partition += 1) {
    const auto expected = slots_in<OffsetValue>(content, kSlotsAt + static_cast<std::size_t>(partition.value) * 128);
    const auto loaded = (*read)->load(partition);
    if (!loaded) {
      ASSERT(loaded.error().code == Code::damaged && !expected);
    } else if (*loaded) {
      ASSERT(expected && expected->next == (*loaded)->next.value && (*loaded)->next.value >= 0);
    } else {
      ASSERT(!expected || expected->next < 0);
    }
    must((*read)->owner(partition));
  }
  must((*read)->other_members());
  ASSERT(!(*read)->in_use("g", "t", kPartition).message.empty());
}

void check_offsets(Source input) {
  Place& p = place();
  std::string content = p.offsets;
  const std::uint8_t choice = input.byte();
  if ((choice & 1) != 0) {
    const std::string_view header = input.text(28);
    content.replace(0, header.size(), header);
    if ((choice & 2) != 0) {
      const std::uint32_t crc = crc32c(as_bytes(std::string_view(content).substr(0, 24)));
      std::memcpy(content.data() + 24, &crc, sizeof crc);
    }
  }
  const std::string slots =
      make_slot<OffsetValue>(input, {input.number<std::int64_t>(), input.number<std::int64_t>()}) +
      make_slot<OffsetValue>(input, {input.byte(), input.byte()});
  content.replace(20480, slots.size(), slots);
  const std::uint16_t at = input.number<std::uint16_t>();
  const std::string_view anything = input.rest();
  content.replace(std::min<std::size_t>(at % 20800U, content.size()), anything.size(), anything);
  if ((choice & 4) != 0) content.resize(at % (content.size() + 1));
  p.offsets_file.set(p.offsets_directory, content);
  check_offsets_of(content);

  auto written = OffsetsFile::open(p.data_dir, "g", "t", p.id, 2, OffsetsFile::Access::write);
  if (!written) {
    ASSERT(written.error().code == Code::damaged);
    return;
  }
  OffsetsFile& file = **written;
  must(file.join({.command = "fuzz"}));
  const Members members = must(file.members());
  ASSERT(members.shares.size() == 1);
  ASSERT(share_of(members.shares, members.self, 2, "t") == 2);
  ASSERT(must(file.claim(kPartition)));
  must(file.store(kPartition, Offset{17}, TimestampMs{5}));
  const auto stored = file.load(kPartition);
  // Only behind the largest sequence there can be nothing comes.
  ASSERT(stored && *stored && (*stored)->next.value == 17);
}

// ---- The log start ----

struct StartValue {
  std::int64_t offset;
};

void check_start(Source input) {
  Place& p = place();
  std::string content = make_slot<StartValue>(input, {input.number<std::int64_t>()});
  content += make_slot<StartValue>(input, {input.byte()});
  const std::uint8_t size = input.byte();
  const std::string_view anything = input.rest();
  content.replace(std::min<std::size_t>(size, content.size()), anything.size(), anything);
  if (size >= 128) content.resize(size - 128U);
  p.start.set(p.partition_directory, content);
  const Directory& partition = p.partition_directory;
  const auto expected = slots_in<StartValue>(content, 0);
  const auto start = read_log_start(partition);
  ASSERT(start ? start->value == (expected ? expected->offset : 0) : start.error().code == Code::damaged);
  ASSERT(start || !expected);
  const StartSurvey survey = must(survey_start(partition));
  ASSERT((survey.health == SlotHealth::damaged) == !start.has_value());
  if (expected) ASSERT(survey.start.value == expected->offset);
  if (start) {
    must(store_log_start(partition, Offset{42}));
    ASSERT(must(read_log_start(partition)).value == 42);
  }
}

// ---- The state page ----

LogEnd make_end(Source& input) {
  const LogEnd& end = place().end;
  const std::uint8_t choice = input.byte();
  LogEnd made = end;
  if ((choice & 1) != 0) made.end = Offset{input.number<std::int8_t>()};
  if ((choice & 2) != 0) made.position = input.number<std::int16_t>();
  if ((choice & 4) != 0) made.segment_base = Offset{input.number<std::int8_t>()};
  if ((choice & 8) != 0) made.log_start = Offset{input.number<std::int8_t>()};
  if ((choice & 16) != 0) made.epoch = input.number<std::int64_t>();
  if ((choice & 32) != 0) made.end = Offset{input.number<std::int64_t>()};
  if ((choice & 64) != 0) made.position = input.number<std::int64_t>();
  return made;
}

// Every record that is handed out is the one that the log holds there.
void check_readable(Topic& topic) {
  if (topic.state() == nullptr || !topic.state_is_current()) must(topic.reopen_state());
  auto reader = PartitionReader::open(topic, kPartition, false);
  if (!reader) return;
  const auto range = reader->visible();
  if (!range || !reader->seek(range->start)) return;
  BatchDecoder decoder;
  for (int i = 0; i <= kBatches; ++i) {
    const auto batch = reader->next(*range);
    if (!batch || !*batch) return;
    for (const RecordView& record : must(decoder.decode((*batch)->bytes)))
      ASSERT(record.value == std::to_string(record.offset.value));
  }
  ASSERT(!"more batches than there are");
}

// Writes the input over the page of the partition, and over the header what it asks for.
void damage_state(Source input) {
  const std::uint8_t choice = input.byte();
  std::string page = make_slot<LogEnd>(input, make_end(input)) + make_slot<LogEnd>(input, make_end(input)) +
                     make_slot<LogEnd>(input, make_end(input)) + make_slot<LogEnd>(input, make_end(input));
  page += input.rest();
  page.resize(std::min(page.size(), kStatePageBytes));
  const File& file = place().state.file();
  must(file.write_at(as_bytes(page), kStatePageBytes));
  if ((choice & 2) != 0) must(file.write_at(as_bytes(page).first(8), choice / 4));
  if ((choice & 128) != 0) must(file.truncate(choice % 64 * 256));
}

void check_state(Source input) {
  Place& p = place();
  p.restore();
  damage_state(input);
  Topic reading = must(Topic::open(p.data_dir, "t", Topic::Access::read));
  check_readable(reading);
  must(note_bounds(must(reading.open_partition(kPartition)), reading.state(), kPartition, false));
  Topic topic = must(Topic::open(p.data_dir, "t", Topic::Access::write));
  if (!topic.deleted()) {
    Partition partition = must(Partition::open(topic, kPartition));
    const auto end = partition.end();
    ASSERT(end || end.error().code == Code::damaged || end.error().code == Code::io ||
           end.error().code == Code::not_found);
    check_readable(reading);
  }
  // Others open the topic, too.
  p.state.restore(p.topic_directory, p.id, 2);
}

// ---- Named producers ----

void check_named_producer(Source input) {
  Place& p = place();
  const ProducerRouting routing{.partitions = 2};
  const std::array<Offset, 2> ends = {Offset{1}, Offset{2}};
  static Topic topic = must(Topic::open(p.data_dir, "t", Topic::Access::write));
  if (!topic.state_is_current()) must(topic.reopen_state());
  const std::uint8_t choice = input.byte();
  must(p.producers_directory.unlink(p.producer.name()));
  must(NamedProducer::open(topic, "n", routing, ends));
  std::string content = must(p.producers_directory.read_file(p.producer.name(), 4096));
  const std::string slots =
      make_slot<StartValue>(input, {input.number<std::int64_t>() >> 1}) + make_slot<StartValue>(input, {input.byte()});
  if ((choice & 1) != 0) content.replace(128, slots.size(), slots);
  const std::uint16_t at = input.number<std::uint16_t>();
  const std::string_view anything = input.rest();
  content.replace(std::min<std::size_t>(at % 300U, content.size()), anything.size(), anything);
  if ((choice & 2) != 0 && content.size() >= 256) {
    const std::string_view bytes = content;
    const std::uint32_t crc = crc32c(as_bytes(bytes.substr(256)), crc32c(as_bytes(bytes.substr(0, 40))));
    std::memcpy(content.data() + 40, &crc, sizeof crc);
  }
  if ((choice & 4) != 0) content.resize(at % (content.size() + 1));
  p.producer.set(p.producers_directory, content);
  const auto opened = NamedProducer::open(topic, "n", routing, ends);
  if (!opened) {
    ASSERT(opened.error().code == Code::damaged || opened.error().code == Code::other_input);
    return;
  }
  opened->since(PartitionId{1});
  const BatchProducer fields = opened->batch_fields(input.byte());
  ASSERT(fields.epoch >= 0 && fields.base_sequence >= 0);
  must(opened->check_current());
}

// ---- What producers have written ----

void check_snapshot(Source input) {
  Place& p = place();
  const std::uint8_t choice = input.byte();
  const auto entries = static_cast<std::uint64_t>(choice % 4);
  std::string content = "leatps01";
  const auto append = [&](auto value) { content.append(reinterpret_cast<const char*>(&value), sizeof value); };
  append(std::int64_t{(choice & 16) != 0 ? input.number<std::int8_t>() : 3});
  append(std::int64_t{input.byte()});
  append((choice & 32) != 0 ? input.number<std::uint64_t>() : entries);
  for (std::uint64_t i = 0; i < entries; ++i) {
    append(std::int64_t{input.byte() % 16});
    append(std::int64_t{input.byte()});
    append(std::int64_t{(choice & 64) != 0 ? input.number<std::int64_t>() : input.byte() % 8});
    append(input.number<std::int64_t>());
    append(std::uint64_t{input.byte()});
  }
  const std::uint16_t at = input.number<std::uint16_t>();
  const std::string_view anything = input.rest();
  content.replace(std::min<std::size_t>(at % 128U, content.size()), anything.size(), anything);
  const std::uint32_t crc = crc32c(as_bytes(content));
  append((choice & 128) != 0 ? input.number<std::uint32_t>() : crc);
  p.snapshot.set(p.partition_directory, content);
  const auto table = read_producers(p.partition_directory, p.end);
  ASSERT(table || table.error().code == Code::damaged);
}

void check(Source input) {
  switch (input.byte() % 5) {
    case 0:
      return check_offsets(input);
    case 1:
      return check_start(input);
    case 2:
      return check_state(input);
    case 3:
      return check_named_producer(input);
    default:
      return check_snapshot(input);
  }
}

}  // namespace
}  // namespace leat::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leat::fuzz::check(leat::fuzz::Source(data, size));
  return 0;
}
