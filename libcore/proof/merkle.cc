// The splits of RFC 6962, 2.1, from the root down, and the verification of RFC 9162, 2.1.3.2 and 2.1.4.2, from the leaf
// up. Every range of leaves that the splits make starts at a multiple of its size rounded up to a power of two, so it
// falls into complete subtrees, the largest first.
#include "leat/proof/merkle.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace leat {
namespace {

// k of RFC 6962: the largest power of two below `count`, which is at least 2.
std::uint64_t split(std::uint64_t count) {
  return std::bit_floor(count - 1);
}

// The hash over the leaves [begin, end) of such a range, which is not empty.
Result<Hash> range_hash(std::uint64_t begin, std::uint64_t end, const NodeSource& nodes) {
  std::array<Hash, 64> subtrees;
  std::size_t count = 0;
  for (std::uint64_t at = begin; at != end;) {
    const int level = 63 - std::countl_zero(end - at);
    subtrees[count++] = TRY(nodes({level, at >> level}));
    at += std::uint64_t{1} << level;
  }
  Hash hash = subtrees[--count];
  while (count > 0) hash = hash_children(subtrees[--count], hash);
  return hash;
}

// The walk up of RFC 9162: where a node and the rightmost one stand in their level.
struct Climb {
  std::uint64_t node;
  std::uint64_t last;

  // Whether the next hash of the path belongs to the left of the node. A node that is the last of its level and has no
  // sibling is carried up to a level where it has one.
  bool sibling_is_left() {
    const bool left = (node & 1) != 0 || node == last;
    if (left) {
      const int levels = std::countr_zero(node);
      node >>= levels;
      last >>= levels;
    }
    node >>= 1;
    last >>= 1;
    return left;
  }
};

}  // namespace

Hash empty_root() {
  return sha256({});
}

Hash hash_leaf(Bytes leaf) {
  std::vector<std::byte> message(1 + leaf.size());
  std::ranges::copy(leaf, message.begin() + 1);
  return sha256(message);
}

Hash hash_children(const Hash& left, const Hash& right) {
  std::array<std::byte, 1 + 2 * sizeof(Hash)> message{std::byte{1}};
  std::ranges::copy(right, std::ranges::copy(left, message.begin() + 1).out);
  return sha256(message);
}

Result<Hash> tree_root(std::uint64_t size, const NodeSource& nodes) {
  if (size == 0) return empty_root();
  return range_hash(0, size, nodes);
}

Result<std::vector<Hash>> inclusion_path(std::uint64_t index, std::uint64_t size, const NodeSource& nodes) {
  ASSERT(index < size);
  std::vector<Hash> path;
  std::uint64_t begin = 0;
  std::uint64_t end = size;
  while (end - begin > 1) {
    const std::uint64_t middle = begin + split(end - begin);
    if (index < middle) {
      path.push_back(TRY(range_hash(middle, end, nodes)));
      end = middle;
    } else {
      path.push_back(TRY(range_hash(begin, middle, nodes)));
      begin = middle;
    }
  }
  std::ranges::reverse(path);
  return path;
}

Result<std::vector<Hash>> consistency_path(std::uint64_t old_size, std::uint64_t size, const NodeSource& nodes) {
  ASSERT(0 < old_size && old_size <= size);
  std::vector<Hash> path;
  std::uint64_t begin = 0;
  std::uint64_t end = size;
  while (end != old_size) {
    const std::uint64_t middle = begin + split(end - begin);
    if (old_size <= middle) {
      path.push_back(TRY(range_hash(middle, end, nodes)));
      end = middle;
    } else {
      path.push_back(TRY(range_hash(begin, middle, nodes)));
      begin = middle;
    }
  }
  // What is left are the old tree's last leaves: all of them when it is a complete subtree, and the verifier has that.
  if (begin != 0) path.push_back(TRY(range_hash(begin, end, nodes)));
  std::ranges::reverse(path);
  return path;
}

// The path meets the edge of the tree where the leaf's way up and the last leaf's join. Below, each level has a
// sibling; above, only those where the way up comes from the right.
std::size_t inclusion_path_length(std::uint64_t index, std::uint64_t size) {
  ASSERT(index < size);
  const auto below = static_cast<std::size_t>(64 - std::countl_zero(index ^ (size - 1)));
  const auto above = static_cast<std::size_t>(below == 64 ? 0 : std::popcount(index >> below));
  return below + above;
}

// That of the old tree's last leaf, without the levels of the complete subtree which it ends; that subtree comes first,
// unless it is the whole old tree.
std::size_t consistency_path_length(std::uint64_t old_size, std::uint64_t size) {
  ASSERT(0 < old_size && old_size <= size);
  if (old_size == size) return 0;
  const std::size_t levels = static_cast<std::size_t>(std::countr_zero(old_size));
  return inclusion_path_length(old_size - 1, size) - levels + (std::has_single_bit(old_size) ? 0 : 1);
}

Result<Hash> root_from_inclusion(const Hash& leaf, std::uint64_t index, std::uint64_t size,
                                 std::span<const Hash> path) {
  if (index >= size) return fail(Code::bad_data, fmt::format("a tree of {} has no leaf {}", size, index));
  if (const std::size_t length = inclusion_path_length(index, size); path.size() != length) {
    return fail(Code::bad_data, fmt::format("the path has {} hashes; that of leaf {} in a tree of {} has {}",
                                            path.size(), index, size, length));
  }
  Climb climb{index, size - 1};
  Hash hash = leaf;
  for (const Hash& sibling : path)
    hash = climb.sibling_is_left() ? hash_children(sibling, hash) : hash_children(hash, sibling);
  ASSERT(climb.last == 0);
  return hash;
}

Result<void> check_consistency(std::uint64_t old_size, const Hash& old_root, std::uint64_t size, const Hash& root,
                               std::span<const Hash> path) {
  if (old_size == 0) return fail(Code::bad_data, "every tree continues the empty one: there is nothing to prove");
  if (old_size > size)
    return fail(Code::bad_data, fmt::format("a tree of {} cannot continue one of {}", size, old_size));
  if (const std::size_t length = consistency_path_length(old_size, size); path.size() != length) {
    return fail(Code::bad_data, fmt::format("the path has {} hashes; that from a tree of {} to one of {} has {}",
                                            path.size(), old_size, size, length));
  }
  if (old_size == size) {
    if (old_root != root) return fail(Code::bad_data, fmt::format("there are two roots of the tree of {}", size));
    return {};
  }
  // Up from the complete subtree that ends the old tree: to the old root along the siblings on the left, which both
  // trees have, and to the new one along all of them.
  const int levels = std::countr_zero(old_size);
  Climb climb{(old_size - 1) >> levels, (size - 1) >> levels};
  Hash from_old = old_root;
  if (!std::has_single_bit(old_size)) {
    from_old = path.front();
    path = path.subspan(1);
  }
  Hash from_new = from_old;
  for (const Hash& sibling : path) {
    if (climb.sibling_is_left()) {
      from_old = hash_children(sibling, from_old);
      from_new = hash_children(sibling, from_new);
    } else {
      from_new = hash_children(from_new, sibling);
    }
  }
  if (from_old != old_root)
    return fail(Code::bad_data, fmt::format("the path does not lead to the root of the tree of {}", old_size));
  if (from_new != root)
    return fail(Code::bad_data, fmt::format("the path does not lead to the root of the tree of {}", size));
  return {};
}

}  // namespace leat
