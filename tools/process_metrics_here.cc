// Metrics over the HTTP server, in a leat-net that has one.
#include "tools/http_server.h"
#include "tools/process_metrics.h"
#include "tools/prometheus.h"

namespace leat::tools {
namespace {

constexpr unsigned kOk = 200;
constexpr unsigned kNotFound = 404;
constexpr unsigned kWrongMethod = 405;

class Server final : public MetricsServer {
 public:
  explicit Server(std::unique_ptr<HttpServer> server) : server_(std::move(server)) {}

  const std::string& url() const override { return server_->url(); }
  bool loopback() const override { return server_->loopback(); }

 private:
  std::unique_ptr<HttpServer> server_;
};

HttpResponse answer(const HttpRequest& request, const std::function<std::string()>& text) {
  constexpr const char* kPlain = "text/plain; charset=utf-8";
  if (request.method != "GET" && request.method != "HEAD")
    return {.status = kWrongMethod, .content_type = kPlain, .body = "only GET\n", .headers = {{"Allow", "GET, HEAD"}}};
  if (request.target != "/metrics") return {.status = kNotFound, .content_type = kPlain, .body = "there is /metrics\n"};
  return {.status = kOk, .content_type = std::string(kPrometheusType), .body = text()};
}

}  // namespace

Result<std::unique_ptr<MetricsServer>> serve_metrics(const ListenAddress& address, std::function<std::string()> text) {
  return std::make_unique<Server>(TRY(HttpServer::start(
      address, {}, [text = std::move(text)](const HttpRequest& request) { return answer(request, text); })));
}

}  // namespace leat::tools
