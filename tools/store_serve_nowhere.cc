// In place of store_serve_here.cc, in a leat-net that was built where libmicrohttpd is not.
#include "tools/store_serve.h"

namespace leat::tools {

Result<void> serve_store(Context&, const ServeSettings&) {
  return fail(Code::unavailable, "leat store serve needs libmicrohttpd, without which this leat-net was built",
              "apt-get install libmicrohttpd-dev, and build leat again");
}

}  // namespace leat::tools
