// The flags of `leat bench`: what is measured, with how much of what, and how it is told. Opens nothing.
#pragma once

#include <cstdint>
#include <optional>

#include "leat/backend/backend.h"
#include "leat/base/clock.h"
#include "leat/log/topic_settings.h"
#include "tools/option_set.h"

namespace leat::tools {

enum class BenchFormat { text, json, csv };
enum class BenchPayload { text, random };

// What a benchmark does when nothing else is said, and what it cannot do without.
struct BenchDefaults {
  std::int64_t records;
  std::int64_t clients = 1;
  std::int64_t clients_min = 1;
  std::int64_t partitions = 1;
  std::int64_t record_bytes_min = 1;
  std::optional<std::int64_t> pipeline = {};  // what fills a batch, when absent
  std::int64_t warmup = 1000;
};

// Checked and complete.
struct BenchSettings {
  std::optional<std::int64_t> records = {};  // absent: until the time limit
  std::int64_t record_bytes = 0;
  std::int64_t clients = 0;
  std::optional<std::int64_t> rate = {};  // records a second, of all clients; absent: as fast as it goes
  std::int64_t batch_bytes = 0;
  std::int64_t pipeline = 0;  // records a client sends before it waits for their receipts
  std::int64_t warmup = 0;    // records before those that are measured, of all clients
  std::optional<Milliseconds> time_limit = {};
  BenchPayload payload = BenchPayload::text;
  TopicSettings topic = {};

  ProducerOptions producer_options() const;
};

class BenchFlags {
 public:
  explicit BenchFlags(BenchDefaults defaults) : defaults_(defaults) {}

  // Those of all benchmarks.
  void add_common(OptionSet& options, const char* clients_help);
  // How many at a time; and how many a second.
  void add_pipeline(OptionSet& options);
  void add_rate(OptionSet& options, const char* help);
  void add_warmup(OptionSet& options);

  // Errors: usage, naming the flag. With `always_counted`, a time limit alone does not make the records endless.
  Result<BenchSettings> settings(bool always_counted) const;
  BenchFormat format() const { return format_; }

 private:
  Result<TopicSettings> topic_settings(std::int64_t record_bytes) const;

  BenchDefaults defaults_;
  std::optional<std::int64_t> records_;
  std::optional<std::int64_t> record_bytes_;
  std::optional<std::int64_t> clients_;
  std::optional<std::int64_t> partitions_;
  std::optional<std::int64_t> rate_;
  std::optional<std::int64_t> batch_bytes_;
  std::optional<std::int64_t> pipeline_;
  std::optional<std::int64_t> warmup_;
  std::optional<Milliseconds> time_limit_;
  Codec compression_ = Codec::none;
  Durability durability_ = Durability::sync;
  bool proofs_ = true;
  Option* proofs_option_ = nullptr;
  BenchPayload payload_ = BenchPayload::text;
  BenchFormat format_ = BenchFormat::text;
};

}  // namespace leat::tools
