// What backend.h promises of consumer groups, tested through it alone: the same cases for every backend.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/support/backend_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

// Members of one group, each from a backend of its own, all driven by this thread.
struct Group {
  explicit Group(Fixture& of) : f(of) {}

  GroupReader& join(GroupOptions options) {
    options.read.follow = true;
    backends.push_back(f.place->open());
    members.push_back(must(backends.back()->join_group("g", options)));
    return *members.back();
  }
  GroupReader& join() { return join(f.group()); }

  // Lets every member look around until nothing changes any more; what they read meanwhile, by member.
  std::map<const GroupReader*, std::vector<Record>> settle() {
    std::map<const GroupReader*, std::vector<Record>> read;
    for (int round = 0; round < 4; ++round) {
      for (const auto& member : members) {
        for (Record& record : Fixture::read_all(*member)) read[member.get()].push_back(std::move(record));
      }
    }
    return read;
  }

  static std::size_t count(const GroupReader& member) { return member.positions().size(); }

  // "t/0" and so on: everything a member has.
  static std::set<std::string> held(const GroupReader& member) {
    std::set<std::string> names;
    for (const Position& p : member.positions()) names.insert(fmt::format("{}/{}", p.topic, p.partition.value));
    return names;
  }

  // Every partition that somebody has; a partition two of them have is a failure.
  std::set<std::string> all() {
    std::set<std::string> names;
    for (const auto& member : members) {
      for (const std::string& name : held(*member)) CHECK(names.insert(name).second);
    }
    return names;
  }

  void leave(std::size_t which) {
    members.erase(members.begin() + static_cast<std::ptrdiff_t>(which));
    backends.erase(backends.begin() + static_cast<std::ptrdiff_t>(which));
  }

  Fixture& f;
  std::vector<std::unique_ptr<Backend>> backends;
  std::vector<std::unique_ptr<GroupReader>> members;  // destroyed before their backends
};

}  // namespace

// ---- One member ----

TEST_CASE("a consumer resumes where it committed, over every start, and reset begins anew") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"a", "b", "c"});
    {
      auto member = must(f.backend->join_group("c1", f.group()));
      CHECK(member->resumed().empty());
      CHECK(member->positions()[0].next.value == 0);
      const Fetch first = must(member->next(Milliseconds(0)));
      REQUIRE(first.state == Fetch::State::records);
      CHECK(member->positions()[0].next == first.position.next);
      const std::array done{Position{"t", {0}, {1}}};
      must(member->commit(done));
    }
    {
      GroupOptions manual = f.group({StartAt::Kind::end});
      manual.strategy = OffsetStrategy::manual;
      auto member = must(f.backend->join_group("c1", manual));
      REQUIRE(member->resumed().size() == 1);
      CHECK(member->resumed()[0].next.value == 1);
      CHECK(Fixture::values_of(*member) == Strings{"b", "c"});
    }
    CHECK(f.consume("c2").size() == 3);
    CHECK(f.consume("c1") == Strings{"b", "c"});
    CHECK(f.consume("c1").empty());
    GroupOptions reset = f.group();
    reset.reset = true;
    CHECK(f.consume("c1", reset).size() == 3);
    f.produce({"d"});
    CHECK(f.consume("c1") == Strings{"d"});
  }
}

TEST_CASE("strategy none reads from the stored offset, claims nothing and never commits") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"a", "b"});
    GroupOptions none = f.group();
    none.strategy = OffsetStrategy::none;
    {
      auto onlooker = must(f.backend->join_group("c1", none));
      CHECK(Fixture::values_of(*onlooker).size() == 2);
      CHECK(code_of(onlooker->commit(onlooker->positions())) == Code::usage);
    }
    CHECK(must(f.backend->consumer_offsets(false)).offsets.empty());
    CHECK(f.consume("c1").size() == 2);
    f.produce({"c"});
    auto member = must(f.backend->join_group("c1", f.group()));
    auto onlooker = must(f.backend->join_group("c1", none));
    CHECK(Fixture::values_of(*onlooker) == Strings{"c"});
    none.reset = true;
    auto anew = must(f.backend->join_group("c1", none));
    CHECK(Fixture::values_of(*anew) == Strings{"a", "b", "c"});
  }
}

