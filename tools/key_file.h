// Keys that sign checkpoints, as files of one line. What is secret is never shown.
#pragma once

#include <string>

#include "leat/base/error.h"
#include "leat/proof/checkpoint.h"

namespace leat::tools {

// Errors: as read_whole_file(); bad_data, naming the file, when it does not hold such a key.
Result<SigningKey> read_signing_key(const std::string& path);
Result<VerifierKey> read_verifier_key(const std::string& path);

// Writes the key to `path`, which only its owner may read, and its public half to `path`.pub, durably. Nothing is left
// behind when that fails. Errors: exists, when one of the two is there; not_found, permission, io.
Result<void> write_key_files(const std::string& path, const SigningKey& key);

}  // namespace leat::tools
