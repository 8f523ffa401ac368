// RFC 6962 Merkle trees (section 2.1): roots, and proofs that a leaf is in a tree or that one tree continues another.
// Arithmetic over hashes that the caller looks up; no I/O, no records. The tree over no leaves has a root, too.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "leat/base/bytes.h"
#include "leat/base/error.h"
#include "leat/proof/sha256.h"

namespace leat {

// A complete subtree: the leaves [index << level, (index + 1) << level). Level 0 is a leaf.
struct NodeId {
  int level;
  std::uint64_t index;
  friend bool operator==(const NodeId&, const NodeId&) = default;
};

// Looks a complete subtree's hash up. Its errors are passed on by the functions that ask.
using NodeSource = std::function<Result<Hash>(NodeId)>;

// SHA-256 of nothing.
Hash empty_root();
// SHA-256(0x00 || leaf).
Hash hash_leaf(Bytes leaf);
// SHA-256(0x01 || left || right).
Hash hash_children(const Hash& left, const Hash& right);

// The root over the first `size` leaves.
Result<Hash> tree_root(std::uint64_t size, const NodeSource& nodes);

// The hashes that lead from leaf `index` to the root of the tree of `size` leaves, the leaf's sibling first.
// Precondition: index < size.
Result<std::vector<Hash>> inclusion_path(std::uint64_t index, std::uint64_t size, const NodeSource& nodes);

// The hashes that show that the tree of `size` leaves starts with the `old_size` ones of an earlier tree; empty where
// the sizes are equal. Precondition: 0 < old_size <= size.
Result<std::vector<Hash>> consistency_path(std::uint64_t old_size, std::uint64_t size, const NodeSource& nodes);

// How many hashes those paths have: at most 64, and 65. The same preconditions.
std::size_t inclusion_path_length(std::uint64_t index, std::uint64_t size);
std::size_t consistency_path_length(std::uint64_t old_size, std::uint64_t size);

// The root that follows from a leaf's hash and its path: the leaf is proved if the tree is known to have that root.
// Nothing about the arguments is trusted. Errors: bad_data where index >= size, or the path has not the length that
// index and size ask for.
Result<Hash> root_from_inclusion(const Hash& leaf, std::uint64_t index, std::uint64_t size, std::span<const Hash> path);

// Whether the tree of `size` leaves with `root` continues the one of `old_size` with `old_root`. Nothing about the
// arguments is trusted. Errors: bad_data where the path does not show it, or where there is nothing to show: an empty
// old tree, or one larger than the new.
Result<void> check_consistency(std::uint64_t old_size, const Hash& old_root, std::uint64_t size, const Hash& root,
                               std::span<const Hash> path);

}  // namespace leat
