// SHA-256 (FIPS 180-4), many messages at once. Pure.
//
// One stream of SHA-256 is a chain of dependent steps that leaves most of a CPU idle, so independent messages are
// hashed side by side, one in each lane of the widest registers there are. A lane takes the next message as soon as its
// own is done: messages of unequal length waste nothing but the end of the batch.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/bytes.h"
#include "leat/base/hex.h"

namespace leat {

using Hash = std::array<std::byte, 32>;

// The ways of hashing many messages, chosen once at run time: 16 lanes of AVX-512; two streams of the SHA instructions;
// 8 lanes of AVX2; one message after the other on any CPU.
enum class Sha256Kind { portable, sha_ni, avx2, avx512 };

// The SHA-256 of one message.
Hash sha256(Bytes message);

// Messages that are put together in the form in which they are hashed, padding and all, so that nothing is copied
// again. Keeps its memory.
class Sha256Messages {
 public:
  void clear() { ends_.clear(); }
  std::size_t size() const { return ends_.size(); }
  // A message of `size` bytes, which the caller writes to where this points before the next call.
  std::byte* add(std::size_t size);
  // hashes[i] becomes the SHA-256 of the i-th message. As many as there are messages.
  void hash(std::span<Hash> hashes) const;
  void hash(Sha256Kind kind, std::span<Hash> hashes) const;

 private:
  std::vector<std::byte> bytes_;   // whole blocks for each message, and room that was needed before
  std::vector<std::size_t> ends_;  // of each in bytes_
};

// RFC 6962's interior nodes: parents[i] = SHA-256(0x01 || children[2i] || children[2i + 1]); children are twice as many
// as parents. Parents may be the front of children: a level of a tree can be replaced by the one above it.
void hash_pairs(std::span<const Hash> children, std::span<Hash> parents);

// "portable", "sha-ni", "avx2", "avx512".
std::string_view to_string(Sha256Kind kind);
// What the functions above use here.
Sha256Kind sha256_kind();
bool sha256_supports(Sha256Kind kind);

// The same by a chosen kind, which must be supported here: for tests and measurements.
void hash_pairs(Sha256Kind kind, std::span<const Hash> children, std::span<Hash> parents);

// 64 hexadecimal digits, in either case; to_hex() makes them.
std::optional<Hash> parse_hash(std::string_view hex);

}  // namespace leat
