#include "leat/log/retention.h"

#include <doctest/doctest.h>

#include <limits>
#include <vector>

using namespace leat;

namespace {

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr TimestampMs kNow{1'000'000};

// Four segments of 100 bytes, the last one active.
const std::vector<SegmentFacts> kSegments = {
    {{0}, 100, {100'000}}, {{10}, 100, {200'000}}, {{20}, 100, {900'000}}, {{30}, 100, {950'000}}};

}  // namespace

TEST_CASE("without limits nothing goes") {
  const TopicSettings settings;
  CHECK(start_by_records(settings, {3}, {100}).value == 3);
  CHECK(start_by_age_and_bytes(settings, kSegments, kNow).value == 0);
  CHECK(!should_roll_early(settings, 1LL << 40, 0, {0}, kNow));
  CHECK(effective_segment_bytes(settings) == settings.segment_bytes);
}

TEST_CASE("retention by records is exact and never lowers the log start") {
  TopicSettings settings{.retention_records = 10};
  CHECK(start_by_records(settings, {0}, {25}).value == 15);
  CHECK(start_by_records(settings, {0}, {10}).value == 0);
  CHECK(start_by_records(settings, {0}, {3}).value == 0);
  CHECK(start_by_records(settings, {20}, {25}).value == 20);
  settings.retention_records = 0;
  CHECK(start_by_records(settings, {0}, {25}).value == 25);
  settings.retention_records = kMost;
  CHECK(start_by_records(settings, {5}, {25}).value == 5);
}

TEST_CASE("retention by bytes lets go what leaves at least the limit, and keeps the active segment") {
  TopicSettings settings;
  const auto start = [&](std::int64_t bytes) {
    settings.retention_bytes = bytes;
    return start_by_age_and_bytes(settings, kSegments, kNow).value;
  };
  CHECK(start(1000) == 0);
  CHECK(start(400) == 0);
  CHECK(start(301) == 0);
  CHECK(start(300) == 10);
  CHECK(start(250) == 10);
  CHECK(start(200) == 20);
  CHECK(start(0) == 30);
}

TEST_CASE("retention by age lets go segments whose newest record is too old, from the oldest on") {
  TopicSettings settings;
  const auto start = [&](std::int64_t age) {
    settings.retention_ms = age;
    return start_by_age_and_bytes(settings, kSegments, kNow).value;
  };
  CHECK(start(900'000) == 0);
  CHECK(start(899'999) == 10);
  CHECK(start(500'000) == 20);
  CHECK(start(0) == 30);
  // An old segment behind a young one stays: the log has no holes.
  const std::vector<SegmentFacts> mixed = {{{0}, 100, {999'999}}, {{10}, 100, {1}}, {{20}, 100, {1}}};
  settings.retention_ms = 1000;
  CHECK(start_by_age_and_bytes(settings, mixed, kNow).value == 0);
}

TEST_CASE("timestamps and durations at their limits are judged right") {
  TopicSettings settings{.retention_ms = 1000};
  const std::vector<SegmentFacts> oldest = {{{0}, 100, {kLeast}}, {{10}, 100, {0}}};
  const std::vector<SegmentFacts> newest = {{{0}, 100, {kMost}}, {{10}, 100, {0}}};
  CHECK(start_by_age_and_bytes(settings, oldest, kNow).value == 10);
  CHECK(start_by_age_and_bytes(settings, newest, kNow).value == 0);
  CHECK(should_roll_early(settings, 0, 0, {kLeast}, kNow));
  CHECK(!should_roll_early(settings, 0, 0, {kMost}, kNow));
  settings.retention_ms = kMost;
  CHECK(start_by_age_and_bytes(settings, newest, kNow).value == 0);
  CHECK(!should_roll_early(settings, 0, 0, {0}, kNow));
}

TEST_CASE("a log without segments or with the active one alone keeps what it has") {
  const TopicSettings settings{.retention_ms = 0, .retention_bytes = 0};
  CHECK(start_by_age_and_bytes(settings, {}, kNow).value == 0);
  CHECK(start_by_age_and_bytes(settings, std::vector<SegmentFacts>{{{7}, 100, {0}}}, kNow).value == 7);
}

TEST_CASE("segments are smaller where retention by bytes asks for it, within limits") {
  TopicSettings settings{.retention_bytes = 4 << 20};
  CHECK(effective_segment_bytes(settings) == 1 << 20);
  settings.retention_bytes = 1000;
  CHECK(effective_segment_bytes(settings) == kSegmentBytesMin);
  settings.retention_bytes = std::int64_t{1} << 50;
  CHECK(effective_segment_bytes(settings) == settings.segment_bytes);
}

TEST_CASE("a segment is closed early when most of it is dead, or its oldest record long too old") {
  TopicSettings records{.retention_records = 10};
  CHECK(should_roll_early(records, 2 << 20, 1 << 20, {0}, kNow));
  CHECK(!should_roll_early(records, 2 << 20, 3 << 20, {0}, kNow));
  CHECK(!should_roll_early(records, (1 << 20) - 1, 0, {0}, kNow));
  TopicSettings age{.retention_ms = 100'000};
  CHECK(!should_roll_early(age, 2 << 20, 0, kNow, kNow));
  CHECK(!should_roll_early(age, 0, 0, {875'000}, kNow));
  CHECK(should_roll_early(age, 0, 0, {874'999}, kNow));
}
