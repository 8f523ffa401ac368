// What `leat process` shows: the graph, the progress line, the metrics.
#include <doctest/doctest.h>

#include "leat/pipe/pipeline_file.h"
#include "tests/support/log_fixture.h"
#include "tools/process_graph.h"
#include "tools/process_metrics.h"
#include "tools/process_progress.h"

using namespace leat;
using namespace leat::tools;
using leat::test::must;

namespace {

pipe::PipelinePlan plan() {
  return must(pipe::parse_pipeline(R"(
[source]
topics = ["a", "b"]
group = "g"
[[stage]]
kind = "map"
name = "up"
concurrency = 3
command = "tr a-z A-Z"
[[stage]]
kind = "reduce"
sink = "stdout"
max_wait = "4s"
group_by = "key"
on_shutdown = "drop"
)",
                                   "p", pipe::local_sink_kinds()));
}

pipe::PipelineReport report() {
  pipe::PipelineReport report{.read = 12'345, .open = 345, .errors = 2};
  report.stages = {{"up", pipe::StagePlan::Kind::map, 100, 90, 1, 2, 0, 3, 0, 0, 5},
                   {"2-reduce", pipe::StagePlan::Kind::sink, 90, 80, 0, 0, 4, 0, 8, 80, 7}};
  report.partitions = {{.topic = "a", .partition = {1}, .next = Offset{7}, .end = Offset{10}, .lag = 3},
                       {.topic = "b", .partition = {0}, .next = Offset{7}}};
  return report;
}

}  // namespace

TEST_CASE("a pipeline's graph for people") {
  CHECK(graph_text(plan()) ==
        "  source    a, b, group g, from latest\n"
        "  |\n"
        "  up        map: command /bin/sh -c tr a-z A-Z\n"
        "            3 workers, in order\n"
        "  |\n"
        "  2-reduce  sink: stdout (text)\n"
        "            batches of 1000 records or 1MiB, or after 4s, by key, dropped at shutdown\n"
        "\n"
        "  error     nowhere: a record that is refused ends it\n");
}

TEST_CASE("a pipeline's graph as JSON") {
  const std::string json = graph_json(plan());
  CHECK(
      json.find(
          R"({"name":"up","kind":"map","does":"command /bin/sh -c tr a-z A-Z","concurrency":3,"max_records":null,)") !=
      std::string::npos);
  CHECK(json.find(
            R"("max_records":1000,"max_bytes":1048576,"max_wait_ms":4000,"group_by":"key","on_shutdown":"drop"})") !=
        std::string::npos);
  CHECK(json.ends_with("}]\n"));
}

TEST_CASE("the progress line of a pipeline") {
  CHECK(process_line(report(), 1234.5) ==
        "  12,000 records  1,234/s  queues 5 7  batches of 10  7 retries  2 put aside");
}

TEST_CASE("a pipeline's metrics") {
  const std::string text = metrics_text(report(), "g\"");
  for (const std::string_view line : {
           "leat_process_records_read_total{group=\"g\\\"\"} 12345\n",
           "leat_process_records_open{group=\"g\\\"\"} 345\n",
           "leat_process_errors_total{group=\"g\\\"\"} 2\n",
           "leat_process_stage_refused_total{group=\"g\\\"\",stage=\"up\",kind=\"map\"} 2\n",
           "leat_process_stage_restarts_total{group=\"g\\\"\",stage=\"up\",kind=\"map\"} 3\n",
           "leat_process_stage_behind{group=\"g\\\"\",stage=\"up\",kind=\"map\"} 12\n",
           "leat_process_stage_behind{group=\"g\\\"\",stage=\"2-reduce\",kind=\"sink\"} 17\n",
           "leat_process_stage_batch_records_total{group=\"g\\\"\",stage=\"2-reduce\",kind=\"sink\"} 80\n",
           "leat_process_source_lag{group=\"g\\\"\",topic=\"a\",partition=\"1\"} 3\n",
       }) {
    CAPTURE(line);
    CHECK(text.find(line) != std::string::npos);
  }
  CHECK(text.find("topic=\"b\"") == std::string::npos);
}
