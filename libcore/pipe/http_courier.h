// One connection of an HTTP sink: makes requests of messages, sends them, and says what their answers mean.
//
// Threads: a courier belongs to one thread at a time; those of a sink share a Patience.
#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "leat/pipe/http_options.h"
#include "leat/pipe/sink.h"

namespace leat::pipe {

// What a sink has read when it was made.
struct HttpSecrets {
  std::string authorization;
  std::string signature_key;
};

// Until when a server has asked to be left alone, on whichever connection it did.
class Patience {
 public:
  // A later moment counts.
  void ask(SteadyTime until);
  // Returns when it is time. Errors: interrupted.
  Result<void> wait(const std::atomic<bool>& stop) const;

 private:
  std::atomic<SteadyTime> until_ = SteadyTime{};
};

class HttpCourier {
 public:
  // Connects to nothing yet. `patience` outlives it. Errors: internal.
  static Result<HttpCourier> make(const HttpOptions& options, const HttpSecrets& secrets, Patience& patience);

  // What is sent of one message. Errors: bad_data, when a template cannot be filled in.
  Result<std::string> body_of(const Message& message);
  // Sends one message. Errors: bad_data, when it is refused, or does not fit into a URL or a header; those of
  // Sink::deliver().
  Result<void> deliver(const Message& message, const std::atomic<bool>& stop);
  // Sends a body with the URL and the headers of `message`. Errors: the same.
  Result<void> send(const Message& message, std::string_view body, const std::atomic<bool>& stop);

 private:
  HttpCourier(HttpOptions options, HttpSecrets secrets, HttpClient client, Patience& patience)
      : options_(std::move(options)), secrets_(std::move(secrets)), client_(std::move(client)), patience_(&patience) {}

  Result<HttpRequest> request_for(const Message& message);
  Result<void> judge(const HttpAnswer& answer);

  HttpOptions options_;
  HttpSecrets secrets_;
  HttpClient client_;
  Patience* patience_;
};

// HMAC-SHA256 (RFC 2104) of `body`, in hexadecimal digits.
std::string hmac_sha256_hex(std::string_view key, std::string_view body);

}  // namespace leat::pipe
