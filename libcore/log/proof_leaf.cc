#include "leat/log/proof_leaf.h"

#include <concepts>

namespace leat {

namespace {

template <std::integral T>
void append_big_endian(std::string& to, T value) {
  const auto bits = static_cast<std::make_unsigned_t<T>>(value);
  for (int shift = 8 * (static_cast<int>(sizeof value) - 1); shift >= 0; shift -= 8)
    to += static_cast<char>(bits >> shift & 0xff);
}

void append_bytes(std::string& to, std::optional<std::string_view> bytes) {
  append_big_endian(to, bytes ? static_cast<std::int32_t>(bytes->size()) : std::int32_t{-1});
  if (bytes) to += *bytes;
}

}  // namespace

void append_canonical(std::string& to, const RecordView& record) {
  append_big_endian(to, record.timestamp.value);
  append_bytes(to, record.key);
  append_bytes(to, record.value);
  append_big_endian(to, static_cast<std::uint32_t>(record.headers.size()));
  for (const HeaderView& header : record.headers) {
    append_bytes(to, header.key);
    append_bytes(to, header.value);
  }
}

void LeafHasher::skip_to(std::uint64_t offset, std::uint64_t first, std::vector<Hash>& leaves) {
  static const Hash empty = hash_leaf({});
  if (offset > first + leaves.size()) leaves.resize(offset - first, empty);
}

void LeafHasher::add(std::span<const RecordView> records, std::uint64_t first, std::vector<Hash>& leaves) {
  text_.clear();
  ends_.clear();
  for (const RecordView& record : records) {
    text_ += '\0';
    append_canonical(text_, record);
    ends_.push_back(text_.size());
  }
  messages_.clear();
  std::size_t begin = 0;
  for (const std::size_t end : ends_) {
    messages_.push_back(as_bytes(std::string_view(text_).substr(begin, end - begin)));
    begin = end;
  }
  hashes_.resize(messages_.size());
  sha256_many(messages_, hashes_);
  for (std::size_t i = 0; i < records.size(); ++i) {
    skip_to(static_cast<std::uint64_t>(records[i].offset.value), first, leaves);
    leaves.push_back(hashes_[i]);
  }
}

std::vector<Hash> fold(std::vector<Hash> nodes, int levels) {
  ASSERT(nodes.size() % (std::size_t{1} << levels) == 0);
  std::vector<Hash> parents;
  for (; levels > 0; --levels) {
    parents.resize(nodes.size() / 2);
    hash_pairs(nodes, parents);
    nodes.swap(parents);
  }
  return nodes;
}

}  // namespace leat
