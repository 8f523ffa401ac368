// An HTTP/1.1 server over a handler: connections, limits, deadlines and waiting, by libmicrohttpd, of which this is the
// only includer. Knows no resources.
//
// A few threads serve all connections; a handler must not wait. One that cannot answer yet says so, and is asked again
// whenever wake() was called, and every few milliseconds.
//
// What is bounded: the header of a request (with its line), its body, the number of connections, how long a connection
// may take from its opening, or its latest answer, to the end of the next request's header, from there to the end of
// the body, and to take the answer; and the memory of large answers that are not taken yet, over all connections.
// Whatever tells a body's length in two ways, or in a way that others may read differently, is refused and its
// connection closed.
#pragma once

#include <any>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "leat/base/clock.h"
#include "leat/base/error.h"
#include "tools/listen_address.h"

namespace leat::tools {

struct HttpLimits {
  std::uint32_t connections = 1000;
  std::size_t header_bytes = 16 << 10;
  std::size_t body_bytes = 1 << 20;
  Milliseconds header_time = std::chrono::seconds(30);
  Milliseconds body_time = std::chrono::seconds(60);
  // An answer is to be taken within the one and as long as it takes at this rate.
  Milliseconds answer_time = std::chrono::seconds(30);
  std::int64_t answer_bytes_per_ms = 128;
  // What would make large answers come to more is refused with 503.
  std::size_t answers_bytes = std::size_t{256} << 20;
  unsigned threads = 2;
  bool any_host = false;  // or, where only this machine can reach it, the names that this machine has for itself
};

struct HttpRequest {
  std::string_view method;
  std::string_view target;  // path and query as they were sent
  std::string_view body;
  // The value of a header, or an empty one; names in any case.
  std::function<std::string_view(const char* name)> header;
  std::any* memory;  // of this request, from one time it is asked about to the next
};

struct HttpResponse {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
};

// nullopt: not yet. May be called by several threads at once.
using HttpHandler = std::function<std::optional<HttpResponse>(const HttpRequest&)>;

class HttpServer {
 public:
  // Listens, and answers from then on. Errors: usage (no such address), busy (the port is taken), permission, io.
  static Result<std::unique_ptr<HttpServer>> start(const ListenAddress& address, const HttpLimits& limits,
                                                   HttpHandler handler);
  // stop() at once.
  virtual ~HttpServer() = default;

  // As others reach it: "http://127.0.0.1:8080".
  virtual const std::string& url() const = 0;
  // Whether only this machine can.
  virtual bool loopback() const = 0;
  virtual unsigned connections() const = 0;
  // Requests answered so far, by their status.
  virtual std::vector<std::pair<unsigned, std::uint64_t>> answered() const = 0;
  // Waiting requests are asked again, soon. From any thread.
  virtual void wake() = 0;
  // Takes no more connections, lets requests that have begun be answered for up to `grace`, and closes the rest.
  virtual void stop(Milliseconds grace) = 0;
};

}  // namespace leat::tools
