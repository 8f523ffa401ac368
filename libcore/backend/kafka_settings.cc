// A topic's settings by Kafka's names for them. Pure.
#include <fmt/format.h>

#include <charconv>
#include <map>

#include "leat/backend/kafka_client.h"

namespace leat::kafka {

namespace {

std::unexpected<Error> no_equal(std::string_view setting, std::string_view why) {
  return fail(Code::usage, fmt::format("{}: {}", setting, why));
}

// -1 is Kafka's word for no limit.
std::string limit_text(std::optional<std::int64_t> limit) {
  return fmt::format("{}", limit.value_or(-1));
}

using Configs = std::map<std::string, std::string, std::less<>>;

std::optional<std::int64_t> number_of(const Configs& configs, std::string_view name) {
  const auto found = configs.find(name);
  if (found == configs.end()) return std::nullopt;
  std::int64_t number = 0;
  const char* end = found->second.data() + found->second.size();
  const auto parsed = std::from_chars(found->second.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

std::optional<std::int64_t> limit_of(const Configs& configs, std::string_view name) {
  const auto number = number_of(configs, name);
  return number && *number >= 0 ? number : std::nullopt;
}

}  // namespace

Result<KafkaProperties> to_kafka(const TopicSettings& settings) {
  if (settings.retention_records)
    return no_equal("retention-records", "Kafka keeps records by time and size, not by count");
  if (settings.durability == Durability::os)
    return no_equal("durability",
                    "Kafka acknowledges when all in-sync replicas have a record, and nothing less is sent");
  if (settings.proofs.value_or(false)) return no_equal("proofs", "Kafka keeps no tree of hashes");
  const std::string_view codec = settings.compression == Codec::none ? "producer" : to_string(settings.compression);
  return KafkaProperties{{"retention.ms", limit_text(settings.retention_ms)},
                         {"retention.bytes", limit_text(settings.retention_bytes)},
                         {"segment.bytes", fmt::format("{}", settings.segment_bytes)},
                         {"max.message.bytes", fmt::format("{}", settings.max_record_bytes)},
                         {"compression.type", std::string(codec)},
                         {"cleanup.policy", std::string(to_string(settings.cleanup))}};
}

TopicSettings applicable(const TopicSettings& settings) {
  TopicSettings here = settings;
  here.retention_records.reset();
  here.durability = Durability::sync;
  here.proofs.reset();
  return here;
}

TopicSettings from_kafka(const Configs& configs, std::int32_t partitions) {
  TopicSettings settings{.partitions = partitions, .proofs = false};
  settings.retention_ms = limit_of(configs, "retention.ms");
  settings.retention_bytes = limit_of(configs, "retention.bytes");
  settings.segment_bytes = number_of(configs, "segment.bytes").value_or(settings.segment_bytes);
  settings.max_record_bytes = number_of(configs, "max.message.bytes").value_or(settings.max_record_bytes);
  if (const auto codec = configs.find("compression.type"); codec != configs.end())
    settings.compression = parse_codec(codec->second).value_or(Codec::none);
  // "compact,delete" takes records from the middle, too.
  if (const auto policy = configs.find("cleanup.policy");
      policy != configs.end() && policy->second.find("compact") != std::string::npos)
    settings.cleanup = Cleanup::compact;
  return settings;
}

}  // namespace leat::kafka
