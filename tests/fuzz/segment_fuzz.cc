// Fuzzes what reads a segment file of any bytes: the walk, the search for a batch behind damage, the classification of
// the tail as whole, torn or damaged and its cut, the scan of verify and repair. The input says which batches, whole or
// not, and which other bytes the file is made of; each answer is held against a plain walk over the bytes in memory.
#include <optional>
#include <vector>

#include "leat/base/crc32c.h"
#include "leat/log/recovery.h"
#include "leat/log/segment.h"
#include "leat/log/survey.h"
#include "tests/fuzz/fuzz.h"

namespace leat::fuzz {
namespace {

constexpr Offset kBase{1000};
constexpr std::size_t kBytesMax = 5000;  // some of the blocks that are read at a time

// A batch with the records that the input asks for, or with bytes in their place.
std::string make_batch(Source& input, Offset base) {
  const std::uint8_t shape = input.byte();
  EncodedBatch batch;
  if (shape < 40) {
    batch.bytes.resize(kBatchHeaderBytes);
    const std::string_view body = input.text(shape);
    batch.bytes.insert(batch.bytes.end(), as_bytes(body).begin(), as_bytes(body).end());
    batch.bytes[16] = std::byte{2};
    store_be(batch.bytes.data() + 8, static_cast<std::int32_t>(batch.bytes.size() - kBatchLengthPrefixBytes));
    store_be(batch.bytes.data() + 23, std::int32_t{input.byte()});
    store_be(batch.bytes.data() + 57, std::int32_t{input.byte()});
    store_be(batch.bytes.data() + 17, crc32c(Bytes(batch.bytes).subspan(21)));
  } else if (shape < 60) {
    batch.bytes = make_filler(base, base + (1 + input.byte()), TimestampMs{5});
  } else {
    BatchBuilder builder;
    for (int i = 0; i <= shape % 3; ++i)
      must(builder.add({.key = input.text(shape % 4), .value = input.text(shape % 16)}, TimestampMs{input.byte()}));
    batch = must(builder.finish());
  }
  const std::int32_t in_flight = input.byte();
  place_batch(batch.bytes, base, in_flight >= 128 ? in_flight * 1000 : in_flight);
  return std::string(as_text(batch.bytes));
}

std::string make_segment(Source& input) {
  std::string bytes;
  Offset expected = kBase;
  while (!input.empty() && bytes.size() < kBytesMax) {
    const std::uint8_t kind = input.byte();
    if (kind % 8 == 6) {
      bytes += input.text(input.byte());
    } else if (kind % 8 == 7) {
      bytes.append(std::size_t{input.byte()} * (kind >= 0xf0 ? 16 : 1), '\0');
    } else {
      const std::int64_t skew = kind % 8 == 5 ? input.number<std::int8_t>() : 0;
      const Offset base = std::max(expected + skew, Offset{0});
      std::string batch = make_batch(input, base);
      expected = load_batch_header(std::as_bytes(std::span(batch)).data()).end_offset();
      const std::uint16_t place = kind % 8 >= 3 ? input.number<std::uint16_t>() : 0;
      if (kind % 8 == 3) batch.resize(place % batch.size());
      if (kind % 8 == 4) batch[place % batch.size()] ^= static_cast<char>(1 + input.byte());
      bytes += batch;
    }
  }
  return bytes;
}

// The header at a place of the bytes, when a whole batch is there.
std::optional<BatchHeader> batch_in(Bytes bytes, std::size_t at, bool checked = true) {
  constexpr std::size_t kMagicAt = 16;
  constexpr std::size_t kCrcFrom = 21;
  if (bytes.size() - at < kBatchHeaderBytes || bytes[at + kMagicAt] != std::byte{2}) return std::nullopt;
  const BatchHeader header = load_batch_header(bytes.data() + at);
  if (header_fault(header) != nullptr || header.total_bytes() > bytes.size() - at) return std::nullopt;
  // Not by what is tested: that could have forgotten it.
  if (checked && crc32c(bytes.subspan(at, header.total_bytes()).subspan(kCrcFrom)) != header.crc) return std::nullopt;
  return header;
}

// Where the whole batches from the start on end.
struct End {
  std::size_t position = 0;
  Offset offset = kBase;
  std::vector<std::size_t> boundaries{0};
};
End plain_walk(Bytes bytes, bool checked) {
  End end;
  while (const auto header = batch_in(bytes, end.position, checked)) {
    if (header->base_offset != end.offset) break;
    end.position += header->total_bytes();
    end.offset = header->end_offset();
    end.boundaries.push_back(end.position);
  }
  return end;
}

void check_walk(const File& log, Bytes bytes, WalkDepth depth) {
  const End expected = plain_walk(bytes, depth == WalkDepth::checked);
  SegmentWalk walk(log, 0, kBase, depth);
  const auto limit = std::ssize(bytes);
  for (;;) {
    const std::int64_t position = walk.position();
    const WalkStep step = must(walk.next(limit));
    if (step.kind != WalkStep::Kind::batch) {
      ASSERT((step.kind == WalkStep::Kind::end) == (position == limit));
      ASSERT(step.kind == WalkStep::Kind::end || step.fault != nullptr);
      break;
    }
    ASSERT(step.batch.position == position && walk.position() > position);
    if (depth == WalkDepth::headers) continue;
    ASSERT(std::ranges::equal(step.batch.bytes,
                              bytes.subspan(static_cast<std::size_t>(position), step.batch.header.total_bytes())));
  }
  ASSERT(walk.position() == static_cast<std::int64_t>(expected.position) && walk.expected() == expected.offset);
}

std::optional<FoundBatch> plain_search(Bytes bytes, std::int64_t from, Offset above) {
  for (std::int64_t at = from; at < std::ssize(bytes); ++at) {
    const auto header = batch_in(bytes, static_cast<std::size_t>(at));
    if (header && header->base_offset > above) return FoundBatch{at, header->base_offset};
  }
  return std::nullopt;
}

void check_search(const File& log, Bytes bytes, std::int64_t from, Offset above) {
  const auto expected = plain_search(bytes, from, above);
  const auto found = must(find_batch_behind(log, from, std::ssize(bytes), above));
  ASSERT(found.has_value() == expected.has_value());
  ASSERT(!found || (found->position == expected->position && found->base == expected->base));
}

void check_tail(const Directory& directory, const File& log, Bytes bytes) {
  const End whole = plain_walk(bytes, true);
  const TailVerdict verdict = must(examine_tail(log, 0, kBase));
  ASSERT(verdict.file_bytes == std::ssize(bytes));
  ASSERT(verdict.position == static_cast<std::int64_t>(whole.position) && verdict.end == whole.offset);
  const Bytes behind = bytes.subspan(whole.position);
  const bool zeros = std::ranges::all_of(behind, [](std::byte b) { return b == std::byte{0}; });
  ASSERT((verdict.kind == TailVerdict::Kind::whole) == behind.empty());
  ASSERT((verdict.kind == TailVerdict::Kind::zeros) == (!behind.empty() && zeros));
  ASSERT(verdict.fault.empty() == behind.empty());
  // Without a whole batch behind the bad place nothing says that it was ever durable.
  const auto later = plain_search(bytes, verdict.position, verdict.end - 1);
  if (verdict.kind == TailVerdict::Kind::damaged) {
    ASSERT(later);
    const auto& next = verdict.next_good;
    ASSERT(!next || (next->position > verdict.position && next->base >= verdict.end &&
                     batch_in(bytes, static_cast<std::size_t>(next->position))));
    return;
  }
  // Whole batches that do not say what was in flight with them are never cut.
  if (later && later->position > verdict.position) {
    const auto header = batch_in(bytes, static_cast<std::size_t>(later->position));
    ASSERT(header->durable_before() <= verdict.end);
    // A base offset of zeros may be one that did not reach the disk: then more was in flight than there are offsets.
    ASSERT(header->base_offset != verdict.end || header->durable_before() < Offset{0});
  }
  for (const std::size_t boundary : whole.boundaries)
    ASSERT(must(batches_on_disk(directory, "log", 0, kBase, static_cast<std::int64_t>(boundary))));
  ASSERT(behind.empty() || !must(batches_on_disk(directory, "log", 0, kBase, std::ssize(bytes))));
}

void check_cut(const Directory& directory, const File& log) {
  const TailVerdict before = must(examine_tail(log, 0, kBase));
  if (before.kind == TailVerdict::Kind::damaged) return;
  const std::string sentence = must(cut_tail(directory, log, before));
  ASSERT(sentence.empty() == (before.kind != TailVerdict::Kind::torn));
  if (!sentence.empty()) must(directory.remove_tree("cut"));
  const TailVerdict after = must(examine_tail(log, 0, kBase));
  ASSERT(after.kind == TailVerdict::Kind::whole && after.position == before.position && after.end == before.end);
}

// The steps of a scan cover the file, one behind the other, and their offsets never go back.
void check_scan(const File& log, Bytes bytes, const SegmentBounds& bounds) {
  SegmentScan scan(log, bounds);
  std::int64_t position = 0;
  Offset expected = kBase;
  for (std::size_t steps = 0;; ++steps) {
    ASSERT(steps <= bytes.size() + 10);
    const SegmentScan::Step step = must(scan.next());
    if (step.kind == SegmentScan::Step::Kind::end) break;
    if (step.kind == SegmentScan::Step::Kind::batch) {
      ASSERT(step.batch.position == position && step.batch.header.base_offset == expected);
      ASSERT(batch_in(bytes, static_cast<std::size_t>(position)));
      for (const RecordView& record : step.records)
        ASSERT(record.offset >= expected && record.offset < step.batch.header.end_offset());
    } else {
      ASSERT(step.place.from == position && step.place.to >= position && step.place.to <= bounds.limit);
      ASSERT(step.place.first == expected && step.place.end >= expected && !step.place.fault.empty());
      ASSERT(step.place.bytes() > 0 || step.place.offsets() > 0);
      const auto from = static_cast<std::size_t>(step.place.from);
      const auto restored =
          restore_batch(bytes.subspan(from, static_cast<std::size_t>(step.place.bytes())), step.place.first);
      if (restored) {
        const auto header = batch_in(*restored, 0);
        ASSERT(header && header->base_offset == step.place.first && header->total_bytes() == restored->size());
      }
    }
    position = scan.position();
    expected = scan.expected();
  }
  ASSERT(position == bounds.limit);
}

void check(Source input) {
  static const Scratch scratch;
  static const Directory directory = must(Directory::open_root(scratch.path()));
  static const File log = must(directory.open_file("log", OpenMode::create_or_open));
  const std::uint8_t choice = input.byte();
  const std::uint16_t from = input.number<std::uint16_t>();
  const Offset above = kBase + input.number<std::int8_t>();
  const std::uint8_t next = input.byte();
  const std::string content = make_segment(input);
  const Bytes bytes = as_bytes(content);
  must(log.truncate(0));
  must(log.write_at(bytes, 0));

  check_walk(log, bytes, WalkDepth::checked);
  check_walk(log, bytes, WalkDepth::headers);
  // A walk that ends before the file does.
  check_walk(log, bytes.first(from % (bytes.size() + 1)), WalkDepth::checked);
  check_search(log, bytes, static_cast<std::int64_t>(from % (bytes.size() + 1)), above);
  check_tail(directory, log, bytes);
  SegmentBounds bounds{.base = kBase, .limit = std::ssize(bytes), .known_end = above};
  if ((choice & 1) != 0) bounds.next = plain_walk(bytes, true).offset + std::int64_t{next};
  check_scan(log, bytes, bounds);
  if ((choice & 6) == 0) check_cut(directory, log);
}

}  // namespace
}  // namespace leat::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leat::fuzz::check(leat::fuzz::Source(data, size));
  return 0;
}
