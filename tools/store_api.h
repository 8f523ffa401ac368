// What a store answers over HTTP: resources, their forms and their statuses. Knows nothing of connections.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "leat/store/store.h"
#include "tools/http_server.h"
#include "tools/url_text.h"

namespace leat::tools {

enum class StoredAs { bytes, json };

// What the HTTP server knows of itself, for the metrics.
struct HttpFigures {
  unsigned connections = 0;
  std::vector<std::pair<unsigned, std::uint64_t>> answered = {};
};

class StoreApi {
 public:
  // `token`: what requests for data must bear; empty for none. The store must outlive this.
  StoreApi(Store& store, StoredAs stored_as, std::string token, std::function<HttpFigures()> figures);

  // nullopt: not yet. See HttpHandler.
  std::optional<HttpResponse> answer(const HttpRequest& request);

 private:
  std::optional<HttpResponse> answer_data(const HttpRequest& request);
  std::optional<HttpResponse> answer_store(const HttpRequest& request, std::string_view rest);
  HttpResponse answer_key(const HttpRequest& request, const UrlTarget& target, std::string_view encoded) const;
  HttpResponse answer_page(const UrlTarget& target) const;
  HttpResponse answer_many(const HttpRequest& request) const;
  std::optional<HttpResponse> answer_flush(const HttpRequest& request);
  HttpResponse answer_status() const;
  HttpResponse answer_metrics() const;
  HttpResponse answer_ready() const;

  // Whether every offset that the request wants to see is visible; false: not yet. Errors: usage, not_found (another
  // process holds the partition), busy (not within the time that the request gave).
  Result<bool> is_fresh(const HttpRequest& request, const UrlTarget& target);
  Result<bool> await_flush(const HttpRequest& request, const UrlTarget& target, std::string_view place);
  void append_item(std::string& to, const StorePartition& partition, const StoredValue& value) const;
  void append_positions(std::string& to) const;
  bool admits(const HttpRequest& request) const;

  Store& store_;
  StoredAs stored_as_;
  std::string token_;
  std::function<HttpFigures()> figures_;
};

// Whether the two are equal, in a time that tells nothing but their lengths.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace leat::tools
