#include "leat/log/segment.h"

#include <algorithm>
#include <cstring>

#include "leat/log/blocks.h"
#include "leat/log/file_names.h"

namespace leat {

SegmentWalk::SegmentWalk(const File& file, std::int64_t position, Offset expected, WalkDepth depth)
    : file_(&file),
      depth_(depth),
      position_(position),
      expected_(expected),
      block_bytes_(depth == WalkDepth::checked ? kWalkFirstBlockBytes : kWalkFirstHeadersBytes) {}

void SegmentWalk::jump(std::int64_t position, Offset expected) {
  position_ = position;
  expected_ = expected;
}

// Makes sure `bytes` bytes from position_ on are in the buffer; false when the file ends before.
Result<bool> SegmentWalk::fill(std::size_t bytes, std::int64_t limit) {
  const std::int64_t buffered_end = buffer_position_ + static_cast<std::int64_t>(buffer_used_);
  if (position_ >= buffer_position_ && position_ + static_cast<std::int64_t>(bytes) <= buffered_end) return true;
  // Of a batch whose beginning is there the rest is read behind it, and no more: nothing is moved, and whoever looks
  // for one batch reads that one.
  const bool begun = position_ >= buffer_position_ && position_ < buffered_end;
  std::size_t wanted = bytes;
  if (!begun) {
    buffer_position_ = position_;
    buffer_used_ = 0;
    const std::int64_t left = std::max<std::int64_t>(limit - position_, static_cast<std::int64_t>(bytes));
    wanted = std::max(bytes, std::min(block_bytes_, static_cast<std::size_t>(left)));
    block_bytes_ =
        std::min(2 * block_bytes_, depth_ == WalkDepth::checked ? kWalkCheckedBlockBytes : kWalkHeaderBlockBytes);
  }
  const auto before = static_cast<std::size_t>(position_ - buffer_position_);
  const std::size_t end = before + wanted;
  if (buffer_.size() < end) buffer_.resize(end);
  const std::int64_t from = buffer_position_ + static_cast<std::int64_t>(buffer_used_);
  buffer_used_ += TRY(file_->read_at(std::span(buffer_).subspan(buffer_used_, end - buffer_used_), from));
  return buffer_used_ >= before + bytes;
}

Result<WalkStep> SegmentWalk::next(std::int64_t limit) {
  const auto bad = [](const char* fault) { return WalkStep{WalkStep::Kind::bad, {}, fault}; };
  if (position_ == limit) return WalkStep{};
  if (position_ + static_cast<std::int64_t>(kBatchHeaderBytes) > limit) return bad("fewer bytes than a batch header");
  if (!TRY(fill(kBatchHeaderBytes, limit))) return bad("the file ends inside a batch header");
  const auto at = [this] { return buffer_.data() + (position_ - buffer_position_); };
  WalkStep step{WalkStep::Kind::batch, {load_batch_header(at()), {}, position_}, nullptr};
  const BatchHeader& header = step.batch.header;
  if (const char* fault = header_fault(header)) return bad(fault);
  if (header.base_offset != expected_) return bad("the base offset does not continue the batch before");
  const std::size_t total = header.total_bytes();
  if (position_ + static_cast<std::int64_t>(total) > limit) return bad("the batch runs past the end of the log");
  if (depth_ == WalkDepth::checked) {
    if (!TRY(fill(total, limit))) return bad("the file ends inside a batch");
    step.batch.bytes = {at(), total};
    if (!batch_crc_matches(step.batch.bytes)) return bad("the checksum is wrong");
  }
  position_ += static_cast<std::int64_t>(total);
  expected_ = header.end_offset();
  return step;
}

Result<std::optional<FoundBatch>> find_batch_behind(const File& file, std::int64_t from, std::int64_t limit,
                                                    Offset above) {
  constexpr std::size_t kMagicAt = 16;
  if (from >= limit) return std::nullopt;
  std::vector<std::byte> block(std::min(kSearchBlockBytes, static_cast<std::size_t>(limit - from)) + kBatchHeaderBytes);
  std::vector<std::byte> candidate;
  for (std::int64_t start = from; start < limit; start += static_cast<std::int64_t>(kSearchBlockBytes)) {
    const auto wanted =
        static_cast<std::size_t>(std::min<std::int64_t>(limit - start, static_cast<std::int64_t>(block.size())));
    const std::size_t count = TRY(file.read_at(std::span(block).first(wanted), start));
    if (count == 0) break;  // the limit may lie behind the end of the file
    for (std::size_t i = 0; i < kSearchBlockBytes && i + kBatchHeaderBytes <= count; ++i) {
      if (block[i + kMagicAt] != std::byte{2}) continue;
      const BatchHeader header = load_batch_header(block.data() + i);
      const std::int64_t position = start + static_cast<std::int64_t>(i);
      if (header_fault(header) != nullptr || header.base_offset <= above) continue;
      if (position + static_cast<std::int64_t>(header.total_bytes()) > limit) continue;
      candidate.resize(header.total_bytes());
      if (TRY(file.read_at(candidate, position)) != candidate.size() || !batch_crc_matches(candidate)) continue;
      return FoundBatch{position, header.base_offset};
    }
  }
  return std::nullopt;
}

Result<std::vector<Offset>> list_segments(const Directory& partition) {
  std::vector<Offset> bases;
  for (const std::string& name : TRY(partition.list())) {
    if (const auto base = parse_log_file_name(name)) bases.push_back(*base);
  }
  return bases;  // names sort like offsets
}

std::size_t segment_of(const std::vector<Offset>& bases, Offset offset) {
  const auto behind = std::ranges::upper_bound(bases, offset);
  return behind == bases.begin() ? 0 : static_cast<std::size_t>(behind - bases.begin()) - 1;
}

}  // namespace leat
