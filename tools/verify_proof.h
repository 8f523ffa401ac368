// `leat inspect proof --verify`: a proof file against what the verifier brings. Opens no data directory.
#pragma once

#include <optional>
#include <string>

#include "leat/base/error.h"
#include "leat/proof/sha256.h"

namespace leat::tools {

// What was given on the command line. Of either tree, the root or the checkpoint is there.
struct VerifyRequest {
  std::string file;
  std::optional<Hash> root;
  std::optional<Hash> old_root;
  std::optional<std::int64_t> size;
  std::optional<std::int64_t> old_size;
  std::optional<std::string> checkpoint;      // a file
  std::optional<std::string> old_checkpoint;  // a file
  std::optional<std::string> key;             // a file with a verifier key
  bool show_record = false;
};

// Prints one sentence that says what has been shown, and the record when asked for. Errors: bad_data when it is not
// shown, or a file is not what it should be; usage when what was given does not go with the kind of proof; those of
// reading files.
Result<void> verify_proof(const VerifyRequest& request);

}  // namespace leat::tools
