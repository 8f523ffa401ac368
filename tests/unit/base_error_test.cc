#include "leat/base/error.h"

#include <doctest/doctest.h>

#include <cerrno>

using namespace leat;

TEST_CASE("the code of a system error follows from its number") {
  CHECK(fail_errno(EACCES, "x").error().code == Code::permission);
  CHECK(fail_errno(EROFS, "x").error().code == Code::permission);
  CHECK(fail_errno(ENOENT, "x").error().code == Code::not_found);
  CHECK(fail_errno(ENOSPC, "x").error().code == Code::io);
}

TEST_CASE("a system error is said in words, and by number where there are none") {
  CHECK(fail_errno(ENOSPC, "write /x/y").error().message == "write /x/y: No space left on device");
  CHECK(fail_errno(99999, "write").error().message == "write: error 99999");
}

TEST_CASE("TRY hands on the value or returns the error") {
  const auto half = [](int number) -> Result<int> {
    if (number % 2 != 0) return fail(Code::usage, "odd", "try an even one");
    return number / 2;
  };
  const auto quarter = [&](int number) -> Result<int> { return TRY(half(TRY(half(number)))); };
  CHECK(*quarter(12) == 3);
  REQUIRE_FALSE(quarter(6));
  CHECK(quarter(6).error().message == "odd");
  CHECK(quarter(6).error().hint == "try an even one");
}
