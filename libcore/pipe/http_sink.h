// Messages as HTTP requests: one for each, or one for a batch.
//
// What a status means: success_codes acknowledge; retry_codes, and no answer at all, may pass, and Retry-After is
// honoured before the next request; stop_codes end the pipeline, as they would meet every record; all others refuse the
// record, or the batch as a whole.
//
// Doubles. A request whose answer was lost is sent again. Of a batch sent record by record, those that were
// acknowledged before another failed are not sent again with it.
//
// With several connections, messages of the same key share one, so that they arrive in their order.
#pragma once

#include <memory>

#include "leat/pipe/http_courier.h"
#include "leat/pipe/http_options.h"
#include "leat/pipe/sink.h"
#include "leat/pipe/sink_kind.h"

namespace leat::pipe {

// Reads the secrets; connects with the first request. Errors: configuration, permission (secret.h), internal.
Result<std::unique_ptr<Sink>> open_http_sink(HttpOptions options);

// The row of the table of sinks. Errors: configuration, with the place.
Result<SinkPlan> plan_http_sink(SettingsTable& table);

}  // namespace leat::pipe
