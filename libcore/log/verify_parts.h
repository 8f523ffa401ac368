// The parts of a verification: a partition (verify_partition.cc), single files and names (verify_files.cc). verify.cc
// puts them together.
#pragma once

#include <functional>
#include <string_view>

#include "leat/log/verify.h"

namespace leat {

// Where findings of one topic, or one partition of it, are told from others.
struct FindingScope {
  std::string topic = {};
  std::optional<PartitionId> partition = {};

  Finding damage(std::string path, std::string what, std::string meaning) const {
    return {.topic = topic,
            .partition = partition,
            .path = std::move(path),
            .what = std::move(what),
            .meaning = std::move(meaning)};
  }
  Finding note(std::string path, std::string what, std::string meaning) const {
    Finding finding = damage(std::move(path), std::move(what), std::move(meaning));
    finding.level = Finding::Level::note;
    return finding;
  }
};

// One partition of a topic. `state` may be absent; with `appended`, the log ends behind what was appended, else behind
// what is durable. Errors: io, and those of `progress`.
Result<void> verify_partition(Verification& verification, const FindingScope& scope, Directory partition,
                              const TopicState* state, bool appended);

// A note for every name in the directory that `belongs` does not know. Errors: io.
Result<void> verify_names(const Verification& verification, const FindingScope& scope, const Directory& directory,
                          const std::function<bool(std::string_view)>& belongs);

// The state file of the topic `scope.topic` below `topics`. Errors: io.
Result<void> verify_state_file(const Verification& verification, const FindingScope& scope, const Directory& topics,
                               const Directory& topic, const TopicId& id);

// The files of named producers. Errors: io.
Result<void> verify_named_producers(const Verification& verification, const FindingScope& scope, const Directory& topic,
                                    const TopicId& id);

// What idempotent producers had when the segments began. Errors: io.
Result<void> verify_producer_snapshots(const Verification& verification, const FindingScope& scope,
                                       const Directory& partition, std::span<const Offset> bases);

// The kept hashes of a partition's tree against its log, of which everything before `durable_end` is durable. Errors:
// io.
Result<void> verify_tree(const Verification& verification, const FindingScope& scope, const Directory& partition,
                         Offset durable_end);

// The base offset in the name of a file beside a segment ("00000000000000000042.index"), whatever its kind.
std::optional<Offset> parse_segment_file_name(std::string_view name, std::string_view suffix);

}  // namespace leat
