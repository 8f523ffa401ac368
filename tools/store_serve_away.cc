#include "tools/hand_over.h"
#include "tools/store_serve.h"

namespace leat::tools {

Result<void> serve_store(Context&, const ServeSettings&) {
  return std::unexpected(become_leat_net("leat store serve", "librdkafka-dev libmicrohttpd-dev"));
}

}  // namespace leat::tools
