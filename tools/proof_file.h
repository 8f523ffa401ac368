// Proofs as files that stand alone (leat-proof(5)): the JSON forms, and what they prove. One object each, with exactly
// these names, each once and in any order:
//
//   {"format":"leat-inclusion-1","topic":T,"partition":P,"tree_size":N,"index":I,"record":R,"path":["HEX",...]}
//   {"format":"leat-consistency-1","topic":T,"partition":P,"old_size":M,"tree_size":N,"path":["HEX",...]}
//
//   R      {"timestamp":MS,"key":K,"value":V,"headers":[...]}, as in the envelope (tools/envelope.h)
//   HEX    a hash: 64 lower-case hexadecimal digits
//
// Nothing in such a file is believed: it proves what it says only to somebody who knows the tree's root from elsewhere.
// Pure.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "leat/base/error.h"
#include "leat/log/record.h"
#include "leat/pipe/json_record.h"
#include "leat/proof/merkle.h"

namespace leat::tools {

// The largest proof file: a record of the largest size, all of it bytes that JSON writes in six, and a path. A record
// with more empty headers than fit cannot be proved in a file.
inline constexpr std::size_t kProofBytesMax = std::size_t{6} * (64 << 20) + (1 << 20);

// That a record is at an offset.
struct InclusionProof {
  std::string topic;
  PartitionId partition;
  std::uint64_t tree_size = 0;
  std::uint64_t index = 0;  // the offset
  RecordView record;        // the record alone: topic, partition and offset are not set
  std::vector<Hash> path;

  // What `record` points into when the proof was parsed.
  struct Owned {
    std::vector<char> text;
    JsonRecord record;
  };
  std::unique_ptr<Owned> owned;
};

// That a partition's tree continues the one it had before.
struct ConsistencyProof {
  std::string topic;
  PartitionId partition;
  std::uint64_t old_size = 0;
  std::uint64_t tree_size = 0;
  std::vector<Hash> path;
};

using ProofFile = std::variant<InclusionProof, ConsistencyProof>;

// Errors: bad_data, saying what is wrong, for anything but exactly one object as above, white space around its parts
// aside.
Result<ProofFile> parse_proof(std::string_view text);

// One line, without a newline.
std::string to_text(const InclusionProof& proof);
std::string to_text(const ConsistencyProof& proof);

// The tree as the verifier knows it.
struct KnownTree {
  Hash root;
  std::optional<std::uint64_t> size;
};

// Success means that the tree with that root, and of that size, holds the record at its index. Errors: bad_data.
// Precondition: the size is known.
Result<void> check_proof(const InclusionProof& proof, const KnownTree& tree);
// Success means that the tree begins with all that the old one holds. Where a size is not known, the file's is taken,
// which the roots alone do not vouch for. Errors: bad_data.
Result<void> check_proof(const ConsistencyProof& proof, const KnownTree& old_tree, const KnownTree& tree);

// The name of a partition's tree in checkpoints: "leat/TOPIC/PARTITION".
std::string tree_origin(std::string_view topic, PartitionId partition);

}  // namespace leat::tools
