// A .log file and the directory around it made by hand, for what reads segments without a partition.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/log_fixture.h"

namespace leat::test {

// The bytes of a batch of `records` records with values of `value_bytes` bytes.
inline std::string raw_batch(Offset base, int records = 1, TimestampMs time = {1000}, std::size_t value_bytes = 20) {
  const std::string value(value_bytes, 'v');
  BatchBuilder builder;
  for (int i = 0; i < records; ++i) must(builder.add({.value = value}, time));
  EncodedBatch batch = must(builder.finish());
  place_batch(batch.bytes, base, 0);
  return std::string(as_text(batch.bytes));
}

// A directory that stands for a partition.
struct RawPartition {
  RawPartition() : directory(must(Directory::open_root(temp.path()))) {}

  File write_log(const std::string& content, Offset base = {}) {
    write_file(temp / log_file_name(base), content);
    return open_log(base);
  }
  File open_log(Offset base = {}) { return must(directory.open_file(log_file_name(base), OpenMode::read_write)); }

  TempDir temp;
  Directory directory;
};

}  // namespace leat::test
