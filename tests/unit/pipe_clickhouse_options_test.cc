// The keys of a ClickHouse sink, tokens, and what exceptions mean.
#include "leat/pipe/clickhouse_options.h"

#include <doctest/doctest.h>

#include "tests/support/sink_settings.h"

using namespace leat;
using namespace leat::pipe;
using namespace leat::test;

namespace {

constexpr std::string_view kLeast = "url = 'http://h:8123'\ntable = 't'\n";

Message message(std::string topic, std::int32_t partition, std::int64_t first, std::int64_t last) {
  return {.sources = {{std::move(topic), {partition}, {first}, {last}}}};
}

std::string token(const std::vector<Message>& batch) {
  return deduplication_token(batch);
}

}  // namespace

TEST_CASE("a ClickHouse sink needs a URL and a table, and has defaults for the rest") {
  const ClickhouseOptions options = must(parsed(parse_clickhouse_options, kLeast));
  CHECK(options.url == "http://h:8123");
  CHECK(clickhouse_table_name(options) == "`t`");
  CHECK(options.compression == HttpCompression::none);
  CHECK(options.deduplicate);
  CHECK(options.target.client.timeout == std::chrono::seconds(30));
  CHECK(!options.target.user);
}

TEST_CASE("every key of a ClickHouse sink is understood") {
  const ClickhouseOptions options = must(parsed(parse_clickhouse_options, R"(url = "https://h/x"
table = "d`.t\\"
compression = "zstd"
deduplicate = false
timeout = "2m"
connect_timeout = "1s"
ca_file = "ca.pem"
user = "me"
password_env = "WORD"
settings = { insert_quorum = "2", max_memory_usage = "1" }
)"));
  CHECK(clickhouse_table_name(options) == "`d\\``.`t\\\\`");
  CHECK(options.compression == HttpCompression::zstd);
  CHECK(!options.deduplicate);
  CHECK(options.target.client.timeout == std::chrono::minutes(2));
  CHECK(options.target.client.connect_timeout == std::chrono::seconds(1));
  CHECK(options.target.client.ca_file == "ca.pem");
  CHECK(options.target.user->from == Secret::From::literal);
  CHECK(options.target.password->from == Secret::From::environment);
  CHECK(options.target.password->name == "WORD");
  CHECK(options.target.password->place == "f:10:16: password_env");
  CHECK(options.settings.size() == 2);
}

TEST_CASE("a table's name may have a dot when its database is named beside it") {
  const auto options = must(parsed(parse_clickhouse_options, "url = 'http://h'\ntable = 'a.b'\ndatabase = 'd'\n"));
  CHECK(clickhouse_table_name(options) == "`d`.`a.b`");
}

TEST_CASE("bad values of a ClickHouse sink are refused with their places") {
  const auto refused = [](const std::string& text) { return refusal(parse_clickhouse_options, text); };
  CHECK(refused("table = 't'\n") == "f:2:1: \"url\" is missing");
  CHECK(refused("url = 'http://h'\n") == "f:2:1: \"table\" is missing");
  CHECK(refused("url = 7\ntable = 't'\n") == "f:2:7: url: expected text, found a number");
  CHECK(refused("url = 'h:8123'\ntable = 't'\n").starts_with("f:2:7: url: expected a URL"));
  CHECK(refused("url = 'http://h/?a=b'\ntable = 't'\n").starts_with("f:2:7: url: must not have a query"));
  CHECK(refused("table = '.t'\nurl = 'http://h'\n").starts_with("f:2:9: table: expected TABLE"));
  CHECK(refused("table = ''\nurl = 'http://h'\n").starts_with("f:2:9: table: expected TABLE"));
  const std::string least(kLeast);
  CHECK(refused(least + "compression = 'rar'\n").starts_with("f:4:15: compression: \"rar\" is not allowed"));
  CHECK(refused(least + "deduplicate = 1\n").starts_with("f:4:15: deduplicate: expected true or false"));
  CHECK(refused(least + "timeout = '1ms'\n") == "f:4:11: timeout: expected a duration from 10ms to 1d");
  CHECK(refused(least + "connect_timeout = '2h'\n").starts_with("f:4:19: connect_timeout: expected a duration"));
  CHECK(refused(least + "settings = { async_insert = '1' }\n").ends_with("async_insert is set by the sink itself"));
  CHECK(refused(least + "settings = { 'a&b' = '1' }\n").ends_with("\"a&b\" is not the name of a setting"));
  CHECK(refused(least + "settings = { a = 1 }\n").starts_with("f:4:18: settings.a: expected text"));
  CHECK(refused(least + "password_env = 'X'\n") == "f:2:1: user: is missing: there is a password");
  CHECK(refused(least + "user = 'x'\nuser_env = 'X'\n") == "f:5:12: user_env: there is another one of these");
  CHECK(refused(least + "user_file = ''\n") == "f:4:13: user_file: names nothing");
  CHECK(refused(least + "tabel = 't'\n") == "f:4:1: unknown key \"tabel\" in [s]");
}

TEST_CASE("no message repeats a password") {
  for (const char* text : {"url = 'http://me:hunter2@h'\ntable = 't'\n", "url = 'http://hunter2@h/'\ntable = 't'\n",
                           "url = 'http://h'\ntable = 't'\nuser = 'me'\npassword = 'hunter2'\n"}) {
    const std::string said = refusal(parse_clickhouse_options, text);
    CHECK(!said.empty());
    CHECK(said.find("hunter2") == std::string::npos);
    CHECK(said.find("password_file") != std::string::npos);
  }
}

TEST_CASE("a token is that of the source ranges, however they are ordered and cut") {
  const std::string whole = token({message("t", 0, 5, 9), message("t", 1, 0, 3)});
  CHECK(whole.size() == 64);
  CHECK(token({message("t", 1, 0, 3), message("t", 0, 5, 9)}) == whole);
  CHECK(token({message("t", 0, 5, 5), message("t", 1, 0, 3), message("t", 0, 6, 9)}) == whole);
  CHECK(token({message("t", 0, 5, 9), message("t", 1, 0, 3), message("t", 0, 7, 8)}) == whole);
  CHECK(token({message("t", 0, 5, 8), message("t", 1, 0, 3)}) != whole);
  CHECK(token({message("t", 0, 5, 6), message("t", 0, 8, 9), message("t", 1, 0, 3)}) != whole);
  CHECK(token({message("u", 0, 5, 9), message("t", 1, 0, 3)}) != whole);
  CHECK(token({message("t", 2, 5, 9), message("t", 1, 0, 3)}) != whole);
  CHECK(token({}) != whole);
}

TEST_CASE("an exception's number is found where the server puts it") {
  CHECK(exception_code("27", "") == 27);
  CHECK(exception_code("27", "Code: 60. DB::Exception") == 27);
  CHECK(exception_code("", "Code: 60. DB::Exception: x") == 60);
  CHECK(exception_code("x", "Code: 60, e.displayText() = DB::Exception: x") == 60);
  CHECK(exception_code("", "1\n2\nCode: 241. DB::Exception: x") == 241);
  CHECK(exception_code("0", "") == std::nullopt);
  CHECK(exception_code("", "no Code: 60. DB::Exception: x") == std::nullopt);
  CHECK(exception_code("", "Code: x. DB::Exception: x") == std::nullopt);
  CHECK(exception_code("", "Code: 60, says somebody else") == std::nullopt);
  CHECK(exception_code("", "") == std::nullopt);
}

TEST_CASE("exceptions are sorted into rows, what may pass, and what will not") {
  CHECK(meaning_of_exception(27, "") == Code::bad_data);
  CHECK(meaning_of_exception(469, "") == Code::bad_data);
  CHECK(meaning_of_exception(252, "Too many parts (300)") == Code::unavailable);
  CHECK(meaning_of_exception(252, "Too many partitions for single INSERT block") == Code::bad_data);
  CHECK(meaning_of_exception(241, "Memory limit: (at row 7)") == Code::unavailable);
  CHECK(meaning_of_exception(60, "") == Code::not_found);
  CHECK(meaning_of_exception(81, "") == Code::not_found);
  CHECK(meaning_of_exception(193, "") == Code::permission);
  CHECK(meaning_of_exception(115, "") == Code::configuration);
  CHECK(meaning_of_exception(99'999, "x (at row 2)") == Code::bad_data);
  CHECK(meaning_of_exception(99'999, "x") == Code::unavailable);
}
