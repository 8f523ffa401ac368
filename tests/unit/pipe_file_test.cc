// Pipeline files: what they say, and every way they may be wrong.
#include "leat/pipe/pipeline_file.h"

#include "tests/support/pipe_fixture.h"

using namespace leat;
using namespace leat::pipe;
using namespace leat::test;
using namespace std::chrono_literals;

namespace {

const std::string kSource = "[source]\ntopics = [\"in\"]\ngroup = \"g\"\n";
const std::string kSink = "[[stage]]\nkind = \"sink\"\nsink = \"stdout\"\n";

Result<PipelinePlan> parse(const std::string& text) {
  return parse_pipeline(text, "p.toml", local_sink_kinds());
}

std::string refused(const std::string& text) {
  const auto plan = parse(text);
  if (plan) return "it was taken";
  CHECK(plan.error().code == Code::configuration);
  return plan.error().message + (plan.error().hint.empty() ? "" : " (" + plan.error().hint + ")");
}

// The same for a stage of these lines, which begin at line 4.
std::string refused_stage(const std::string& lines) {
  return refused(kSource + "[[stage]]\n" + lines + kSink);
}

}  // namespace

TEST_CASE("the document's pipeline") {
  const auto plan = must(parse(R"(
[source]
topics = ["ingest-performance-metrics"]
group = "test-map-reduce-consumer"
reset = "earliest"

[[stage]]
kind = "par_map"
builtin = "template"
template = '{"partition":{{partition}},"offset":{{offset}},"timestamp":{{time_s}}}'

[[stage]]
kind = "reduce"
sink = "stdout"
max_records = 128
max_wait = "4s"
on_shutdown = "flush"

[error]
sink = "stderr"
)"));
  CHECK(plan.topics == std::vector<std::string>{"ingest-performance-metrics"});
  CHECK(plan.group == "test-map-reduce-consumer");
  CHECK(plan.reset.kind == StartAt::Kind::beginning);
  REQUIRE(plan.stages.size() == 2);
  CHECK(plan.stages[0].kind == StagePlan::Kind::par_map);
  CHECK(plan.stages[0].name == "1-par_map");
  CHECK(plan.stages[1].kind == StagePlan::Kind::sink);
  CHECK(plan.stages[1].batches.limits.records == 128);
  CHECK(plan.stages[1].batches.limits.wait == 4s);
  CHECK(plan.error);
  CHECK(plan.error->shown == "stderr (jsonl)");
}

TEST_CASE("every key there is") {
  const auto plan = must(parse(R"(
[source]
data_dir = "/srv/leat"
topics = ["a", "b"]
partitions = [0, 2]
group = "g"
reset = "latest"
isolation = "read_uncommitted"
queue_records = 50
queue_bytes = "1MiB"
[[stage]]
name = "parse"
kind = "map"
concurrency = 4
command = ["./parse", "--fast"]
framing = "u32be"
timeout = "2s"
restarts = 1
[[stage]]
kind = "filter"
builtin = "json_field"
field = "a.b"
not_equals = ["x"]
[[stage]]
kind = "map"
builtin = "json_field"
field = "id"
to = "key"
missing = "drop"
[[stage]]
kind = "reduce"
builtin = "count"
max_records = 5
max_bytes = 1000
max_wait = "1m"
group_by = "key"
on_shutdown = "drop"
[[stage]]
kind = "sink"
sink = "command"
command = "gzip > x"
format = "jsonl"
timeout = "5s"
group_by = "partition"
[error]
sink = "file"
path = "/var/log/refused"
format = "jsonl"
sync = false
rotate_bytes = "10MB"
rotate_every = "1h"
retries = 3
backoff = "1s"
backoff_max = "1m"
undeliverable = "error"
[commit]
every = "5s"
shutdown_timeout = "1m"
)"));
  CHECK(plan.location == "/srv/leat");
  CHECK(plan.partitions == std::vector<PartitionId>{{0}, {2}});
  CHECK(plan.isolation == Isolation::read_uncommitted);
  CHECK(plan.queue.records == 50);
  CHECK(plan.queue.bytes == 1 << 20);
  CHECK(plan.stages[0].name == "parse");
  CHECK(plan.stages[0].workers == 4);
  CHECK(plan.stages[0].shown == "command ./parse --fast");
  CHECK(plan.stages[1].shown == "json_field a.b not x");
  CHECK(plan.stages[2].shown == "json_field id to key");
  CHECK(plan.stages[3].batches.group_by == GroupBy::key);
  CHECK(plan.stages[3].batches.on_shutdown == OnShutdown::drop);
  CHECK(plan.stages[3].batches.limits.bytes == 1000);
  CHECK(plan.stages[4].batches.group_by == GroupBy::partition);
  CHECK(plan.stages[4].shown == "command /bin/sh -c gzip > x");
  CHECK(plan.stages[4].batches.limits.wait == 0ms);
  CHECK(plan.error->shown == "file /var/log/refused (jsonl), rotated at 10000000B, rotated every 1h");
  CHECK(plan.retry.retries == 3);
  CHECK(plan.retry.backoff == 1s);
  CHECK(plan.retry.backoff_max == 1min);
  CHECK(plan.undeliverable == Undeliverable::error);
  CHECK(plan.commit_every == 5s);
  CHECK(plan.shutdown_timeout == 1min);
}

TEST_CASE("topics may be those of a URL") {
  const auto plan =
      must(parse("[source]\ntopics = [\"kafka://b:9092/in\", \"kafka://b:9092/other\"]\ngroup = \"g\"\n" + kSink));
  CHECK(plan.location == "kafka://b:9092");
  CHECK(plan.topics == std::vector<std::string>{"in", "other"});
  CHECK(refused("[source]\ntopics = [\"kafka://b/in\", \"kafka://c/in\"]\ngroup = \"g\"\n" + kSink) ==
        "p.toml:2:11: topics: one pipeline reads one place, not kafka://b and kafka://c");
  CHECK(refused("[source]\ntopics = [\"kafka://b\"]\ngroup = \"g\"\n" + kSink) ==
        "p.toml:2:11: topics: \"kafka://b\" names no topic: expected URL/TOPIC");
}

TEST_CASE("what is missing or unknown is refused with its place") {
  CHECK(refused("") == "p.toml: [source] is missing");
  CHECK(refused("x = 1\n" + kSource + kSink) == "p.toml:1:1: unknown key \"x\"");
  CHECK(refused(kSource + kSink + "[eror]\nsink = \"stderr\"\n") ==
        "p.toml:8:1: unknown key \"eror\" (did you mean [error]?)");
  CHECK(refused(kSource) == "p.toml: [[stage]] is missing");
  CHECK(refused("[source]\ngroup = \"g\"\n" + kSink) == "p.toml:2:1: \"topics\" is missing");
  CHECK(refused("[source]\ntopics = []\ngroup = \"g\"\n" + kSink) == "p.toml:2:10: topics: must not be empty");
  CHECK(refused("[source]\ntopics = \"in\"\ngroup = \"g\"\n" + kSink) ==
        "p.toml:2:10: topics: expected an array, found text");
  CHECK(refused("[source]\ntopics = [1]\ngroup = \"g\"\n" + kSink) ==
        "p.toml:2:11: topics[0]: expected text, found a number");
  CHECK(refused("[source]\ntopics = [\"a b\"]\ngroup = \"g\"\n" + kSink).starts_with("p.toml:2:11: topics: "));
  CHECK(refused("[source]\ntopics = [\"a\", \"a\"]\ngroup = \"g\"\n" + kSink) ==
        "p.toml:2:11: topics: topic \"a\" is given twice");
  CHECK(refused("[source]\ntopics = [\"a\"]\n" + kSink) == "p.toml:2:1: \"group\" is missing");
  CHECK(refused(kSource + "resett = \"latest\"\n" + kSink) ==
        "p.toml:4:1: unknown key \"resett\" in [source] (did you mean \"reset\"?)");
  CHECK(refused(kSource + "reset = \"newest\"\n" + kSink) ==
        "p.toml:4:9: reset: \"newest\" is not allowed: expected one of \"earliest\", \"latest\" (did you mean "
        "\"latest\"?)");
  CHECK(refused(kSource + "partitions = [0, -1]\n" + kSink) ==
        "p.toml:4:18: partitions[1]: -1 is not allowed: expected 0 to 1023");
  CHECK(refused("stage = 1\n" + kSource) == "p.toml:1:1: expected [[stage]]");
  CHECK(refused(kSource + "[stage]\nkind = \"sink\"\n") == "p.toml:5:1: expected [[stage]]");
  CHECK(refused("source = 3\n" + kSink) == "p.toml:1:1: expected a table [source]");
  CHECK(refused("[[source]]\ntopics = [\"a\"]\ngroup = \"g\"\n" + kSink) == "p.toml:2:1: expected [source]");
  CHECK(refused(kSource + "[[stage]]\n" + kSink) == "p.toml:4:3: \"kind\" is missing");
  CHECK(refused_stage("name = \"x\"\nknid = \"map\"\n") ==
        "p.toml:6:1: unknown key \"knid\" in [[stage]] 1 (did you mean \"kind\"?)");
  CHECK(refused("[source]\ngroup = \"g\"\ntopic = [\"a\"]\n" + kSink) ==
        "p.toml:3:1: unknown key \"topic\" in [source] (did you mean \"topics\"?)");
}

TEST_CASE("stages that make no sense are refused with their place") {
  CHECK(refused_stage("kind = \"mapp\"\nbuiltin = \"count\"\n") ==
        "p.toml:5:8: kind: \"mapp\" is not allowed: expected one of \"par_map\", \"map\", \"filter\", \"reduce\", "
        "\"sink\" (did you "
        "mean \"map\"?)");
  CHECK(refused_stage("kind = \"map\"\n") == "p.toml:5:1: \"builtin\" or \"command\" is missing");
  CHECK(refused_stage("kind = \"map\"\nbuiltin = \"template\"\ncommand = [\"x\"]\n") ==
        "p.toml:6:11: builtin: a stage is a built-in or a command, not both");
  CHECK(refused_stage("kind = \"map\"\nbuiltin = \"count\"\n") ==
        "p.toml:6:11: builtin: \"count\" is not allowed: expected one of \"json_field\", \"template\"");
  CHECK(refused_stage("kind = \"filter\"\nbuiltin = \"template\"\n") ==
        "p.toml:6:11: builtin: \"template\" is not allowed: expected one of \"json_field\"");
  CHECK(refused_stage("kind = \"map\"\nbuiltin = \"template\"\n") == "p.toml:5:1: \"template\" is missing");
  CHECK(refused_stage("kind = \"map\"\nbuiltin = \"template\"\ntemplate = \"{{valu}}\"\n")
            .starts_with("p.toml:7:12: template: template: '{{valu}}' is not a placeholder"));
  CHECK(refused_stage("kind = \"map\"\nbuiltin = \"json_field\"\nfield = \"a..b\"\n") ==
        "p.toml:7:9: field: \"a..b\" is not a member's name, or several with dots between");
  CHECK(refused_stage(
            "kind = \"filter\"\nbuiltin = \"json_field\"\nfield = \"a\"\nequals = [\"1\"]\nnot_equals = [\"2\"]\n") ==
        "p.toml:9:15: not_equals: \"equals\" and \"not_equals\" exclude each other");
  CHECK(refused_stage("kind = \"map\"\ncommand = []\n") == "p.toml:6:11: command: must not be empty");
  CHECK(refused_stage("kind = \"map\"\ncommand = \"\"\n") == "p.toml:6:11: command: must not be empty");
  CHECK(refused_stage("kind = \"map\"\ncommand = [\"x\"]\nconcurrency = 0\n") ==
        "p.toml:7:15: concurrency: 0 is not allowed: expected 1 to 1024");
  CHECK(refused_stage("kind = \"map\"\ncommand = [\"x\"]\ntimeout = 3\n") ==
        "p.toml:7:11: timeout: expected a duration like \"4s\", found a number");
  CHECK(refused_stage("kind = \"map\"\ncommand = [\"x\"]\ntimeout = \"3\"\n").starts_with("p.toml:7:11: timeout: "));
  CHECK(refused_stage("kind = \"map\"\ncommand = [\"x\"]\ntimeout = \"0\"\n") ==
        "p.toml:7:11: timeout: must be longer than nothing");
  CHECK(refused_stage("kind = \"map\"\ncommand = [\"x\"]\nmax_records = 3\n") ==
        "p.toml:7:1: unknown key \"max_records\" in [[stage]] 1");
  CHECK(refused_stage("kind = \"reduce\"\ncommand = [\"x\"]\nframing = \"lines\"\n") ==
        "p.toml:7:11: framing: a batch is not a line: expected json or u32be");
  CHECK(refused_stage("kind = \"reduce\"\nbuiltin = \"count\"\nmax_bytes = \"much\"\n")
            .starts_with("p.toml:7:13: max_bytes: "));
  CHECK(refused_stage("kind = \"sink\"\n") == "p.toml:5:1: \"sink\" is missing");
  CHECK(refused_stage("kind = \"sink\"\nsink = \"stdot\"\n").ends_with("(did you mean \"stdout\"?)"));
  CHECK(refused_stage("kind = \"sink\"\nsink = \"stdout\"\nbuiltin = \"count\"\n") ==
        "p.toml:7:11: builtin: a stage has a sink or a built-in, not both");
  CHECK(refused_stage("kind = \"sink\"\nsink = \"file\"\npath = \"dir/\"\n") == "p.toml:7:8: path: must name a file");
  CHECK(refused_stage("kind = \"sink\"\nsink = \"topic\"\ntopic = \"..\"\n").starts_with("p.toml:7:9: topic: "));
  CHECK(refused(kSource + kSink + "[[stage]]\nkind = \"par_map\"\ncommand = \"x\"\n")
            .starts_with("p.toml:8:8: kind: a par_map is the first stage"));
  CHECK(refused(kSource + "[[stage]]\nkind = \"reduce\"\nbuiltin = \"count\"\n") ==
        "p.toml:5:1: the last stage must have a sink, or what it makes goes nowhere");
  CHECK(refused(kSource + "[[stage]]\nname = \"x\"\nkind = \"sink\"\nsink = \"stdout\"\n[[stage]]\nname = \"x\"\nkind "
                          "= \"sink\"\nsink = "
                          "\"stdout\"\n") == "p.toml:9:8: name: two stages are called \"x\"");
  CHECK(refused(kSource + kSink + "[error]\nundeliverable = \"error\"\n") ==
        "p.toml:8:17: undeliverable: \"error\" needs a sink in [error]");
  CHECK(refused(kSource + kSink + "[commit]\nevery = true\n") ==
        "p.toml:8:9: every: expected a duration like \"4s\", found true or false");
}
