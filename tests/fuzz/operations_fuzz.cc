// Fuzzes a partition as its users see it: the input is a sequence of operations by two writers, readers and a consumer,
// with crashes and failing calls in between, and after each the log is what a model in memory says. A crash drops the
// writers where they are; then what was not durable is cut, zeroed or left, and the state page is of now, of earlier or
// gone, as after a power cut.
#include <fmt/format.h>

#include <cerrno>
#include <optional>
#include <vector>

#include "leat/group/offsets.h"
#include "leat/log/data_dir.h"
#include "leat/log/file_names.h"
#include "leat/log/log_start.h"
#include "leat/log/maintenance.h"
#include "leat/log/partition.h"
#include "leat/log/partition_reader.h"
#include "leat/log/producer_state.h"
#include "leat/log/retention.h"
#include "leat/log/topic.h"
#include "leat/log/verify.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/pristine.h"

namespace leat::fuzz {
namespace {

constexpr PartitionId kPartition{0};
constexpr int kOperationsMax = 40;
constexpr std::int64_t kRecordsRetained = 5;
constexpr std::int64_t kFirstProducerId = 100;

// What a topic is like.
struct Kind {
  const char* name;
  TopicSettings settings;
  bool has_producers;
};
const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"plain", {.segment_bytes = kSegmentBytesMin}, false},
      {"short", {.retention_records = kRecordsRetained, .segment_bytes = kSegmentBytesMin, .proofs = false}, true},
      {"packed", {.segment_bytes = kSegmentBytesMin, .compression = Codec::lz4, .proofs = false}, true},
  };
  return all;
}

const DataDir& data_dir() {
  static const Scratch scratch;
  static const DataDir opened = [] {
    DataDir made = must(DataDir::open(scratch / "data", {.create = true, .allow_any_file_system = true}));
    for (const Kind& kind : kinds()) must(create_topic(made, kind.name, kind.settings));
    return made;
  }();
  return opened;
}

// A topic of each kind. Its partition is emptied for each input, to what create_topic() made.
struct Place {
  explicit Place(const Kind& of) : kind(of) {
    partition_files.keep(partition, log_file_name(Offset{0}));
    partition_files.keep(partition, std::string(kStartFile));
    if (kind.has_producers) must(topic.make_directory(kProducersDirectory));
  }

  void restore() {
    must(data_dir().root().remove_tree(kGroupsDirectory));
    partition_files.restore(partition);
    state.restore(topic, id, 1);
  }

  const Kind& kind;
  Directory topic = must(data_dir().open_topic(kind.name));
  TopicId id = must(load_topic_file(topic)).id;
  Directory partition = must(topic.open_directory("0"));
  PristineDirectory partition_files;
  PristineState state;
};
std::vector<Place>& places() {
  static std::vector<Place> all = [] {
    std::vector<Place> made;
    for (const Kind& kind : kinds()) made.emplace_back(kind);
    return made;
  }();
  return all;
}

// How many operations there were, which is told at the end.
struct Operations {
  ~Operations() { std::fprintf(stderr, "stat::number_of_operations: %llu\n", count); }
  unsigned long long count = 0;
};

// The calls on logs that fail at present.
struct Failing {
  Failing(DiskCall call, int error) {
    failing_call = call;
    failing_errno = error;
    set_disk_fault_hook([](DiskCall made, std::string_view path) {
      return made == failing_call && path.ends_with(".log") ? failing_errno : 0;
    });
  }
  Failing(const Failing&) = delete;
  Failing& operator=(const Failing&) = delete;
  ~Failing() { set_disk_fault_hook(nullptr); }

  static inline DiskCall failing_call = DiskCall::sync;
  static inline int failing_errno = 0;
};

struct ModelRecord {
  std::string value;
  TimestampMs time;
  int producer;  // -1: none

  friend bool operator==(const ModelRecord&, const ModelRecord&) = default;
};

// Where a batch ends.
struct Boundary {
  std::int64_t end;
  std::int64_t position;
};

// The log as it should be.
struct Model {
  std::vector<ModelRecord> records;    // by offset; those below the log start are kept, too
  std::vector<std::int64_t> bases{0};  // of the segments
  std::vector<Boundary> batches;       // of the active segment
  std::int64_t durable = 0;
  std::int64_t log_start = 0;
  std::optional<std::int64_t> committed;  // by the consumer

