#include "tools/bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "leat/base/units.h"
#include "leat/log/codec.h"

namespace leat::tools {
namespace {

constexpr std::size_t kRowsMax = 16;
constexpr int kBarWidth = 40;
constexpr int kDrawnPerMille = 999;

struct Percentile {
  const char* key;
  const char* heading;
  int per_mille;
};
constexpr std::array<Percentile, 4> kPercentiles = {
    {{"p50", "P50", 500}, {"p90", "P90", 900}, {"p99", "P99", 990}, {"p999", "P99.9", 999}}};

// Edges in each power of ten, the finest first.
constexpr std::array<std::int64_t, 10> kTenEdges = {100, 125, 160, 200, 250, 315, 400, 500, 630, 800};
constexpr std::array<std::int64_t, 3> kThreeEdges = {100, 200, 500};
constexpr std::array<std::int64_t, 1> kOneEdge = {100};

// The edges from the first at or above `from_ns` to the first at or above `to_ns`.
std::vector<std::int64_t> edges_between(std::span<const std::int64_t> in_each_power, std::int64_t from_ns,
                                        std::int64_t to_ns) {
  std::vector<std::int64_t> edges;
  for (std::int64_t power = 1; edges.empty() || edges.back() < to_ns; power *= 10) {
    for (const std::int64_t edge : in_each_power) {
      const std::int64_t edge_ns = edge * power;
      if (edge_ns < from_ns) continue;
      edges.push_back(edge_ns);
      if (edge_ns >= to_ns) break;
    }
  }
  return edges;
}

std::string three_digits(double number) {
  return number >= 99.95   ? fmt::format("{:.0f}", number)
         : number >= 9.995 ? fmt::format("{:.1f}", number)
                           : fmt::format("{:.2f}", number);
}

std::string with_commas(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (std::ptrdiff_t at = std::ssize(digits) - 3; at > 0; at -= 3) digits.insert(static_cast<std::size_t>(at), 1, ',');
  return digits;
}

double per_second(std::int64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

// Powers of 1000, as disks and networks are sold.
std::string decimal_size(double bytes) {
  if (bytes < 1e3) return fmt::format("{:.0f} B", bytes);
  if (bytes < 999.5e3) return three_digits(bytes / 1e3) + " kB";
  if (bytes < 999.5e6) return three_digits(bytes / 1e6) + " MB";
  return three_digits(bytes / 1e9) + " GB";
}

Cell decimal_cell(double number, int digits) {
  const std::string text = fmt::format("{:.{}f}", number, digits);
  return {text, text};
}

Cell microseconds_cell(double nanoseconds) {
  return decimal_cell(nanoseconds / 1000, 3);
}

Cell list_cell(const std::vector<HistogramRow>& rows) {
  const std::vector<Column> columns = {{"", "up_to_us"}, {"", "count"}};
  std::vector<std::vector<Cell>> cells;
  for (const HistogramRow& row : rows) {
    cells.push_back({microseconds_cell(static_cast<double>(row.up_to_ns)), cell(row.count)});
  }
  return array_cell(columns, cells);
}

// The fields of a report in their order, for JSON and CSV.
class Fields {
 public:
  void add(std::string key, Cell value) {
    columns_.push_back({"", std::move(key)});
    row_.push_back(std::move(value));
  }
  const std::vector<Column>& columns() const { return columns_; }
  const std::vector<Cell>& row() const { return row_; }

 private:
  std::vector<Column> columns_;
  std::vector<Cell> row_;
};

bool is_directory(const BenchReport& report) {
  return report.place.file_system.has_value();
}

void add_settings(Fields& fields, const BenchReport& report) {
  const BenchSettings& settings = report.settings;
  fields.add("benchmark", cell(report.benchmark));
  fields.add("backend", cell(report.place.backend));
  fields.add("file_system", report.place.file_system ? cell(*report.place.file_system) : null_cell());
  fields.add("durability", cell(is_directory(report) ? to_string(settings.topic.durability) : "replicas"));
  const char* const proofs = is_directory(report) && settings.topic.keeps_proofs() ? "true" : "false";
  fields.add("proofs", {proofs, proofs});
  fields.add("compression", cell(to_string(settings.topic.compression)));
  fields.add("partitions", cell(settings.topic.partitions));
  fields.add("clients", cell(settings.clients));
  for (const auto& [key, count] : report.counts) fields.add(key, cell(count));
  fields.add("record_bytes", cell(settings.record_bytes));
  fields.add("payload", cell(settings.payload == BenchPayload::text ? "text" : "random"));
  fields.add("batch_bytes", cell(settings.batch_bytes));
  if (report.has_pipeline) fields.add("pipeline", cell(settings.pipeline));
  fields.add("rate", optional_cell(settings.rate));
  fields.add("warmup", cell(settings.warmup));
}

void add_figures(Fields& fields, const BenchReport& report) {
  fields.add("ended_by", cell(report.out_of_time ? "time limit" : "records"));
  fields.add("records", cell(report.records));
  fields.add("bytes", cell(report.bytes));
  fields.add("seconds", decimal_cell(report.seconds, 6));
  fields.add("records_per_second", decimal_cell(per_second(report.records, report.seconds), 1));
  fields.add("bytes_per_second", decimal_cell(per_second(report.bytes, report.seconds), 0));
  fields.add("disk_bytes", report.disk_bytes < 0 ? null_cell() : cell(report.disk_bytes));
  fields.add("cpu_user_seconds", decimal_cell(report.cpu_user_seconds, 6));
  fields.add("cpu_system_seconds", decimal_cell(report.cpu_system_seconds, 6));
  fields.add("memory_peak_bytes", cell(report.memory_peak_bytes));
}

void add_latency(Fields& fields, const BenchLatency& latency, bool with_rows) {
  const LatencyHistogram& times = latency.histogram;
  const auto field = [&](const char* name, Cell value) {
    fields.add(fmt::format("{}_{}", latency.key, name), std::move(value));
  };
  // Of nothing there are no percentiles.
  const auto time = [&](const char* name, double nanoseconds) {
    field(name, times.count() == 0 ? null_cell() : microseconds_cell(nanoseconds));
  };
  field("count", cell(times.count()));
  time("mean_us", times.mean_ns());
  time("min_us", static_cast<double>(times.min_ns()));
  for (const Percentile& percentile : kPercentiles) {
    time(fmt::format("{}_us", percentile.key).c_str(), static_cast<double>(times.percentile_ns(percentile.per_mille)));
  }
  time("max_us", static_cast<double>(times.max_ns()));
  if (with_rows) field("histogram", list_cell(histogram_rows(times)));
}

Fields fields_of(const BenchReport& report, bool with_rows) {
  Fields fields;
  add_settings(fields, report);
  add_figures(fields, report);
  for (const BenchLatency& latency : report.latencies) add_latency(fields, latency, with_rows);
  return fields;
}

std::string durability_text(const BenchReport& report) {
  if (!is_directory(report)) return "replicas: a record counts when all that are in sync have it";
  std::string text = report.settings.topic.durability == Durability::sync
                         ? "sync: a record counts when the disk has it"
                         : "os: a record counts when the kernel has it; it is lost with the power";
  if (report.place.file_system == "tmpfs") text += "; but this one is in memory, and nothing survives loss of power";
  return text;
}

std::string batches_text(const BenchReport& report) {
  std::string text = fmt::format("{}, compression {}", format_size(report.settings.batch_bytes),
                                 to_string(report.settings.topic.compression));
  if (is_directory(report)) text += report.settings.topic.keeps_proofs() ? ", proofs on" : ", proofs off";
  if (!report.has_pipeline) return text;
  const std::int64_t pipeline = report.settings.pipeline;
  text += pipeline == 1 ? "; each record waits for its receipt"
                        : fmt::format("; up to {} records wait for their receipts", with_commas(pipeline));
  return text;
}

void append_line(std::string& to, std::string_view name, std::string_view text) {
  to += fmt::format("  {:<12}{}\n", name, text);
}

void append_figures(std::string& to, const BenchReport& report) {
  append_line(to, "throughput",
              fmt::format("{} records/s, {}/s", with_commas(std::llround(per_second(report.records, report.seconds))),
                          decimal_size(per_second(report.bytes, report.seconds))));
  std::string time = fmt::format("{} s", three_digits(report.seconds));
  if (report.out_of_time) time += ", then the time limit came";
  append_line(to, "time", time);
  std::string records =
      fmt::format("{}, {}", with_commas(report.records), decimal_size(static_cast<double>(report.bytes)));
  if (report.disk_bytes >= 0) {
    records += fmt::format("; the topic takes {} on disk", decimal_size(static_cast<double>(report.disk_bytes)));
  }
  append_line(to, "records", records);
  const double cpu = report.cpu_user_seconds + report.cpu_system_seconds;
  append_line(to, "processor",
              fmt::format("{:.2f} s user, {:.2f} s system, {:.0f} % of a core", report.cpu_user_seconds,
                          report.cpu_system_seconds, report.seconds > 0 ? 100 * cpu / report.seconds : 0));
  append_line(to, "memory",
              fmt::format("{} at most in a process", decimal_size(static_cast<double>(report.memory_peak_bytes))));
}

std::string latency_table(const BenchLatency& latency) {
  const LatencyHistogram& times = latency.histogram;
  std::string text = fmt::format("\n{}\n", latency.title);
  if (times.count() == 0) return text + "  none was measured\n";
  std::string headings = "  ";
  std::string values = "  ";
  const auto add = [&](std::string_view heading, std::int64_t time_ns) {
    headings += fmt::format("{:<10}", heading);
    values += fmt::format("{:<10}", latency_text(time_ns));
  };
  for (const Percentile& percentile : kPercentiles) add(percentile.heading, times.percentile_ns(percentile.per_mille));
  add("MAX", times.max_ns());
  add("MEAN", std::llround(times.mean_ns()));
  add("MIN", times.min_ns());
  headings += "TIMES";
  values += with_commas(times.count());
  return text + headings + "\n" + values + "\n";
}

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) quoted.append(c == '"' ? 2 : 1, c);
  return quoted + "\"";
}

}  // namespace