TEST_CASE("a partition that was named is busy for another member that names it, and the owner is named") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 2});
    auto other = f.place->open();
    GroupOptions first = f.group();
    first.read.topics = {{"t", {{0}}}};
    GroupOptions second = f.group();
    second.read.topics = {{"t", {{1}}}};
    auto with_first = must(f.backend->join_group("c1", first));
    const auto refused = other->join_group("c1", first);
    CHECK(code_of(refused) == Code::busy);
    CHECK(refused.error().message.find("c1") != std::string::npos);
    CHECK(refused.error().message.find("a test") != std::string::npos);
    must(other->join_group("c2", first));
    auto with_second = must(other->join_group("c1", second));
    const std::array foreign{Position{"t", {1}, {0}}};
    CHECK(code_of(with_first->commit(foreign)) == Code::busy);
    const std::array elsewhere{Position{"u", {0}, {0}}};
    CHECK(code_of(with_first->commit(elsewhere)) == Code::busy);
    with_first.reset();
    must(other->join_group("c1", first));
  }
}

TEST_CASE("a commit never points past the end of the log") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"a", "b"});
    auto member = must(f.backend->join_group("c1", f.group()));
    const std::array past{Position{"t", {0}, {3}}};
    CHECK(code_of(member->commit(past)) == Code::usage);
    CHECK(must(f.backend->consumer_offsets(false)).offsets.empty());
    f.produce({"c"});
    must(member->commit(past));
    CHECK(must(f.backend->consumer_offsets(false)).offsets.at(0).next.value == 3);
  }
}

TEST_CASE("a stored offset that was trimmed away goes on at the start, with a notice, or is not_found when strict") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"a"});
    CHECK(f.consume("c1").size() == 1);
    f.produce({"b", "c", "d"});
    must(f.backend->trim_topic("t", {TrimTarget::Kind::before_offset, 3}, {}, true));
    GroupOptions strict = f.group();
    strict.read.strict = true;
    CHECK(code_of(f.backend->join_group("c1", strict)) == Code::not_found);
    auto member = must(f.backend->join_group("c1", f.group()));
    CHECK(Fixture::values_of(*member) == Strings{"d"});
    CHECK(member->take_notices().size() == 1);
  }
}

TEST_CASE("a member of a deleted topic can neither read nor commit") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"a"});
    GroupOptions options = f.group();
    options.read.follow = true;
    auto member = must(f.backend->join_group("c1", options));
    CHECK(Fixture::values_of(*member) == Strings{"a"});
    must(f.backend->delete_topic("t"));
    must(f.backend->create_topic("t", {}));
    CHECK(code_of(member->next(Milliseconds(0))) == Code::not_found);
    const std::array done{Position{"t", {0}, {1}}};
    CHECK(code_of(member->commit(done)) == Code::not_found);
    CHECK(must(f.backend->consumer_offsets(false)).offsets.empty());
  }
}

// ---- Many members ----

TEST_CASE("members share the partitions out evenly as they come and go, and every partition has one owner") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 7});
    Group group(f);
    const auto check_even = [&] {
      group.settle();
      CHECK(group.all().size() == 7);
      for (const auto& member : group.members) {
        const std::size_t even = 7 / group.members.size();
        CHECK(Group::count(*member) >= even);
        CHECK(Group::count(*member) <= even + 1);
      }
    };
    for (int members = 1; members <= 5; ++members) {
      CAPTURE(members);
      std::map<const GroupReader*, std::set<std::string>> before;
      for (const auto& member : group.members) before[member.get()] = Group::held(*member);
      group.join();
      check_even();
      // A join takes from the others what the new member gets, and nothing else moves.
      std::size_t moved = 0;
      for (const auto& [member, names] : before) {
        for (const std::string& name : names) moved += Group::held(*member).contains(name) ? 0 : 1;
      }
      CHECK(moved <= static_cast<std::size_t>((7 + members - 1) / members));
    }
    while (group.members.size() > 1) {
      group.leave(group.members.size() / 2);
      check_even();
    }
  }
}

TEST_CASE("a member too many waits, says so, and takes over when another leaves") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    Group group(f);
    group.join();
    GroupReader& waiting = group.join();
    group.settle();
    CHECK(Group::count(waiting) == 0);
    const auto events = waiting.take_events();
    REQUIRE(events.size() == 1);
    CHECK(events[0].find("waits") != std::string::npos);
    f.produce({"a"});
    CHECK(group.settle().at(group.members[0].get()).size() == 1);
    must(group.members[0]->commit(group.members[0]->positions()));
    group.leave(0);
    group.settle();
    CHECK(Group::count(waiting) == 1);
    f.produce({"b"});
    const auto read = Fixture::values_of(waiting);
    CHECK(read == Strings{"b"});
  }
}

