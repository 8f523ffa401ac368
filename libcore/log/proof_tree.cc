#include "leat/log/proof_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "leat/base/parallel.h"
#include "leat/log/file_names.h"
#include "leat/log/recovery.h"
#include "leat/log/segment_index.h"

namespace leat {

namespace {

// Blocks whose records are read and hashed in one go: finding their place in the log is little beside it, and their
// hashes stay near the processor.
constexpr std::uint64_t kBlocksAtOnce = 64;
// Records that one call hashes at most: a producer does not stop for long to make up for what others have left.
constexpr std::uint64_t kRecordsPerCall = 1 << 20;
// Nodes from this level on are remembered: one for each four thousand records, and a proof makes a few others only.
constexpr int kRememberedLevel = kTileLevel + 4;

Offset offset_of(std::uint64_t leaf) {
  return {static_cast<std::int64_t>(leaf)};
}
std::uint64_t leaf_of(Offset offset) {
  return static_cast<std::uint64_t>(offset.value);
}

// The first leaf whose record is in one of these segments.
std::uint64_t first_leaf(std::span<const Offset> bases) {
  return bases.empty() ? 0 : leaf_of(bases.front());
}

// Hashes the records of the log from leaf `first` + leaves.size() on up to `end`, whether trimmed or not; those before
// are in `leaves` already. Errors: damaged, io; not_found when a segment was retired meanwhile.
Result<void> hash_log(const Directory& partition, const std::vector<Offset>& bases, std::uint64_t first,
                      std::uint64_t end, std::vector<Hash>& leaves, LeafReader& reader) {
  const auto next = [&] { return first + leaves.size(); };
  if (next() >= end) return {};
  for (std::size_t i = segment_of(bases, offset_of(next())); i < bases.size() && next() < end; ++i) {
    const File log = TRY(partition.open_file(log_file_name(bases[i]), OpenMode::read));
    const std::int64_t bytes = TRY(log.size());
    const IndexHint from = find_by_offset(partition, bases[i], log, offset_of(next()), WalkDepth::headers);
    SegmentWalk walk(log, from.position, from.base);
    while (next() < end) {
      const WalkStep step = TRY(walk.next(bytes));
      if (step.kind == WalkStep::Kind::end) break;
      if (step.kind == WalkStep::Kind::bad) {
        return std::unexpected(
            damage_error(log.path(), walk.position(), step.fault, walk.expected(), bases.front(), std::nullopt));
      }
      const std::uint64_t batch_end = leaf_of(step.batch.header.end_offset());
      if (batch_end <= next()) continue;
      const std::span<RecordView> records = TRY(reader.decoder.decode(step.batch.bytes));
      const auto from_here = std::ranges::lower_bound(records, offset_of(next()), {}, &RecordView::offset);
      const auto up_to = std::ranges::lower_bound(records, offset_of(end), {}, &RecordView::offset);
      reader.hasher.add({from_here, up_to}, first, leaves);
      LeafHasher::skip_to(std::min(end, batch_end), first, leaves);
    }
  }
  if (next() >= end) return {};
  return fail(Code::damaged,
              fmt::format("{}: the log ends at offset {} where {} was durable", partition.path(), next(), end));
}

// How many blocks from the first on are kept and to be believed. The last one is made again from the log: whoever
// wrote it may have died in the middle, or the log may have been replaced by another.
Result<std::uint64_t> believed_blocks(const Directory& partition, const TreeFiles& files, std::uint64_t complete) {
  const std::uint64_t kept = std::min(TRY(files.count(kTileLevel)), complete);
  const std::uint64_t first_whole = (TRY(first_leaf_in_log(partition)) + kTileWidth - 1) / kTileWidth;
  if (kept <= first_whole) return kept;  // nothing left to compare it with
  const auto stored = TRY(files.read(kTileLevel, kept - 1, 1))[0];
  if (!stored) return first_whole;
  auto leaves = TRY(tree_leaves(partition, files, kept - 1, kept * kTileWidth));
  return *stored == fold(std::move(leaves), kTileLevel)[0] ? kept : first_whole;
}

// Writes the blocks from `first` on, and every node above them that they complete.
Result<void> write_blocks(const TreeFiles& files, std::uint64_t first, std::vector<Hash> hashes) {
  for (int level = kTileLevel; !hashes.empty(); level += kTileLevel) {
    TRY(files.write(level, first, hashes));
    const std::uint64_t begin = first / kTileWidth;
    const std::uint64_t end = (first + hashes.size()) / kTileWidth;
    std::vector<Hash> children;
    for (const auto& child : TRY(files.read(level, begin * kTileWidth, (end - begin) * kTileWidth))) {
      if (!child) return {};  // damaged: whoever asks for the node above finds out, too
      children.push_back(*child);
    }
    first = begin;
    hashes = fold(std::move(children), kTileLevel);
  }
  return {};
}

// The hashes of the blocks [first, end), none where that is empty, made from the log by as many threads as there are
// processors for: a producer of much input is done sooner than its hashes are, and then one of two processors had
// nothing to do.
Result<std::vector<Hash>> make_blocks(const Directory& partition, const TreeFiles& files, std::uint64_t first,
                                      std::uint64_t end) {
  std::vector<Hash> made(end > first ? end - first : 0);
  const std::uint64_t pieces = (made.size() + kBlocksAtOnce - 1) / kBlocksAtOnce;
  std::vector<Result<void>> outcomes(pieces);
  in_parallel(pieces, [&]() -> PieceWorker {
    return [&, reader = LeafReader()](std::size_t piece) mutable {
      const std::uint64_t from = first + piece * kBlocksAtOnce;
      const std::uint64_t to = std::min(end, from + kBlocksAtOnce);
      auto leaves = tree_leaves(partition, files, from, to * kTileWidth, reader);
      if (leaves) {
        std::ranges::copy(fold(std::move(*leaves), kTileLevel),
                          made.begin() + static_cast<std::ptrdiff_t>(from - first));
      } else {
        outcomes[piece] = std::unexpected(std::move(leaves).error());
      }
    };
  });
  for (Result<void>& outcome : outcomes) TRY(std::move(outcome));
  return made;
}

// What is to be kept of records that go.
struct Retiring {
  std::uint64_t believed = 0;  // blocks that are kept already; what lies behind is not to be believed
  std::vector<Hash> blocks = {};
  std::vector<std::pair<std::uint64_t, TreeFiles::KeptLeaves>> leaves = {};
};

std::uint64_t complete_blocks(Offset end) {
  return leaf_of(end) / kTileWidth;
}

// Lock required: tree. Changes nothing.
Result<Retiring> gather(const Partition& partition, const TreeFiles& files, Offset start) {
  const Directory& directory = partition.directory();
  const std::uint64_t block = complete_blocks(start);
  Retiring retiring;
  retiring.believed = TRY(believed_blocks(directory, files, complete_blocks(TRY(partition.durable_end()).end)));
  retiring.blocks = TRY(make_blocks(directory, files, retiring.believed, block));
  // That a tree continues a signed one is shown with the hashes around its end, on both sides.
  for (const std::uint64_t signed_block : TRY(files.unfinished_signed_blocks(block))) {
    auto leaves = TRY(tree_leaves(directory, files, signed_block, (signed_block + 1) * kTileWidth));
    retiring.leaves.push_back({signed_block, {std::move(leaves), true}});
  }
  if (leaf_of(start) % kTileWidth != 0) {
    const auto kept = TRY(files.kept_leaves(block));
    if (!kept || kept->hashes.size() < leaf_of(start) % kTileWidth) {
      auto leaves = TRY(tree_leaves(directory, files, block, leaf_of(start)));
      retiring.leaves.push_back({block, {std::move(leaves), kept && kept->is_signed}});
    }
  }
  return retiring;
}

// Lock required: tree. Durable on return.
Result<void> store(const Directory& partition, const Retiring& retiring) {
  const TreeFiles files = TRY(TreeFiles::open_to_write(partition));
  if (TRY(files.count(kTileLevel)) > retiring.believed) TRY(files.cut(retiring.believed));
  TRY(write_blocks(files, retiring.believed, retiring.blocks));
  for (const auto& [block, leaves] : retiring.leaves) TRY(files.keep_leaves(block, leaves));
  return files.sync();
}

// Hashes that are gone with their records, as `code` where they are asked for.
template <class T>
Result<T> gone_is(Code code, Result<T> result) {
  if (!result && result.error().code == Code::not_found) result.error().code = code;
  return result;
}

Result<RangeLock> lock_tree(const Partition& partition) {
  RangeLock lock =
      TRY(partition.take_lock(StateLocks::tree(partition.id()), partition.topic().data_dir().lock_timeout()));
  if (!lock) return fail(Code::busy, partition.directory().path() + ": another process is at its tree");
  return lock;
}

}  // namespace

Result<std::uint64_t> first_leaf_in_log(const Directory& partition) {
  return first_leaf(TRY(list_segments(partition)));
}

Result<std::vector<Hash>> tree_leaves(const Directory& partition, const TreeFiles& files, std::uint64_t block,
                                      std::uint64_t end) {
  LeafReader reader;
  return tree_leaves(partition, files, block, end, reader);
}

Result<std::vector<Hash>> tree_leaves(const Directory& partition, const TreeFiles& files, std::uint64_t block,
                                      std::uint64_t end, LeafReader& reader) {
  const std::vector<Offset> bases = TRY(list_segments(partition));
  const std::uint64_t first = block * kTileWidth;
  const std::uint64_t held = first_leaf(bases);
  std::vector<Hash> leaves;
  if (first < held) {
    auto kept = TRY(files.kept_leaves(block));
    if (kept) leaves = std::move(kept->hashes);
    if (first + leaves.size() < std::min(held, end)) {
      return fail(Code::not_found, fmt::format("{}: the hashes of retired records from offset {} on are not there",
                                               partition.path(), first + leaves.size()));
    }
    leaves.resize(std::min<std::uint64_t>(leaves.size(), end - first));
  }
  leaves.reserve(end - first);
  TRY(hash_log(partition, bases, first, end, leaves, reader));
  return leaves;
}

Result<void> extend_tree(const Partition& partition) {
  if (!partition.topic().settings().keeps_proofs()) return {};
  const RangeLock lock = TRY(partition.take_lock(StateLocks::tree(partition.id())));
  if (!lock) return {};
  const Directory& directory = partition.directory();
  const TreeFiles files = TRY(TreeFiles::open_to_write(directory));
  const std::uint64_t complete = complete_blocks(TRY(partition.durable_end()).end);
  const std::uint64_t believed = TRY(believed_blocks(directory, files, complete));
  if (TRY(files.count(kTileLevel)) > believed) TRY(files.cut(believed));
  const std::uint64_t end = std::min(complete, believed + kRecordsPerCall / kTileWidth);
  return write_blocks(files, believed, TRY(make_blocks(directory, files, believed, end)));
}

Result<void> keep_tree_of(const Partition& partition, Offset start, const std::function<Result<void>()>& make_room) {
  if (!partition.topic().settings().keeps_proofs()) return {};
  const RangeLock lock = TRY(lock_tree(partition));
  const TreeFiles files = TRY(TreeFiles::open(partition.directory()));
  const Retiring retiring = TRY(gather(partition, files, start));
  auto stored = store(partition.directory(), retiring);
  if (!stored && stored.error().code == Code::io) {
    TRY(make_room());
    stored = store(partition.directory(), retiring);
  }
  TRY(std::move(stored));
  return TRY(TreeFiles::open(partition.directory())).drop_leaves_before(complete_blocks(start));
}

Result<void> keep_signed_edge(Topic& topic, PartitionId id, std::uint64_t size) {
  ProofTree tree = TRY(ProofTree::open(topic, id));
  const std::vector<Hash> leaves = TRY(tree.edge(size));
  if (leaves.empty()) return {};
  Topic writable = TRY(Topic::open(topic.data_dir(), topic.name(), Topic::Access::write));
  const Partition partition = TRY(Partition::open(writable, id));
  const RangeLock lock = TRY(lock_tree(partition));
  const TreeFiles files = TRY(TreeFiles::open_to_write(partition.directory()));
  const auto kept = TRY(files.kept_leaves(size / kTileWidth));
  if (kept && kept->is_signed && kept->hashes.size() >= leaves.size()) return {};
  const bool longer = kept && kept->hashes.size() > leaves.size();
  return files.keep_leaves(size / kTileWidth, {longer ? kept->hashes : leaves, true});
}

// ---- Looking at it ----

Result<ProofTree> ProofTree::open(Topic& topic, PartitionId id) {
  if (!topic.settings().keeps_proofs()) {
    return fail(Code::usage, fmt::format("topic \"{}\" keeps no proofs: {}", topic.name(),
                                         topic.settings().cleanup == Cleanup::compact ? "its cleanup is compact"
                                                                                      : "it was created without"));
  }
  PartitionReader reader = TRY(PartitionReader::open(topic, id, false));
  const VisibleRange range = TRY(reader.visible());
  TRY(reader.make_durable(range.end));
  TreeFiles files = TRY(TreeFiles::open(reader.directory()));
  ProofTree tree(std::move(reader), range, std::move(files));
  TRY(tree.load_blocks());
  return tree;
}

// What is not kept is made from the log, in memory.
Result<void> ProofTree::load_blocks() {
  const std::uint64_t complete = size_ / kTileWidth;
  first_made_ = TRY(believed_blocks(reader_.directory(), files_, complete));
  // Without the hash of what was retired there is no tree any more.
  made_ = TRY(gone_is(Code::damaged, make_blocks(reader_.directory(), files_, first_made_, complete)));
  return {};
}

// The nodes of a block below its own hash, over its leaves up to `end` at least: over all of them, unless only those
// are left.
Result<const ProofTree::Block*> ProofTree::open_block(std::uint64_t number, std::uint64_t end) {
  const std::uint64_t first = number * kTileWidth;
  Block& block = number == size_ / kTileWidth ? last_ : latest_;
  if (block.number == number && first + block.levels[0].size() >= end) return &block;
  block.number = ~std::uint64_t{0};
  const auto leaves_to = [&](std::uint64_t to) {
    return tree_leaves(reader_.directory(), files_, number, to, leaf_reader_);
  };
  auto leaves = leaves_to(std::min(size_, first + kTileWidth));
  if (!leaves && leaves.error().code == Code::not_found) leaves = leaves_to(end);
  block.levels[0] = TRY(std::move(leaves));
  for (std::size_t level = 1; level < block.levels.size(); ++level) {
    const std::size_t parents = block.levels[level - 1].size() / 2;
    block.levels[level].resize(parents);
    hash_pairs(std::span(block.levels[level - 1]).first(2 * parents), block.levels[level]);
  }
  block.number = number;
  return &block;
}

// A node of a level that is kept, if it is and checks out.
Result<std::optional<Hash>> ProofTree::kept(NodeId id) {
  const std::uint64_t tile = id.index / kTileWidth;
  auto [entry, missing] = tiles_.try_emplace({id.level, tile});
  if (missing) entry->second = TRY(files_.read(id.level, tile * kTileWidth, kTileWidth));
  return entry->second[id.index % kTileWidth];
}

Result<Hash> ProofTree::block_hash(std::uint64_t block) {
  if (block >= first_made_) return made_[block - first_made_];
  if (const auto hash = TRY(kept({kTileLevel, block}))) return *hash;
  auto leaves = TRY(tree_leaves(reader_.directory(), files_, block, (block + 1) * kTileWidth));
  return fold(std::move(leaves), kTileLevel)[0];
}

Result<Hash> ProofTree::node(NodeId id) {
  ASSERT((id.index + 1) << id.level <= size_);
  if (id.level < kTileLevel) {
    const std::uint64_t first = id.index << id.level;
    const Block* const block = TRY(open_block(first / kTileWidth, (id.index + 1) << id.level));
    return block->levels[static_cast<std::size_t>(id.level)][first % kTileWidth >> id.level];
  }
  if (id.level == kTileLevel) return block_hash(id.index);
  // Nodes of a kept level lie over what is in memory only once that is kept, too.
  const std::uint64_t end_block = (id.index + 1) << (id.level - kTileLevel);
  if (id.level % kTileLevel == 0 && end_block <= first_made_) {
    if (const auto hash = TRY(kept(id))) return *hash;
  }
  const bool remember = id.level >= kRememberedLevel;
  if (const auto found = remember ? made_nodes_.find({id.level, id.index}) : made_nodes_.end();
      found != made_nodes_.end())
    return found->second;
  const int below = (id.level - 1) / kTileLevel * kTileLevel;
  const int levels = id.level - below;
  std::vector<Hash> children;
  children.reserve(std::size_t{1} << levels);
  for (std::uint64_t i = 0; i < std::uint64_t{1} << levels; ++i)
    children.push_back(TRY(node({below, (id.index << levels) + i})));
  const Hash hash = fold(std::move(children), levels)[0];
  if (remember) made_nodes_.emplace(std::pair{id.level, id.index}, hash);
  return hash;
}

NodeSource ProofTree::source() {
  return [this](NodeId id) { return node(id); };
}

Result<void> ProofTree::check_size(std::uint64_t size) const {
  if (size <= size_) return {};
  return fail(Code::usage, fmt::format("{}: the tree has {} records, not {}", reader_.directory().path(), size_, size));
}

Result<Hash> ProofTree::root(std::uint64_t size) {
  TRY(check_size(size));
  return gone_is(Code::usage, tree_root(size, source()));
}

Result<std::vector<Hash>> ProofTree::inclusion(Offset offset, std::uint64_t size) {
  TRY(check_size(size));
  if (offset < Offset{0} || leaf_of(offset) >= size) {
    return fail(Code::usage, fmt::format("{}: offset {} is not in the tree of {} records", reader_.directory().path(),
                                         offset.value, size));
  }
  return gone_is(Code::usage, inclusion_path(leaf_of(offset), size, source()));
}

Result<std::vector<Hash>> ProofTree::consistency(std::uint64_t old_size, std::uint64_t size) {
  TRY(check_size(size));
  if (old_size == 0 || old_size > size) {
    return fail(Code::usage,
                fmt::format("a tree of {} records cannot continue one of {}: sizes go from 1 up", size, old_size));
  }
  return gone_is(Code::usage, consistency_path(old_size, size, source()));
}

Result<std::vector<Hash>> ProofTree::edge(std::uint64_t size) {
  TRY(check_size(size));
  if (size % kTileWidth == 0) return std::vector<Hash>();
  return gone_is(Code::usage, tree_leaves(reader_.directory(), files_, size / kTileWidth, size));
}

}  // namespace leat