  std::int64_t end() const { return std::ssize(records); }
  std::int64_t position() const { return batches.empty() ? 0 : batches.back().position; }
  // The byte of the active segment before which all is durable.
  std::int64_t durable_position() const {
    std::int64_t position = 0;
    for (const Boundary& batch : batches)
      if (batch.end <= durable) position = batch.position;
    return position;
  }
  void sync() { durable = end(); }
  void roll() {
    sync();
    bases.push_back(end());
    batches.clear();
  }
  void cut(std::int64_t to) {
    records.resize(static_cast<std::size_t>(to));
    while (!batches.empty() && batches.back().end > to) batches.pop_back();
  }
  void unlink_retired() {
    while (bases.size() > 1 && bases[1] <= log_start) bases.erase(bases.begin());
  }
  std::int64_t records_of(int producer) const { return std::ranges::count(records, producer, &ModelRecord::producer); }
};

struct Writer {
  Writer() : topic(must(Topic::open(data_dir(), kind->name, Topic::Access::write))) {
    partition.emplace(must(Partition::open(topic, kPartition)));
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  static inline const Kind* kind = nullptr;

  Topic topic;
  std::optional<Partition> partition;
};

class Run {
 public:
  Run(Source input)
      : input_(input),
        place_(places()[input_.byte() % places().size()]),
        kind_(place_.kind),
        directory_(place_.partition) {
    place_.restore();
    Writer::kind = &kind_;
  }

  void go() {
    static Operations operations;
    for (int i = 0; i < kOperationsMax && !input_.empty(); ++i) {
      ++operations.count;
      step();
      check_files();
    }
    check_read(false, 0);
  }

 private:
  void step() {
    switch (input_.byte() % 20) {
      case 0:
      case 1:
      case 2:
      case 3:
        return append();
      case 4:
      case 5:
        return commit();
      case 6:
        return roll();
      case 7:
        return trim();
      case 8:
        return retain();
      case 9:
        return consume();
      case 10:
        return check_read(false, input_.byte());
      case 11:
        return check_read(true, input_.byte());
      case 12:
        return close(input_.byte() % 2);
      case 13:
        return fail_sync();
      case 14:
        return fail_write();
      case 15:
        return check_time();
      case 16:
        return must_writer().index_to_end();
      case 17:
        snapshot_ = read_page();
        return;
      case 18:
        return std::exchange(verified_, true) ? check_read(false, 0) : check_verified();
      default:
        return crash();
    }
  }

  // ---- Writers ----

  // One of the two, open and registered as a living writer. The first one recovers: then all that is there is durable.
  Partition& must_writer() {
    auto& writer = writers_[input_.byte() % 2];
    if (!writer) {
      const bool alone = !writers_[0] && !writers_[1];
      writer.emplace();
      must(writer->partition->end());
      if (alone) model_.sync();
    }
    return *writer->partition;
  }

  void close(std::size_t which) { writers_[which].reset(); }

  std::vector<EncodedBatch> make_batch(int producer, std::vector<ModelRecord>& records) {
    BatchBuilder builder(kind_.settings.compression);
    const std::uint8_t shape = input_.byte();
    const int count = 1 + shape % 3;
    // Now and then a large one, so that segments fill.
    const std::size_t size = shape >= 250 ? 40'000 : shape / 4;
    for (int i = 0; i < count; ++i) {
      const TimestampMs time{1000 + input_.number<std::int8_t>()};
      ModelRecord record{std::string(size, static_cast<char>('a' + next_ % 26)), time, producer};
      record.value += fmt::format("{}", next_++);
      must(builder.add({.value = record.value}, time));
      records.push_back(std::move(record));
    }
    BatchProducer fields;
    if (producer >= 0) {
      fields = {kFirstProducerId + producer, 0, sequence_behind(model_.records_of(producer))};
    }
    std::vector<EncodedBatch> batches;
    batches.push_back(must(builder.finish(fields)));
    return batches;
  }