TEST_CASE("what was handed out is committed before a partition changes hands, so nothing is read twice") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 4});
    Group group(f);
    std::map<std::string, int> times;
    const auto read = [&] {
      for (const auto& [member, records] : group.settle()) {
        for (const Record& record : records) ++times[record.value];
      }
    };
    int made = 0;
    for (int round = 0; round < 6; ++round) {
      if (round < 4) group.join();
      if (round >= 4) group.leave(0);
      read();
      for (std::int32_t p = 0; p < 4; ++p) f.produce({fmt::format("{}", made++)}, p);
      read();
    }
    CHECK(times.size() == static_cast<std::size_t>(made));
    for (const auto& [value, count] : times) {
      CAPTURE(value);
      CHECK(count == 1);
    }
  }
}

TEST_CASE("with strategy manual the callback commits, or the next owner reads again") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    for (const bool commits : {true, false}) {
      CAPTURE(commits);
      Fixture f(kind, {.partitions = 2});
      f.produce({"a"}, 0);
      f.produce({"b"}, 1);
      Group group(f);
      GroupOptions manual = f.group();
      manual.strategy = OffsetStrategy::manual;
      GroupReader& first = group.join(manual);
      std::vector<std::string> released;
      first.on_release([&](std::span<const Position> positions) -> Result<std::vector<Position>> {
        for (const Position& p : positions) released.push_back(fmt::format("{} {}", p.partition.value, p.next.value));
        if (commits) TRY(first.commit(positions));
        return std::vector(positions.begin(), positions.end());
      });
      CHECK(group.settle()[&first].size() == 2);
      GroupReader& second = group.join(manual);
      const auto read = group.settle();
      REQUIRE(released.size() == 1);
      CHECK(released[0].ends_with(" 1"));
      CHECK(read.contains(&second) == !commits);
      CHECK(Group::count(first) == 1);
    }
  }
}

TEST_CASE(
    "a partition goes to its next owner when its work is done: until then nobody reads it, and the others are read "
    "on") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 2});
    Group group(f);
    GroupOptions manual = f.group();
    manual.strategy = OffsetStrategy::manual;
    GroupReader& first = group.join(manual);
    bool finished = false;
    std::optional<PartitionId> leaving;
    first.on_release([&](std::span<const Position> positions) -> Result<std::vector<Position>> {
      REQUIRE(positions.size() == 1);
      leaving = positions[0].partition;
      if (!finished) return std::vector<Position>();
      TRY(first.commit(positions));
      return std::vector(positions.begin(), positions.end());
    });
    group.settle();
    GroupReader& second = group.join(manual);
    group.settle();
    REQUIRE(leaving);
    CHECK(Group::count(first) == 2);
    CHECK(Group::count(second) == 0);
    f.produce({"a"}, leaving->value);
    f.produce({"b"}, 1 - leaving->value);
    auto read = group.settle();
    REQUIRE(read[&first].size() == 1);
    CHECK(read[&first][0].value == "b");
    CHECK(read[&second].empty());
    // Without reading any more, the first lets go.
    finished = true;
    std::vector<Record> got;
    for (int look = 0; look < 1000 && got.empty(); ++look) {
      must(first.tend());
      for (Record& record : Fixture::read_all(second)) got.push_back(std::move(record));
    }
    REQUIRE(got.size() == 1);
    CHECK(got[0].value == "a");
    CHECK(Group::count(first) == 1);
    CHECK(Group::count(second) == 1);
  }
}

TEST_CASE("an error of the release callback is what next() returns, and the partitions are kept") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 2});
    Group group(f);
    GroupReader& first = group.join();
    first.on_release([](std::span<const Position>) -> Result<std::vector<Position>> {
      return fail(Code::io, "the output is full");
    });
    group.join();
    CHECK(code_of(first.next(Milliseconds(0))) == Code::io);
    CHECK(Group::count(first) == 2);
  }
}

