// In place of hand_over.cc, in leat-net: the cluster is opened by this process.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "leat/backend/kafka.h"
#include "tools/commands.h"
#include "tools/hand_over.h"
#include "tools/output.h"

namespace leat::tools {
namespace {

// Whoever handed over must be of the same build: its help and its outputs are promised to be the same.
Result<void> check_build() {
  const auto other = process_environment(kHandOverVariable);
  ::unsetenv(kHandOverVariable);
  if (!other || *other == version_line()) return {};
  return fail(Code::configuration, fmt::format("leat-net is {}, and was started by {}", version_line(), *other),
              "install both from one build");
}

}  // namespace

Result<void> prepare_kafka(const Settings& settings) {
  TRY(check_build());
  KafkaSettings kafka{.properties = settings.kafka};
  for (auto& property : kafka_environment(::environ)) kafka.properties.push_back(std::move(property));
  if (settings.globals.verbose) {
    kafka.log = [](std::string_view line) { std::fputs(fmt::format("kafka: {}\n", line).c_str(), stderr); };
  }
  set_kafka_opener([kafka = std::move(kafka)](const std::string& location, const OpenOptions& options) {
    return open_kafka(location, options, kafka);
  });
  return {};
}

}  // namespace leat::tools
