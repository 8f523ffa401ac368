// In place of process_metrics_here.cc, in a leat-net that was built where libmicrohttpd is not.
#include "tools/process_metrics.h"

namespace leat::tools {

Result<std::unique_ptr<MetricsServer>> serve_metrics(const ListenAddress&, std::function<std::string()>) {
  return fail(Code::unavailable, "--metrics needs libmicrohttpd, without which this leat-net was built",
              "apt-get install libmicrohttpd-dev, and build leat again");
}

}  // namespace leat::tools
