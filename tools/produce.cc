// leat produce: its flags, and the one call chain from input to receipts.
#include <fmt/format.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "leat/base/units.h"
#include "leat/log/topic_settings.h"
#include "tools/commands.h"
#include "tools/input.h"
#include "tools/interrupt.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/produce_run.h"

namespace leat::tools {
namespace {

enum class OnError : std::uint8_t { fail, skip };

// The words of a flag that takes one of a few, in the order of its help.
template <class T, std::size_t N>
using Choices = std::array<std::pair<std::string_view, T>, N>;

constexpr Choices<std::optional<Framing>, 6> kFramings = {{{"lines", Framing::lines},
                                                           {"nul", Framing::nul},
                                                           {"delim", Framing::delim},
                                                           {"u32be", Framing::u32be},
                                                           {"json", Framing::json},
                                                           {"raw", Framing::raw}}};
constexpr Choices<OnError, 2> kOnErrors = {{{"fail", OnError::fail}, {"skip", OnError::skip}}};
constexpr Choices<ReceiptFormat, 3> kReceiptFormats = {
    {{"none", ReceiptFormat::none}, {"text", ReceiptFormat::text}, {"json", ReceiptFormat::json}}};
constexpr Choices<std::optional<Codec>, 3> kCodecs = {
    {{"none", Codec::none}, {"lz4", Codec::lz4}, {"zstd", Codec::zstd}}};
constexpr Choices<std::optional<Durability>, 1> kDurabilities = {{{"sync", Durability::sync}}};

constexpr std::int64_t kBatchBytes = 64 << 10;
constexpr std::int64_t kRequestBytesMax = 1 << 20;

class Produce final : public Command {
 public:
  void add_options(OptionSet& options) override;
  Result<void> run(Context& context) override;

 private:
  void add_input_options(OptionSet& options);
  void add_delivery_options(OptionSet& options);
  Result<Framing> framing() const;
  Result<InputOptions> input_options() const;
  Result<ProducerOptions> producer_options() const;
  ProduceRunOptions run_options(const Context& context) const;
  Result<void> dry_run(Backend& backend, InputOptions input, ProduceRunOptions options) const;

  std::string topic_;

  std::vector<std::string> files_;
  std::optional<Framing> framing_;
  bool raw_ = false;
  bool nul_ = false;
  std::optional<std::string> delimiter_;
  bool crlf_ = false;
  std::optional<std::string> key_;
  std::optional<std::string> key_separator_;
  std::vector<std::string> headers_;
  bool empty_is_null_ = false;
  std::optional<TimestampMs> timestamp_;
  OnError on_error_ = OnError::fail;
  std::optional<std::int64_t> records_max_;

