// Checkpoints: the size and the root of a tree, under an Ed25519 signature, as text that other tools read (C2SP
// tlog-checkpoint and signed-note, the formats of Go's golang.org/x/mod/sumdb/note). The only includer of libsodium,
// whose first use sets it up; until then nothing of it runs. Pure but for the entropy of generate_key.
//
//   note        = text LF signature+          the last empty line separates the two; at most 100 signatures
//   text        = origin LF size LF root LF (extension LF)*          no line is empty
//   size        = decimal, no leading zeros, at most 2^63 - 1
//   root        = base64 of 32 bytes
//   signature   = EM-DASH SP name SP base64(key id || signature) LF
//   key id      = the first 4 bytes of SHA-256(name LF 0x01 public-key), big-endian
//   name        = UTF-8 without white space, control characters and "+"; not empty
//
// All of it is valid UTF-8 without control characters but LF. base64 is that of RFC 4648 section 4, padded, with unused
// bits zero: everything has exactly one spelling.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "leat/base/error.h"
#include "leat/proof/sha256.h"

namespace leat {

// A tree as its log vouches for it. Extension lines are signed with the rest of a note's text, but not kept here.
struct Checkpoint {
  std::string origin;  // names the log; one line
  std::uint64_t size = 0;
  Hash root{};
  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

// An Ed25519 key of 32 bytes: RFC 8032's secret seed, or a public key.
using Ed25519Key = std::array<std::byte, 32>;

// Checks signatures. Made by the functions below only, which see to it that the id belongs to name and key.
struct VerifierKey {
  std::string name;
  std::uint32_t id = 0;
  Ed25519Key public_key{};
  friend bool operator==(const VerifierKey&, const VerifierKey&) = default;
};

// Makes signatures; secret. Made by the functions below only.
struct SigningKey {
  std::string name;
  std::uint32_t id = 0;
  Ed25519Key seed{};
  Ed25519Key public_key{};
  friend bool operator==(const SigningKey&, const SigningKey&) = default;
};

// A new key from the kernel's entropy. Errors: usage for a name that keys may not have; io, internal.
Result<SigningKey> generate_key(std::string_view name);
VerifierKey verifier_of(const SigningKey& key);

// The text forms, without a newline: "PRIVATE+KEY+NAME+ID+DATA" and "NAME+ID+DATA", with ID in 8 lower-case hexadecimal
// digits and DATA the base64 of 0x01 and the seed or the public key. Errors of parsing: bad_data, saying what is wrong
// without repeating a secret.
std::string to_text(const SigningKey& key);
std::string to_text(const VerifierKey& key);
Result<SigningKey> parse_signing_key(std::string_view text);
Result<VerifierKey> parse_verifier_key(std::string_view text);

// The text of a checkpoint's note, unsigned; ends with a newline. Precondition: the origin is one non-empty line that
// parse_checkpoint takes, and the size fits.
std::string checkpoint_text(const Checkpoint& checkpoint);
// `text`, an empty line and one signature line. Errors: bad_data for a text that no note may have; internal.
Result<std::string> sign_note(std::string_view text, const SigningKey& key);

// Reads a checkpoint's text, or a whole note without checking its signatures. Errors: bad_data, naming the line.
Result<Checkpoint> parse_checkpoint(std::string_view note);
// Reads a note that `key` has signed. Signatures by other keys are ignored, as the format asks. Errors: bad_data where
// no signature is by that key, or one that claims to be does not verify; and as parse_checkpoint.
Result<Checkpoint> open_checkpoint(std::string_view note, const VerifierKey& key);

}  // namespace leat
