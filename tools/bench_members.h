// The members of a consumer group under measurement: what they are told, what they do, and what they tell. Each runs in
// a process of its own; orders and answers are in shared memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tools/bench_run.h"

namespace leat::tools {

enum class MemberOrder : std::uint32_t {
  stay_away,  // before it is needed, and after leaving
  read,       // join, and read what comes
  hold,       // stay a member, but read nothing
  leave,
};

// One member. The first process writes `order` and `share`, the member the rest.
struct MemberBoard {
  std::atomic<MemberOrder> order = MemberOrder::stay_away;
  std::atomic<std::int64_t> share = 0;  // partitions it has to hold before it has settled
  std::atomic<bool> joined = false;
  std::atomic<bool> holding = false;
  std::atomic<std::int64_t> join_begun_ns = 0;
  std::atomic<std::int64_t> settled_ns = 0;  // 0: not yet
  std::atomic<std::int64_t> leave_begun_ns = 0;
  std::atomic<std::int64_t> last_record_ns = 0;
};

// A partition. A probe is a record that asks for the time at which some member gets it.
struct PartitionBoard {
  std::atomic<std::int64_t> probe = 0;       // the number of the latest one, from 1
  std::atomic<std::int64_t> arrived_ns = 0;  // when it arrived; 0: not yet
};

class MembersBoard {
 public:
  MembersBoard(std::size_t members, std::size_t partitions)
      : members_(members), partitions_(partitions), owned_(members * partitions) {}

  MemberBoard& member(std::size_t i) { return members_[i]; }
  PartitionBoard& partition(std::size_t p) { return partitions_[p]; }
  std::atomic<bool>& owned(std::size_t member, std::size_t partition) {
    return owned_[member * partitions_.items().size() + partition];
  }
  std::size_t partitions() { return partitions_.items().size(); }

 private:
  SharedArray<MemberBoard> members_;
  SharedArray<PartitionBoard> partitions_;
  SharedArray<std::atomic<bool>> owned_;
};

// The life of a member: obeys until it is stopped. Counts records that are no probes in the client's report. Errors:
// those of GroupReader.
Result<void> live_as_member(BenchClient& client, MembersBoard& board);

// The value of a probe, and its number; 0 for a record that is none. `bytes` is at least kStampBytes.
std::string probe_value(std::int64_t number, std::size_t bytes);
std::int64_t probe_number(std::string_view value);

// The shortest keys that go to each of `partitions`.
std::vector<std::string> keys_of_partitions(std::int32_t partitions);

}  // namespace leat::tools
