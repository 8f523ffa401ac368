// What goes over HTTP in another form than it is: compressed bodies, percent-encoded parameters. Pure.
#pragma once

#include <string>
#include <string_view>

#include "leat/base/error.h"
#include "leat/pipe/clickhouse_options.h"

namespace leat::pipe {

// `plain` as the value of Content-Encoding says: a gzip member, an LZ4 frame or a zstd frame. Not for none. Errors:
// internal.
Result<std::string> pack_body(HttpCompression compression, std::string_view plain);

// Appends `text` with everything but letters, digits and -._~ as %XX (RFC 3986, section 2.3).
void append_percent_encoded(std::string& to, std::string_view text);

}  // namespace leat::pipe
