// A child process that turns values into others: one in, one out, in order.
#pragma once

#include <atomic>
#include <string>

#include "leat/pipe/framing.h"
#include "leat/store/store.h"

namespace leat::tools {

// Starts `command` in a shell. It must answer each value with one value before it needs another (so not buffer them),
// and the same always the same way: a value that was read before a crash is asked about again after it. It is ended
// with the result. `stop` ends waiting for it. Errors of the result: bad_data (a value with a newline in it, where
// values are lines; an answer that is no value), io (the command ended, or cannot be started), interrupted.
// Precondition: framing is not json.
Result<Transform> start_transform(const std::string& command, pipe::Framing framing, const std::atomic<bool>& stop);

}  // namespace leat::tools
