// The sinks that need the network, for a program that has it.
#pragma once

#include <span>

#include "leat/pipe/sink_kind.h"

namespace leat::pipe {

// A row each for http and clickhouse. What they open needs libcurl; to read their keys does not (http_options.h,
// clickhouse_options.h).
std::span<const SinkKind> network_sink_kinds();

}  // namespace leat::pipe