void add_up(BenchReport& report, std::span<const ClientReport> clients) {
  std::int64_t begun_ns = INT64_MAX;
  std::int64_t ended_ns = 0;
  for (const ClientReport& client : clients) {
    report.records += client.records;
    report.bytes += client.bytes;
    report.out_of_time |= client.out_of_time;
    report.cpu_user_seconds += static_cast<double>(client.cpu_user_us) / 1e6;
    report.cpu_system_seconds += static_cast<double>(client.cpu_system_us) / 1e6;
    report.memory_peak_bytes = std::max(report.memory_peak_bytes, client.memory_peak_bytes);
    begun_ns = std::min(begun_ns, client.begun_ns);
    ended_ns = std::max(ended_ns, client.ended_ns);
  }
  if (ended_ns > begun_ns) report.seconds = static_cast<double>(ended_ns - begun_ns) / 1e9;
}

std::string latency_text(std::int64_t latency_ns) {
  const auto number = static_cast<double>(latency_ns);
  if (latency_ns < 1'000) return fmt::format("{} ns", latency_ns);
  if (number < 999.5e3) return three_digits(number / 1e3) + " us";
  if (number < 999.5e6) return three_digits(number / 1e6) + " ms";
  return three_digits(number / 1e9) + " s";
}

std::vector<HistogramRow> histogram_rows(const LatencyHistogram& histogram) {
  std::vector<HistogramRow> rows;
  if (histogram.count() == 0) return rows;
  // The first of its bucket: an edge that cuts a bucket has all of it.
  const std::size_t last = LatencyHistogram::bucket_of(histogram.percentile_ns(kDrawnPerMille));
  const std::int64_t to_ns = last == 0 ? 0 : LatencyHistogram::bucket_end_ns(last - 1) + 1;
  std::vector<std::int64_t> edges = edges_between(kTenEdges, histogram.min_ns(), to_ns);
  if (edges.size() >= kRowsMax) edges = edges_between(kThreeEdges, histogram.min_ns(), to_ns);
  if (edges.size() >= kRowsMax) edges = edges_between(kOneEdge, histogram.min_ns(), to_ns);
  std::int64_t before = 0;
  for (const std::int64_t edge : edges) {
    const std::int64_t up_to = histogram.count_up_to(edge);
    rows.push_back({edge, up_to - before});
    before = up_to;
  }
  if (before < histogram.count()) rows.push_back({histogram.max_ns(), histogram.count() - before});
  return rows;
}

std::string draw_histogram(const LatencyHistogram& histogram) {
  const std::vector<HistogramRow> rows = histogram_rows(histogram);
  std::int64_t most = 1;
  for (const HistogramRow& row : rows) most = std::max(most, row.count);
  std::string text;
  for (const HistogramRow& row : rows) {
    const auto share = static_cast<double>(row.count);
    // What is there is seen, however little it is.
    const auto width = static_cast<std::size_t>(std::ceil(kBarWidth * share / static_cast<double>(most)));
    text += fmt::format("  up to {:>8} |{:<{}}| {:>6.2f} %\n", latency_text(row.up_to_ns), std::string(width, '#'),
                        kBarWidth, 100 * share / static_cast<double>(histogram.count()));
  }
  return text;
}

std::string bench_text(const BenchReport& report) {
  std::string text = fmt::format("leat bench {}: {}\n", report.benchmark, report.sentence);
  append_line(text, "file system", report.place.file_system.value_or("not known to this backend"));
  append_line(text, "durability", durability_text(report));
  append_line(text, "batches", batches_text(report));
  if (report.settings.rate) {
    append_line(text, "rate", fmt::format("{} records/s; {}", with_commas(*report.settings.rate), report.rate_meaning));
  }
  text += '\n';
  append_figures(text, report);
  for (const BenchLatency& latency : report.latencies) {
    text += latency_table(latency);
    if (latency.draw) text += draw_histogram(latency.histogram);
  }
  return text;
}

std::string bench_json(const BenchReport& report) {
  const Fields fields = fields_of(report, true);
  return fmt::format("[{}]\n", json_object(fields.columns(), fields.row()));
}

std::string bench_csv(const BenchReport& report) {
  const Fields fields = fields_of(report, false);
  std::string heading;
  std::string line;
  for (std::size_t i = 0; i < fields.row().size(); ++i) {
    const Cell& value = fields.row()[i];
    heading += (i == 0 ? "" : ",") + fields.columns()[i].key;
    line += (i == 0 ? "" : ",") + (value.json == "null" ? std::string() : csv_field(value.text));
  }
  return heading + "\n" + line + "\n";
}

Result<void> print_report(const BenchReport& report, BenchFormat format) {
  switch (format) {
    case BenchFormat::json:
      return out().write(bench_json(report));
    case BenchFormat::csv:
      return out().write(bench_csv(report));
    case BenchFormat::text:
      break;
  }
  return out().write(bench_text(report));
}

}  // namespace leat::tools
