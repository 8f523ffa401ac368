// The cases of backend.h's contract on a cluster. Those that cannot hold there are left out, and said to be.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <string>

#include "tests/kafka/places.h"

namespace {

// Leaves the cases out; doctest takes names with commas escaped.
void leave_out(doctest::Context& context, std::span<const leat::test::Lacking> list) {
  for (const leat::test::Lacking& one : list) {
    std::printf("left out: %.*s: %.*s\n", static_cast<int>(one.test_case.size()), one.test_case.data(),
                static_cast<int>(one.why.size()), one.why.data());
    std::string filter;
    for (const char c : one.test_case) filter += c == ',' ? std::string("\\,") : std::string(1, c);
    context.addFilter("test-case-exclude", filter.c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  const bool real = leat::test::kafka_is_real();
  std::printf("on %s\n", real ? "a real cluster" : "librdkafka's mock cluster");
  leave_out(context, leat::test::what_kafka_lacks());
  if (!real) leave_out(context, leat::test::what_the_mock_lacks());
  std::fflush(stdout);
  return context.run();
}
