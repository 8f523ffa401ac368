#include "leat/pipe/clickhouse_sink.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/pipe/http_client.h"
#include "leat/pipe/json_check.h"
#include "leat/pipe/packed_body.h"

namespace leat::pipe {
namespace {

// What a server was found to be.
struct Server {
  std::string version;
  bool knows_token = false;
  bool knows_async = false;
};

class ClickhouseSink : public Sink {
 public:
  ClickhouseSink(ClickhouseOptions options, HttpClient client, HttpHeaders headers)
      : options_(std::move(options)), client_(std::move(client)), headers_(std::move(headers)) {}

  Result<Delivery> deliver(std::span<const Message> batch, const std::atomic<bool>& stop) override;

 private:
  Result<void> look_at_server(const std::atomic<bool>& stop);
  Result<std::string> ask(std::string_view query, const std::atomic<bool>& stop);
  Result<bool> table_exists(const std::atomic<bool>& stop);
  Result<void> insert(std::string_view rows, std::size_t count, const std::string& token,
                      const std::atomic<bool>& stop);
  std::string insert_url(std::size_t count, const std::string& token) const;
  Result<void> judge(const HttpAnswer& answer) const;

  ClickhouseOptions options_;
  HttpClient client_;
  HttpHeaders headers_;  // with the credentials
  std::optional<Server> server_;
};

void add_parameter(std::string& url, std::string_view name, std::string_view value) {
  url += url.find('?') == std::string::npos ? '?' : '&';
  url += name;
  url += '=';
  append_percent_encoded(url, value);
}

std::string encoding_name(HttpCompression compression) {
  switch (compression) {
    case HttpCompression::none:
      break;
    case HttpCompression::gzip:
      return "gzip";
    case HttpCompression::lz4:
      return "lz4";
    case HttpCompression::zstd:
      return "zstd";
  }
  return {};
}

// Joins the rows of a batch with newlines; what is no row is refused.
std::size_t join_rows(std::span<const Message> batch, std::string& rows, Delivery& delivery) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto& value = batch[i].value;
    if (!value || !is_json_object(*value)) {
      delivery.refused.push_back({i, value ? "the value is not a JSON object" : "the value is null"});
      continue;
    }
    rows += *value;
    rows += '\n';
    ++count;
  }
  return count;
}

// Why nothing more can be done with an answer that carries no exception; empty when it is success.
std::optional<Code> meaning_of_status(int status) {
  if (status == 200) return std::nullopt;
  if (status == 401 || status == 403) return Code::permission;
  if (status == 413) return Code::bad_data;  // too large as a whole: its parts may go
  if (status == 408 || status == 429 || status >= 500) return Code::unavailable;
  return Code::configuration;
}

}  // namespace

Result<void> ClickhouseSink::judge(const HttpAnswer& answer) const {
  const auto exception = exception_code(answer.header("X-ClickHouse-Exception-Code"), answer.body);
  const std::string where = shown_url(options_.url);
  if (exception)
    return fail(meaning_of_exception(*exception, answer.body), fmt::format("{}: {}", where, one_line(answer.body)));
  if (const auto code = meaning_of_status(answer.status))
    return fail(*code, fmt::format("{}: status {}: {}", where, answer.status, one_line(answer.body)));
  return {};
}

Result<std::string> ClickhouseSink::ask(std::string_view query, const std::atomic<bool>& stop) {
  HttpHeaders headers = headers_;
  headers.emplace_back("Content-Type", "text/plain");
  HttpAnswer answer = TRY(client_.send({"POST", options_.url, headers, query, true}, stop));
  TRY(judge(answer));
  return std::move(answer.body);
}

Result<bool> ClickhouseSink::table_exists(const std::atomic<bool>& stop) {
  return TRY(ask(fmt::format("EXISTS TABLE {}", clickhouse_table_name(options_)), stop)).starts_with('1');
}

