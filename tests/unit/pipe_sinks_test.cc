// The sinks that need no network: files, commands, topics.
#include "leat/pipe/sinks.h"

#include <algorithm>
#include <filesystem>

#include "leat/pipe/settings_table.h"
#include "tests/support/backend_fixture.h"
#include "tests/support/pipe_fixture.h"

using namespace leat;
using namespace leat::pipe;
using namespace leat::test;
using namespace std::chrono_literals;

namespace {

struct Sinks {
  TempDir temp;
  std::atomic<bool> stop = false;
  std::vector<std::string> said;

  Result<std::unique_ptr<Sink>> try_open(const std::string& toml, const SinkSurroundings& surroundings = {}) {
    const auto entries = must(parse_toml("[s]\n" + toml, "p.toml", TomlArrays::flattened));
    SettingsTable table("p.toml", "s", entries);
    const std::string name = must(table.text("sink"));
    const auto kind = std::ranges::find(local_sink_kinds(), name, &SinkKind::name);
    const SinkPlan plan = must(kind->plan(table));
    must(table.finish());
    return plan.open(surroundings);
  }
  std::unique_ptr<Sink> open(const std::string& toml) { return must(try_open(toml)); }
  std::string file(const std::string& more = "", const std::string& name = "out.txt") const {
    return "sink = \"file\"\npath = \"" + (temp / name) + "\"\n" + more;
  }
  Result<Delivery> deliver(Sink& sink, const std::vector<std::string>& values) {
    std::vector<Message> batch;
    for (std::size_t i = 0; i < values.size(); ++i) batch.push_back(message(static_cast<std::int64_t>(i), values[i]));
    return sink.deliver(batch, stop);
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(temp.path())) names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
  }
};

}  // namespace

TEST_CASE("a file is appended to, by one process at a time") {
  Sinks sinks;
  {
    const auto sink = sinks.open(sinks.file());
    must(sinks.deliver(*sink, {"a", "b"}));
    must(sinks.deliver(*sink, {"c"}));
    CHECK(read_file(sinks.temp / "out.txt") == "a\nb\nc\n");
    const auto second = sinks.try_open(sinks.file());
    REQUIRE_FALSE(second);
    CHECK(second.error().code == Code::busy);
    must(sink->close());
  }
  must(sinks.deliver(*sinks.open(sinks.file()), {"d"}));
  CHECK(read_file(sinks.temp / "out.txt") == "a\nb\nc\nd\n");
}

TEST_CASE("what a crash has cut short is not taken for a record") {
  Sinks sinks;
  write_file(sinks.temp / "out.txt", "whole\ntor");
  must(sinks.deliver(*sinks.open(sinks.file()), {"x"}));
  CHECK(read_file(sinks.temp / "out.txt") == "whole\ntor\nx\n");
  write_file(sinks.temp / ".turned.txt.0.open", "whole\ntor");
  {
    const auto sink = sinks.open(sinks.file("rotate_bytes = 1000\n", "turned.txt"));
    must(sinks.deliver(*sink, {"x"}));
    CHECK(read_file(sinks.temp / ".turned.txt.0.open") == "whole\nx\n");
  }
  using namespace std::string_literals;
  write_file(sinks.temp / "frames", "\0\0\0\x01"s + "a" + "\xff\xff\xff\xff" + "\0\0\0\x05"s + "tor");
  must(sinks.deliver(*sinks.open(sinks.file("format = \"u32be\"\n", "frames")), {"x"}));
  CHECK(read_file(sinks.temp / "frames") == "\0\0\0\x01"s + "a" + "\xff\xff\xff\xff" + "\0\0\0\x01"s + "x");
}

