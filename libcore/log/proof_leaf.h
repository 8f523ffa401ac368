// A record as a leaf of its partition's tree: a byte string of its own that says the same whatever batch, codec or
// segment the record lies in, and the hashing of many of them.
//
//   timestamp i64, key length i32 (-1: null), key, value length i32 (-1: null), value,
//   number of headers u32, { name length i32, name, value length i32 (-1: null), value }*
//
// All big-endian. The offset is not in it: its place in the tree is the offset. An offset of which nothing is left (a
// filler in its place) is the empty leaf.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "leat/base/error.h"
#include "leat/log/record.h"
#include "leat/proof/tree_file.h"

namespace leat {

// The canonical form of a record, of which its topic, partition and offset are no part: how many bytes it is; writes it
// to `to`, which has room for it; appends it.
std::size_t canonical_size(const RecordView& record);
void write_canonical(std::byte* to, const RecordView& record);
void append_canonical(std::string& to, const RecordView& record);

// Hashes records in the order of their offsets. Reusable; keeps its memory.
class LeafHasher {
 public:
  // Appends the leaf hashes of `records`, offsets ascending, to those of the leaves from `first` on that `leaves` holds
  // already. Offsets passed over get the empty leaf.
  void add(std::span<const RecordView> records, std::uint64_t first, std::vector<Hash>& leaves);
  // Empty leaves up to `offset`.
  static void skip_to(std::uint64_t offset, std::uint64_t first, std::vector<Hash>& leaves);

 private:
  void hash(std::span<const RecordView> records);

  Sha256Messages messages_;
  std::vector<Hash> hashes_;  // of these
};

// The hashes of the subtrees `levels` above the given nodes, which make up whole ones.
std::vector<Hash> fold(std::vector<Hash> nodes, int levels);

}  // namespace leat
