// The tree of a partition (RFC 6962) over its durable records: kept by writers, block by block of 256 records, and
// read by whoever asks for a root or a proof. Leaf i is the record at offset i; the tree of size n covers the offsets
// below n. Only what lies behind is ever added, so that every tree continues those before it.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "leat/log/partition.h"
#include "leat/log/partition_reader.h"
#include "leat/log/proof_leaf.h"
#include "leat/proof/merkle.h"
#include "leat/proof/tree_file.h"

namespace leat {

// Brings what is kept up to the durable end, unless somebody else is at it or nothing is missing. What lies behind the
// last whole block is left to readers. The last block kept is checked against the log first; if it disagrees, all that
// the log still holds is made anew. Takes the tree lock for the time. Derived: its failing fails no append. Errors:
// those of reading.
Result<void> extend_tree(const Partition& partition);

// Before the segments below `start` go: keeps what the tree needs of their records, durably. Waits for the tree lock.
// `make_room` is called when that cannot be written: it may remove some of what is about to go, as all that is needed
// of it is in memory then (dying at that moment costs the proofs, never a record), and it is tried once more. Errors:
// busy, io, damaged: then the segments must stay.
Result<void> keep_tree_of(const Partition& partition, Offset start, const std::function<Result<void>()>& make_room);

// Keeps for good what a checkpoint of `size` needs of the records around its end, so that trees to come can be shown to
// continue it when they have been retired. Durable on return. Errors: as ProofTree, permission, busy.
Result<void> keep_signed_edge(Topic& topic, PartitionId id, std::uint64_t size);

// The leaf hashes of [block * 256, end): from the log, and what it does not hold any more from what was kept of it.
// Errors: not_found (neither has it), damaged, io.
Result<std::vector<Hash>> tree_leaves(const Directory& partition, const TreeFiles& files, std::uint64_t block,
                                      std::uint64_t end);
// The same, many times over: what reads and hashes the records keeps its memory.
struct LeafReader {
  BatchDecoder decoder;
  LeafHasher hasher;
};
Result<std::vector<Hash>> tree_leaves(const Directory& partition, const TreeFiles& files, std::uint64_t block,
                                      std::uint64_t end, LeafReader& reader);
// The first leaf whose record is in the log's files. Errors: io.
Result<std::uint64_t> first_leaf_in_log(const Directory& partition);

// A partition's tree at a size, looked at from outside: from the kept hashes where there are any, from the log where
// there are none. Changes nothing. Belongs to one thread.
class ProofTree {
 public:
  // `topic` must outlive it. Makes everything it covers durable. Errors: usage (the topic keeps no proofs), not_found,
  // damaged, io.
  static Result<ProofTree> open(Topic& topic, PartitionId id);

  // How many records the tree covers at most: the durable end.
  std::uint64_t size() const { return size_; }
  // The first record that is still there.
  Offset log_start() const { return range_.start; }

  // Errors of these: usage (behind size(), or a place of which the hashes are gone with retired records), damaged, io.
  Result<Hash> root(std::uint64_t size);
  Result<std::vector<Hash>> inclusion(Offset offset, std::uint64_t size);
  Result<std::vector<Hash>> consistency(std::uint64_t old_size, std::uint64_t size);
  // The leaf hashes of the block that `size` ends in, up to it; none where it ends a block.
  Result<std::vector<Hash>> edge(std::uint64_t size);
  // Any complete subtree, for exports.
  Result<Hash> node(NodeId id);

 private:
  ProofTree(PartitionReader reader, const VisibleRange& range, TreeFiles files)
      : reader_(std::move(reader)),
        range_(range),
        files_(std::move(files)),
        size_(static_cast<std::uint64_t>(range.end.value)) {}

  struct Block;

  Result<void> load_blocks();
  Result<std::optional<Hash>> kept(NodeId id);
  Result<Hash> block_hash(std::uint64_t block);
  Result<const Block*> open_block(std::uint64_t number, std::uint64_t end);
  NodeSource source();
  Result<void> check_size(std::uint64_t size) const;

  PartitionReader reader_;
  VisibleRange range_;
  TreeFiles files_;
  std::uint64_t size_;
  std::uint64_t first_made_ = 0;  // the blocks from here on are not kept
  std::vector<Hash> made_;        // but made from the log
  // Two blocks: the one asked for last, and the one the tree ends in, which is part of every proof.
  struct Block {
    std::uint64_t number = ~std::uint64_t{0};
    std::array<std::vector<Hash>, kTileLevel> levels = {};  // the hashes of the leaves, those of pairs of them, ...
  };
  Block latest_;
  Block last_;
  LeafReader leaf_reader_;
  std::map<std::pair<int, std::uint64_t>, std::vector<std::optional<Hash>>> tiles_;  // kept nodes, by level and tile
  std::map<std::pair<int, std::uint64_t>, Hash> made_nodes_;                         // others, by level and index
};

}  // namespace leat
