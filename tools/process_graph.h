// A pipeline as people see it: what `leat process --check` prints. Pure.
#pragma once

#include <string>

#include "leat/pipe/pipeline.h"

namespace leat::tools {

// One line a stage, in their order, with arrows between.
std::string graph_text(const pipe::PipelinePlan& plan);
// An array of objects: the source, the stages, and where errors go.
std::string graph_json(const pipe::PipelinePlan& plan);

}  // namespace leat::tools
