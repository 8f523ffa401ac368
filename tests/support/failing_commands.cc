// A command table of failures, to be linked with tools/main.cc: what the program does with mistakes that no command is
// known to make.
#include <array>
#include <memory>
#include <new>
#include <stdexcept>

#include "tools/command.h"

namespace leat::tools {
namespace {

enum class Failure { internal_error, exception, out_of_memory };

template <Failure kFailure>
class Failing : public Command {
 public:
  void add_options(OptionSet& /*options*/) override {}
  Result<void> run(Context& /*context*/) override {
    if (kFailure == Failure::exception) throw std::logic_error("a broken promise");
    if (kFailure == Failure::out_of_memory) throw std::bad_alloc();
    return fail(Code::internal, "this is a bug in leat: a broken promise");
  }
};

template <Failure kFailure>
std::unique_ptr<Command> make_failing() {
  return std::make_unique<Failing<kFailure>>();
}

constexpr std::array kTable = {
    CommandRow{"", "error", "return an internal error", "leat error", make_failing<Failure::internal_error>},
    CommandRow{"", "throw", "throw an exception", "leat throw", make_failing<Failure::exception>},
    CommandRow{"", "exhaust", "run out of memory", "leat exhaust", make_failing<Failure::out_of_memory>},
};

}  // namespace

std::span<const CommandRow> command_table() {
  return kTable;
}

}  // namespace leat::tools
