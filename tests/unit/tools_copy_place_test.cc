#include "tools/copy_place.h"

#include <doctest/doctest.h>

using namespace leat;
using namespace leat::tools;

namespace {

using Topics = std::vector<std::string>;

// With data directories at these paths.
Result<CopyPlace> parse(const std::string& text, const std::vector<std::string>& directories = {}) {
  return parse_copy_place(text, [&](const std::string& path) {
    return std::find(directories.begin(), directories.end(), path) != directories.end();
  });
}

void check(const Result<CopyPlace>& place, const std::string& location, const Topics& topics) {
  REQUIRE(place);
  CHECK(place->location == location);
  CHECK(place->topics == topics);
}

}  // namespace

TEST_CASE("behind the servers of a cluster stand topics, before its properties") {
  check(parse("kafka://a:9092"), "kafka://a:9092", {});
  check(parse("kafka://a:9092/"), "kafka://a:9092", {});
  check(parse("kafka://a:9092,b/orders"), "kafka://a:9092,b", {"orders"});
  check(parse("kafka://a/orders,returns?x=y/z"), "kafka://a?x=y/z", {"orders", "returns"});
  check(parse("kafka://a?ssl.ca.location=/etc/ca.pem"), "kafka://a?ssl.ca.location=/etc/ca.pem", {});
  CHECK(parse("kafka://a/orders")->is_kafka());
  CHECK(!parse("/srv/leat")->is_kafka());
}

TEST_CASE("of a directory, a part is a topic where the directory above it is a data directory") {
  const std::vector<std::string> directories = {"/srv/leat", "data", "/srv/leat/nested"};
  check(parse("/srv/leat", directories), "/srv/leat", {});
  check(parse("/srv/leat/", directories), "/srv/leat/", {});
  check(parse("/srv/leat/orders", directories), "/srv/leat", {"orders"});
  check(parse("/srv/leat/orders,returns/", directories), "/srv/leat", {"orders", "returns"});
  check(parse("/srv/leat/nested", directories), "/srv/leat/nested", {});
  check(parse("data/orders", directories), "data", {"orders"});
  check(parse("file:///srv/leat/orders", directories), "/srv/leat", {"orders"});
  check(parse("/srv/other/orders", directories), "/srv/other/orders", {});
  check(parse("orders", directories), "orders", {});
}

TEST_CASE("what names no place or no topic is a usage error") {
  for (const char* text :
       {"", "kafka://a/orders,", "kafka://a/or ders", "kafka://a/a/b", "kafka://a/a,a", "data/a,,b"}) {
    CAPTURE(text);
    const auto place = parse(text, {"data"});
    REQUIRE(!place);
    CHECK(place.error().code == Code::usage);
  }
}
