// Where a store's topics and snapshots lie, for whoever writes or reads them.
#pragma once

#include <string>

#include "leat/base/error.h"

namespace leat::tools {

class Context;

// The location that --data-dir names; a cluster's `brokers` (HOST:PORT,...; may be empty) are before all others.
std::string store_location(const Context& context, const std::string& brokers);

// Below this directory: `named` when it is not empty; the data directory itself; for a cluster $XDG_STATE_HOME/leat or
// ~/.local/state/leat. With `make`, it exists afterwards. Errors: configuration (no home either), those of making it.
Result<std::string> snapshot_base(const std::string& location, const std::string& named, bool make);

}  // namespace leat::tools
