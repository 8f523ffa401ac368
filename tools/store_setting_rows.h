// What the settings of `leat store serve` are called: as a flag, in the environment and .env, and in the table [store]
// of the settings file.
#pragma once

#include <array>
#include <string_view>

namespace leat::tools {

struct StoreSettingRow {
  std::string_view key;          // in [store]
  std::string_view flag;         // "--auto-flush-count"; empty: not one
  const char* variable;          // in the environment
  std::string_view placeholder;  // of the flag's value; empty: a flag without one
  std::string_view help;
};

inline constexpr std::array<StoreSettingRow, 22> kStoreSettings = {{
    {"id", "", "STORE_ID", "", ""},
    {"source", "--source", "SOURCE_TOPIC", "TOPIC", "the topic whose last values are kept"},
    {"changelog", "--changelog", "CHANGELOG_TOPIC", "TOPIC",
     "the topic that the store is recovered from, its own alone (default: ID-changelog); made where it is missing"},
    {"brokers", "", "KAFKA_BROKERS", "", ""},
    {"listen", "--listen", "LEAT_STORE_LISTEN", "HOST:PORT", "where to answer HTTP (default: 127.0.0.1:8080)"},
    {"token_file", "--token-file", "LEAT_STORE_TOKEN_FILE", "FILE", "requests for data must bear what is in FILE"},
    {"value", "--value", "LEAT_STORE_VALUE", "bytes|json", "what values are, for readers (default: bytes)"},
    {"transform", "--transform", "LEAT_STORE_TRANSFORM", "CMD",
     "a shell command that turns each value, on a line of its own, into the line that is stored"},
    {"transform_framing", "--transform-framing", "LEAT_STORE_TRANSFORM_FRAMING", "lines|u32be",
     "how the command is given values and answers: lines, or 4 bytes of length (big-endian) before each"},
    {"partitions", "--partitions", "PARTITIONS", "N,N...", "the partitions to keep (default: all)"},
    {"replica_partitions", "--replica-partitions", "PARTITIONS_REPLICA", "N,N...",
     "partitions of other processes of the store to keep a copy of, for reading"},
    {"replica_only", "--replica-only", "USE_REPLICA_ONLY", "",
     "keep copies alone: of all partitions, unless some are named"},
    {"wait_for_replicas", "--wait-for-replicas", "WAIT_FOR_REPLICAS", "", "not ready before the copies are complete"},
    {"auto_flush_count", "--auto-flush-count", "AUTO_FLUSH_COUNT", "N",
     "changes become visible when so many wait (default: 1000)"},
    {"auto_flush_time", "--auto-flush-time", "AUTO_FLUSH_SECONDS", "DUR",
     "or when one has waited so long (default: 1s)"},
    {"initial_capacity", "--initial-capacity", "INITIAL_CAPACITY", "N", "keys to have room for from the beginning"},
    {"max_connections", "--max-connections", "READER_POOL_SIZE", "N", "connections at a time (default: 1000)"},
    {"snapshot_interval", "--snapshot-interval", "LEAT_STORE_SNAPSHOT_INTERVAL", "DUR",
     "how often the store is written to a file, to start from (default: 5m; 0: never)"},
    {"snapshot_dir", "--snapshot-dir", "LEAT_STORE_SNAPSHOT_DIR", "DIR",
     "where to (default: the data directory, or ~/.local/state/leat for a cluster)"},
    {"consumer_properties", "", "KAFKA_CONSUMER_PROPERTIES", "", ""},
    {"producer_properties", "", "KAFKA_PRODUCER_PROPERTIES", "", ""},
    {"changelog_properties", "", "KAFKA_CHANGELOG_PROPERTIES", "", ""},
}};

}  // namespace leat::tools
