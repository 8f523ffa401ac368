// The makers of all commands, each defined in its command's file; commands.cc puts them in the table.
#pragma once

#include <memory>
#include <string>

#include "tools/command.h"

namespace leat::tools {

std::unique_ptr<Command> make_topic_create();
std::unique_ptr<Command> make_topic_list();
std::unique_ptr<Command> make_topic_describe();
std::unique_ptr<Command> make_topic_delete();
std::unique_ptr<Command> make_topic_add_partition();
std::unique_ptr<Command> make_topic_set();
std::unique_ptr<Command> make_topic_trim();
std::unique_ptr<Command> make_partition_list();
std::unique_ptr<Command> make_produce();
std::unique_ptr<Command> make_consume();
std::unique_ptr<Command> make_copy();
std::unique_ptr<Command> make_consumer_list();
std::unique_ptr<Command> make_consumer_describe();
std::unique_ptr<Command> make_consumer_delete();
std::unique_ptr<Command> make_consumer_seek();
std::unique_ptr<Command> make_process();
std::unique_ptr<Command> make_store_serve();
std::unique_ptr<Command> make_store_get();
std::unique_ptr<Command> make_store_scan();
std::unique_ptr<Command> make_store_stats();
std::unique_ptr<Command> make_inspect_segments();
std::unique_ptr<Command> make_inspect_dump();
std::unique_ptr<Command> make_inspect_index();
std::unique_ptr<Command> make_inspect_verify();
std::unique_ptr<Command> make_inspect_proof();
std::unique_ptr<Command> make_inspect_checkpoint();
std::unique_ptr<Command> make_inspect_keygen();
std::unique_ptr<Command> make_repair();
std::unique_ptr<Command> make_check_consumer();
std::unique_ptr<Command> make_check_store();
std::unique_ptr<Command> make_config_show();
std::unique_ptr<Command> make_completions();
std::unique_ptr<Command> make_version();
std::unique_ptr<Command> make_help();

// What `leat --version` prints, without a newline.
std::string version_line();

}  // namespace leat::tools
