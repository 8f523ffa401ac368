// What kinds of sinks a pipeline file may name: a row each in a table that the program puts together, so that what
// needs the network is only where the network is.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "leat/backend/backend.h"
#include "leat/pipe/settings_table.h"
#include "leat/pipe/sink.h"

namespace leat::pipe {

// What the messages of a sink are made from. What is delivered once more after a crash can be told from what is new
// where it rises with the offsets of its source.
enum class Descent : std::uint8_t {
  any,     // of several partitions, or in any order
  single,  // of one record each; those of a partition in the order of their offsets
  ranges,  // of consecutive records of one partition, in their order
};

// What a sink may need of the pipeline it is in. All must outlive it.
struct SinkSurroundings {
  std::string stage = {};            // its name, for messages
  std::string group = {};            // the consumer group whose offsets say how far the pipeline is
  Backend* source = nullptr;         // where the records come from
  std::string source_location = {};  // its directory or URL
  Descent descent = Descent::any;
  // Opens another place.
  std::function<Result<std::unique_ptr<Backend>>(const std::string& location)> open_backend = {};
  // Says something to the user; from any thread.
  std::function<void(const std::string& sentence)> notice = {};
};

// How a pipeline file wants a sink to be.
struct SinkPlan {
  std::string shown;  // for people, without secrets: "clickhouse http://localhost:8123 kmr_consumer_ingest"
  // Errors: those with which a command may end (not_found, permission, configuration, ...).
  std::function<Result<std::unique_ptr<Sink>>(const SinkSurroundings& surroundings)> open;
};

struct SinkKind {
  std::string_view name;  // as in `sink = "clickhouse"`
  // Reads the sink's own keys out of the stage's table (or that of [error]), which also has those of the stage. Opens
  // nothing. Errors: configuration, with the place.
  Result<SinkPlan> (*plan)(SettingsTable& table);
};

// The kinds that need no network: stdout, stderr, file, command, topic.
std::span<const SinkKind> local_sink_kinds();

}  // namespace leat::pipe
