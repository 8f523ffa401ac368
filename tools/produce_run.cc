#include "tools/produce_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "leat/base/units.h"
#include "tools/output.h"

namespace leat::tools {
namespace {

using namespace std::chrono_literals;

// How long records may wait for durability while input never pauses: a follower sees them this late at most, and a sync
// this seldom costs nothing that can be measured.
constexpr Milliseconds kFlushEvery = 200ms;
constexpr std::int64_t kRecordsPerClock = 64;
// Records that may wait while receipts are wanted: the producer remembers where each of them went.
constexpr std::int64_t kReceiptsOwedMax = 64 << 10;
constexpr std::size_t kReceiptsPerWrite = 1024;

SteadyTime now() {
  return std::chrono::steady_clock::now();
}

std::string count_of(std::int64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

}  // namespace

ProduceRun::ProduceRun(ProduceRunOptions options, Input& input, Producer* producer, Sink sink)
    : options_(std::move(options)),
      input_(input),
      producer_(producer),
      sink_(std::move(sink)),
      progress_(options_.input_bytes, options_.progress) {
  if (producer_ == nullptr || (options_.receipts == ReceiptFormat::none && !options_.verbose)) return;
  producer_->on_acknowledged([this](std::span<const Receipt> receipts) { take_receipts(receipts); });
  unflushed_records_max_ = kReceiptsOwedMax;
}

Result<void> ProduceRun::run() {
  const SteadyTime begun = now();
  Result<void> outcome = feed();
  if (!producer_failed_) {
    // What came before a bad record is delivered; if that fails too, it is the graver of the two.
    if (Result<void> flushed = flush(); !flushed) outcome = std::move(flushed);
  }
  progress_.clear();
  if (options_.prompt && !prompt_due_) std::fputc('\n', stderr);  // the prompt had no answer
  if (!outcome) {
    outcome.error().message += written_so_far(outcome.error().code);
    return outcome;
  }
  if (options_.verbose) report(begun);
  if (counts_.skipped != 0) {
    return fail(Code::partial,
                fmt::format("{} of {} skipped{}", counts_.skipped,
                            count_of(counts_.records + counts_.skipped, "record"), written_so_far(Code::partial)));
  }
  return {};
}

void ProduceRun::report(SteadyTime begun) const {
  const auto seconds = std::chrono::duration<double>(now() - begun).count();
  print_note(fmt::format("{} ({}) {} \"{}\" in {:.3f} s", count_of(counts_.records, "record"),
                         format_size_short(counts_.bytes), producer_ ? "produced to" : "read for", options_.topic,
                         seconds));
  if (counted_off() == 0) return;
  print_note(fmt::format("{} of them {} there already, from an earlier run", counted_off(),
                         counted_off() == 1 ? "was" : "were"));
}

Result<void> ProduceRun::feed() {
  while (!options_.records_max || counts_.records < *options_.records_max) {
    if (options_.prompt && prompt_due_) show_prompt();
    const Result<Input::State> state = input_.next(wait_until());
    if (!state) {
      TRY(skip_or_fail(state.error()));
      continue;
    }
    switch (*state) {
      case Input::State::record:
        TRY(send());
        // Somebody types: what the line brings about is to be seen before the next prompt.
        if (options_.prompt && options_.linger == 0ms) TRY(flush());
        prompt_due_ = true;
        break;
      case Input::State::idle:
        TRY(flush());
        break;
      case Input::State::ended:
        return producer_ != nullptr ? producer_->end_of_input() : Result<void>{};
      case Input::State::stopped:
        return {};
    }
    if (++records_since_clock_ >= kRecordsPerClock) TRY(look_at_clock());
    if (sink_closed_) return {};
  }
  return {};
}

// When to stop waiting for input: at once or after the linger time where records wait to be flushed, else never.
std::optional<SteadyTime> ProduceRun::wait_until() const {
  if (!unflushed_since_) return std::nullopt;
  if (options_.linger == 0ms) return SteadyTime::min();
  return *unflushed_since_ + options_.linger;
}

Result<void> ProduceRun::send() {
  const RecordInput& record = input_.record();
  if (producer_ != nullptr) {
    if (Result<void> sent = producer_->send(record); !sent) {
      if (sent.error().code == Code::bad_data) {
        sent.error().message = input_.at_place(sent.error().message);
        return skip_or_fail(std::move(sent.error()));
      }
      producer_failed_ = true;
      if (sent.error().code == Code::other_input) sent.error().message = input_.at_place(sent.error().message);
      return sent;
    }
  }
  if (!unflushed_since_) unflushed_since_ = now();
  ++counts_.records;
  counts_.keyed += record.key ? 1 : 0;
  counts_.nulls += record.value ? 0 : 1;
  counts_.bytes += record_bytes(record);
  return {};
}

Result<void> ProduceRun::skip_or_fail(Error error) {
  if (error.code != Code::bad_data || !options_.skip_bad_records) return std::unexpected(std::move(error));
  progress_.clear();
  print_warning(error.message + "; skipped");
  ++counts_.skipped;
  prompt_due_ = true;
  return {};
}

Result<void> ProduceRun::look_at_clock() {
  records_since_clock_ = 0;
  const SteadyTime time = now();
  progress_.update(input_.bytes_done(), time);
  if (!unflushed_since_) return {};
  const bool many = counts_.records - counted_off() - acknowledged() >= unflushed_records_max_;
  const bool long_ago = time - *unflushed_since_ >= std::max(options_.linger, kFlushEvery);
  return many || long_ago ? flush() : Result<void>{};
}

Result<void> ProduceRun::flush() {
  if (producer_ != nullptr && unflushed_since_) {
    const SteadyTime begun = now();
    const std::int64_t before = producer_->acknowledged();
    const Result<void> flushed = producer_->flush();
    producer_failed_ = !flushed;
    for (const std::string& notice : producer_->take_notices()) {
      progress_.clear();
      print_warning(notice);
    }
    // Receipts of what has become durable before an error are owed too.
    if (receipts_written_) receipts_written_ = sink_.flush();
    sink_closed_ = sink_.closed();
    if (!flushed) return flushed;
    if (options_.verbose) report_flush(begun, before);
    if (!receipts_written_) return receipts_written_;
  }
  unflushed_since_.reset();
  return {};
}

// Called by the producer with what has become acknowledged.
void ProduceRun::take_receipts(std::span<const Receipt> receipts) {
  if (options_.verbose) ranges_.add(receipts);
  if (options_.receipts == ReceiptFormat::none) return;
  while (!receipts.empty() && receipts_written_) {
    const std::span<const Receipt> some = receipts.first(std::min(receipts.size(), kReceiptsPerWrite));
    receipts = receipts.subspan(some.size());
    lines_.clear();
    append_receipts(lines_, options_.receipts, options_.topic, some);
    receipts_written_ = sink_.write(lines_);
  }
}

void ProduceRun::report_flush(SteadyTime begun, std::int64_t acknowledged_before) {
  if (producer_->acknowledged() == acknowledged_before) return;
  const double ms = std::chrono::duration<double, std::milli>(now() - begun).count();
  progress_.clear();
  print_note(fmt::format("{} written in {:.1f} ms: {}",
                         count_of(producer_->acknowledged() - acknowledged_before, "record"), ms, ranges_.to_string()));
  ranges_.clear();
}

void ProduceRun::show_prompt() {
  std::fputs("> ", stderr);
  std::fflush(stderr);
  prompt_due_ = false;
}

// The end of an error's message. Of what was sent and not acknowledged nobody knows whether it is there.
std::string ProduceRun::written_so_far(Code reason) const {
  if (producer_ == nullptr) return "; nothing is written by a dry run";
  const std::int64_t written = producer_->acknowledged();
  std::string text = fmt::format("; {} {} written", count_of(written, "record"), written == 1 ? "was" : "were");
  // A damaged partition has refused them before anything was written.
  const std::int64_t unknown = counts_.records - counted_off() - written;
  if (unknown > 0 && reason != Code::damaged) text += fmt::format(", {} more may have been", unknown);
  return text;
}

}  // namespace leat::tools
