#include "tools/bench_options.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/base/units.h"
#include "tools/options.h"

namespace leat::tools {
namespace {

constexpr std::int64_t kRecordBytes = 100;
constexpr std::int64_t kBatchBytes = 64 << 10;
constexpr std::int64_t kClientsMax = 256;
constexpr std::int64_t kRateMax = 1'000'000'000;
// A client remembers when it sent each of these.
constexpr std::int64_t kPipelineMax = 1'000'000;
constexpr Milliseconds kTimeLimit = std::chrono::seconds(10);

template <class T, std::size_t N>
using Choices = std::array<std::pair<std::string_view, T>, N>;

constexpr Choices<Codec, 3> kCodecs = {{{"none", Codec::none}, {"lz4", Codec::lz4}, {"zstd", Codec::zstd}}};
constexpr Choices<Durability, 2> kDurabilities = {{{"sync", Durability::sync}, {"os", Durability::os}}};
constexpr Choices<bool, 2> kOnOff = {{{"on", true}, {"off", false}}};
constexpr Choices<BenchPayload, 2> kPayloads = {{{"text", BenchPayload::text}, {"random", BenchPayload::random}}};
constexpr Choices<BenchFormat, 3> kFormats = {
    {{"text", BenchFormat::text}, {"json", BenchFormat::json}, {"csv", BenchFormat::csv}}};

Result<std::int64_t> in_range(const char* flag, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return value;
  return fail(Code::usage, fmt::format("{}: {} is not between {} and {}", flag, value, low, high));
}

Result<std::int64_t> size_in_range(const char* flag, std::int64_t bytes, std::int64_t low, std::int64_t high) {
  if (bytes >= low && bytes <= high) return bytes;
  return fail(Code::usage, fmt::format("{}: {} is not between {} and {}", flag, format_size(bytes), format_size(low),
                                       format_size(high)));
}

}  // namespace

ProducerOptions BenchSettings::producer_options() const {
  ProducerOptions options;
  options.batch_bytes = static_cast<std::size_t>(batch_bytes);
  return options;
}

void BenchFlags::add_common(OptionSet& options, const char* clients_help) {
  add_count(options, "-n,--records", records_, fmt::format("how many records, in all (default: {})", defaults_.records),
            1);
  add_size(options, "--size", record_bytes_, "bytes of a record (default: 100B)");
  add_count(options, "--clients", clients_, clients_help, 1);
  add_count(options, "-p,--partitions", partitions_,
            fmt::format("partitions of the topic (default: {})", defaults_.partitions), 1);
  add_choice(options, "--compression", compression_, kCodecs, "how batches are compressed (default: none)");
  add_size(options, "--batch-size", batch_bytes_, "bytes at which a batch is closed (default: 64KiB)");
  add_choice(options, "--durability", durability_, kDurabilities,
             "what a receipt promises: the disk has it (sync, default), or the kernel has it (os)");
  proofs_option_ =
      add_choice(options, "--proofs", proofs_, kOnOff, "whether the topic keeps a tree of hashes (default: on)");
  add_choice(options, "--payload", payload_, kPayloads, "records of words (default), or of bytes without a pattern");
  add_duration(options, "--time-limit", time_limit_, "end after so long (default: 10s where --records is not given)");
  add_choice(options, "-O,--output", format_, kFormats, "print for people (default), JSON, or CSV with a heading");
}

void BenchFlags::add_pipeline(OptionSet& options) {
  const std::string otherwise = defaults_.pipeline ? std::to_string(*defaults_.pipeline) : "what fills a batch";
  add_count(options, "--pipeline", pipeline_,
            fmt::format("records a process sends before it waits for their receipts (default: {})", otherwise), 1);
}

void BenchFlags::add_rate(OptionSet& options, const char* help) {
  add_count(options, "--rate", rate_, help, 1);
}

void BenchFlags::add_warmup(OptionSet& options) {
  add_count(options, "--warmup", warmup_,
            fmt::format("records before those that count (default: {})", defaults_.warmup));
}

Result<TopicSettings> BenchFlags::topic_settings(std::int64_t record_bytes) const {
  TopicSettings settings;
  settings.partitions = static_cast<std::int32_t>(
      TRY(in_range("--partitions", partitions_.value_or(defaults_.partitions), 1, kPartitionsMax)));
  settings.max_record_bytes = std::max(settings.max_record_bytes, record_bytes);
  settings.compression = compression_;
  settings.durability = durability_;
  if (proofs_option_->count() != 0) settings.proofs = proofs_;
  TRY(check_settings(settings));
  return settings;
}

Result<BenchSettings> BenchFlags::settings(bool always_counted) const {
  BenchSettings settings;
  settings.record_bytes =
      TRY(size_in_range("--size", record_bytes_.value_or(kRecordBytes), defaults_.record_bytes_min, kRecordBytesMax));
  settings.topic = TRY(topic_settings(settings.record_bytes));
  settings.clients =
      TRY(in_range("--clients", clients_.value_or(defaults_.clients), defaults_.clients_min, kClientsMax));
  if (rate_) settings.rate = TRY(in_range("--rate", *rate_, 1, kRateMax));
  settings.batch_bytes = TRY(size_in_range("--batch-size", batch_bytes_.value_or(kBatchBytes), 1, kRecordBytesMax));
  const std::int64_t fills_batch =
      std::clamp<std::int64_t>(settings.batch_bytes / settings.record_bytes, 1, kPipelineMax);
  settings.pipeline =
      TRY(in_range("--pipeline", pipeline_.value_or(defaults_.pipeline.value_or(fills_batch)), 1, kPipelineMax));
  settings.warmup = warmup_.value_or(defaults_.warmup);
  if (time_limit_ && time_limit_->count() <= 0) {
    return fail(Code::usage, fmt::format("--time-limit: {} is too short", format_duration(*time_limit_)));
  }
  settings.time_limit = time_limit_;
  if (!records_ && !time_limit_) settings.time_limit = kTimeLimit;
  if (records_ || !time_limit_ || always_counted) settings.records = records_.value_or(defaults_.records);
  settings.payload = payload_;
  return settings;
}

}  // namespace leat::tools
