// Programs as stages: started once for each worker, asked over their pipes, started again when they die and killed when
// they do not answer.
#pragma once

#include "leat/pipe/framing.h"
#include "leat/pipe/retry.h"
#include "leat/pipe/work.h"

namespace leat::pipe {

struct ProgramOptions {
  std::vector<std::string> words;  // the program and its arguments
  Framing framing = Framing::json;
  Milliseconds timeout = std::chrono::seconds(30);  // for each answer
  // How often it may die of the same message before that is refused, and the wait before it is started again.
  RetrySettings restarts = {.retries = 3};
  bool filters = false;  // it says which messages stay
};

// It is started at once, so that one that cannot be is told before anything is read. Errors: not_found, permission, io.
MakeMapper program_mapper(const ProgramOptions& options);
// Precondition: framing is not lines, and it filters nothing.
MakeReducer program_reducer(const ProgramOptions& options);

}  // namespace leat::pipe