  // Whether a batch of so many bytes makes the log roll before it.
  bool rolls_before(const EncodedBatch& batch) const {
    return model_.position() > 0 &&
           model_.position() + std::ssize(batch.bytes) > effective_segment_bytes(kind_.settings);
  }

  void append() {
    Partition& partition = must_writer();
    std::vector<ModelRecord> records;
    auto batches = make_batch(input_.byte() % 3 - 1, records);
    const std::int64_t bytes = std::ssize(batches[0].bytes);
    if (rolls_before(batches[0])) model_.roll();
    const Appended appended = must(partition.append(batches));
    ASSERT(appended.end.value == model_.end() + std::ssize(records));
    ASSERT(appended.base.value <= model_.end());
    for (ModelRecord& record : records) model_.records.push_back(std::move(record));
    model_.batches.push_back({model_.end(), model_.position() + bytes});
  }

  void commit() {
    Partition& partition = must_writer();
    const LogEnd end = must(partition.end());
    must(partition.commit({end.end, end.end, end.epoch}));
    model_.sync();
  }

  void roll() {
    must(must_writer().roll());
    if (model_.position() > 0) model_.roll();
  }

  void trim() {
    Partition& partition = must_writer();
    const std::int64_t start = std::min<std::int64_t>(input_.byte() % 64, model_.end());
    must(trim_partition(partition, Offset{start}));
    raise_start(start);
    if (model_.log_start >= model_.end() && model_.position() > 0) model_.roll();
    model_.unlink_retired();
  }

  void raise_start(std::int64_t start) {
    if (start <= model_.log_start) return;
    if (model_.durable < start) model_.sync();
    model_.log_start = start;
  }

  void retain() {
    must(apply_retention(must_writer(), TimestampMs{2000}));
    if (kind_.settings.retention_records) {
      const std::int64_t start = std::max(model_.log_start, model_.end() - kRecordsRetained);
      if (model_.bases.size() < 2 || model_.bases[1] > start) return;
      model_.sync();
      raise_start(start);
    }
    model_.unlink_retired();
  }

  // ---- Failing calls ----

  // All that was not durable goes, in a new segment it goes on.
  void lose_unsynced() {
    model_.cut(model_.durable);
    if (model_.position() > 0) {
      model_.bases.push_back(model_.end());
      model_.batches.clear();
    }
    snapshot_.clear();
  }

  void fail_sync() {
    Partition& partition = must_writer();
    const bool in_roll = (input_.byte() & 1) != 0;
    const LogEnd end = must(partition.end());
    // Before a segment is closed, the room behind it goes, and that is synced, too.
    const bool had_room = partition.topic().state()->page(kPartition).reserved.load() > end.position;
    const bool unsynced = model_.durable < model_.end() || (in_roll && had_room);
    {
      const Failing failing(DiskCall::sync, EIO);
      const Result<void> done = in_roll ? partition.roll() : partition.commit({end.end, end.end, end.epoch});
      ASSERT(done.has_value() == (in_roll ? model_.position() == 0 : !unsynced));
      ASSERT(done || done.error().code == Code::io);
    }
    must(partition.end());
    if (unsynced) lose_unsynced();
  }

  void fail_write() {
    Partition& partition = must_writer();
    std::vector<ModelRecord> records;
    auto batches = make_batch(-1, records);
    const bool rolls = rolls_before(batches[0]);
    {
      const Failing failing(DiskCall::write, ENOSPC);
      const auto appended = partition.append(batches);
      ASSERT(!appended && appended.error().code == Code::io);
    }
    if (rolls) model_.roll();
  }

  // ---- The consumer ----

  void consume() {
    auto file =
        must(OffsetsFile::open(data_dir(), "g", kind_.name, reading_topic().id(), 1, OffsetsFile::Access::write));
    const auto before = must(file->load(kPartition));
    ASSERT(before.has_value() == model_.committed.has_value() && (!before || before->next.value == *model_.committed));
    ASSERT(must(file->claim(kPartition)));
    if (model_.durable == 0) return;
    model_.committed = input_.byte() % (model_.durable + 1);
    must(file->store(kPartition, Offset{*model_.committed}, TimestampMs{1}));
    must(file->sync());
  }

  // ---- Readers ----

  bool writer_lives() const { return writers_[0].has_value() || writers_[1].has_value(); }

