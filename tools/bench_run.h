// The frame of every benchmark: processes, the memory they share with the one that started them, and a topic of its own
// that is removed however it ends. Measures nothing.
//
// The processes are forked before anything is opened, so that no lock, mapping or thread of a backend is there twice,
// and wait until they are told. One more outlives all others: it removes the topic when the first process is killed.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/backend/backend.h"
#include "leat/base/futex.h"
#include "tools/bench_options.h"
#include "tools/command.h"
#include "tools/latency_histogram.h"

namespace leat::tools {

// The clock of all figures: the same in every process.
std::int64_t steady_ns();

// Memory that forked processes share.
class SharedPages {
 public:
  explicit SharedPages(std::size_t bytes);  // zeros; throws std::bad_alloc
  ~SharedPages();
  SharedPages(const SharedPages&) = delete;
  SharedPages& operator=(const SharedPages&) = delete;
  void* data() const { return data_; }

 private:
  std::size_t bytes_;
  void* data_;
};

// An array of T in it. T needs no destructor.
template <class T>
class SharedArray {
 public:
  explicit SharedArray(std::size_t count) : pages_(count * sizeof(T)), items_(static_cast<T*>(pages_.data()), count) {
    static_assert(std::is_trivially_destructible_v<T>);
    for (T& item : items_) new (&item) T();
  }
  T& operator[](std::size_t i) { return items_[i]; }
  std::span<T> items() { return items_; }

 private:
  SharedPages pages_;
  std::span<T> items_;
};

enum class ClientState : std::uint32_t { forked, ready, done, failed };

// What one process says of itself. It alone writes; the first process reads once the state is done.
struct ClientReport {
  std::atomic<ClientState> state = ClientState::forked;
  std::atomic<std::int64_t> progress = 0;  // records so far, for the progress line
  std::int64_t records = 0;
  std::int64_t bytes = 0;
  std::int64_t begun_ns = 0;
  std::int64_t ended_ns = 0;
  std::int64_t cpu_user_us = 0;
  std::int64_t cpu_system_us = 0;
  std::int64_t memory_peak_bytes = 0;
  bool out_of_time = false;  // ended by the time limit
  LatencyHistogram latency = {};
  Code failure = {};
  std::array<char, 800> message = {};
  std::array<char, 200> hint = {};
};

enum class BenchPhase : std::uint32_t { forked, topic_made, running };

// What all of them look at.
struct BenchBoard {
  WakeWord orders = 0;  // raised by the first process
  WakeWord news = 0;    // raised by the others
  std::atomic<BenchPhase> phase = BenchPhase::forked;
  std::atomic<bool> stop = false;
  std::atomic<std::int64_t> begin_ns = 0;          // when phase running begins
  std::atomic<std::int64_t> records_due = 0;       // how many there are to read, once that is known; 0 before
  std::atomic<std::int64_t> limit_ns = INT64_MAX;  // until when members read
  std::atomic<bool> topic_exists = false;
  std::array<char, 256> topic = {};
};

// Seen from a process that was forked.
class BenchClient {
 public:
  BenchClient(std::size_t number, const Context& context, BenchBoard& board, ClientReport& report)
      : number_(number), context_(&context), board_(&board), report_(&report) {}

  std::size_t number() const { return number_; }
  BenchBoard& board() { return *board_; }
  ClientReport& report() { return *report_; }
  bool stopped() const { return board_->stop.load(std::memory_order_relaxed); }

  // Waits for the topic. Errors: interrupted, and those of open_backend().
  Result<Backend*> open();
  std::string topic() const { return board_->topic.data(); }
  // Says that all is set up and waits until it begins, for all at once. Errors: interrupted.
  Result<void> wait_for_begin();
  // Waits for orders that make `done` true. Errors: interrupted.
  Result<void> wait_until(const std::function<bool()>& done);
  // Sleeps. Errors: interrupted.
  Result<void> sleep_until(std::int64_t when_ns);
  void tell_news() { wake_all(board_->news); }

  // Processor time and clock of what is measured: from here, where it is `begun_ns`, and up to there.
  void begin_measuring(std::int64_t begun_ns);
  void end_measuring();

 private:
  std::size_t number_;
  const Context* context_;
  BenchBoard* board_;
  ClientReport* report_;
  std::unique_ptr<Backend> backend_;
};

class BenchRun {
 public:
  using Work = std::function<Result<void>(BenchClient&)>;

  // Forks `count` processes that do `work`. `name` is the second word of the topic's name. Errors: io.
  static Result<std::unique_ptr<BenchRun>> start(const Context& context, std::string_view name, std::size_t count,
                                                 const Work& work);
  // Ends all processes and removes the topic; what goes wrong is a warning.
  ~BenchRun();
  BenchRun(const BenchRun&) = delete;
  BenchRun& operator=(const BenchRun&) = delete;

  // Opens the backend and makes the topic. Errors: those of both.
  Result<void> create_topic(const TopicSettings& settings);
  Backend& backend() { return *backend_; }
  std::string topic() const { return board().topic.data(); }
  BenchBoard& board() const { return board_->operator[](0); }
  ClientReport& report(std::size_t i) const { return (*reports_)[i]; }
  std::size_t count() const { return processes_.size(); }
  // The reports of [first, first + count).
  std::span<ClientReport> reports(std::size_t first, std::size_t count) const;

  void set_phase(BenchPhase phase);
  // All are told to look again.
  void give_orders() { wake_all(board().orders); }
  // Returns once `done`; calls `tick` a few times a second, when given. Errors: interrupted by a signal; what a process
  // failed with; io when one has died; busy after `patience`.
  Result<void> wait_until(const std::function<bool()>& done, const std::function<void()>& tick = {},
                          std::optional<Milliseconds> patience = {}, std::string_view waiting_for = {});
  Result<void> wait_for(ClientState state, std::size_t first, std::size_t count,
                        const std::function<void()>& tick = {});

  // Kills a process as kill -9 does and returns when it is gone.
  void kill_client(std::size_t i);
  // Bytes on disk that the topic takes; -1 where that is not known.
  Result<std::int64_t> disk_bytes();
  // Removes the topic when all processes have ended. Errors: io.
  Result<void> finish();

 private:
  struct Process {
    pid_t pid = -1;  // -1 when it has ended
  };

  explicit BenchRun(const Context& context) : context_(&context) {}
  Result<void> start_janitor();
  Result<void> start_client(std::size_t i, const Work& work);
  Result<void> check_processes();
  void end_processes();
  Result<void> remove_topic();
  void dismiss_janitor();

  const Context* context_;
  std::unique_ptr<SharedArray<BenchBoard>> board_;
  std::unique_ptr<SharedArray<ClientReport>> reports_;
  std::vector<Process> processes_;
  std::string name_;
  std::unique_ptr<Backend> backend_;
  pid_t janitor_ = -1;
  int janitor_pipe_ = -1;
};

}  // namespace leat::tools
