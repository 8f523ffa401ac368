// HTTP requests over one kept connection, for sinks. The only includer of libcurl, which is in leat-net alone.
//
// A request either comes back with an answer, whatever its status, or with an error that says whether sending it again
// can help. Nothing is taken from the environment: no proxy, no .netrc, no cookies, no redirects. Certificates and the
// host's name in them are verified.
//
// Threads: a client belongs to one thread at a time.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "leat/base/clock.h"
#include "leat/base/error.h"

namespace leat::pipe {

struct HttpClientOptions {
  Milliseconds connect_timeout = std::chrono::seconds(5);  // names looked up and TLS agreed on included
  Milliseconds timeout = std::chrono::seconds(30);         // of a whole request
  std::string ca_file = {};                                // certificates in PEM; the system's when empty
};

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// What is sent. The views must live until send() returns.
struct HttpRequest {
  std::string method = "POST";  // in capitals; GET has no body
  std::string url = {};
  HttpHeaders headers = {};  // neither names nor values hold a CR, an LF or a NUL
  std::string_view body = {};
  // Over a connection of its own, which ends with the answer. On a kept one that has been closed meanwhile libcurl
  // sends a request once more by itself, though it may have arrived.
  bool alone = false;
};

struct HttpAnswer {
  int status = 0;
  HttpHeaders headers = {};
  std::string body = {};                         // at most kHttpAnswerBytesMax; what is longer is cut
  std::optional<Milliseconds> retry_after = {};  // what Retry-After says, as a time or as a date

  // The value of the first header of that name, in any case, or empty.
  std::string_view header(std::string_view name) const;
};

// More of an answer is read, but not kept.
constexpr std::size_t kHttpAnswerBytesMax = 64 << 10;

// How soon a request ends when it is told to stop.
constexpr Milliseconds kHttpStopLatency{50};

class HttpClient {
 public:
  // Connects to nothing yet. Errors: internal (libcurl cannot be set up).
  static Result<HttpClient> make(HttpClientOptions options);

  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;
  ~HttpClient();

  // Sends a request and returns with its answer. `stop` ends it with interrupted within kHttpStopLatency: it may have
  // arrived. Errors: unavailable (not connected, lost, late: may pass), configuration (no URL, a certificate that is
  // not trusted, nobody who speaks HTTP), io (memory).
  Result<HttpAnswer> send(const HttpRequest& request, const std::atomic<bool>& stop);

 private:
  struct Handles;
  explicit HttpClient(std::unique_ptr<Handles> handles);

  std::unique_ptr<Handles> handles_;
};

// "Basic ..." for an Authorization header.
std::string basic_credentials(std::string_view user, std::string_view password);

}  // namespace leat::pipe
