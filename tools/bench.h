// The makers of `leat bench`; commands.cc puts them in the table.
#pragma once

#include <memory>

#include "tools/command.h"

namespace leat::tools {

std::unique_ptr<Command> make_bench_produce();
std::unique_ptr<Command> make_bench_consume();
std::unique_ptr<Command> make_bench_e2e();
std::unique_ptr<Command> make_bench_groups();

}  // namespace leat::tools
