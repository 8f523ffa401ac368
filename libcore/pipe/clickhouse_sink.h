// Batches as rows of a ClickHouse table, through the server's HTTP interface: INSERT ... FORMAT JSONEachRow.
//
// A batch is one block: the server is told not to split it, so it is there as a whole or not at all (within one of the
// table's own partitions). Each message's value must be one JSON object, checked here: the server would take an empty
// value for no row, and two objects for two rows.
//
// Each request has a connection of its own: a server that is told to stop takes no more connections, but goes on with
// those it has, until it cuts them off, whether or not it has answered. Eight stops of 18.16 while batches were sent
// over a kept connection gave two batches twice, and once a table that did not exist; over their own, neither.
//
// Doubles. A batch whose answer was lost may be there, and is sent again. Where the server knows
// insert_deduplication_token, the batch carries one made from its source ranges, so that the same batch is there once
// as long as the table remembers tokens (ReplicatedMergeTree, or a non_replicated_deduplication_window); asked for by
// name in system.settings, as older servers refuse every setting that they do not know.
#pragma once

#include <memory>

#include "leat/pipe/clickhouse_options.h"
#include "leat/pipe/sink.h"
#include "leat/pipe/sink_kind.h"

namespace leat::pipe {

// Reads user and password; connects with the first batch. Errors: configuration, permission (secret.h), internal.
Result<std::unique_ptr<Sink>> open_clickhouse_sink(ClickhouseOptions options);

// The row of the table of sinks. Errors: configuration, with the place.
Result<SinkPlan> plan_clickhouse_sink(SettingsTable& table);

}  // namespace leat::pipe
