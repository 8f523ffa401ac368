// A sink driven by hand, for tests: sink-driver FILE TABLE KIND < commands
//
//   add KEY VALUE   one message more in the batch; "-" is null, and escapes (\t \n \0 \xNN \\) stand for bytes
//   deliver         hands the batch to the sink and says what became of it; the batch stays, to be delivered again
//   new             begins another batch
//   stop MS         the next deliver is told to stop after so long
//   lines FILE N    delivers the lines of a file as values, N at a time, and counts them
//
// An answer is a line: "delivered", then " INDEX=REASON" for each message that was refused, or "failed CODE: MESSAGE".
// Behind both stands how many milliseconds it took.
#include <fmt/format.h>
#include <sodium.h>

#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <thread>

#include "leat/base/toml.h"
#include "leat/base/units.h"
#include "leat/pipe/clickhouse_sink.h"
#include "leat/pipe/http_sink.h"

using namespace leat;
using namespace leat::pipe;

namespace {

// Records of one topic, whose offsets go on from batch to batch.
struct Driver {
  std::unique_ptr<Sink> sink;
  std::vector<Message> batch = {};
  std::int64_t next_offset = 0;
  std::optional<Milliseconds> stop_after = {};

  void add(const std::optional<std::string>& key, const std::optional<std::string>& value) {
    const Offset offset{next_offset++};
    batch.push_back({key, value, {}, {1'732'150'000'123}, {{"events", {3}, offset, offset}}});
  }

  Result<Delivery> deliver() {
    std::atomic<bool> stop = false;
    std::jthread stopper;
    if (stop_after) {
      stopper = std::jthread([&stop, after = *stop_after] {
        std::this_thread::sleep_for(after);
        stop = true;
      });
    }
    stop_after.reset();
    return sink->deliver(batch, stop);
  }
};

std::string shown(const Result<Delivery>& outcome) {
  if (!outcome) {
    constexpr std::string_view kNames[] = {"partial",     "usage",      "bad_data",      "other_input", "not_found",
                                           "unavailable", "internal",   "exists",        "io",          "busy",
                                           "damaged",     "permission", "configuration", "interrupted"};
    return fmt::format("failed {}: {}", kNames[static_cast<std::size_t>(outcome.error().code)],
                       outcome.error().message);
  }
  std::string text = "delivered";
  for (const Refusal& refusal : outcome->refused) text += fmt::format(" {}={}", refusal.index, refusal.reason);
  return text;
}

Result<void> deliver_lines(Driver& driver, const std::string& path, std::size_t at_once) {
  std::ifstream file(path);
  std::size_t count = 0;
  const auto deliver = [&]() -> Result<void> {
    if (driver.batch.empty()) return {};
    TRY(driver.deliver());
    count += driver.batch.size();
    driver.batch.clear();
    return {};
  };
  for (std::string line; std::getline(file, line);) {
    driver.add(std::nullopt, line);
    if (driver.batch.size() == at_once) TRY(deliver());
  }
  TRY(deliver());
  fmt::print("{} lines", count);
  return {};
}

std::optional<std::string> bytes_of(const std::string& word) {
  if (word == "-") return std::nullopt;
  auto bytes = unescape("word", word);
  ASSERT(bytes);
  return *std::move(bytes);
}

void run_line(Driver& driver, const std::string& line) {
  std::istringstream words(line);
  std::string command;
  std::string first;
  std::string second;
  words >> command >> first >> std::ws;
  std::getline(words, second);
  const auto began = std::chrono::steady_clock::now();
  if (command == "add") driver.add(bytes_of(first), bytes_of(second));
  if (command == "new") driver.batch.clear();
  if (command == "stop") driver.stop_after = Milliseconds(std::stoi(first));
  if (command == "deliver") fmt::print("{}", shown(driver.deliver()));
  if (command == "lines") {
    if (const auto done = deliver_lines(driver, first, std::stoul(second)); !done)
      fmt::print("{}", shown(std::unexpected(done.error())));
  }
  if (command != "deliver" && command != "lines") return;
  const auto took = std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - began);
  fmt::print(" ({} ms)\n", took.count());
  std::fflush(stdout);
}

Result<void> drive(const std::string& path, const std::string& name, const std::string& kind) {
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto entries = TRY(parse_toml(text, path, TomlArrays::flattened));
  SettingsTable table(path, name, entries);
  const SinkPlan plan = TRY(kind == "http" ? plan_http_sink(table) : plan_clickhouse_sink(table));
  TRY(table.finish());
  Driver driver{TRY(plan.open({}))};
  for (std::string line; std::getline(std::cin, line);) run_line(driver, line);
  return driver.sink->close();
}

}  // namespace

int main(int count, char** words) {
  if (count != 4 || sodium_init() < 0) return 2;
  const auto done = drive(words[1], words[2], words[3]);
  if (done) return 0;
  fmt::print(stderr, "{}\n", done.error().message);
  return 1;
}