// Asks the server for its version and what it knows.
Result<void> ClickhouseSink::look_at_server(const std::atomic<bool>& stop) {
  if (server_) return {};
  Server server;
  const std::string text =
      TRY(ask("SELECT concat('version ', version()) AS name UNION ALL SELECT name FROM system.settings "
              "WHERE name IN ('insert_deduplication_token', 'async_insert') FORMAT TSV",
              stop));
  for (std::string_view left = text; !left.empty();) {
    const std::string_view line = left.substr(0, left.find('\n'));
    left.remove_prefix(std::min(left.size(), line.size() + 1));
    if (line.starts_with("version ")) server.version = line.substr(8);
    server.knows_token |= line == "insert_deduplication_token";
    server.knows_async |= line == "async_insert";
  }
  if (server.version.empty())
    return fail(Code::configuration, fmt::format("{}: what answers is not ClickHouse", shown_url(options_.url)));
  server_ = std::move(server);
  return {};
}

std::string ClickhouseSink::insert_url(std::size_t count, const std::string& token) const {
  std::string url = options_.url;
  add_parameter(url, "query", fmt::format("INSERT INTO {} FORMAT JSONEachRow", clickhouse_table_name(options_)));
  // One block: rows are read as one, or gathered until all of them are there.
  const std::string rows = std::to_string(count);
  add_parameter(url, "max_insert_block_size", rows);
  add_parameter(url, "min_insert_block_size_rows", rows);
  add_parameter(url, "min_insert_block_size_bytes", "0");
  // Neither dropped rows, nor an answer before the end.
  add_parameter(url, "input_format_allow_errors_num", "0");
  add_parameter(url, "input_format_allow_errors_ratio", "0");
  add_parameter(url, "wait_end_of_query", "1");
  if (server_->knows_async) add_parameter(url, "async_insert", "0");
  if (server_->knows_token && options_.deduplicate) add_parameter(url, "insert_deduplication_token", token);
  for (const auto& [name, value] : options_.settings) add_parameter(url, name, value);
  return url;
}

Result<void> ClickhouseSink::insert(std::string_view rows, std::size_t count, const std::string& token,
                                    const std::atomic<bool>& stop) {
  std::string packed;
  HttpRequest request{"POST", insert_url(count, token), headers_, rows, true};
  request.headers.emplace_back("Content-Type", "text/plain");
  if (options_.compression != HttpCompression::none) {
    packed = TRY(pack_body(options_.compression, rows));
    request.body = packed;
    request.headers.emplace_back("Content-Encoding", encoding_name(options_.compression));
  }
  const HttpAnswer answer = TRY(client_.send(request, stop));
  TRY(judge(answer));
  // An insertion that went well says nothing.
  if (const std::string said = one_line(answer.body); !said.empty())
    return fail(Code::unavailable,
                fmt::format("{}: an insertion was answered with: {}", shown_url(options_.url), said));
  return {};
}

Result<Delivery> ClickhouseSink::deliver(std::span<const Message> batch, const std::atomic<bool>& stop) {
  Delivery delivery;
  std::string rows;
  const std::size_t count = join_rows(batch, rows, delivery);
  if (count == 0) return delivery;
  TRY(look_at_server(stop));
  const std::string token = options_.deduplicate && server_->knows_token ? deduplication_token(batch) : "";
  auto inserted = insert(rows, count, token, stop);
  // A server that is shutting down has lost its tables before it has lost its connections.
  if (!inserted && inserted.error().code == Code::not_found && TRY(table_exists(stop)))
    inserted = fail(Code::unavailable, inserted.error().message);
  // What comes back up may be another server.
  if (!inserted && inserted.error().code == Code::unavailable) server_.reset();
  TRY(std::move(inserted));
  return delivery;
}

Result<std::unique_ptr<Sink>> open_clickhouse_sink(ClickhouseOptions options) {
  HttpHeaders headers;
  if (options.target.user) headers.emplace_back("X-ClickHouse-User", TRY(read_secret(*options.target.user)));
  if (options.target.password) headers.emplace_back("X-ClickHouse-Key", TRY(read_secret(*options.target.password)));
  HttpClient client = TRY(HttpClient::make(options.target.client));
  return std::make_unique<ClickhouseSink>(std::move(options), std::move(client), std::move(headers));
}

Result<SinkPlan> plan_clickhouse_sink(SettingsTable& table) {
  const ClickhouseOptions options = TRY(parse_clickhouse_options(table));
  return SinkPlan{fmt::format("clickhouse {} {}", options.url, clickhouse_table_name(options)),
                  [options](const SinkSurroundings&) { return open_clickhouse_sink(options); }};
}

}  // namespace leat::pipe
