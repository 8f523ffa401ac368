// Checks what lies on the disk against everything that can be known of it, and says what is wrong. Changes nothing,
// takes no lock, and may run beside writers: what is checked ends where the log ended when the partition was looked at,
// and a file that was retired or replaced meanwhile is no finding.
//
// Every finding is one of two kinds. Damage is what a reader, a writer or a consumer would run into, or has lost. A
// note is worth knowing, and no harm to anybody: an unfinished write that nobody was told of, an index entry that a
// search passes over, a file that is not leat's.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "leat/base/disk.h"
#include "leat/log/data_dir.h"
#include "leat/log/topic.h"

namespace leat {

// One thing that is not as it should be.
struct Finding {
  enum class Level { note, damage } level = Level::damage;
  std::string topic = {};  // empty for what belongs to none
  std::optional<PartitionId> partition = {};
  std::string path = {};
  std::optional<std::int64_t> byte = {};  // of the file
  std::optional<Offset> offset = {};      // the first one concerned
  std::string what = {};                  // is wrong there
  std::string meaning = {};               // for whoever reads, writes or consumes
  bool repairable = false;                // by `leat repair TOPIC`
  std::string hint = {};                  // a command that helps, where there is one
};

// What a verification has gone through.
struct VerifyCounts {
  std::int64_t segments = 0;
  std::int64_t batches = 0;
  std::int64_t records = 0;
  std::int64_t bytes = 0;  // of .log files
};

// One verification: how deep it goes, who is told what.
struct Verification {
  // Every batch, record and index entry, in one pass over each file; else only the names, the settings, how the
  // segments follow each other, some of the index entries, and the end of the log.
  bool deep = false;
  std::function<void(Finding)> report = {};
  // Called again and again with the bytes read of .log files so far; an error of it ends the verification.
  std::function<Result<void>(std::int64_t bytes)> progress = {};
  VerifyCounts counts = {};
};

// Verifies one topic: its settings, its state, its producers, and the partitions `only`, or all. Errors: not_found, io,
// and those of `progress`.
Result<void> verify_topic(Verification& verification, const DataDir& data_dir, const std::string& name,
                          std::span<const PartitionId> only = {});

// Verifies what belongs to no topic: the directory's own file, and names that do not belong there. Errors: io.
Result<void> verify_root(Verification& verification, const DataDir& data_dir);

// The bytes of all .log files of a topic, for showing progress; those that cannot be asked count as none.
std::int64_t log_bytes(const DataDir& data_dir, const std::string& name);

}  // namespace leat
