#include "leat/store/changelog.h"

#include <doctest/doctest.h>

#include "tests/support/backend_fixture.h"

using namespace leat;
using namespace leat::test;

TEST_CASE("a reservation is read back, and a torn one is refused") {
  Reservation written{"prices", "quo\"tes", {0, 1, 0xfe}};
  const Reservation read = must(decode_reservation(encode_reservation(written), "here"));
  CHECK(read.store == written.store);
  CHECK(read.source == written.source);
  CHECK(read.incarnation == written.incarnation);
  CHECK(read.source_identity.empty());
  written.source_identity = "leat topic \"1\"";
  CHECK(must(decode_reservation(encode_reservation(written), "here")).source_identity == written.source_identity);
  for (const char* text :
       {"", "store = \"a\"\nsource = \"b\"\n", "store = \"a\"\nsource = \"b\"\nincarnation = \"00\"\n",
        "store = \"a\"\nincarnation = \"00000000000000000000000000000000\"\n", "]"})
    CHECK(code_of(decode_reservation(text, "here")) == Code::configuration);
}

TEST_CASE("a change carries its place in the source, and a record without one is no change") {
  const SourceText text({1234567890123});
  HeaderView header{kSourceHeader, text.text()};
  RecordView record{.topic = "c", .key = "k", .value = "v", .headers = {&header, 1}};
  const Change change = must(decode_change(record));
  CHECK(change.key == "k");
  CHECK(change.value == "v");
  CHECK(change.source == Offset{1234567890123});
  CHECK(!is_reservation(record));
  record.value.reset();
  CHECK(!must(decode_change(record)).value);
  for (const auto bad : {std::optional<std::string_view>(""), std::optional<std::string_view>("-1"),
                         std::optional<std::string_view>("1x"), std::optional<std::string_view>()}) {
    header.value = bad;
    CHECK(code_of(decode_change(record)) == Code::configuration);
  }
  record.headers = {};
  CHECK(code_of(decode_change(record)) == Code::configuration);
}

TEST_CASE("the first store to reserve a changelog has it, and no other") {
  Fixture f(kBackends[0], {.cleanup = Cleanup::compact});
  const auto producer = must(f.backend->open_producer("t", {.partition = PartitionId{0}}));
  CHECK(!must(read_reservation(*f.backend, "t", {0})));
  const auto wanted = [&](const Reservation& one) { return reserve(*f.backend, *producer, "t", {0}, one); };
  const Reservation mine = must(wanted({"a", "source", {}, "first"}));
  CHECK(must(wanted({"a", "source", {}, "first"})).incarnation == mine.incarnation);
  CHECK(must(wanted({"a", "source"})).incarnation == mine.incarnation);
  CHECK(code_of(wanted({"b", "source", {}, "first"})) == Code::configuration);
  CHECK(code_of(wanted({"a", "other", {}, "first"})) == Code::configuration);
  CHECK(code_of(wanted({"a", "source", {}, "second"})) == Code::configuration);
  CHECK(must(read_reservation(*f.backend, "t", {0}))->store == "a");
}

TEST_CASE("a topic with records of others is no changelog") {
  Fixture f(kBackends[0]);
  f.produce({"hello"});
  CHECK(code_of(read_reservation(*f.backend, "t", {0})) == Code::configuration);
}
