#include "leat/pipe/delivery.h"

#include <algorithm>

#include "leat/pipe/error_stage.h"
#include "tests/support/pipe_fixture.h"

using namespace leat;
using namespace leat::pipe;
using namespace leat::test;
using namespace std::chrono_literals;

namespace {

struct Run {
  Delivered delivered;
  StageFigures figures;
  std::atomic<bool> halt = false;
  std::vector<std::string> refused;
  std::vector<std::string> notices;
  std::size_t done = 0;

  Result<void> deliver(const Answer& answer, std::size_t count, const RetrySettings& retry = {2, 1ms, 2ms},
                       Undeliverable undeliverable = Undeliverable::stop) {
    KeepingSink sink(delivered, answer);
    Deliverer deliverer(sink, retry, undeliverable, figures, halt,
                        [this](const std::string& s) { notices.push_back(s); });
    std::vector<Message> batch;
    for (std::size_t i = 0; i < count; ++i) batch.push_back(message(static_cast<std::int64_t>(i), std::to_string(i)));
    return deliverer.deliver(batch,
                             [&](std::size_t first, std::size_t part, std::span<const Refusal> why) -> Result<void> {
                               CHECK(first == done);
                               done += part;
                               for (const Refusal& one : why)
                                 refused.push_back(std::to_string(first + one.index) + ": " + one.reason);
                               return {};
                             });
  }
};

}  // namespace

TEST_CASE("what fails for a while is tried again, and told once") {
  Run run;
  int attempts = 0;
  CHECK(run.deliver(
      [&](auto, auto&) -> Result<Delivery> {
        if (++attempts < 3) return fail(Code::unavailable, "down");
        return Delivery{};
      },
      4));
  CHECK(run.done == 4);
  CHECK(run.figures.retries == 2);
  CHECK(run.notices == std::vector<std::string>{"down; trying again"});
  CHECK(run.delivered.values() == std::vector<std::string>{"0", "1", "2", "3"});
}

TEST_CASE("what stays unreachable ends the pipeline, or goes to the error stage") {
  const Answer down = [](auto, auto&) -> Result<Delivery> { return fail(Code::io, "no space"); };
  Run run;
  const auto stopped = run.deliver(down, 2);
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code == Code::io);
  CHECK(stopped.error().message == "no space (after 2 retries)");
  CHECK(run.done == 0);
  CHECK(run.deliver(down, 2, {1, 1ms, 1ms}, Undeliverable::error));
  CHECK(run.refused == std::vector<std::string>{"0: no space (after 1 retry)", "1: no space (after 1 retry)"});
}

TEST_CASE("a batch that is refused as a whole is taken apart until what is bad in it is found") {
  Run run;
  int calls = 0;
  const auto has = [](std::span<const Message> batch, std::string_view bad) {
    return std::ranges::any_of(batch, [&](const Message& one) { return one.value == bad; });
  };
  CHECK(run.deliver(
      [&](std::span<const Message> batch, auto&) -> Result<Delivery> {
        ++calls;
        if (has(batch, "3") || has(batch, "30")) return fail(Code::bad_data, "a bad row");
        return Delivery{};
      },
      64));
  CHECK(run.done == 64);
  CHECK(run.refused == std::vector<std::string>{"3: a bad row", "30: a bad row"});
  CHECK(run.delivered.messages().size() == 62);
  CHECK(calls < 30);
}

TEST_CASE("single refusals leave the rest delivered") {
  Run run;
  CHECK(run.deliver([](auto, auto&) -> Result<Delivery> { return Delivery{{{1, "not this"}}}; }, 3));
  CHECK(run.refused == std::vector<std::string>{"1: not this"});
  CHECK(run.delivered.values() == std::vector<std::string>{"0", "2"});
}

TEST_CASE("an error that waiting does not mend is not tried again; a halt ends waiting") {
  Run run;
  const auto refused = run.deliver([](auto, auto&) -> Result<Delivery> { return fail(Code::permission, "no"); }, 2);
  CHECK(refused.error().code == Code::permission);
  CHECK(run.figures.retries == 0);
  const auto halted = run.deliver(
      [&](auto, auto&) -> Result<Delivery> {
        run.halt = true;
        return fail(Code::unavailable, "down");
      },
      2, {1000, 10s, 10s});
  CHECK(halted.error().code == Code::interrupted);
}

TEST_CASE("waits grow to their limit, and are never all the same") {
  const RetrySettings settings{10, 100ms, 1s};
  CHECK(backoff_of(settings, 0, 0.0) == 50ms);
  CHECK(backoff_of(settings, 0, 1.0) == 100ms);
  CHECK(backoff_of(settings, 3, 0.5) == 600ms);
  CHECK(backoff_of(settings, 4, 1.0) == 1s);
  CHECK(backoff_of(settings, 1'000'000, 0.0) == 500ms);
  CHECK(backoff_of({10, 0ms, 0ms}, 5, 1.0) == 0ms);
}

TEST_CASE("the error stage gives out the records as they were read, with what went wrong") {
  Delivered delivered;
  std::atomic<bool> halt = false;
  ErrorStage errors(std::make_unique<KeepingSink>(delivered), {}, halt, [](const std::string&) {});
  Item item{message(7, "made of two")};
  item.originals = {std::make_shared<const Message>(message(7, "first", "k")),
                    std::make_shared<const Message>(message(9, "second"))};
  CHECK(errors.refuse("parse", item, "not JSON"));
  const auto messages = delivered.messages();
  REQUIRE(messages.size() == 2);
  CHECK(messages[0].value == "first");
  CHECK(messages[0].key == "k");
  CHECK(messages[1].headers ==
        decltype(messages[1].headers){{"leat-stage", "parse"}, {"leat-error", "not JSON"}, {"leat-source", "t/0/9"}});
}

TEST_CASE("without somewhere to put records aside, or when that refuses them too, the first one is the end") {
  ErrorStage none;
  const auto refused = none.refuse("parse", {message(3, "x")}, "not JSON");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::bad_data);
  CHECK(refused.error().message == "stage \"parse\" refuses record t/0/3: not JSON");
  Delivered delivered;
  std::atomic<bool> halt = false;
  ErrorStage strict(std::make_unique<KeepingSink>(
                        delivered, [](auto, auto&) -> Result<Delivery> { return Delivery{{{0, "too large"}}}; }),
                    {}, halt, [](const std::string&) {});
  const auto twice = strict.refuse("parse", {message(3, "x")}, "not JSON");
  REQUIRE_FALSE(twice);
  CHECK(twice.error().message == "stage \"parse\" refuses record t/0/3: not JSON; and [error] refuses it: too large");
}
