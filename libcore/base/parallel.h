// Work that falls into independent pieces, shared out over the processors that are free for it.
#pragma once

#include <cstddef>
#include <functional>
#include <thread>

namespace leat {

// A thread that takes no signals: those are for the thread that reads the input, which a signal has to wake. One that
// is not joinable where no thread is to be had.
std::thread start_thread(std::function<void()> run);

// Does one piece of the work. Belongs to one thread, and may keep memory from piece to piece.
using PieceWorker = std::function<void(std::size_t piece)>;

// Has the pieces [0, count) done, each once, in any order: by the calling thread, and by others where there are
// processors for them, kParallelThreadsMax in all. Each thread has a worker of its own from `make_worker`, which is
// called in that thread. All are done on return. Throws what the first of them threw; then some pieces may not have
// been done. Where no thread is to be had, the calling one does all.
inline constexpr std::size_t kParallelThreadsMax = 4;
void in_parallel(std::size_t count, const std::function<PieceWorker()>& make_worker);

}  // namespace leat
