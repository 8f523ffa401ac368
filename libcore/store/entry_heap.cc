#include "leat/store/entry_heap.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <utility>

#include "leat/base/error.h"

namespace leat {

namespace {

constexpr std::size_t kRunBytes = EntryHeap::Run::kRunBytes;
constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kRunBytesMin = 64 << 10;
// A new run is as large as this part of what is held.
constexpr std::size_t kRunShare = 8;
// What needs more has a run of its own.
constexpr std::size_t kSharedMax = 128 << 10;
// Holes are left alone while they are less than this part of what is held, or no more than a few runs.
constexpr std::size_t kHolesShare = 5;
constexpr std::size_t kHolesRuns = 2;

// Address space is no memory: the ends of a mapping twice as large are given back.
void* map_aligned(std::size_t bytes) {
  const std::size_t wanted = bytes + kRunBytes;
  void* mapped = ::mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  char* const begin = static_cast<char*>(mapped);
  const std::size_t before = (kRunBytes - reinterpret_cast<std::uintptr_t>(begin) % kRunBytes) % kRunBytes;
  if (before > 0) ::munmap(begin, before);
  ::munmap(begin + before + bytes, wanted - before - bytes);
  return begin + before;
}

std::size_t whole_pages(std::size_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

}  // namespace

Entry::Entry(std::string_view key, std::string_view value, Offset offset)
    : offset_(offset.value),
      key_bytes_(static_cast<std::uint32_t>(key.size())),
      value_bytes_(static_cast<std::uint32_t>(value.size())) {
  char* to = reinterpret_cast<char*>(this) + kHeaderBytes;
  if (!key.empty()) std::memcpy(to, key.data(), key.size());
  if (!value.empty()) std::memcpy(to + key.size(), value.data(), value.size());
}

EntryHeap::Run* EntryHeap::Run::of(const Entry* entry) {
  const auto address = reinterpret_cast<std::uintptr_t>(entry);
  return reinterpret_cast<Run*>(address - address % kRunBytes);  // NOLINT(performance-no-int-to-ptr): aligned to it
}

EntryHeap::~EntryHeap() {
  for (Run* run : runs_) free_run(run);
  for (Run* run : empty_) free_run(run);
}

void EntryHeap::add_run(std::size_t capacity) {
  static_assert(sizeof(Run) <= Run::kFirstEntry && Run::kFirstEntry % 8 == 0);
  void* memory = map_aligned(capacity);
  // A run of the full size is filled soon: one call is cheaper than a fault for each page. (Huge pages would be cheaper
  // still, but a virtual machine that gives free memory back to its host waits for each of them: 3 times the time.)
  if (capacity == kRunBytes) (void)::madvise(memory, capacity, MADV_POPULATE_WRITE);
  Run* run = ::new (memory) Run{.capacity = capacity};
  run->number = runs_.size();
  runs_.push_back(run);
  held_ += capacity;
}

void* EntryHeap::room(std::size_t bytes) {
  if (bytes > kSharedMax) {
    add_run(whole_pages(bytes + Run::kFirstEntry));
    Run* const own = runs_.back();
    own->used += bytes;
    ++own->unsettled;
    return reinterpret_cast<char*>(own) + Run::kFirstEntry;
  }
  if (open_ == nullptr || open_->capacity - open_->used < bytes) {
    Run* const full = std::exchange(open_, nullptr);
    const std::size_t share = std::bit_floor(std::clamp(held_ / kRunShare, kRunBytesMin, kRunBytes));
    add_run(std::max(share, std::bit_ceil(bytes + Run::kFirstEntry)));
    open_ = runs_.back();
    if (full != nullptr) check_empty(full);
  }
  void* const found = reinterpret_cast<char*>(open_) + open_->used;
  open_->used += bytes;
  ++open_->unsettled;
  return found;
}

Entry* EntryHeap::make(std::string_view key, std::string_view value, Offset offset) {
  return ::new (room(Entry::bytes_for(key.size() + value.size()))) Entry(key, value, offset);
}

Entry* EntryHeap::copy_of(const Entry& entry) {
  const StoredValue value = entry.view();
  return make(value.key, value.value, value.offset);
}

void EntryHeap::settle(const Entry* entry) {
  Run* const run = Run::of(entry);
  ASSERT(run->unsettled > 0);
  --run->unsettled;
}

void EntryHeap::drop(const Entry* entry) {
  Run* const run = Run::of(entry);
  const std::size_t bytes = Entry::bytes_for(entry->payload());
  run->dropped += bytes;
  holes_ += bytes;
  check_empty(run);
}

void EntryHeap::check_empty(Run* run) {
  ASSERT(run->dropped + Run::kFirstEntry <= run->used);
  if (run == open_ || run->unsettled > 0 || run->dropped + Run::kFirstEntry < run->used) return;
  holes_ -= run->dropped;
  held_ -= run->capacity;
  runs_[run->number] = runs_.back();
  runs_[run->number]->number = run->number;
  runs_.pop_back();
  empty_.push_back(run);
}

EntryHeap::Run* EntryHeap::crowded_with_holes() {
  const std::size_t run_bytes = open_ == nullptr ? kRunBytesMin : open_->capacity;
  if (holes_ <= kHolesRuns * run_bytes || holes_ * kHolesShare < held_) return nullptr;
  Run* worst = nullptr;
  for (Run* run : runs_) {
    if (run == open_ || run->unsettled > 0) continue;
    // By the part that is holes: small runs and large ones.
    if (worst == nullptr || run->dropped * worst->capacity > worst->dropped * run->capacity) worst = run;
  }
  // Moving what is whole gains nothing.
  return worst != nullptr && worst->dropped > 0 ? worst : nullptr;
}

std::vector<EntryHeap::Run*> EntryHeap::take_empty() {
  return std::exchange(empty_, {});
}

void EntryHeap::free_run(Run* run) {
  ::munmap(run, run->capacity);
}

std::size_t EntryHeap::bytes_of(const Run* run) {
  return run->capacity;
}

}  // namespace leat
