// The table of URL schemes. No behaviour of its own.
#include <fmt/format.h>

#include <array>

#include "leat/backend/backend.h"
#include "leat/backend/local.h"

namespace leat {

namespace {

using Open = Result<std::unique_ptr<Backend>> (*)(const std::string& location, const OpenOptions& options);

struct Scheme {
  std::string_view prefix;
  Open open;
};

Result<std::unique_ptr<Backend>> no_kafka(const std::string& location, const OpenOptions&) {
  return fail(Code::unavailable, fmt::format("{}: this leat is built without Kafka", location));
}

Result<std::unique_ptr<Backend>> open_file_url(const std::string& location, const OpenOptions& options) {
  return open_local(location.substr(std::string_view("file://").size()), options);
}

constexpr std::array kSchemes = {
    Scheme{"file://", open_file_url},
    Scheme{"kafka://", no_kafka},
};

}  // namespace

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
