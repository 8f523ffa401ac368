// The table of URL schemes. No behaviour of its own.
#include <fmt/format.h>

#include <array>

#include "leat/backend/backend.h"
#include "leat/backend/kafka.h"
#include "leat/backend/local.h"

namespace leat {

namespace {

using Open = Result<std::unique_ptr<Backend>> (*)(const std::string& location, const OpenOptions& options);

struct Scheme {
  std::string_view prefix;
  Open open;
};

// Set by programs that can reach a cluster, or know one that can.
KafkaOpener& kafka_opener() {
  static KafkaOpener opener;
  return opener;
}

Result<std::unique_ptr<Backend>> open_kafka_url(const std::string& location, const OpenOptions& options) {
  if (kafka_opener()) return kafka_opener()(location, options);
  return fail(Code::unavailable, fmt::format("{}: this program is built without Kafka", location));
}

Result<std::unique_ptr<Backend>> open_file_url(const std::string& location, const OpenOptions& options) {
  return open_local(location.substr(std::string_view("file://").size()), options);
}

constexpr std::array kSchemes = {
    Scheme{"file://", open_file_url},
    Scheme{"kafka://", open_kafka_url},
};

}  // namespace

void set_kafka_opener(KafkaOpener opener) {
  kafka_opener() = std::move(opener);
}

Result<std::unique_ptr<Backend>> open_backend(const std::string& location, const OpenOptions& options) {
  for (const Scheme& scheme : kSchemes) {
    if (location.starts_with(scheme.prefix)) return scheme.open(location, options);
  }
  const std::size_t colon = location.find("://");
  if (colon != std::string::npos && location.find('/') == colon + 1) {
    return fail(Code::usage, fmt::format("\"{}\" is not a known kind of URL (file://, kafka://)", location));
  }
  return open_local(location, options);
}

}  // namespace leat
