// The kept hashes of a partition's tree against its log.
#include <fmt/format.h>

#include <algorithm>

#include "leat/log/proof_tree.h"
#include "leat/log/verify_parts.h"

namespace leat {

namespace {

constexpr std::uint64_t kBlocksAtOnce = 512;

class TreeVerifier {
 public:
  TreeVerifier(const Verification& verification, const FindingScope& scope, const Directory& partition, TreeFiles files,
               std::uint64_t records, std::uint64_t held_from)
      : verification_(verification),
        scope_(scope),
        partition_(partition),
        files_(std::move(files)),
        complete_(records / kTileWidth),
        held_from_(held_from) {}

  Result<void> run() {
    const std::uint64_t kept = std::min(TRY(files_.count(kTileLevel)), complete_);
    for (std::uint64_t block = 0; block < kept; block += kBlocksAtOnce)
      TRY(check_blocks(block, std::min(kept, block + kBlocksAtOnce)));
    if (kept * kTileWidth < held_from_ / kTileWidth * kTileWidth) {
      report(Finding::Level::damage, kTileLevel, kept, "the hashes of retired records are missing",
             "no root and no proof can be given any more");
    }
    return check_above(kept);
  }

 private:
  void report(Finding::Level level, int tree_level, std::uint64_t index, std::string what, std::string meaning) const {
    Finding finding =
        scope_.damage(partition_.path_of(fmt::format("tree/{}", tree_level)), std::move(what), std::move(meaning));
    finding.level = level;
    finding.byte = TreeFiles::position_of(index);
    finding.offset = Offset{static_cast<std::int64_t>(index << tree_level)};
    verification_.report(std::move(finding));
  }

  static Result<std::vector<Hash>> slice(const std::vector<Hash>& leaves, std::uint64_t block) {
    const auto begin = leaves.begin() + static_cast<std::ptrdiff_t>(block * kTileWidth);
    return std::vector<Hash>(begin, begin + static_cast<std::ptrdiff_t>(kTileWidth));
  }

  // The log says what the hash of a block is, as long as it has the block, or its leaves were kept.
  Result<void> check_blocks(std::uint64_t first, std::uint64_t end) {
    const auto stored = TRY(files_.read(kTileLevel, first, end - first));
    // In one go over the log where that is possible, else block by block.
    const auto all = tree_leaves(partition_, files_, first, end * kTileWidth);
    for (std::uint64_t block = first; block < end; ++block) {
      const auto& hash = stored[block - first];
      auto leaves = all ? slice(*all, block - first) : tree_leaves(partition_, files_, block, (block + 1) * kTileWidth);
      if (!leaves) {
        if (leaves.error().code != Code::damaged && leaves.error().code != Code::not_found)
          return std::unexpected(std::move(leaves).error());
        // Damage of the log is told by those who look at it; what was retired has only this hash.
        if (!hash && (block + 1) * kTileWidth <= held_from_) {
          report(Finding::Level::damage, kTileLevel, block, "the hash of retired records has the wrong checksum",
                 "no root and no proof can be given any more");
        }
        continue;
      }
      const bool has_gap = std::ranges::find(*leaves, hash_leaf({})) != leaves->end();
      const bool agrees = hash && *hash == fold(std::move(*leaves), kTileLevel)[0];
      if (!hash) {
        report(Finding::Level::note, kTileLevel, block, "a hash of the tree has the wrong checksum",
               "it is made again from the log");
      } else if (!agrees && has_gap) {
        report(Finding::Level::note, kTileLevel, block, "records that the tree speaks of have been lost and filled",
               "the tree still vouches for what they were");
      } else if (!agrees) {
        report(Finding::Level::damage, kTileLevel, block, "the log and its tree do not agree",
               "one of them was altered: compare with a checkpoint");
      }
    }
    return {};
  }

  // Every kept node above is that of its children.
  Result<void> check_above(std::uint64_t below) {
    for (int level = 2 * kTileLevel; below >= kTileWidth; level += kTileLevel) {
      const std::uint64_t kept = std::min(TRY(files_.count(level)), below / kTileWidth);
      for (std::uint64_t i = 0; i < kept; ++i) {
        std::vector<Hash> children;
        for (const auto& child : TRY(files_.read(level - kTileLevel, i * kTileWidth, kTileWidth)))
          if (child) children.push_back(*child);
        const auto hash = TRY(files_.read(level, i, 1))[0];
        if (!hash) {
          report(Finding::Level::note, level, i, "a hash of the tree has the wrong checksum",
                 "it is made again from those below");
        } else if (children.size() == kTileWidth && *hash != fold(std::move(children), kTileLevel)[0]) {
          report(Finding::Level::damage, level, i, "a hash of the tree is not that of those below",
                 "one of them was altered: compare with a checkpoint");
        }
      }
      below = kept;
    }
    return {};
  }

  const Verification& verification_;
  const FindingScope& scope_;
  const Directory& partition_;
  TreeFiles files_;
  std::uint64_t complete_;
  std::uint64_t held_from_;
};

}  // namespace

Result<void> verify_tree(const Verification& verification, const FindingScope& scope, const Directory& partition,
                         Offset durable_end) {
  TreeVerifier verifier(verification, scope, partition, TRY(TreeFiles::open(partition)),
                        static_cast<std::uint64_t>(durable_end.value), TRY(first_leaf_in_log(partition)));
  return verifier.run();
}

}  // namespace leat
