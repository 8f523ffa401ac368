// Sends the records of a benchmark and notes how long each of them took to be acknowledged.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/bench_options.h"
#include "tools/bench_payload.h"
#include "tools/bench_run.h"

namespace leat::tools {

// When the records of one of several clients are due, at a rate that they share. Pure.
class SendSchedule {
 public:
  // `rate` records a second from `begin_ns` on; client number `client` of `clients` sends every clients'th of them.
  SendSchedule(std::int64_t begin_ns, std::int64_t rate, std::size_t client, std::int64_t clients)
      : begin_ns_(begin_ns), rate_(rate), client_(static_cast<std::int64_t>(client)), clients_(clients) {}

  // When this client's record number `i` is due.
  std::int64_t due_ns(std::int64_t i) const {
    constexpr std::int64_t kSecondNs = 1'000'000'000;
    const std::int64_t number = i * clients_ + client_;
    return begin_ns_ + number / rate_ * kSecondNs + number % rate_ * kSecondNs / rate_;
  }

 private:
  std::int64_t begin_ns_;
  std::int64_t rate_;
  std::int64_t client_;
  std::int64_t clients_;
};

// The share of client `number` in `total` records: they differ by one at most, and the first ones have more.
std::int64_t share_of_records(std::int64_t total, std::size_t number, std::int64_t clients);

// What one client sends. It never runs ahead of its pipeline: when that is full, or the next record is not due yet, it
// waits for the receipts of what it has sent. The time of a record begins when it was due, if there is a rate: one that
// had to wait for others before it has waited.
class BenchLoad {
 public:
  // With `stamped`, values begin with a Stamp that says when they were sent, or were due.
  BenchLoad(const BenchSettings& settings, BenchClient& client, Producer& producer, bool stamped);

  // The records before those that count, as fast as they go.
  Result<void> warm_up();
  // Those that count, from now on; fills in the client's report. Errors: interrupted, those of Producer.
  Result<void> run();

 private:
  Result<void> send(std::int64_t number, std::int64_t stamp_ns);
  Result<void> send_one(std::int64_t i, std::int64_t sent_ns);
  // Returns when it is time to send.
  Result<void> wait_until_due(std::int64_t due_ns);
  Result<void> flush();
  void note_acknowledged();

  const BenchSettings& settings_;
  BenchClient& client_;
  Producer& producer_;
  bool stamped_;
  PayloadSource payload_;
  std::string value_;                  // stamped
  std::vector<std::int64_t> sent_ns_;  // a ring: of the records that are not acknowledged yet
  std::int64_t sent_ = 0;              // records that count
  std::int64_t noted_ = 0;             // of these, those whose time was noted
  std::int64_t acknowledged_before_ = 0;
};

}  // namespace leat::tools
