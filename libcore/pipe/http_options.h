// The keys of an HTTP sink in a pipeline file. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "leat/pipe/http_target.h"
#include "leat/pipe/record_template.h"
#include "leat/pipe/settings_table.h"

namespace leat::pipe {

// Statuses of HTTP: "200-299, 304".
class StatusSet {
 public:
  // Errors: usage.
  static Result<StatusSet> parse(std::string_view text);
  bool contains(int status) const;

 private:
  std::vector<std::pair<int, int>> ranges_;
};

// What is in a request: one message, or a batch as a JSON array or as lines of JSON.
enum class HttpSend { record, json_array, json_lines };

// Text with {{...}} in it, or without.
struct HttpTemplate {
  RecordTemplate text;
  bool has_places = false;
};

struct HttpSignature {
  std::string header;
  std::string prefix;  // before the hexadecimal digits
  Secret key;
};

struct HttpOptions {
  HttpTarget target;
  std::string shown_url;  // for people
  HttpTemplate url;
  std::string method = "POST";
  HttpSend send = HttpSend::record;
  std::size_t concurrency = 1;  // requests at once; 1 unless a request is one message
  std::vector<std::pair<std::string, HttpTemplate>> headers = {};
  std::optional<HttpTemplate> body = {};  // of a message; else its value
  StatusSet success;
  StatusSet retry;
  StatusSet stop;
  std::optional<Secret> token = {};  // Authorization: Bearer
  std::optional<HttpSignature> signature = {};
  Milliseconds retry_after_max{};
};

// Takes the sink's keys out of the stage's table. Errors: configuration, with file, line and column.
Result<HttpOptions> parse_http_options(SettingsTable& table);

}  // namespace leat::pipe
