#include "leat/log/named_producer.h"

#include <unistd.h>

#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

struct NamedFixture : LogFixture {
  Result<NamedProducer> open(std::string_view name = "load", ProducerRouting routing = {2, {}}) {
    const std::array ends{Offset{5}, Offset{7}};
    return NamedProducer::open(topic, name, routing, ends);
  }
  std::string path() const { return temp / "data/topics/t/producers/load"; }

  Topic topic = writer_topic();
};

}  // namespace

TEST_CASE("a name keeps its id and where it began over runs, and each run has the next epoch") {
  NamedFixture f;
  std::int64_t id = 0;
  {
    const NamedProducer first = must(f.open());
    id = first.id();
    CHECK(id >= 0);
    CHECK(first.batch_fields(0).epoch == 0);
    CHECK(first.batch_fields(0).base_sequence == 0);
    CHECK(first.since({1}).value == 7);
  }
  const NamedProducer again = must(f.open());
  CHECK(again.id() == id);
  CHECK(again.since({0}).value == 5);
  CHECK(again.batch_fields(3).id == id);
  CHECK(again.batch_fields(3).epoch == 1);
  CHECK(again.batch_fields((std::int64_t{1} << 31) + 3).base_sequence == 3);
  CHECK(must(f.open("other")).id() != id);
}

TEST_CASE("a name has one user at a time, and the second is told who it is") {
  NamedFixture f;
  {
    const NamedProducer user = must(f.open());
    const auto refused = f.open();
    REQUIRE(!refused);
    CHECK(refused.error().code == Code::busy);
    CHECK(refused.error().message.find(std::to_string(::getpid())) != std::string::npos);
    CHECK(f.open("other"));
  }
  CHECK(f.open());
}

TEST_CASE("another routing than the one it began with is refused, and so is what is not a name") {
  NamedFixture f;
  must(f.open());
  const std::array routings{ProducerRouting{3, {}}, ProducerRouting{2, PartitionId{0}}};
  for (const ProducerRouting& routing : routings) {
    const auto refused = f.open("load", routing);
    REQUIRE(!refused);
    CHECK(refused.error().code == Code::other_input);
  }
  for (const char* name : {"", "..", "a/b", "a b"}) CHECK(f.open(name).error().code == Code::usage);
}

TEST_CASE("a run whose name was taken over or removed may not append any more") {
  NamedFixture f;
  const NamedProducer old = must(f.open());
  must(old.check_current());
  const std::string mine = read_file(f.path());
  {
    // A copy in its place: another file, so another lock.
    std::filesystem::remove(f.path());
    CHECK(old.check_current().error().code == Code::not_found);
    write_file(f.path(), mine);
    CHECK(old.check_current().error().code == Code::not_found);
  }
  const NamedProducer present = must(f.open());
  CHECK(present.batch_fields(0).epoch == 1);
  // The number of the run was raised behind its back.
  flip_byte(f.path(), 128);
  flip_byte(f.path(), 128 + 24);
  CHECK(present.check_current().error().code == Code::busy);
}

TEST_CASE("a flipped byte of the file is damage, wherever it counts") {
  NamedFixture f;
  must(f.open());
  const std::string good = read_file(f.path());
  for (std::size_t byte = 0; byte < good.size(); ++byte) {
    if (byte >= 44 && byte < 128) continue;  // for people, and unused
    if (byte >= 128 && byte < 256) continue;
    write_file(f.path(), good);
    flip_byte(f.path(), byte);
    CAPTURE(byte);
    const auto refused = f.open();
    REQUIRE(!refused);
    CHECK(refused.error().code == Code::damaged);
  }
}

TEST_CASE("keyless records stay together in blocks and go to the partitions in turn") {
  CHECK(partition_for_number(0, 3).value == 0);
  CHECK(partition_for_number(63, 3).value == 0);
  CHECK(partition_for_number(64, 3).value == 1);
  CHECK(partition_for_number(3 * 64, 3).value == 0);
  CHECK(partition_for_number(1'000'000'000'000, 1).value == 0);
}
