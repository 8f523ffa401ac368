// Fuzzes the verification of Merkle proofs: any path for any index and sizes gives an error or a root; where the input
// asks for a tree, only its own paths lead to its root; and every way of hashing agrees with the portable one.
//
// Build, with the include directory that `meson setup` makes in the build directory:
//   clang++-19 -std=c++2b -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -DFMT_HEADER_ONLY=1
//     -Ibuild/include tests/fuzz/merkle_fuzz.cc libcore/proof/{merkle,sha256,sha256_x86}.cc libcore/base/error.cc
//     -o merkle_fuzz
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "leat/base/bytes.h"
#include "leat/base/error.h"
#include "leat/proof/merkle.h"
#include "leat/proof/sha256.h"
#include "tests/support/hash_messages.h"

namespace leat {
namespace {

// The hashes in memory of exactly their size, so that a step outside is seen.
std::vector<Hash> take_hashes(ByteReader& input) {
  std::vector<Hash> hashes(input.remaining() / sizeof(Hash));
  for (Hash& hash : hashes) std::ranges::copy(*input.take(hash.size()), hash.begin());
  return hashes;
}

void check_refusal(const Error& error) {
  ASSERT(error.code == Code::bad_data && !error.message.empty());
}

// Sizes, roots and path as they come.
void verify_any(ByteReader input) {
  const auto first = input.be<std::uint64_t>();
  const auto size = input.be<std::uint64_t>();
  if (!first || !size) return;
  const std::vector<Hash> hashes = take_hashes(input);
  if (hashes.size() < 2) return;
  const std::span<const Hash> path = std::span(hashes).subspan(2);
  const Result<Hash> root = root_from_inclusion(hashes[0], *first, *size, path);
  if (root) {
    ASSERT(*first < *size && path.size() == inclusion_path_length(*first, *size));
  } else {
    check_refusal(root.error());
    ASSERT(*first >= *size || path.size() != inclusion_path_length(*first, *size));
  }
  const Result<void> consistent = check_consistency(*first, hashes[0], *size, hashes[1], path);
  // The input cannot hold a hash of itself.
  if (consistent) {
    ASSERT(*first == *size && hashes[0] == hashes[1] && path.empty());
  } else {
    check_refusal(consistent.error());
  }
}

// A tree whose leaves are all the same, so that its hashes depend on their level only; a path through it, changed.
void verify_changed(ByteReader input) {
  const auto first = input.be<std::uint64_t>();
  const auto size = input.be<std::uint64_t>();
  const auto place = input.be<std::uint16_t>();
  const auto change = input.be<std::uint8_t>();
  if (!first || !size || !place || !change || *first >= *size) return;
  static const std::array<Hash, 64> levels = [] {
    std::array<Hash, 64> hashes;
    hashes[0] = hash_leaf(as_bytes("leaf"));
    for (std::size_t i = 1; i < hashes.size(); ++i) hashes[i] = hash_children(hashes[i - 1], hashes[i - 1]);
    return hashes;
  }();
  const NodeSource nodes = [](NodeId node) -> Result<Hash> {
    ASSERT(node.level >= 0 && node.level < 64);
    return levels[static_cast<std::size_t>(node.level)];
  };
  const Hash root = tree_root(*size, nodes).value();
  const Hash old_root = tree_root(*first + 1, nodes).value();
  std::vector<Hash> path = inclusion_path(*first, *size, nodes).value();
  std::vector<Hash> proof = consistency_path(*first + 1, *size, nodes).value();
  ASSERT(root_from_inclusion(levels[0], *first, *size, path) == root);
  ASSERT(check_consistency(*first + 1, old_root, *size, root, proof));
  const auto changed = [&](std::vector<Hash>& hashes) {
    if (hashes.empty() || *change == 0) return false;
    hashes[*place / sizeof(Hash) % hashes.size()][*place % sizeof(Hash)] ^= static_cast<std::byte>(*change);
    return true;
  };
  if (changed(path)) ASSERT(root_from_inclusion(levels[0], *first, *size, path) != root);
  if (changed(proof)) ASSERT(!check_consistency(*first + 1, old_root, *size, root, proof));
}

// Messages of the lengths that the first bytes ask for, each in memory of exactly its size.
void hash_any(ByteReader input) {
  const auto count = input.be<std::uint8_t>();
  if (!count) return;
  std::vector<std::unique_ptr<std::byte[]>> memory;
  std::vector<Bytes> messages;
  for (std::size_t i = 0; i < *count % 40U; ++i) {
    const auto wanted = input.be<std::uint8_t>();
    if (!wanted) break;
    const Bytes taken = *input.take(std::min<std::size_t>(*wanted, input.remaining()));
    memory.push_back(std::make_unique<std::byte[]>(taken.size()));
    std::ranges::copy(taken, memory.back().get());
    messages.emplace_back(memory.back().get(), taken.size());
  }
  const std::vector<Hash> expected = test::hash_messages(Sha256Kind::portable, messages);
  for (const Sha256Kind kind : {Sha256Kind::sha_ni, Sha256Kind::avx2, Sha256Kind::avx512}) {
    if (!sha256_supports(kind)) continue;
    const std::vector<Hash> hashes = test::hash_messages(kind, messages);
    ASSERT(hashes == expected);
  }
}

}  // namespace
}  // namespace leat

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const leat::ByteReader input(std::as_bytes(std::span(data + 1, size - 1)));
  switch (data[0] % 3) {
    case 0:
      leat::verify_any(input);
      break;
    case 1:
      leat::verify_changed(input);
      break;
    default:
      leat::hash_any(input);
  }
  return 0;
}
