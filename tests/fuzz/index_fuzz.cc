// Fuzzes the sparse indexes of a segment: entries taken from the right ones, changed, or made of any bytes, in files
// that may end in the middle of one. A hint is always a batch of the log that is not behind what is looked for; a
// search by time never passes over a record; and indexes that were only too short are whole again once extended.
#include <limits>
#include <vector>

#include "leat/log/file_names.h"
#include "leat/log/index_watch.h"
#include "leat/log/segment_index.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/pristine.h"

namespace leat::fuzz {
namespace {

constexpr Offset kBase{1000};

// A segment and the right indexes of it.
struct Segment {
  std::string directory_path;
  Directory directory;
  File log;
  std::vector<BatchAt> batches;  // without their bytes
  std::string index;
  std::string time_index;
  bool grows;  // the timestamps never go back
  PristineFile index_file{index_file_name(kBase), ""};
  PristineFile time_index_file{time_index_file_name(kBase), ""};

  std::int64_t bytes() const {
    return batches.back().position + static_cast<std::int64_t>(batches.back().header.total_bytes());
  }
  std::string index_path() const { return directory_path + "/" + index_file_name(kBase); }
  std::string time_index_path() const { return directory_path + "/" + time_index_file_name(kBase); }
};

Segment make_segment(const std::string& path, const std::vector<std::int64_t>& times, std::size_t value_bytes) {
  must(Directory::make_root(path));
  Directory directory = must(Directory::open_root(path));
  File log = must(directory.open_file(log_file_name(kBase), OpenMode::create_or_open));
  Segment made{path, std::move(directory), std::move(log), {}, {}, {}, std::ranges::is_sorted(times)};
  Offset next = kBase;
  std::int64_t position = 0;
  for (std::size_t i = 0; i < times.size(); ++i) {
    BatchBuilder builder;
    const std::string value(value_bytes + i % 3 * 700, 'v');
    for (std::size_t record = 0; record <= i % 2; ++record) must(builder.add({.value = value}, TimestampMs{times[i]}));
    EncodedBatch batch = must(builder.finish());
    place_batch(batch.bytes, next, 0);
    must(made.log.write_at(Bytes(batch.bytes), position));
    made.batches.push_back({load_batch_header(batch.bytes.data()), {}, position});
    position += std::ssize(batch.bytes);
    next += batch.record_count;
  }
  must(catch_up_index(made.directory, kBase, made.log, position));
  made.index = read_file(made.index_path());
  made.time_index = read_file(made.time_index_path());
  return made;
}

std::vector<Segment>& segments() {
  static const Scratch scratch;
  static std::vector<Segment> all = [] {
    std::vector<Segment> made;
    made.push_back(make_segment(scratch / "growing", {1, 2, 3, 5, 5, 8, 9, 10, 20, 30, 31, 50}, 1700));
    made.push_back(make_segment(scratch / "back", {5, 30, 2, 3, 4, 40, 1, 41, 41, 7, 60, 50}, 1700));
    made.push_back(make_segment(scratch / "large", {-3, -1, 0, 4, 4, 9}, 5000));
    made.push_back(make_segment(scratch / "small", {10, 20}, 10));
    return made;
  }();
  return all;
}

// Whether the bytes are what a writer that was cut short leaves: a beginning of the right ones.
bool is_beginning(const std::string& bytes, const std::string& of) {
  return of.starts_with(bytes);
}

std::string make_index(Source& input, const std::string& right, std::size_t entry_bytes) {
  const std::size_t entries = right.size() / entry_bytes;
  const std::uint8_t shape = input.byte();
  if (shape < 100) return right.substr(0, shape);
  std::string bytes;
  for (int i = 0; i < shape % 16; ++i) {
    const std::uint8_t kind = input.byte();
    std::string entry(input.text(kind < 200 && entries > 0 ? 0 : entry_bytes));
    if (kind < 200 && entries > 0) entry = right.substr(kind % entries * entry_bytes, entry_bytes);
    if (kind >= 100 && kind < 200) entry[input.byte() % entry_bytes] ^= static_cast<char>(1U << input.byte() % 8);
    bytes += entry;
  }
  return bytes;
}

void check_hint(const Segment& segment, Offset offset) {
  const IndexHint hint = find_by_offset(segment.directory, kBase, segment.log, offset);
  const auto at = std::ranges::find(segment.batches, hint.position, &BatchAt::position);
  ASSERT(at != segment.batches.end() && at->header.base_offset == hint.base);
  ASSERT(hint.position == 0 || hint.base <= offset);
}

void check_time(const Segment& segment, TimestampMs time, bool believed) {
  const Offset found = find_by_time(segment.directory, kBase, segment.log, time);
  ASSERT(found >= kBase);
  if (!believed) return;
  for (const BatchAt& batch : segment.batches)
    ASSERT(batch.header.base_offset >= found || batch.header.max_timestamp < time);
}

void check(Source input) {
  Segment& segment = segments()[input.byte() % segments().size()];
  const Offset offset{kBase.value + input.number<std::int8_t>()};
  const TimestampMs time{input.number<std::int8_t>()};
  const Offset far_offset{input.number<std::int64_t>()};
  const std::uint8_t end_at = input.byte();
  const std::string index = make_index(input, segment.index, kIndexEntryBytes);
  const std::string time_index = make_index(input, segment.time_index, kTimeIndexEntryBytes);
  segment.index_file.set(segment.directory, index);
  segment.time_index_file.set(segment.directory, time_index);
  const bool only_short = is_beginning(index, segment.index) && is_beginning(time_index, segment.time_index);
  // A batch of that time does stand where an entry says, even one that is no maximum: with times that go back, only
  // entries that were once written are proof.
  const bool believed = segment.grows || is_beginning(time_index, segment.time_index);

  check_hint(segment, offset);
  check_hint(segment, far_offset);
  check_time(segment, time, believed);
  ASSERT(must(read_offset_index(segment.directory, kBase)).size() == index.size() / kIndexEntryBytes);
  ASSERT(must(read_time_index(segment.directory, kBase)).size() == time_index.size() / kTimeIndexEntryBytes);
  IndexWatch watch = must(IndexWatch::open(segment.directory, kBase));
  for (const BatchAt& batch : segment.batches) watch.pass(batch);
  if (only_short) ASSERT(watch.wrong_offsets().count == 0 && watch.wrong_times().count == 0);

  // To a batch in the middle first, then to the end.
  const std::int64_t middle = segment.batches[end_at % segment.batches.size()].position;
  if (end_at >= 128) must(catch_up_index(segment.directory, kBase, segment.log, middle));
  must(catch_up_index(segment.directory, kBase, segment.log, segment.bytes()));
  check_hint(segment, offset);
  check_time(segment, time, believed);
  if (!only_short) return;
  ASSERT(read_file(segment.index_path()) == segment.index);
  ASSERT(read_file(segment.time_index_path()) == segment.time_index);
}

}  // namespace
}  // namespace leat::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leat::fuzz::check(leat::fuzz::Source(data, size));
  return 0;
}
