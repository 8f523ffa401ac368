#include "leat/log/file_names.h"

#include <doctest/doctest.h>

#include <limits>

using namespace leat;

TEST_CASE("a segment's files are named by its base offset in twenty digits, as in Kafka") {
  CHECK(log_file_name({42}) == "00000000000000000042.log");
  CHECK(index_file_name({42}) == "00000000000000000042.index");
  CHECK(time_index_file_name({42}) == "00000000000000000042.timeindex");
  CHECK(compacting_file_name({0}) == "00000000000000000000.compacting");
}

TEST_CASE("log names sort like offsets and parse back") {
  std::string last;
  for (const std::int64_t base : {std::int64_t{0}, std::int64_t{9}, std::int64_t{10}, std::int64_t{4'294'967'296},
                                  std::numeric_limits<std::int64_t>::max()}) {
    const std::string name = log_file_name({base});
    CHECK(name > last);
    CHECK(parse_log_file_name(name) == Offset{base});
    last = name;
  }
}

TEST_CASE("what is not the name of a log is not parsed") {
  for (const char* name : {"", ".log", "42.log", "00000000000000000042.index", "00000000000000000042.log.tmp",
                           "0000000000000000042.log", "000000000000000000042.log", "0000000000000000004x.log",
                           "-0000000000000000042.log", "-0000000000000000000.log", "+0000000000000000042.log",
                           " 0000000000000000042.log", "99999999999999999999.log", "00000000000000000042.LOG"}) {
    CAPTURE(name);
    CHECK(!parse_log_file_name(name));
  }
}

TEST_CASE("a partition's directory is its plain decimal") {
  for (const std::int32_t id : {0, 7, 10, 1023})
    CHECK(parse_partition_directory_name(partition_directory_name({id})) == PartitionId{id});
  for (const char* name : {"", "00", "01", "+1", "-1", "-0", "1 ", "x", "1x", "2147483648"}) {
    CAPTURE(name);
    CHECK(!parse_partition_directory_name(name));
  }
}

TEST_CASE("what was cut is named by its first offset and the time, without characters that need quoting") {
  CHECK(cut_file_name({42}, {1'000'000'000'123}) == "42-20010909T014640.123Z");
}
