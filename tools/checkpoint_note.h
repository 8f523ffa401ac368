// The checkpoint of a partition's tree as a note, and what signing it promises.
#pragma once

#include <string>

#include "leat/log/topic.h"
#include "leat/proof/checkpoint.h"

namespace leat::tools {

// The note of a checkpoint of this partition, signed when there is a key. What is signed stays provable: the hashes
// that takes are kept first, in the topic's files, whatever retention does later; where they may not be written, a
// warning says so. Errors: as keep_signed_edge() but for permission, and sign_note().
Result<std::string> make_note(Topic& topic, PartitionId id, const Checkpoint& checkpoint, const SigningKey* key);

}  // namespace leat::tools
