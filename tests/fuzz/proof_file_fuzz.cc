// Fuzzes proof files: any text gives a proof or an error, a proof that was read is written as one that reads the same,
// and checking it against a tree it was not made for never succeeds.
//
// Build, with the include directory that `meson setup` makes in the build directory:
//   clang++-19 -std=c++2b -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -DFMT_HEADER_ONLY=1 -I.
//     -Ibuild/include tests/fuzz/proof_file_fuzz.cc tools/proof_file.cc tools/json_record.cc tools/json_text.cc
//     tools/envelope.cc tools/text.cc libcore/base/error.cc libcore/base/units.cc libcore/log/codec.cc
//     libcore/log/proof_leaf.cc libcore/log/topic_settings.cc libcore/proof/merkle.cc libcore/proof/sha256.cc
//     libcore/proof/sha256_x86.cc -llz4 -lzstd -o proof_file_fuzz
// Seeds: what `leat inspect proof` and `leat inspect proof --consistency` print.
#include <cstdint>
#include <memory>
#include <string_view>

#include "tools/proof_file.h"

namespace {

using namespace leat;
using namespace leat::tools;

// A root that nothing hashes to: a proof that leads there would be a preimage.
constexpr Hash kUnreachable = {};

void check(const InclusionProof& proof) {
  const KnownTree tree{kUnreachable, proof.tree_size};
  ASSERT(!check_proof(proof, tree));
  ASSERT(!check_proof(proof, {kUnreachable, proof.tree_size + 1}));
}

void check(const ConsistencyProof& proof) {
  Hash other = kUnreachable;
  other[0] = std::byte{1};
  ASSERT(!check_proof(proof, {other, std::nullopt}, {kUnreachable, std::nullopt}));
  ASSERT(!check_proof(proof, {other, proof.old_size + 1}, {kUnreachable, std::nullopt}));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // In memory of exactly its size, so that a step outside is seen.
  const auto text = std::make_unique<char[]>(size);
  std::copy(data, data + size, text.get());
  const Result<ProofFile> proof = parse_proof({text.get(), size});
  if (!proof) {
    ASSERT(proof.error().code == Code::bad_data && !proof.error().message.empty());
    return 0;
  }
  std::visit([](const auto& kind) { check(kind); }, *proof);
  const std::string written = std::visit([](const auto& kind) { return to_text(kind); }, *proof);
  const Result<ProofFile> again = parse_proof(written);
  ASSERT(again);
  ASSERT(std::visit([](const auto& kind) { return to_text(kind); }, *again) == written);
  return 0;
}
