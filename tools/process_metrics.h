// The figures of a running pipeline for Prometheus, and the server that tells them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "leat/pipe/pipeline.h"
#include "tools/listen_address.h"

namespace leat::tools {

// The text of /metrics. `report.partitions` have their ends where these are known. Pure.
std::string metrics_text(const pipe::PipelineReport& report, std::string_view group);

// Answers at http://ADDRESS/metrics for as long as it lives.
class MetricsServer {
 public:
  virtual ~MetricsServer() = default;
  virtual const std::string& url() const = 0;
  // Whether only this machine can reach it.
  virtual bool loopback() const = 0;
};

// `text` is called by several threads. Errors: those of HttpServer::start(); unavailable where this leat-net cannot
// serve.
Result<std::unique_ptr<MetricsServer>> serve_metrics(const ListenAddress& address, std::function<std::string()> text);

}  // namespace leat::tools
