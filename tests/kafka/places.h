// Clusters to test the contract of backend.h on: librdkafka's mock, or the real one that LEAT_TEST_KAFKA names. What
// differs from a directory is only how much patience a test needs, and who makes the topics.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "leat/backend/backend.h"

namespace leat::test {

// A cluster of its own for a test, empty at first: of a real one, all topics and consumers are deleted behind it. A
// real one that is not empty when the first test begins is refused.
std::unique_ptr<class Place> make_kafka_place();

// Makes the mock refuse the next commit of offsets, as one of a member that the group has shared out without.
void refuse_next_commit(Place& mock);

// Whether the real one is meant.
bool kafka_is_real();

// A case that cannot hold, and why.
struct Lacking {
  std::string_view test_case;
  std::string_view why;
};
std::span<const Lacking> what_kafka_lacks();
std::span<const Lacking> what_the_mock_lacks();

}  // namespace leat::test
