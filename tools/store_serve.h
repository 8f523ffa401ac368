// What `leat store serve` does once its settings are known. In the plain program it hands over to leat-net
// (store_serve_away.cc); there it is the store and its HTTP server (store_serve_here.cc).
#pragma once

#include "tools/command.h"
#include "tools/store_settings.h"

namespace leat::tools {

// Runs until a signal comes, or something ends the store. Errors: those of Store::open() and HttpServer::start(), and
// what ended it.
Result<void> serve_store(Context& context, const ServeSettings& settings);

}  // namespace leat::tools