TEST_CASE("members of several topics share each topic among those that read it") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 4});
    must(f.backend->create_topic("u", {.partitions = 2}));
    Group group(f);
    GroupOptions both = f.group();
    both.read.topics = {{"t"}, {"u"}};
    GroupOptions one = f.group();
    GroupReader& a = group.join(both);
    GroupReader& b = group.join(one);
    group.settle();
    CHECK(group.all().size() == 6);
    CHECK(Group::count(b) == 2);
    CHECK(Group::held(a).contains("u/0"));
    CHECK(Group::held(a).contains("u/1"));
  }
}

TEST_CASE("partitions that a member names are not shared, the others still are") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 5});
    Group group(f);
    GroupOptions fixed = f.group();
    fixed.read.topics = {{"t", {{1}}}};
    GroupReader& with_one = group.join(fixed);
    group.join();
    group.join();
    group.settle();
    CHECK(group.all().size() == 5);
    CHECK(Group::held(with_one) == std::set<std::string>{"t/1"});
    CHECK(Group::count(*group.members[1]) == 2);
    CHECK(Group::count(*group.members[2]) == 2);
  }
}

TEST_CASE("partitions added while a group runs are shared out and read from their beginning") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    Group group(f);
    GroupOptions from_end = f.group({StartAt::Kind::end});
    group.join(from_end);
    group.join(from_end);
    group.settle();
    must(f.backend->add_partitions("t", 3));
    f.produce({"new"}, 2);
    std::size_t read = 0;
    for (const auto& [member, records] : group.settle()) read += records.size();
    CHECK(read == 1);
    CHECK(group.all().size() == 4);
    for (const auto& member : group.members) CHECK(Group::count(*member) == 2);
  }
}

TEST_CASE("a member that starts at the end stands there from the moment it joined, whoever takes over") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"before"});
    must(f.backend->join_group("g", f.group({StartAt::Kind::end})));
    f.produce({"after"});
    CHECK(f.consume("g") == Strings{"after"});
  }
}

TEST_CASE("strategy automatic commits what was handed out before the latest call, and all of it on leaving") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"a", "b", "c"});
    const auto next_of = [&] { return must(f.backend->consumer_offsets(false)).offsets.at(0).next.value; };
    GroupOptions options = f.group();
    {
      auto member = must(f.backend->join_group("g", options));
      must(member->next(Milliseconds(0)));
      must(member->next(Milliseconds(0)));
    }
    CHECK(next_of() == 1);
    {
      auto member = must(f.backend->join_group("g", options));
      must(member->next(Milliseconds(0)));
      must(member->leave());
      must(member->leave());
    }
    CHECK(next_of() == 2);
    options.flush_every = Milliseconds(0);
    auto member = must(f.backend->join_group("g", options));
    must(member->next(Milliseconds(0)));
    CHECK(next_of() == 2);
    must(member->next(Milliseconds(0)));
    CHECK(next_of() == 3);
  }
}

TEST_CASE("without following, members end when the partitions of all have been read to the ends noted at joining") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 3});
    for (std::int32_t p = 0; p < 3; ++p) f.produce({"a", "b"}, p);
    auto first = must(f.backend->join_group("g", f.group()));
    auto other = f.place->open();
    auto second = must(other->join_group("g", f.group()));
    f.produce({"later"}, 0);
    std::set<std::string> read;
    for (bool done[] = {false, false}; !done[0] || !done[1];) {
      for (const int which : {0, 1}) {
        auto& member = which == 0 ? first : second;
        if (done[which]) continue;
        const Fetch fetch = must(member->next(Milliseconds(0)));
        for (const RecordView& record : fetch.records) {
          CHECK(read.insert(fmt::format("{}/{}", record.partition.value, record.offset.value)).second);
        }
        done[which] = fetch.state == Fetch::State::ended;
        if (done[which]) member.reset();
      }
    }
    CHECK(read.size() == 6);
  }
}

// ---- Operators ----

