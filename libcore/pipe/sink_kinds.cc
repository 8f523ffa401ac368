// The table of sinks that need no network, one row each.
#include <array>

#include "leat/pipe/sinks.h"

namespace leat::pipe {
namespace {

constexpr std::array kKinds = {
    SinkKind{"command", plan_command_sink}, SinkKind{"file", plan_file_sink},   SinkKind{"stderr", plan_stderr_sink},
    SinkKind{"stdout", plan_stdout_sink},   SinkKind{"topic", plan_topic_sink},
};

}  // namespace

std::span<const SinkKind> local_sink_kinds() {
  return kKinds;
}

}  // namespace leat::pipe
