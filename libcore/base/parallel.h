// Work that falls into independent pieces, shared out over the processors that are free for it.
#pragma once

#include <signal.h>

#include <cstddef>
#include <functional>

namespace leat {

// While it lives, threads that are started take no signals: those are for the thread that reads the input, which a
// signal has to wake.
class SignalsBlocked {
 public:
  SignalsBlocked();
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked();

 private:
  sigset_t before_{};
};

// Does one piece of the work. Belongs to one thread, and may keep memory from piece to piece.
using PieceWorker = std::function<void(std::size_t piece)>;

// Has the pieces [0, count) done, each once, in any order: by the calling thread, and by others where there are
// processors for them, kParallelThreadsMax in all. Each thread has a worker of its own from `make_worker`, which is
// called in that thread. All are done on return. Throws what the first of them threw; then some pieces may not have
// been done. Where no thread is to be had, the calling one does all.
inline constexpr std::size_t kParallelThreadsMax = 4;
void in_parallel(std::size_t count, const std::function<PieceWorker()>& make_worker);

}  // namespace leat
