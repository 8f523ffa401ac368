// An Apache Kafka cluster behind Backend. Everything that includes librdkafka is in the files kafka_*.cc, a library of
// its own (leat-kafka), so that no program that does not want a cluster pays for it. Includes nothing of it itself.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "leat/backend/backend.h"

namespace leat {

// librdkafka's configuration properties, in the order in which they are set.
using KafkaProperties = std::vector<std::pair<std::string, std::string>>;

// What is not in the URL.
struct KafkaSettings {
  KafkaProperties properties = {};  // those of the URL come after, and win
  // What librdkafka has to say, a line each without its end. May be called from any thread. Empty: nobody listens.
  std::function<void(std::string_view)> log = {};
};

// kafka://HOST[:PORT][,HOST[:PORT]...][?PROPERTY=VALUE[&...]], taken apart and percent-decoded.
struct KafkaUrl {
  std::string servers;
  KafkaProperties properties = {};
};

// Errors: usage. Secrets are refused: a URL can be seen in the list of processes and in the shell's history.
Result<KafkaUrl> parse_kafka_url(std::string_view url);

// The properties that the environment sets: LEAT_KAFKA_SASL_PASSWORD is sasl.password. `environment` is as environ(7).
KafkaProperties kafka_environment(const char* const* environment);

// The cluster that `url` names. Nothing is asked of it yet. Errors: usage (the URL), configuration (a property).
Result<std::unique_ptr<Backend>> open_kafka(const std::string& url, const OpenOptions& options,
                                            const KafkaSettings& settings);

// What open_backend() does with a kafka:// URL in this process; without it, that is unavailable. Not to be called while
// other threads open backends.
using KafkaOpener = std::function<Result<std::unique_ptr<Backend>>(const std::string& url, const OpenOptions& options)>;
void set_kafka_opener(KafkaOpener opener);

}  // namespace leat
