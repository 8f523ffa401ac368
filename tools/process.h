// What `leat process` does once its flags are known. In the plain program it hands over to leat-net (process_away.cc);
// there it is the pipeline, its progress and its metrics (process_here.cc).
#pragma once

#include <optional>
#include <string>

#include "tools/command.h"
#include "tools/listen_address.h"

namespace leat::tools {

enum class GraphFormat : std::uint8_t { text, json };

struct ProcessSettings {
  std::string path;
  bool check = false;
  GraphFormat format = GraphFormat::text;  // of check
  bool no_follow = false;
  std::optional<ListenAddress> metrics = {};
};

// Runs until a signal comes, the ends are reached, or something ends the pipeline. Errors: those of parse_pipeline(),
// Pipeline::open() and run(), HttpServer::start().
Result<void> process_pipeline(Context& context, const ProcessSettings& settings);

}  // namespace leat::tools