TEST_CASE("stored offsets are listed by consumer, topic and partition, with their lag when asked for") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 2});
    must(f.backend->create_topic("a", {}));
    f.produce({"a", "b", "c"}, 1);
    const TimestampMs before = now_ms();
    f.consume("c2");
    {
      GroupOptions options = f.group();
      options.read.topics = {{"a"}, {"t"}};
      auto member = must(f.backend->join_group("c1", options));
      const std::array done{Position{"t", {1}, {1}}, Position{"a", {0}, {0}}};
      must(member->commit(done));
    }
    f.produce({"d"}, 1);
    const auto offsets = must(f.backend->consumer_offsets(true)).offsets;
    REQUIRE(offsets.size() == 4);
    Strings rows;
    for (const ConsumerOffset& o : offsets) {
      rows.push_back(
          fmt::format("{} {} {} {} {}", o.consumer, o.topic, o.partition.value, o.next.value, o.lag.value_or(-1)));
      CHECK(o.committed_at >= before);
      CHECK(o.committed_at <= now_ms());
    }
    CHECK(rows == Strings{"c1 a 0 0 0", "c1 t 1 1 3", "c2 t 0 0 0", "c2 t 1 3 1"});
    CHECK(!must(f.backend->consumer_offsets(false)).offsets[0].lag);
    must(f.backend->trim_topic("t", {TrimTarget::Kind::before_offset, 3}, {}, true));
    CHECK(must(f.backend->consumer_offsets(true)).offsets[1].lag == 1);
  }
}

TEST_CASE("deleting a consumer clears its offsets, in all topics or the chosen ones, and a dry run none") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 2});
    must(f.backend->create_topic("u", {}));
    GroupOptions both = f.group();
    both.read.topics = {{"t"}, {"u"}};
    f.consume("c1", both);
    f.consume("c2", both);
    const auto rows = [&] { return must(f.backend->consumer_offsets(false)).offsets.size(); };
    CHECK(rows() == 6);
    CHECK(must(f.backend->delete_consumer("c1", {}, {}, false)).size() == 3);
    CHECK(rows() == 6);
    const std::array second{PartitionId{1}};
    const auto one = must(f.backend->delete_consumer("c1", "t", second, true));
    REQUIRE(one.size() == 1);
    CHECK(one[0].topic == "t");
    CHECK(one[0].partition.value == 1);
    CHECK(rows() == 5);
    CHECK(code_of(f.backend->delete_consumer("c1", "t", second, true)) == Code::not_found);
    CHECK(must(f.backend->delete_consumer("c1", "u", {}, true)).size() == 1);
    CHECK(must(f.backend->delete_consumer("c1", {}, {}, true)).size() == 1);
    CHECK(rows() == 3);
    CHECK(code_of(f.backend->delete_consumer("c1", {}, {}, true)) == Code::not_found);
    CHECK(code_of(f.backend->delete_consumer("c2", "none", {}, true)) == Code::not_found);
    CHECK(code_of(f.backend->delete_consumer("../c2", {}, {}, true)) == Code::usage);
    f.produce({"a"});
    CHECK(f.consume("c1") == Strings{"a"});
  }
}

TEST_CASE("a consumer in use is busy to delete, committed or not, and nothing of it goes") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 2});
    f.consume("c1");
    GroupOptions second = f.group();
    second.read.topics = {{"t", {{1}}}};
    auto member = must(f.backend->join_group("c1", second));
    auto fresh = must(f.backend->join_group("c3", f.group()));
    auto other = f.place->open();
    CHECK(code_of(other->delete_consumer("c1", {}, {}, true)) == Code::busy);
    CHECK(code_of(other->delete_consumer("c1", {}, {}, false)) == Code::busy);
    CHECK(code_of(other->delete_consumer("c3", {}, {}, true)) == Code::busy);
    CHECK(must(other->consumer_offsets(false)).offsets.size() == 2);
    const std::array free{PartitionId{0}};
    CHECK(must(other->delete_consumer("c1", "t", free, true)).size() == 1);
    member.reset();
    CHECK(must(other->delete_consumer("c1", {}, {}, true)).size() == 1);
  }
}

TEST_CASE("a consumer is described with its members, offsets, ends and owners") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 3});
    CHECK(code_of(f.backend->describe_consumer("g")) == Code::not_found);
    f.produce({"a", "b", "c"}, 1);
    auto member = must(f.backend->join_group("g", f.group()));
    must(member->next(Milliseconds(0)));
    const std::array done{Position{"t", {1}, {1}}};
    must(member->commit(done));
    auto other = f.place->open();
    const auto described = must(other->describe_consumer("g"));
    REQUIRE(described.members.size() == 1);
    CHECK(described.members[0].command == "a test");
    REQUIRE(described.partitions.size() == 3);
    const ConsumerPartition& read = described.partitions[1];
    CHECK(read.next->value == 1);
    CHECK(read.start->value == 0);
    CHECK(read.end->value == 3);
    CHECK(*read.lag == 2);
    CHECK(read.owner->pid == described.members[0].pid);
    CHECK(!described.partitions[0].next);
    CHECK(*described.partitions[0].lag == 0);
    member.reset();
    const auto left = must(other->describe_consumer("g"));
    CHECK(left.members.empty());
    CHECK(!left.partitions[1].owner);
    CHECK(code_of(other->describe_consumer("gg")) == Code::not_found);
  }
}

