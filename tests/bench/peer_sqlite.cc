// The peer SQLite, through its C library: a table in WAL mode with synchronous=FULL, so that every commit is on disk.
//
//   peer_sqlite create DB
//   peer_sqlite bulk DB ROWS            lines of standard input, ROWS a transaction
//   peer_sqlite consume DB              all values to standard output, a newline after each
//   peer_sqlite count DB
//   peer_sqlite single DB COUNT BYTES   a row a transaction
//   peer_sqlite writers DB PROCESSES COUNT BYTES
#include <sqlite3.h>

#include <memory>
#include <string_view>

#include "measure.h"

namespace {

class Table {
 public:
  explicit Table(const char* path) {
    check(sqlite3_open(path, &db_));
    sqlite3_busy_timeout(db_, 60'000);
    execute("PRAGMA journal_mode=WAL");
    execute("PRAGMA synchronous=FULL");
    execute("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, value BLOB)");
    insert_ = prepare("INSERT INTO t(value) VALUES(?)");
    begin_ = prepare("BEGIN IMMEDIATE");
    commit_ = prepare("COMMIT");
  }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table() {
    for (sqlite3_stmt* statement : {insert_, begin_, commit_}) sqlite3_finalize(statement);
    check(sqlite3_close(db_));
  }

  void begin() { step(begin_); }
  void commit() { step(commit_); }
  void insert(std::string_view value) {
    check(sqlite3_bind_blob(insert_, 1, value.data(), static_cast<int>(value.size()), SQLITE_STATIC));
    step(insert_);
  }

  // Calls `row` with each row of the query's only column.
  template <class Row>
  void select(const char* query, Row row) {
    sqlite3_stmt* statement = prepare(query);
    int answer = 0;
    while ((answer = sqlite3_step(statement)) == SQLITE_ROW) row(statement);
    if (answer != SQLITE_DONE) check(answer);
    sqlite3_finalize(statement);
  }

 private:
  void check(int answer) {
    if (answer != SQLITE_OK) bench::die(std::string("sqlite: ") + sqlite3_errmsg(db_));
  }
  void execute(const char* statement) { check(sqlite3_exec(db_, statement, nullptr, nullptr, nullptr)); }
  sqlite3_stmt* prepare(const char* text) {
    sqlite3_stmt* statement = nullptr;
    check(sqlite3_prepare_v2(db_, text, -1, &statement, nullptr));
    return statement;
  }
  void step(sqlite3_stmt* statement) {
    if (sqlite3_step(statement) != SQLITE_DONE) bench::die(std::string("sqlite: ") + sqlite3_errmsg(db_));
    check(sqlite3_reset(statement));
  }

  sqlite3* db_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
  sqlite3_stmt* begin_ = nullptr;
  sqlite3_stmt* commit_ = nullptr;
};

void bulk(Table& table, long rows) {
  char* line = nullptr;
  std::size_t capacity = 0;
  long pending = 0;
  for (ssize_t size = 0; (size = ::getline(&line, &capacity, stdin)) > 0;) {
    if (pending == 0) table.begin();
    table.insert({line, static_cast<std::size_t>(size - 1)});
    if (++pending == rows) {
      table.commit();
      pending = 0;
    }
  }
  if (pending != 0) table.commit();
  std::free(line);
}

void consume(Table& table) {
  table.select("SELECT value FROM t ORDER BY id", [](sqlite3_stmt* row) {
    std::fwrite(sqlite3_column_blob(row, 0), 1, static_cast<std::size_t>(sqlite3_column_bytes(row, 0)), stdout);
    std::putchar('\n');
  });
  bench::must(std::fflush(stdout) == 0, "write");
}

void count(Table& table) {
  table.select("SELECT count(*) FROM t",
               [](sqlite3_stmt* row) { std::printf("%lld\n", sqlite3_column_int64(row, 0)); });
}

void single(Table& table, long count, long bytes) {
  const std::string value(static_cast<std::size_t>(bytes), 'x');
  bench::time_each(count, [&] { table.insert(value); });
}

void writers(const char* path, char** argv) {
  const long count = bench::number(argv, 4);
  const std::string value(static_cast<std::size_t>(bench::number(argv, 5)), 'x');
  bench::time_crew(bench::number(argv, 3), count, [&](int) {
    auto table = std::make_shared<Table>(path);
    return [table, count, value] {
      for (long i = 0; i < count; ++i) {
        table->begin();
        table->insert(value);
        table->commit();
      }
    };
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) bench::die("peer_sqlite create|bulk|consume|count|single|writers DB ...");
  const std::string_view what = argv[1];
  if (what == "writers") return writers(argv[2], argv), 0;
  Table table(argv[2]);
  if (what == "bulk") bulk(table, bench::number(argv, 3));
  if (what == "consume") consume(table);
  if (what == "count") count(table);
  if (what == "single") single(table, bench::number(argv, 3), bench::number(argv, 4));
}
