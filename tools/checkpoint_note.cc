#include "tools/checkpoint_note.h"

#include "leat/log/proof_tree.h"
#include "tools/output.h"

namespace leat::tools {

Result<std::string> make_note(Topic& topic, PartitionId id, const Checkpoint& checkpoint, const SigningKey* key) {
  std::string text = checkpoint_text(checkpoint);
  if (key == nullptr) return text;
  const auto kept = keep_signed_edge(topic, id, checkpoint.size);
  if (!kept && kept.error().code != Code::permission) return std::unexpected(kept.error());
  if (!kept) {
    print_warning("what keeps this checkpoint provable after retention could not be stored: " + kept.error().message);
  }
  return sign_note(text, *key);
}

}  // namespace leat::tools
