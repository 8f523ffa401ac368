#include "leat/backend/record_check.h"

#include <fmt/format.h>

namespace leat {

std::unexpected<Error> over_request_size(std::int64_t bytes, std::int64_t bytes_max) {
  return fail(Code::bad_data,
              fmt::format("a record of {} bytes is larger than {} (--max-request-size)", bytes, bytes_max));
}

std::unexpected<Error> over_record_size(std::int64_t bytes, const TopicSettings& settings, std::string_view topic) {
  return fail(Code::bad_data, fmt::format("a record of {} bytes is larger than {} (max-record-size of topic \"{}\")",
                                          bytes, settings.max_record_bytes, topic));
}

std::unexpected<Error> without_key(std::string_view topic) {
  return fail(Code::bad_data,
              fmt::format("a record without a key cannot go to topic \"{}\", whose cleanup is compact", topic));
}

}  // namespace leat
