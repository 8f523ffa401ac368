// The hashes of messages that lie somewhere, by a chosen kind of SHA-256.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "leat/proof/sha256.h"

namespace leat::test {

inline std::vector<Hash> hash_messages(Sha256Kind kind, std::span<const Bytes> messages) {
  Sha256Messages padded;
  for (const Bytes message : messages) std::ranges::copy(message, padded.add(message.size()));
  std::vector<Hash> hashes(messages.size());
  padded.hash(kind, hashes);
  return hashes;
}

}  // namespace leat::test
