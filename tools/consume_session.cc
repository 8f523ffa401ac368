#include "tools/consume_session.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace leat::tools {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kBlockBytes = 128 << 10;    // handed on at this size
constexpr std::size_t kBlockBytesKept = 1 << 20;  // a block that grew beyond this for one record gives its memory back
constexpr std::size_t kPendingMax = 128 << 10;    // records waiting to be accepted; 3 MiB
constexpr Milliseconds kLookAtReader =
    milliseconds(1000);  // how often a waiting consumer looks whether its reader is there
constexpr Milliseconds kFlushAfter = milliseconds(500);  // with a log that is never caught up with
constexpr Milliseconds kLongest = milliseconds(60'000);

bool is_pipe(int fd) {
  struct stat status = {};
  return ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

Milliseconds left_until(SteadyTime due, SteadyTime now) {
  return due <= now ? milliseconds(0) : std::chrono::ceil<milliseconds>(due - now);
}

}  // namespace

ConsumeSession::ConsumeSession(Reader& reader, GroupReader* group, RecordOutput output, StandardOutput& out,
                               SessionOptions options)
    : reader_(reader),
      group_(group),
      output_(std::move(output)),
      out_(out),
      options_(std::move(options)),
      tracking_(options_.track || (group != nullptr && options_.commit_every)),
      stdout_is_pipe_(is_pipe(STDOUT_FILENO)),
      progress_(options_.ahead.bytes, options_.ahead.records > 0),
      written_before_(out.written()),
      flushed_at_(steady_clock::now()),
      committed_at_(flushed_at_),
      arrived_at_(flushed_at_) {
  block_.reserve(2 * kBlockBytes);
  for (const Position& start : options_.starts) delivery_.begin_at(start);
  if (group_ != nullptr) group_->on_release([this](std::span<const Position> positions) { return let_go(positions); });
}

ConsumeSession::~ConsumeSession() {
  if (group_ != nullptr) group_->on_release({});
}

Result<Ending> ConsumeSession::run() {
  auto ending = read_and_write();
  progress_.clear();
  auto finished = finish();
  if (!ending) {
    // One cause often fails both; it is told once.
    if (!finished && finished.error().code != ending.error().code) print_warning(finished.error().message);
    return ending;
  }
  if (!finished) return std::unexpected(std::move(finished).error());
  return out_.broken() ? Ending::broken : *ending;
}

Result<Ending> ConsumeSession::read_and_write() {
  if (options_.records_max == 0) return Ending::limit;
  Milliseconds wait{0};
  while (true) {
    if (options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed)) return Ending::stopped;
    // Asked before reading: what was written before that moment has been read when the reader then has caught up.
    const bool past = options_.until && now_ms() >= *options_.until;
    auto fetched = reader_.next(wait);
    show_notices();
    const Fetch fetch = TRY(std::move(fetched));
    const SteadyTime now = steady_clock::now();
    switch (fetch.state) {
      case Fetch::State::ended:
        return Ending::ended;
      case Fetch::State::stopped:
        return Ending::stopped;
      case Fetch::State::records:
        arrived_at_ = now;
        if (const auto ending = TRY(take(fetch))) return *ending;
        TRY(keep_up(now));
        if (out_.broken()) return Ending::broken;
        wait = milliseconds(0);
        break;
      case Fetch::State::caught_up:
        TRY(flush());
        if (out_.broken() || reader_gone()) return Ending::broken;
        TRY(commit_if_due(now));
        if (past) return Ending::until;
        if (idle_too_long(now)) return Ending::idle;
        wait = wait_time(now);
        break;
    }
  }
}

// Whether records are put out one like the other, and nobody asks which of them have been.
bool ConsumeSession::takes_values() const {
  return output_.is_values() && !tracking_ && !options_.until && !options_.key_filter && !options_.unbuffered;
}

Result<std::optional<Ending>> ConsumeSession::take_values(std::span<const RecordView> records) {
  if (options_.records_max) {
    const std::int64_t left = *options_.records_max - totals_.records;
    records = records.first(std::min(records.size(), static_cast<std::size_t>(left)));
  }
  while (!records.empty()) {
    RecordOutput::Taken taken = output_.append_values(block_, records);
    if (taken.records == 0 && block_.empty()) {  // larger than a block
      const RecordView& large = records.front();
      TRY(output_.append(block_, large));
      taken = {1, large.value.value_or("").size() + large.key.value_or("").size()};
    }
    totals_.read += static_cast<std::int64_t>(taken.records);
    totals_.records += static_cast<std::int64_t>(taken.records);
    totals_.bytes += static_cast<std::int64_t>(taken.bytes);
    records = records.subspan(taken.records);
    if (block_.size() >= kBlockBytes || !records.empty()) TRY(push());
    if (out_.broken()) return Ending::broken;
  }
  return totals_.records == options_.records_max ? std::optional(Ending::limit) : std::nullopt;
}

