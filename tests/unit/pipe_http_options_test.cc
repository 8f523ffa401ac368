// The keys of an HTTP sink.
#include "leat/pipe/http_options.h"

#include <doctest/doctest.h>

#include "tests/support/sink_settings.h"

using namespace leat;
using namespace leat::pipe;
using namespace leat::test;

TEST_CASE("an HTTP sink needs a URL, and has defaults for the rest") {
  const HttpOptions options = must(parsed(parse_http_options, "url = 'https://h/a?b=c'\n"));
  CHECK(options.shown_url == "https://h/a");
  CHECK(!options.url.has_places);
  CHECK(options.method == "POST");
  CHECK(options.send == HttpSend::record);
  CHECK(options.concurrency == 1);
  CHECK(options.headers.at(0).first == "Content-Type");
  CHECK(!options.body);
  CHECK(!options.signature);
  CHECK(!options.token);
  for (const int status : {200, 204, 299}) CHECK(options.success.contains(status));
  for (const int status : {408, 429, 500, 503, 599}) CHECK(options.retry.contains(status));
  for (const int status : {301, 401, 403, 407}) CHECK(options.stop.contains(status));
  for (const int status : {400, 404, 422}) {
    CHECK(!options.success.contains(status));
    CHECK(!options.retry.contains(status));
    CHECK(!options.stop.contains(status));
  }
}

TEST_CASE("every key of an HTTP sink is understood") {
  const HttpOptions options = must(parsed(parse_http_options, R"(url = "http://h/{{ key }}?at={{offset}}"
method = "PATCH"
send = "record"
body = "{{value}}"
headers = { X-Key = "{{key}}", content-type = "text/plain" }
success_codes = "200, 201-203"
retry_codes = ""
stop_codes = "404"
token_env = "TOKEN"
signature_key_file = "key"
signature_header = "X-Mine"
signature_prefix = ""
retry_after_max = "0"
concurrency = 16
)"));
  CHECK(options.concurrency == 16);
  CHECK(options.url.has_places);
  CHECK(options.method == "PATCH");
  CHECK(options.headers.size() == 2);
  CHECK(options.body->has_places);
  CHECK(options.success.contains(203));
  CHECK(!options.success.contains(204));
  CHECK(!options.retry.contains(503));
  CHECK(options.stop.contains(404));
  CHECK(options.token->name == "TOKEN");
  CHECK(options.signature->header == "X-Mine");
  CHECK(options.signature->prefix.empty());
  CHECK(options.signature->key.from == Secret::From::file);
  CHECK(options.retry_after_max.count() == 0);
}

TEST_CASE("bad values of an HTTP sink are refused with their places") {
  const auto refused = [](const std::string& text) { return refusal(parse_http_options, text); };
  CHECK(refused("method = 'POST'\n") == "f:2:1: \"url\" is missing");
  for (const char* url : {"ftp://h/", "http://", "http:///a", "http://:80/", "http://h/#a", "http://h/a b",
                          "http://h/\\t", "http://{{key}}/", "http://h{{key}}:80/", "{{value}}"}) {
    CAPTURE(url);
    CHECK(refused("url = \"" + std::string(url) + "\"\n").starts_with("f:2:7: url: "));
  }
  CHECK(refused("url = 'http://h/{{kex}}'\n").starts_with("f:2:7: url: "));
  CHECK(refused("url = 'http://h/{{key'\n").starts_with("f:2:7: url: "));
  const std::string least = "url = 'http://h'\n";
  CHECK(refused(least + "method = 'post'\n").starts_with("f:3:10: method: \"post\" is not allowed"));
  CHECK(refused(least + "send = 'all'\n").starts_with("f:3:8: send: \"all\" is not allowed"));
  CHECK(refused(least + "method = 'GET'\nbody = 'x'\n") == "f:4:8: body: a GET has none");
  CHECK(refused(least + "concurrency = 0\n") == "f:3:15: concurrency: 0 is not allowed: expected 1 to 256");
  CHECK(refused(least + "send = 'json_lines'\nconcurrency = 2\n") ==
        "f:4:15: concurrency: is for send = \"record\": a batch is one request");
  CHECK(refused(least + "method = 'GET'\nsend = 'json_array'\n").starts_with("f:3:10: method: a GET has no body"));
  CHECK(refused("send = 'json_lines'\nurl = 'http://h/{{key}}'\n").starts_with("f:3:7: url: {{...}} names one record"));
  CHECK(refused(least + "send = 'json_lines'\nheaders = { A = '{{key}}' }\n").find("names one record") !=
        std::string::npos);
  CHECK(refused(least + "headers = { 'A B' = 'x' }\n").ends_with("\"A B\" is not the name of a header"));
  CHECK(refused(least + "headers = { content-LENGTH = '1' }\n").ends_with("is set by the connection itself"));
  CHECK(refused(least + "headers = { A = \"x\\r\\nB: y\" }\n").ends_with("A has a control character in it"));
  CHECK(refused(least + "headers = 'x'\n").starts_with("f:3:11: headers: expected a table"));
  for (const char* codes : {"200-", "99", "600", "x", "299-200", "200,,201", "200;201", "-200"}) {
    CAPTURE(codes);
    CHECK(refused(least + "success_codes = '" + codes + "'\n").starts_with("f:3:17: success_codes: "));
  }
  CHECK(refused(least + "signature_header = 'X'\n").starts_with("f:3:20: signature_header: needs signature_key_file"));
  CHECK(
      refused(least + "signature_key_env = 'X'\nsignature_header = 'a b'\n").ends_with("is not the name of a header"));
  CHECK(refused(least + "token_env = 'X'\nuser = 'me'\n") == "f:4:8: user: there is a token, too");
  CHECK(refused(least + "retry_after_max = '2d'\n").starts_with("f:3:19: retry_after_max: expected a duration"));
}

TEST_CASE("no message of an HTTP sink repeats a secret") {
  for (const char* text :
       {"url = 'http://me:hunter2@h'\n", "url = 'http://h'\ntoken = 'hunter2'\n",
        "url = 'http://h'\nsignature_key = 'hunter2'\n", "url = 'http://h'\nuser = 'x'\npassword = 'hunter2'\n",
        "url = 'http://h'\nheaders = { authorization = 'hunter2' }\n"}) {
    const std::string said = refusal(parse_http_options, text);
    CHECK(!said.empty());
    CHECK(said.find("hunter2") == std::string::npos);
  }
}
