#include "leat/backend/derived_writer.h"

#include "leat/base/bytes.h"
#include "leat/proof/sha256.h"

namespace leat {

std::string derived_name(std::string_view identity) {
  return "leat-pipe-" + to_hex(sha256(as_bytes(identity))).substr(0, 32);
}

}  // namespace leat
