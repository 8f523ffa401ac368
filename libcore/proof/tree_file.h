// The hashes of a partition's tree that are kept on disk: of every complete subtree of 256^k leaves (levels 8, 16, 24,
// ...), an eighth of a byte for each record. Everything in between, and the right edge, is computed. The files are
// derived from the log: they may be missing, behind or damaged, which costs time; only where records have been retired
// are they the last witness, so what speaks of those is synced before they go.
//
//   <partition>/tree/<level>            entries of 36 bytes, that of subtree i at byte 36 i:
//      hash      32
//      crc        4   CRC-32C of level u32, index u64 and hash: an entry that is not there, or elsewhere, is not taken
//   <partition>/tree/<block>.leaves     the first leaf hashes of a block of 256 whose records go, or whose tree was
//                                       signed in the middle of it:
//      magic      8   "leatlv01"
//      block      8
//      count      4   1 to 256
//      signed     4   1: stays for good, and is made whole before its records go; 0: until the whole block is retired
//      hashes    32 each
//      crc        4   CRC-32C of all before
//
// Byte order of the machine.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "leat/base/disk.h"
#include "leat/proof/merkle.h"

namespace leat {

inline constexpr int kTileLevel = 8;  // levels between what is kept
inline constexpr std::uint64_t kTileWidth = 1 << kTileLevel;

// The tree directory of a partition. One writer at a time (a lock decides who), any number of readers.
class TreeFiles {
 public:
  // For reading; all is missing where there is no directory.
  static Result<TreeFiles> open(const Directory& partition);
  // Makes the directory when it is missing.
  static Result<TreeFiles> open_to_write(const Directory& partition);

  // The byte of a node's entry in the file of its level.
  static std::int64_t position_of(std::uint64_t index);

  // How many entries the file of `level` has room for: those behind are missing, those before may be damaged.
  Result<std::uint64_t> count(int level) const;
  // The hash of each node, nullopt for one that is missing or damaged. Errors: io.
  Result<std::vector<std::optional<Hash>>> read(int level, std::uint64_t first, std::size_t count) const;

  // Overwrites. Durable after sync(). Errors: io.
  Result<void> write(int level, std::uint64_t first, std::span<const Hash> hashes) const;
  // Forgets everything from leaf `block` * 256 on. Errors: io.
  Result<void> cut(std::uint64_t block) const;
  Result<void> sync() const;

  struct KeptLeaves {
    std::vector<Hash> hashes;
    bool is_signed = false;
  };
  // nullopt when nothing is kept of the block, or it is damaged. Errors: io.
  Result<std::optional<KeptLeaves>> kept_leaves(std::uint64_t block) const;
  // Replaces what is kept. Durable on return. Errors: io.
  Result<void> keep_leaves(std::uint64_t block, const KeptLeaves& leaves) const;
  // The blocks before `block` of which a signed tree's leaves are kept, but not all 256. Errors: io.
  Result<std::vector<std::uint64_t>> unfinished_signed_blocks(std::uint64_t block) const;
  // Removes what is kept of blocks before `block`, unless it was signed. Errors: io.
  Result<void> drop_leaves_before(std::uint64_t block) const;

 private:
  explicit TreeFiles(std::optional<Directory> directory) : directory_(std::move(directory)) {}
  Result<std::optional<File>> open_level(int level, OpenMode mode) const;
  Result<std::vector<std::uint64_t>> kept_blocks_before(std::uint64_t block) const;

  std::optional<Directory> directory_;
};

}  // namespace leat