  // Opened when it is needed first, and after each crash.
  Topic& reading_topic() {
    if (!reading_) reading_.emplace(must(Topic::open(data_dir(), kind_.name, Topic::Access::read)));
    return *reading_;
  }

  // Reads from an offset to the end, all against the model; the end that was seen.
  std::int64_t read_and_compare(bool uncommitted, std::int64_t from) {
    PartitionReader reader = must(PartitionReader::open(reading_topic(), kPartition, uncommitted));
    const VisibleRange range = must(reader.visible());
    ASSERT(range.start == start_by_records(kind_.settings, Offset{model_.log_start}, range.end));
    ASSERT(range.end.value <= model_.end());
    must(reader.seek(Offset{from}));
    std::int64_t next = std::max(from, range.start.value);
    BatchDecoder decoder;
    while (const auto batch = must(reader.next(range))) {
      for (const RecordView& record : must(decoder.decode(batch->bytes))) {
        if (record.offset.value < next) continue;
        ASSERT(record.offset.value == next && next < model_.end());
        const ModelRecord& expected = model_.records[static_cast<std::size_t>(next)];
        ASSERT(record.value == expected.value && record.timestamp == expected.time);
        ++next;
      }
    }
    ASSERT(next == std::max({from, range.start.value, range.end.value}));
    return range.end.value;
  }

  void check_read(bool uncommitted, std::int64_t from) {
    const std::int64_t seen = read_and_compare(uncommitted, from % (model_.end() + 1));
    ASSERT(seen == (uncommitted || !writer_lives() ? model_.end() : model_.durable));
    // Where no writer lives, a reader makes durable what it shows.
    if (!uncommitted) model_.durable = std::max(model_.durable, seen);
  }

  void check_time() {
    PartitionReader reader = must(PartitionReader::open(reading_topic(), kPartition, false));
    const VisibleRange range = must(reader.visible());
    if (!writer_lives()) model_.sync();
    const TimestampMs time{1000 + input_.number<std::int8_t>()};
    std::int64_t expected = range.start.value;
    while (expected < range.end.value && model_.records[static_cast<std::size_t>(expected)].time < time) ++expected;
    ASSERT(must(reader.find_time(time)).value == expected);
  }

  void check_verified() {
    Verification verification{.deep = true, .report = [](const Finding& finding) {
                                if (finding.level == Finding::Level::note) return;
                                std::fprintf(stderr, "%s: %s\n", finding.path.c_str(), finding.what.c_str());
                                std::abort();
                              }};
    must(verify_topic(verification, data_dir(), kind_.name));
    if (kind_.has_producers) check_producers(must(must_writer().end()));
  }

  // What is told without reading: the ends in the page, the segments, the log start.
  void check_files() {
    std::vector<std::int64_t> bases;
    for (const Offset base : must(list_segments(directory_))) bases.push_back(base.value);
    ASSERT(bases == model_.bases);
    ASSERT(must(read_log_start(directory_)).value == model_.log_start);
    for (auto& writer : writers_) {
      if (!writer) continue;
      const LogEnd end = must(writer->partition->end());
      ASSERT(end.end.value == model_.end() && end.position == model_.position());
      ASSERT(end.segment_base.value == model_.bases.back() && end.log_start.value == model_.log_start);
      ASSERT(must(writer->partition->durable_end()).end.value == model_.durable);
    }
  }

  void check_producers(const LogEnd& end) const {
    const ProducerTable table = must(read_producers(directory_, end));
    for (int producer = 0; producer < 2; ++producer) {
      const auto found = table.producers.find(kFirstProducerId + producer);
      ASSERT((found == table.producers.end() ? 0 : found->second.records) == model_.records_of(producer));
    }
  }

  // ---- Crashes ----

  std::string state_path() const { return place_.topic.path_of(kStateFile); }
  std::string log_path() const { return directory_.path_of(log_file_name(Offset{model_.bases.back()})); }
  std::string read_page() const { return read_file(state_path()).substr(kStatePageBytes); }

  // What is left of the log: the least and the most that may be found.
  struct Left {
    std::int64_t least;
    std::int64_t most;
  };