TEST_CASE("a file that is full gets its name at once, and only then") {
  Sinks sinks;
  const auto sink = sinks.open(sinks.file("rotate_bytes = 10\n", "m.log"));
  must(sinks.deliver(*sink, {"1234"}));
  CHECK(sinks.files() == std::vector<std::string>{".m.log.0.open"});
  must(sinks.deliver(*sink, {"5678"}));
  auto files = sinks.files();
  REQUIRE(files.size() == 1);
  CHECK(files[0].starts_with("m.2"));
  CHECK(files[0].ends_with("Z.0.log"));
  CHECK(read_file(sinks.temp / files[0]) == "1234\n5678\n");
  must(sinks.deliver(*sink, {"9"}));
  CHECK(sinks.files().size() == 2);
  must(sink->close());
  files = sinks.files();
  CHECK(files.size() == 2);
  CHECK(std::ranges::none_of(files, [](const std::string& name) { return name.starts_with("."); }));
}

TEST_CASE("a file that is old gets its name, though nothing more comes") {
  Sinks sinks;
  const auto sink = sinks.open(sinks.file("rotate_every = \"30ms\"\n", "m"));
  CHECK_FALSE(sink->due());
  must(sinks.deliver(*sink, {"1"}));
  REQUIRE(sink->due());
  std::this_thread::sleep_until(*sink->due());
  must(sink->tend());
  CHECK(sinks.files().size() == 1);
  CHECK(sinks.files()[0].starts_with("m.2"));
  CHECK_FALSE(sink->due());
}

TEST_CASE("processes that turn their files each have their own") {
  Sinks sinks;
  const auto one = sinks.open(sinks.file("rotate_bytes = 2\n", "m"));
  const auto two = sinks.open(sinks.file("rotate_bytes = 2\n", "m"));
  must(sinks.deliver(*one, {"a"}));
  must(sinks.deliver(*two, {"b"}));
  const auto files = sinks.files();
  REQUIRE(files.size() == 2);
  CHECK(files[0].ends_with(".0") != files[1].ends_with(".0"));
}

TEST_CASE("a batch that could not be written leaves nothing behind, and can come again") {
  Sinks sinks;
  const auto sink = sinks.open(sinks.file());
  must(sinks.deliver(*sink, {"a"}));
  set_disk_fault_hook([](DiskCall call, std::string_view) { return call == DiskCall::sync ? ENOSPC : 0; });
  const auto failed = sinks.deliver(*sink, {"b"});
  set_disk_fault_hook(nullptr);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::io);
  CHECK(read_file(sinks.temp / "out.txt") == "a\n");
  must(sinks.deliver(*sink, {"b"}));
  CHECK(read_file(sinks.temp / "out.txt") == "a\nb\n");
}

TEST_CASE("a command has the batch on its standard input; its status says what became of it") {
  Sinks sinks;
  const auto run = [&](const std::string& script, const std::string& more = "") {
    return sinks.deliver(*sinks.open("sink = \"command\"\ncommand = '" + script + "'\n" + more), {"a", "b"});
  };
  CHECK(run("cat > " + (sinks.temp / "got")));
  CHECK(read_file(sinks.temp / "got") == "a\nb\n");
  CHECK(run("true"));
  CHECK(run("exit 1").error().code == Code::unavailable);
  CHECK(run("exit 65").error().code == Code::bad_data);
  CHECK(run("sleep 100", "timeout = \"50ms\"\n").error().message == "/bin/sh -c sleep 100: no end within 50 ms");
  sinks.stop = true;
  CHECK(run("sleep 100").error().code == Code::interrupted);
}