Result<std::optional<Ending>> ConsumeSession::take(const Fetch& fetch) {
  if (takes_values()) return take_values(fetch.records);
  if (tracking_) delivery_.select(fetch.position.topic, fetch.position.partition);
  for (const RecordView& record : fetch.records) {
    ++totals_.read;
    if (options_.until && record.timestamp >= *options_.until) {
      if (tracking_) delivery_.freeze();
      continue;
    }
    const bool wanted = !options_.key_filter || record.key == *options_.key_filter;
    if (wanted) {
      TRY(output_.append(block_, record));
      ++totals_.records;
      totals_.bytes += static_cast<std::int64_t>(record.value.value_or("").size() + record.key.value_or("").size());
    }
    if (tracking_) delivery_.add(handed_ + block_.size(), record.offset + 1);
    if (!wanted) continue;
    if (options_.unbuffered) {
      TRY(flush());
    } else if (block_.size() >= kBlockBytes) {
      TRY(push());
    }
    if (out_.broken()) return Ending::broken;
    if (totals_.records == options_.records_max) return Ending::limit;
  }
  // Offsets behind the last record of which compaction left nothing are done with as well.
  if (tracking_) delivery_.add(handed_ + block_.size(), fetch.position.next);
  if (delivery_.pending() > kPendingMax) {
    TRY(flush());
    delivery_.settle(accepted());
  }
  return std::nullopt;
}

Result<void> ConsumeSession::push() {
  if (block_.empty()) return {};
  auto written = out_.write(block_);
  handed_ += block_.size();
  block_.clear();
  if (block_.capacity() > kBlockBytesKept) {
    std::string().swap(block_);
    block_.reserve(2 * kBlockBytes);
  }
  if (!written && !out_.broken()) return written;
  return {};
}

Result<void> ConsumeSession::flush() {
  TRY(push());
  auto flushed = out_.flush();
  flushed_at_ = steady_clock::now();
  if (!flushed && !out_.broken()) return flushed;
  return {};
}

// What has been written to a pipe but not read from it yet can still be lost: it is not accepted while the session
// runs.
std::uint64_t ConsumeSession::accepted() const {
  std::uint64_t bytes = written();
  int unread = 0;
  if (stdout_is_pipe_ && ::ioctl(STDOUT_FILENO, FIONREAD, &unread) == 0 && unread > 0) {
    bytes -= std::min(bytes, static_cast<std::uint64_t>(unread));
  }
  return bytes;
}

// Whether nobody can read what would be written: learnt without writing, so that `consume | head -1` ends by itself.
bool ConsumeSession::reader_gone() const {
  if (!stdout_is_pipe_) return false;
  pollfd look = {.fd = STDOUT_FILENO, .events = 0, .revents = 0};
  return ::poll(&look, 1, 0) == 1 && (look.revents & POLLERR) != 0;
}

// What must not wait until the log has been caught up with.
Result<void> ConsumeSession::keep_up(SteadyTime now) {
  TRY(commit_if_due(now));
  if (now - flushed_at_ >= kFlushAfter) TRY(flush());
  if (options_.ahead.records > 0) {
    const double part = static_cast<double>(totals_.read) / static_cast<double>(options_.ahead.records);
    progress_.update(static_cast<std::uint64_t>(std::min(part, 1.0) * static_cast<double>(options_.ahead.bytes)), now);
  }
  return {};
}

Result<void> ConsumeSession::commit_if_due(SteadyTime now) {
  if (group_ == nullptr || !options_.commit_every) return {};
  if (now - committed_at_ < *options_.commit_every) return {};
  committed_at_ = now;
  TRY(flush());
  delivery_.settle(accepted());
  return commit();
}

Result<void> ConsumeSession::commit() {
  if (group_ == nullptr || !options_.commit_every || !delivery_.moved()) return {};
  const std::vector<Position> positions = delivery_.moved_positions();
  if (!positions.empty()) TRY(group_->commit(positions));
  delivery_.mark_committed();
  return {};
}

Result<void> ConsumeSession::finish() {
  auto flushed = settle_all();
  auto committed = commit();
  if (!flushed) return flushed;
  return committed;
}

// Writes out all that was read; it counts as delivered unless nobody is there to read it.
Result<void> ConsumeSession::settle_all() {
  Result<void> flushed = {};
  if (!out_.broken()) flushed = flush();
  const bool gone = out_.broken() || reader_gone();
  delivery_.settle(gone ? accepted() : written());
  return flushed;
}

// Another member goes on where this one has got to.
Result<std::vector<Position>> ConsumeSession::let_go(std::span<const Position> positions) {
  auto flushed = settle_all();
  TRY(commit());
  for (const Position& position : positions) delivery_.forget(position);
  if (!flushed) return std::unexpected(std::move(flushed).error());
  return std::vector(positions.begin(), positions.end());
}

void ConsumeSession::show_notices() {
  for (const std::string& notice : reader_.take_notices()) {
    progress_.clear();
    print_warning(notice);
  }
  show_events();
}

void ConsumeSession::show_events() {
  if (group_ == nullptr || !options_.verbose) return;
  for (const std::string& event : group_->take_events()) {
    progress_.clear();
    print_note(event);
  }
}

Milliseconds ConsumeSession::wait_time(SteadyTime now) const {
  Milliseconds wait = stdout_is_pipe_ ? kLookAtReader : kLongest;
  if (options_.idle_timeout) wait = std::min(wait, left_until(arrived_at_ + *options_.idle_timeout, now));
  if (options_.commit_every && (delivery_.moved() || delivery_.pending() > 0)) {
    wait = std::min(wait, left_until(committed_at_ + *options_.commit_every, now));
  }
  if (options_.until) wait = std::min(wait, milliseconds(*options_.until - now_ms()));
  return std::max(wait, milliseconds(1));
}

bool ConsumeSession::idle_too_long(SteadyTime now) const {
  return options_.idle_timeout && now - arrived_at_ >= *options_.idle_timeout;
}

}  // namespace leat::tools
