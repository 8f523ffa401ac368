// How a program of leat's comes by what needs the network: an Apache Kafka cluster, an HTTP server. The plain `leat`
// knows no network and hands over to `leat-net`, the same program with librdkafka and libmicrohttpd; nothing is done
// about it before a kafka:// URL is opened.
#pragma once

#include <string>

#include "leat/base/error.h"
#include "tools/config.h"

namespace leat::tools {

// Says what opening a kafka:// URL means from now on. In the plain program (hand_over.cc): this process becomes
// leat-net, with the same arguments. In leat-net (kafka_here.cc): the cluster is opened. Errors: configuration, where
// this is leat-net and of another build than the one that handed over to it.
Result<void> prepare_kafka(const Settings& settings);

// This process becomes leat-net, with the same arguments; `what` needs it, and `packages` are those it is built with.
// Returns only when that cannot be: unavailable, where leat-net is not installed. Only of the plain program.
Error become_leat_net(const std::string& what, const std::string& packages);

// The variable in which the one that hands over says which build it is.
inline constexpr const char* kHandOverVariable = "LEAT_HANDED_OVER_BY";

}  // namespace leat::tools