TEST_CASE("seeking goes to the start, the end, an offset, a distance or a time, and a dry run stores nothing") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 2});
    f.produce({"a", "b", "c", "d"}, 0);
    f.produce({"x", "y"}, 1);
    f.consume("g");
    const std::array first{PartitionId{0}};
    const auto seek = [&](SeekTarget target, bool execute = true) {
      const std::array requests{SeekRequest{"t", {first.begin(), first.end()}, target}};
      return f.backend->seek_consumer("g", requests, false, execute);
    };
    using Target = SeekTarget::Kind;
    const auto went = [&](SeekTarget target) {
      const auto results = must(seek(target));
      REQUIRE(results.size() == 1);
      return std::pair(results[0].prior->value, results[0].next.value);
    };
    using Went = std::pair<std::int64_t, std::int64_t>;
    CHECK(must(seek({Target::start}, false)).at(0).next.value == 0);
    CHECK(went({Target::offset, 3}) == Went{4, 3});
    CHECK(went({Target::shift, -2}) == Went{3, 1});
    CHECK(went({Target::shift, 1}) == Went{1, 2});
    CHECK(went({Target::start}) == Went{2, 0});
    CHECK(went({Target::end}) == Went{0, 4});
    CHECK(went({Target::time, 1001}) == Went{4, 1});
    CHECK(code_of(seek({Target::offset, 5})) == Code::usage);
    CHECK(code_of(seek({Target::shift, -2})) == Code::usage);
    CHECK(code_of(seek({Target::shift, INT64_MAX})) == Code::usage);
    CHECK(f.consume("g") == Strings{"b", "c", "d"});
  }
}

TEST_CASE("seeking stores for all that was asked or for nothing, makes a consumer only when told to") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind, {.partitions = 2});
    f.produce({"a", "b"}, 0);
    f.produce({"x"}, 1);
    using Target = SeekTarget::Kind;
    const std::array good{SeekRequest{"t", {{0}}, {Target::offset, 1}}, SeekRequest{"t", {{1}}, {Target::offset, 1}}};
    CHECK(code_of(f.backend->seek_consumer("g", good, false, true)) == Code::not_found);
    const std::array bad{SeekRequest{"t", {{0}}, {Target::offset, 1}}, SeekRequest{"t", {{1}}, {Target::offset, 2}}};
    CHECK(code_of(f.backend->seek_consumer("g", bad, true, true)) == Code::usage);
    const std::array twice{good[0], good[0]};
    CHECK(code_of(f.backend->seek_consumer("g", twice, true, true)) == Code::usage);
    const std::array nowhere{SeekRequest{"t", {{2}}, {Target::start}}};
    CHECK(!f.backend->seek_consumer("g", nowhere, true, true));
    const std::array unknown{SeekRequest{"u", {}, {Target::start}}};
    CHECK(code_of(f.backend->seek_consumer("g", unknown, true, true)) == Code::not_found);
    CHECK(must(f.backend->consumer_offsets(false)).offsets.empty());
    CHECK(must(f.backend->seek_consumer("g", good, true, true)).size() == 2);
    CHECK(f.consume("g") == Strings{"b"});
    const std::array everywhere{SeekRequest{{}, {}, {Target::start}}};
    CHECK(must(f.backend->seek_consumer("g", everywhere, false, true)).size() == 2);
    CHECK(f.consume("g").size() == 3);
  }
}

TEST_CASE("seeking is refused while a member lives, one that waits included") {
  for (const Kind& kind : kBackends) {
    CAPTURE(kind.name);
    Fixture f(kind);
    f.produce({"a"});
    Group group(f);
    group.join();
    group.join();
    group.settle();
    const std::array start{SeekRequest{"t", {}, {SeekTarget::Kind::start}}};
    for (const bool execute : {true, false})
      CHECK(code_of(f.backend->seek_consumer("g", start, false, execute)) == Code::busy);
    group.leave(0);
    CHECK(code_of(f.backend->seek_consumer("g", start, false, true)) == Code::busy);
    group.leave(0);
    must(f.backend->seek_consumer("g", start, false, true));
  }
}
