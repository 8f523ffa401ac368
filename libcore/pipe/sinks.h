// The sinks that need no network, as a pipeline file plans them (SinkKind::plan).
#pragma once

#include "leat/pipe/sink_kind.h"

namespace leat::pipe {

// stdout, stderr: `format`.
Result<SinkPlan> plan_stdout_sink(SettingsTable& table);
Result<SinkPlan> plan_stderr_sink(SettingsTable& table);

// What a sink on standard output fails with when its reader has gone away (not_found).
inline constexpr std::string_view kNobodyReads = "nobody reads standard output";

// file: `path`, `format`, `sync`, `rotate_bytes`, `rotate_every`. See file_sink.cc.
Result<SinkPlan> plan_file_sink(SettingsTable& table);

// command: `command`, `format`, `timeout`. A batch on its standard input; exit status 0 is success, 65 says that there
// is something wrong in the batch, anything else that it may be tried again.
Result<SinkPlan> plan_command_sink(SettingsTable& table);

// topic: `topic`, `data_dir`. See topic_sink.cc.
Result<SinkPlan> plan_topic_sink(SettingsTable& table);

// The words of a command: an array, or a line for the shell. Errors: configuration, where it is missing or empty.
Result<std::vector<std::string>> read_command(SettingsTable& table, std::string_view key);

}  // namespace leat::pipe
