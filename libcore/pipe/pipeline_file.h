// A pipeline file (leat-pipeline(5)) as a PipelinePlan. Opens nothing, starts nothing.
#pragma once

#include "leat/pipe/pipeline.h"

namespace leat::pipe {

// `kinds` are the sinks it may name. `path` names the file in messages. Errors: configuration, with file, line and
// column.
Result<PipelinePlan> parse_pipeline(std::string_view text, std::string_view path, std::span<const SinkKind> kinds);

// The words that a file uses.
std::string_view name_of(StagePlan::Kind kind);
std::string_view name_of(GroupBy by);

}  // namespace leat::pipe
