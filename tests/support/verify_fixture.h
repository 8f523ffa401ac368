// A topic that can be damaged, verified and repaired.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "leat/group/verify_offsets.h"
#include "leat/log/repair.h"
#include "leat/log/verify.h"
#include "tests/support/log_fixture.h"

namespace leat::test {

// Directories that are made while it lives lie in memory, where there is a place for that: these tests sync thousands
// of times.
class InMemory {
 public:
  InMemory() {
    if (const char* before = std::getenv("TMPDIR")) before_ = before;
    if (std::filesystem::is_directory("/dev/shm")) ::setenv("TMPDIR", "/dev/shm", 1);
  }
  InMemory(const InMemory&) = delete;
  InMemory& operator=(const InMemory&) = delete;
  ~InMemory() {
    if (before_.empty()) {
      ::unsetenv("TMPDIR");
    } else {
      ::setenv("TMPDIR", before_.c_str(), 1);
    }
  }

 private:
  std::string before_;
};

struct VerifyFixture : InMemory, LogFixture {
  explicit VerifyFixture(TopicSettings settings = {}) : LogFixture(settings) {}

  // What verification finds in the topic and around it.
  std::vector<Finding> verify(bool deep = true) {
    std::vector<Finding> findings;
    Verification verification{.deep = deep, .report = [&](Finding finding) { findings.push_back(std::move(finding)); }};
    must(verify_root(verification, data_dir));
    must(verify_topic(verification, data_dir, "t"));
    must(verify_offsets(verification, data_dir));
    counts = verification.counts;
    return findings;
  }

  // The only one of them.
  Finding only_finding(bool deep = true) {
    const auto findings = verify(deep);
    std::string all;
    for (const Finding& finding : findings) all += finding.path + ": " + finding.what + "; " + finding.meaning + "\n";
    CAPTURE(all);
    REQUIRE(findings.size() == 1);
    return findings.front();
  }

  bool is_damaged(bool deep = true) {
    const auto findings = verify(deep);
    return std::ranges::any_of(findings, [](const Finding& f) { return f.level == Finding::Level::damage; });
  }

  PartitionRepair plan() {
    const Topic topic = reader_topic();
    return must(plan_repair(must(survey_partition(topic, {0}, {}))));
  }

  Result<PartitionRepair> try_repair() {
    PartitionRepair repair = plan();
    Topic topic = TRY(Topic::open(data_dir, "t", Topic::Access::write));
    Partition partition = TRY(Partition::open(topic, {0}));
    TRY(repair_partition(partition, repair));
    return repair;
  }
  PartitionRepair repair() { return must(try_repair()); }

  // Every readable record by its offset, passing over what is damaged.
  std::map<std::int64_t, std::string> records() {
    Topic topic = reader_topic();
    PartitionReader reader = must(PartitionReader::open(topic, {0}, false));
    const VisibleRange range = must(reader.visible());
    must(reader.seek(range.start));
    BatchDecoder decoder;
    std::map<std::int64_t, std::string> found;
    for (;;) {
      const auto batch = reader.next(range);
      if (!batch) {
        const auto readable = reader.readable_behind_damage();
        if (!readable || *readable <= reader.place()) return found;
        must(reader.seek(*readable));
        continue;
      }
      if (!*batch) return found;
      for (const RecordView& record : must(decoder.decode((*batch)->bytes))) {
        if (record.offset >= range.start) found[record.offset.value] = record.value.value_or("<null>");
      }
    }
  }

  // Closes the active segment.
  void roll() {
    Topic topic = writer_topic();
    Partition partition = must(Partition::open(topic, {0}));
    must(partition.roll());
  }

  // Every file below the data directory, with its content.
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(temp / "data")) {
      if (entry.is_regular_file()) found[entry.path().string()] = read_file(entry.path().string());
    }
    return found;
  }

  VerifyCounts counts;  // of the last verification
};

}  // namespace leat::test
