// In place of network_sinks.cc, where libcurl was not there to build with.
#include <array>

#include "leat/pipe/network_sinks.h"

namespace leat::pipe {
namespace {

Result<SinkPlan> plan_nothing(SettingsTable& table) {
  return table.refuse("sink", "this leat is built without it: libcurl4-openssl-dev or zlib1g-dev was missing");
}

constexpr std::array kKinds = {SinkKind{"clickhouse", plan_nothing}, SinkKind{"http", plan_nothing}};

}  // namespace

std::span<const SinkKind> network_sink_kinds() {
  return kKinds;
}

}  // namespace leat::pipe
