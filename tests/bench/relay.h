// Produce to follower: a producing process and a following one, and the time from before the record is sent to when
// the follower has it. The same for leat and every peer that can wait for records.
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#include <atomic>

#include "measure.h"

namespace bench {

// Shared by both: when the follower received record i, or 0.
class Arrivals {
 public:
  explicit Arrivals(long records) : records_(records) {
    void* page = ::mmap(nullptr, static_cast<std::size_t>(records) * sizeof(Slot), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(page != MAP_FAILED, "mmap");
    slots_ = static_cast<Slot*>(page);
  }

  long records() const { return records_; }

  // For the follower: the next record came.
  void note() {
    if (next_ < records_) slots_[next_++].store(now_ns());
  }

  std::int64_t wait(long record) const {
    const std::int64_t begun = now_ns();
    while (slots_[record].load() == 0) {
      ::usleep(50);  // asleep, so that the follower is not robbed of its core; it took the time itself
      if (now_ns() - begun > 10'000'000'000) die("the follower has not got a record in 10 s");
    }
    return slots_[record].load();
  }

 private:
  using Slot = std::atomic<std::int64_t>;
  Slot* slots_ = nullptr;
  long records_;
  long next_ = 0;
};

// `follow` runs in a process of its own and calls note() for each record, for ever; `connect` makes the producing
// side, whose result sends one record and returns when it is acknowledged.
inline void time_relay(long records, const std::function<void(Arrivals&)>& follow,
                       const std::function<std::function<void()>()>& connect) {
  Arrivals arrivals(records);
  const pid_t child = ::fork();
  must(child >= 0, "fork");
  if (child == 0) {
    follow(arrivals);
    std::_Exit(1);
  }
  const auto send = connect();
  ::usleep(300'000);  // until the follower waits
  Latencies latencies;
  for (long i = 0; i < records; ++i) {
    const std::int64_t begun = now_ns();
    send();
    const std::int64_t arrived = arrivals.wait(i);
    if (i >= records / 20) latencies.add(arrived - begun);
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  latencies.print();
}

}  // namespace bench