  void crash() {
    writers_[0].reset();
    writers_[1].reset();
    const Left left = damage_log();
    damage_page();
    reading_.reset();
    std::int64_t seen = left.least;
    if ((input_.byte() & 1) != 0) seen = read_after_crash(left);
    Partition& partition = must_writer();
    const std::int64_t end = must(partition.end()).end.value;
    // What a reader was shown is durable.
    ASSERT(end >= seen && end <= left.most);
    reading_.reset();
    model_.cut(end);
    ASSERT(model_.batches.empty() ? end == model_.bases.back() : end == model_.batches.back().end);
    model_.sync();
  }

  std::int64_t read_after_crash(const Left& left) {
    const std::int64_t seen = read_and_compare(false, 0);
    ASSERT(seen >= left.least && seen <= left.most);
    return seen;
  }

  Left damage_log() {
    const std::uint8_t how = input_.byte() % 7;
    std::int64_t most = model_.end();
    if (how == 0) return {most, most};
    if (how == 1) return begin_roll();
    if (how == 2) leave_unpublished();
    most = model_.end();
    const std::int64_t durable = model_.durable_position();
    const std::int64_t at = durable + input_.number<std::uint16_t>() % (model_.position() - durable + 1);
    const File log = must(directory_.open_file(log_file_name(Offset{model_.bases.back()}), OpenMode::read_write));
    if (how <= 4) {
      must(log.truncate(at));
      // Space that was set aside.
      if (how == 4) must(log.truncate(model_.position()));
    } else {
      // A block in the middle did not reach the disk, what was written behind it did.
      const std::int64_t size = std::min<std::int64_t>(model_.position() - at, 1 + input_.byte());
      must(log.write_at(Bytes(std::vector<std::byte>(static_cast<std::size_t>(size))), at));
    }
    std::int64_t least = model_.durable;
    for (const Boundary& batch : model_.batches)
      if (batch.position <= at) least = std::max(least, batch.end);
    return {least, how <= 3 ? least : most};
  }

  // Died between making the next segment and publishing it.
  Left begin_roll() {
    if (model_.position() > 0) {
      // By then the room behind the last batch has gone.
      const std::string active = log_file_name(Offset{model_.bases.back()});
      must(must(directory_.open_file(active, OpenMode::read_write)).truncate(model_.position()));
      model_.roll();
      must(directory_.open_file(log_file_name(Offset{model_.end()}), OpenMode::create_new));
    }
    return {model_.end(), model_.end()};
  }

  // Died between writing a batch and publishing it.
  void leave_unpublished() {
    std::vector<ModelRecord> records;
    auto batch = make_batch(-1, records)[0].bytes;
    place_batch(batch, Offset{model_.end()}, static_cast<std::int32_t>(model_.end() - model_.durable));
    must(must(directory_.open_file(log_file_name(Offset{model_.bases.back()}), OpenMode::read_write))
             .write_at(Bytes(batch), model_.position()));
    for (ModelRecord& record : records) model_.records.push_back(std::move(record));
    model_.batches.push_back({model_.end(), model_.position() + std::ssize(batch)});
  }

  void damage_page() {
    switch (input_.byte() % 4) {
      case 0:
        ::unlink(state_path().c_str());
        snapshot_.clear();
        break;
      case 1:
        // As it was at some time before.
        if (!snapshot_.empty()) write_page(snapshot_);
        break;
      case 2:
        if (snapshot_.empty()) write_page(std::string(kStatePageBytes, '\0'));
        break;
      default:
        break;
    }
  }

  void write_page(const std::string& page) const {
    const int fd = ::open(state_path().c_str(), O_WRONLY | O_CLOEXEC);
    ASSERT(fd >= 0 && ::pwrite(fd, page.data(), page.size(), kStatePageBytes) == std::ssize(page));
    ::close(fd);
  }

  Source input_;
  Place& place_;
  const Kind& kind_;
  const Directory& directory_;
  Model model_;
  std::optional<Writer> writers_[2];
  std::optional<Topic> reading_;
  std::string snapshot_;  // the partition's page at some time
  std::uint64_t next_ = 0;
  bool verified_ = false;
};

}  // namespace
}  // namespace leat::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leat::fuzz::Run(leat::fuzz::Source(data, size)).go();
  return 0;
}
