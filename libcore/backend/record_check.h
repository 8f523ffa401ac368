// Whether a record may go to a topic: the limits on its size, and the key that a compacted topic asks for. What may is
// found out inline, as it is asked of every record that is produced. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "leat/base/error.h"
#include "leat/log/record.h"
#include "leat/log/topic_settings.h"

namespace leat {

// The errors of the checks below.
std::unexpected<Error> over_request_size(std::int64_t bytes, std::int64_t bytes_max);
std::unexpected<Error> over_record_size(std::int64_t bytes, const TopicSettings& settings, std::string_view topic);
std::unexpected<Error> without_key(std::string_view topic);

// `bytes` are those of payload_bytes(). Errors: bad_data (above what the producer takes: --max-request-size).
inline Result<void> check_request_size(std::int64_t bytes, std::int64_t bytes_max) {
  if (bytes > bytes_max) [[unlikely]]
    return over_request_size(bytes, bytes_max);
  return {};
}

// `bytes` are those of payload_bytes(). Errors: bad_data (above what the topic takes: max-record-size).
inline Result<void> check_record_size(std::int64_t bytes, const TopicSettings& settings, std::string_view topic) {
  if (bytes > settings.max_record_bytes) [[unlikely]]
    return over_record_size(bytes, settings, topic);
  return {};
}

// Whether there is no key where the topic is compacted, which keeps the last record of each.
inline bool lacks_key(const std::optional<std::string_view>& key, const TopicSettings& settings) {
  return !key && settings.cleanup == Cleanup::compact;
}

// Errors: bad_data (no key where the topic is compacted).
inline Result<void> check_key(const RecordInput& record, const TopicSettings& settings, std::string_view topic) {
  if (lacks_key(record.key, settings)) [[unlikely]]
    return without_key(topic);
  return {};
}

}  // namespace leat
