#include "tools/hand_over.h"
#include "tools/process.h"

namespace leat::tools {

Result<void> process_pipeline(Context&, const ProcessSettings&) {
  return std::unexpected(
      become_leat_net("leat process", "librdkafka-dev libmicrohttpd-dev libcurl4-openssl-dev zlib1g-dev"));
}

}  // namespace leat::tools
