#include "tools/several.h"

#include <doctest/doctest.h>

using namespace leat;
using namespace leat::tools;

namespace {

// Fails for "bad", and notes who was asked.
struct Acts {
  std::vector<std::string> seen = {};
  Result<void> operator()(const std::string& name) {
    seen.push_back(name);
    if (name == "bad") return fail(Code::not_found, "bad is not there");
    return {};
  }
};

Result<void> run(Acts& acts, const std::vector<std::string>& names, bool continue_on_error) {
  return for_each_name(names, "topics", continue_on_error, [&](const std::string& name) { return acts(name); });
}

}  // namespace

TEST_CASE("the first failure ends it and is the result") {
  Acts acts;
  const auto result = run(acts, {"a", "bad", "b"}, false);
  CHECK(result.error().code == Code::not_found);
  CHECK(acts.seen == std::vector<std::string>{"a", "bad"});
}

TEST_CASE("going on after a failure reaches all and reports a part") {
  Acts acts;
  const auto result = run(acts, {"a", "bad", "b"}, true);
  CHECK(result.error().code == Code::partial);
  CHECK(result.error().message == "1 of 3 topics failed");
  CHECK(acts.seen.size() == 3);
}

TEST_CASE("a single name keeps its own error") {
  Acts acts;
  CHECK(run(acts, {"bad"}, true).error().code == Code::not_found);
}

TEST_CASE("names are checked and must differ") {
  CHECK(check_names("topic", {"a", "b"}));
  CHECK(check_names("topic", {"a", "b", "a"}).error().message == "topic \"a\" is named twice");
  CHECK(check_names("topic", {"a", "b/c"}).error().code == Code::usage);
}
