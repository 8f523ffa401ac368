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

#include "leat/base/bytes.h"

namespace leat {

using Hash = std::array<std::byte, 32>;

// The SHA-256 of one message.
Hash sha256(Bytes message);

// The SHA-256 of each message: hashes[i] is that of messages[i]. Both are equally many.
void sha256_many(std::span<const Bytes> messages, std::span<Hash> hashes);

// RFC 6962's interior nodes: parents[i] = SHA-256(0x01 || children[2i] || children[2i + 1]); children are twice as many
// as parents. Parents may be the front of children: a level of a tree can be replaced by the one above it.
void hash_pairs(std::span<const Hash> children, std::span<Hash> parents);

// The ways of hashing many messages, chosen once at run time: 16 lanes of AVX-512; two streams of the SHA instructions;
// 8 lanes of AVX2; one message after the other on any CPU.
enum class Sha256Kind { portable, sha_ni, avx2, avx512 };

// "portable", "sha-ni", "avx2", "avx512".
std::string_view to_string(Sha256Kind kind);
// What the functions above use here.
Sha256Kind sha256_kind();
bool sha256_supports(Sha256Kind kind);

// The same by a chosen kind, which must be supported here: for tests and measurements.
void sha256_many(Sha256Kind kind, std::span<const Bytes> messages, std::span<Hash> hashes);
void hash_pairs(Sha256Kind kind, std::span<const Hash> children, std::span<Hash> parents);

// 64 hexadecimal digits: lower case out, either case in.
std::string to_hex(const Hash& hash);
std::optional<Hash> parse_hash(std::string_view hex);

}  // namespace leat