TEST_CASE("what is made of single records is in a topic once, though it is delivered again") {
  Sinks sinks;
  Fixture fixture(kBackends[0], {.partitions = 3});
  must(fixture.backend->create_topic("out", {.partitions = 2}));
  fixture.produce({"0", "1"});
  const SinkSurroundings surroundings{
      .stage = "s", .group = "g", .source = fixture.backend.get(), .descent = Descent::single};
  const auto open = [&] { return must(sinks.try_open("sink = \"topic\"\ntopic = \"out\"\n", surroundings)); };
  const auto batch = [](std::int64_t first, std::int64_t count) {
    std::vector<Message> all;
    for (std::int64_t i = first; i < first + count; ++i)
      for (const std::int32_t p : {0, 1, 2})
        all.push_back(message(2 * i, std::to_string(p) + "/" + std::to_string(2 * i),
                              i % 3 == 0 ? std::nullopt : std::optional("k" + std::to_string(i)), p));
    return all;
  };
  const auto values = [&] {
    std::vector<std::string> all;
    const auto reader =
        must(fixture.backend->open_reader({.topics = {{"out"}}, .start = {StartAt::Kind::beginning}, .follow = false}));
    for (const Record& record : Fixture::read_all(*reader)) all.push_back(record.value);
    return all;
  };
  {
    const auto sink = open();
    must(sink->deliver(batch(0, 10), sinks.stop));
    must(sink->deliver(batch(5, 10), sinks.stop));
  }
  auto found = values();
  CHECK(found.size() == 45);
  {
    // Another run, which was told of no delivery.
    const auto sink = open();
    must(sink->deliver(batch(0, 15), sinks.stop));
    CHECK(values() == found);
    // A partition given up is another sink's at once.
    const auto other = open();
    const auto busy = other->deliver(batch(15, 1), sinks.stop);
    REQUIRE_FALSE(busy);
    CHECK(busy.error().code == Code::busy);
    const std::vector<SourceRange> all = {{"t", {0}, {}, {}}, {"t", {1}, {}, {}}, {"t", {2}, {}, {}}};
    must(sink->release(all));
    must(other->deliver(batch(14, 2), sinks.stop));
  }
  found = values();
  CHECK(found.size() == 48);
  std::ranges::sort(found);
  CHECK(std::ranges::adjacent_find(found) == found.end());
  CHECK(must(open()->resume({"t", {0}, {}, {}})) == std::nullopt);
}

TEST_CASE("what is made of a range says from where on to go on") {
  Sinks sinks;
  Fixture fixture(kBackends[0], {.partitions = 3});
  must(fixture.backend->create_topic("out", {.partitions = 2}));
  const SinkSurroundings surroundings{
      .stage = "s", .group = "g", .source = fixture.backend.get(), .descent = Descent::ranges};
  const auto open = [&] { return must(sinks.try_open("sink = \"topic\"\ntopic = \"out\"\n", surroundings)); };
  Message made = message(4, "made of three", "key", 2);
  made.sources = {{"t", {2}, {4}, {6}}};
  {
    const auto sink = open();
    CHECK(must(sink->resume({"t", {2}, {}, {}})) == Offset{0});
    must(sink->deliver({&made, 1}, sinks.stop));
    CHECK(must(sink->resume({"t", {2}, {}, {}})) == Offset{7});
  }
  const auto again = open();
  CHECK(must(again->resume({"t", {2}, {}, {}})) == Offset{7});
  CHECK(must(again->resume({"t", {1}, {}, {}})) == Offset{0});
  must(again->deliver({&made, 1}, sinks.stop));
  CHECK(must(fixture.backend->describe_topic("out")).records == 1);
}

TEST_CASE("what a topic cannot hold is refused, and the rest is there; an unknown topic is an error at once") {
  Sinks sinks;
  Fixture fixture(kBackends[0]);
  TopicSettings small;
  small.max_record_bytes = 4;
  must(fixture.backend->create_topic("out", small));
  for (const Descent descent : {Descent::single, Descent::any}) {
    const SinkSurroundings surroundings{
        .stage = "s", .group = "g", .source = fixture.backend.get(), .descent = descent};
    const auto sink = must(sinks.try_open("sink = \"topic\"\ntopic = \"out\"\n", surroundings));
    const Delivery delivery = must(sinks.deliver(*sink, {"abcd", "abcde", "ab"}));
    REQUIRE(delivery.refused.size() == 1);
    CHECK(delivery.refused[0].index == 1);
    CHECK(delivery.refused[0].reason == "a record of 5 bytes is larger than 4 (max-record-size of topic \"out\")");
    const auto unknown = sinks.try_open("sink = \"topic\"\ntopic = \"outt\"\n", surroundings);
    REQUIRE_FALSE(unknown);
    CHECK(unknown.error().code == Code::not_found);
  }
  CHECK(must(fixture.backend->describe_topic("out")).records == 4);
}
