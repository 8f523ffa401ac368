// Writing to a pipe whose reader may have gone away, in whatever program this is linked into.
#pragma once

#include <sys/types.h>

#include <string_view>

namespace leat::pipe {

// write(2), but a reader that has gone away is EPIPE and never the signal SIGPIPE, whether the program ignores that or
// not.
ssize_t write_quietly(int descriptor, std::string_view bytes);

}  // namespace leat::pipe
