// Asking every broker of a cluster by itself. A change of a topic is made by one of them, and the others hear of it a
// little later.
#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "leat/backend/kafka_client.h"
#include "leat/base/units.h"

namespace leat::kafka {

namespace {

constexpr Milliseconds kLookAgain(20);
// Who does not answer within this cannot be asked by others either, and learns of the change when it is back.
constexpr Milliseconds kAnswer(2000);

// Asks one broker until it is settled there. It has a client to itself, which has heard of no other broker yet when it
// asks; one that went to another all the same is replaced.
Result<bool> ask_one(const Config& cluster, const Broker& broker, SteadyTime deadline, const Settled& settled) {
  std::unique_ptr<Handle> client;
  do {
    if (!client) {
      Config config = cluster;
      const auto left = std::chrono::ceil<Milliseconds>(deadline - std::chrono::steady_clock::now());
      config.servers = broker.address;
      config.timeout = std::clamp(left, Milliseconds(1), kAnswer);
      client = TRY(Handle::open(config, RD_KAFKA_PRODUCER, {}));
    }
    const auto view = client->view();
    if (view && view->from != -1 && view->from != broker.id) {
      client.reset();
    } else {
      const auto answer = view ? settled(*client, broker.id, view->topics) : std::unexpected(view.error());
      if (!answer && answer.error().code == Code::unavailable) return true;
      if (!answer || *answer) return answer;
    }
    std::this_thread::sleep_for(kLookAgain);
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

}  // namespace

Result<void> ask_all_brokers(Handle& handle, std::string_view change, const Settled& settled) {
  const SteadyTime deadline = handle.deadline();
  const View view = TRY(handle.view());
  for (const Broker& broker : view.brokers) {
    if (TRY(ask_one(handle.config(), broker, deadline, settled))) continue;
    return fail(Code::unavailable,
                fmt::format("kafka://{}: broker {} ({}) has not heard within {} of {}", handle.config().servers,
                            broker.id, broker.address, format_duration(handle.config().timeout), change));
  }
  return {};
}

}  // namespace leat::kafka