  std::optional<std::int64_t> partition_;
  std::optional<Codec> compression_;
  std::optional<Milliseconds> linger_;
  std::optional<std::int64_t> batch_bytes_;
  std::optional<std::int64_t> request_bytes_max_;
  std::optional<Durability> durability_;
  std::optional<std::string> producer_name_;
  ReceiptFormat receipts_ = ReceiptFormat::none;
  bool dry_run_ = false;
};

void Produce::add_options(OptionSet& options) {
  add_topic(options, topic_);
  add_input_options(options);
  add_delivery_options(options);
}

void Produce::add_input_options(OptionSet& options) {
  const auto group = "Input";
  add_texts(options, "-f,--file", files_, "read FILE instead of stdin; repeatable, - is stdin", "FILE")->group(group);
  add_choice(options, "--framing", framing_, kFramings, "how records are told apart (default: lines)")->group(group);
  options.add_flag("-0", nul_, "records end with a NUL: --framing nul")->group(group);
  add_text(options, "--delimiter", delimiter_, "records end with STR; \\t \\n \\0 \\xNN \\\\ are understood", "STR")
      ->group(group);
  options.add_flag("--raw", raw_, "all of the input, or of each file, is one record: --framing raw")->group(group);
  options.add_flag("--crlf", crlf_, "strip a CR from the end of each line")->group(group);
  add_text(options, "--key", key_, "key of every record", "KEY")->group(group);
  add_text(options, "--key-separator", key_separator_, "what is before the first STR of a record is its key", "STR")
      ->group(group);
  add_texts(options, "-H,--header", headers_, "header of every record; repeatable", "NAME=VALUE")->group(group);
  options.add_flag("-Z", empty_is_null_, "an empty value becomes a null")->group(group);
  add_time(options, "--timestamp", timestamp_, "time of every record (default: its own in JSON, or now)")->group(group);
  add_choice(options, "--on-error", on_error_, kOnErrors, "what to do about a bad record (default: fail)")
      ->group(group);
  add_count(options, "-n", records_max_, "stop after N records")->group(group);
}

void Produce::add_delivery_options(OptionSet& options) {
  const auto group = "Delivery";
  add_count(options, "-p,--partition", partition_, "write to this partition, whatever the keys")->group(group);
  add_choice(options, "--compression", compression_, kCodecs, "how batches are compressed (default: as the topic says)")
      ->group(group);
  add_duration(options, "--linger", linger_, "how long a record waits for more input (default: 0ms)")->group(group);
  add_size(options, "--batch-size", batch_bytes_, "bytes at which a batch is closed (default: 64KiB)")->group(group);
  add_size(options, "--max-request-size", request_bytes_max_, "largest record accepted (default: 1MiB)")->group(group);
  add_choice(options, "--durability", durability_, kDurabilities, "survive loss of power even where the topic need not")
      ->group(group);
  add_text(options, "--producer-id", producer_name_,
           "append each record once, however often the same input is given again under this name", "NAME")
      ->group(group);
  add_choice(options, "-O,--output", receipts_, kReceiptFormats,
             "print a receipt for each durable record (default: none)")
      ->group(group);
  options.add_flag("--dry-run", dry_run_, "read and check everything, write nothing")->group(group);
}

Result<Framing> Produce::framing() const {
  const bool delimiter_says_so = delimiter_ && framing_ == Framing::delim;
  if (nul_ + raw_ + delimiter_.has_value() + framing_.has_value() - delimiter_says_so > 1) {
    return fail(Code::usage, "-0, --raw, --delimiter and --framing exclude each other");
  }
  if (nul_) return Framing::nul;
  if (raw_) return Framing::raw;
  if (delimiter_) return Framing::delim;
  if (framing_ == Framing::delim) return fail(Code::usage, "--framing delim needs --delimiter");
  return framing_.value_or(Framing::lines);
}

Result<InputOptions> Produce::input_options() const {
  InputOptions options;
  options.framing = TRY(framing());
  if (delimiter_) {
    options.delimiter = TRY(unescape("--delimiter", *delimiter_));
    if (options.delimiter.empty()) return fail(Code::usage, "--delimiter: it must not be empty");
  }
  if (key_separator_) {
    options.key_separator = TRY(unescape("--key-separator", *key_separator_));
    if (options.key_separator.empty()) return fail(Code::usage, "--key-separator: it must not be empty");
  }
  if (key_ && key_separator_) return fail(Code::usage, "--key and --key-separator exclude each other");
  if (options.framing == Framing::json && (key_ || key_separator_)) {
    return fail(Code::usage, "--framing json brings its own keys: neither --key nor --key-separator goes with it");
  }
  if (crlf_ && options.framing != Framing::lines) return fail(Code::usage, "--crlf goes with lines only");
  for (const std::string& header : headers_) {
    const std::size_t at = header.find('=');
    if (at == std::string::npos || at == 0) {
      return fail(Code::usage, fmt::format("--header: \"{}\" is not NAME=VALUE", header));
    }
    options.headers.emplace_back(header.substr(0, at), header.substr(at + 1));
    if (!is_utf8(options.headers.back().first)) return fail(Code::usage, "--header: a name must be UTF-8");
  }
  options.strip_cr = crlf_;
  options.key = key_;
  options.empty_is_null = empty_is_null_;
  options.timestamp = timestamp_;
  options.record_bytes_max = request_bytes_max_.value_or(kRequestBytesMax);
  if (!files_.empty()) options.files = files_;
  options.stop = &stop_requested();
  return options;
}

// A flag's size must be something that a batch can hold.
Result<std::int64_t> checked_size(std::string_view flag, std::optional<std::int64_t> size, std::int64_t otherwise) {
  if (size && (*size < 1 || *size > kRecordBytesMax)) {
    return fail(Code::usage,
                fmt::format("{}: {} is not between 1B and {}", flag, format_size(*size), format_size(kRecordBytesMax)));
  }
  return size.value_or(otherwise);
}

Result<ProducerOptions> Produce::producer_options() const {
  ProducerOptions options;
  options.compression = compression_;
  if (partition_) {
    if (*partition_ >= kPartitionsMax) {
      return fail(Code::usage, fmt::format("--partition: {} is above {}", *partition_, kPartitionsMax - 1));
    }
    options.partition = PartitionId{static_cast<std::int32_t>(*partition_)};
  }
  options.batch_bytes = static_cast<std::size_t>(TRY(checked_size("--batch-size", batch_bytes_, kBatchBytes)));
  options.record_bytes_max = TRY(checked_size("--max-request-size", request_bytes_max_, kRequestBytesMax));
  options.force_sync = durability_.has_value();
  if (producer_name_) {
    TRY(check_name("producer", *producer_name_));
    options.producer_name = *producer_name_;
  }
  return options;
}

ProduceRunOptions Produce::run_options(const Context& context) const {
  return {.topic = topic_,
          .linger = linger_.value_or(Milliseconds(0)),
          .records_max = records_max_,
          .skip_bad_records = on_error_ == OnError::skip,
          .verbose = context.globals().verbose,
          .receipts = receipts_};
}

// Flags, input files, topic, in this order, and before a byte of input is read.
Result<void> Produce::run(Context& context) {
  TRY(check_name("topic", topic_));
  InputOptions input_options = TRY(this->input_options());
  ProduceRunOptions options = run_options(context);
  const ProducerOptions producer_options = TRY(this->producer_options());

  const InputCheck check = TRY(check_inputs(input_options.files, input_options.stdin_fd));
  const bool quiet = context.globals().quiet;
  options.prompt = check.terminal && stderr_is_terminal() && !quiet;
  // Receipts on the same terminal are progress enough, and would be mixed up with it.
  options.progress = progress_allowed() && !quiet && (receipts_ == ReceiptFormat::none || !stdout_is_terminal());
  options.input_bytes = check.total_bytes.value_or(0);

  const std::unique_ptr<Backend> backend = TRY(context.open_backend());
  if (dry_run_) return dry_run(*backend, std::move(input_options), std::move(options));
  Result<std::unique_ptr<Producer>> producer = backend->open_producer(topic_, producer_options);
  if (!producer) {
    if (producer.error().code == Code::not_found && producer.error().hint.empty()) {
      producer.error().hint = "leat topic create " + topic_;
    }
    return std::unexpected(std::move(producer).error());
  }

  Input input(std::move(input_options));
  ProduceRun run(std::move(options), input, producer->get(),
                 {.write = [](std::string_view bytes) { return out().write(bytes); },
                  .flush = [] { return out().flush(); },
                  .closed = [] { return out().broken(); }});
  return run.run();
}

Result<void> Produce::dry_run(Backend& backend, InputOptions input_options, ProduceRunOptions options) const {
  const TopicInfo topic = TRY(backend.describe_topic(topic_));
  if (partition_ && *partition_ >= topic.settings.partitions) {
    return fail(Code::usage, fmt::format("topic \"{}\" has no partition {}", topic_, *partition_));
  }
  if (topic.settings.max_record_bytes < input_options.record_bytes_max) {
    input_options.record_bytes_max = topic.settings.max_record_bytes;
    input_options.record_limit_name = "the topic's max-record-size";
  }
  Input input(std::move(input_options));
  ProduceRun run(std::move(options), input, nullptr, {});
  const Result<void> outcome = run.run();
  const ProduceCounts& counts = run.counts();
  TRY(out().write(fmt::format("{} record{} ({} with a key, {} null, {}) would be produced to \"{}\"\n", counts.records,
                              counts.records == 1 ? "" : "s", counts.keyed, counts.nulls,
                              format_size_short(counts.bytes), topic_)));
  return outcome;
}

}  // namespace

std::unique_ptr<Command> make_produce() {
  return std::make_unique<Produce>();
}

}  // namespace leat::tools
