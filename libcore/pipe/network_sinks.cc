#include "leat/pipe/network_sinks.h"

#include <array>

#include "leat/pipe/clickhouse_sink.h"
#include "leat/pipe/http_sink.h"

namespace leat::pipe {
namespace {

constexpr std::array kKinds = {SinkKind{"clickhouse", plan_clickhouse_sink}, SinkKind{"http", plan_http_sink}};

}  // namespace

std::span<const SinkKind> network_sink_kinds() {
  return kKinds;
}

}  // namespace leat::pipe
