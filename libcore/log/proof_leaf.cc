#include "leat/log/proof_leaf.h"

#include <algorithm>
#include <concepts>
#include <cstring>

namespace leat {

namespace {

// Hashed together: enough to keep all lanes busy, and not more than the cache next to the processor holds where records
// are small.
constexpr std::size_t kRecordsInCache = 128;

constexpr std::size_t size_of(std::optional<std::string_view> bytes) {
  return sizeof(std::int32_t) + (bytes ? bytes->size() : 0);
}

template <std::integral T>
void put(std::byte*& to, T value) {
  store_be(to, value);
  to += sizeof value;
}

void put(std::byte*& to, std::optional<std::string_view> bytes) {
  put(to, bytes ? static_cast<std::int32_t>(bytes->size()) : std::int32_t{-1});
  if (!bytes || bytes->empty()) return;
  // std::ranges::copy makes a loop over single bytes of this: a fifth of the time that a leaf takes.
  std::memcpy(to, bytes->data(), bytes->size());
  to += bytes->size();
}

}  // namespace

std::size_t canonical_size(const RecordView& record) {
  std::size_t size = sizeof(TimestampMs) + size_of(record.key) + size_of(record.value) + sizeof(std::uint32_t);
  for (const HeaderView& header : record.headers) size += size_of(header.key) + size_of(header.value);
  return size;
}

void write_canonical(std::byte* to, const RecordView& record) {
  put(to, record.timestamp.value);
  put(to, record.key);
  put(to, record.value);
  put(to, static_cast<std::uint32_t>(record.headers.size()));
  for (const HeaderView& header : record.headers) {
    put(to, std::optional(header.key));
    put(to, header.value);
  }
}

void append_canonical(std::string& to, const RecordView& record) {
  const std::size_t begin = to.size();
  to.resize(begin + canonical_size(record));
  write_canonical(reinterpret_cast<std::byte*>(to.data()) + begin, record);
}

void LeafHasher::skip_to(std::uint64_t offset, std::uint64_t first, std::vector<Hash>& leaves) {
  static const Hash empty = hash_leaf({});
  if (offset > first + leaves.size()) leaves.resize(offset - first, empty);
}

void LeafHasher::add(std::span<const RecordView> records, std::uint64_t first, std::vector<Hash>& leaves) {
  while (!records.empty()) {
    const auto some = records.first(std::min(records.size(), kRecordsInCache));
    hash(some);
    for (std::size_t i = 0; i < some.size(); ++i) {
      skip_to(static_cast<std::uint64_t>(some[i].offset.value), first, leaves);
      leaves.push_back(hashes_[i]);
    }
    records = records.subspan(some.size());
  }
}

void LeafHasher::hash(std::span<const RecordView> records) {
  messages_.clear();
  for (const RecordView& record : records) {
    std::byte* const leaf = messages_.add(1 + canonical_size(record));
    *leaf = std::byte{0};  // as RFC 6962 sets leaves apart from nodes
    write_canonical(leaf + 1, record);
  }
  hashes_.resize(messages_.size());
  messages_.hash(hashes_);
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
