#include "leat/backend/batch_encoder.h"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

using namespace leat;

namespace {

// A batch of which each number makes another one.
PlainBatch batch(std::size_t number) {
  BatchBuilder builder;
  for (std::size_t i = 0; i < 100 + number % 7; ++i) {
    const std::string value = std::to_string(number) + std::string(number % 300, 'x') + std::to_string(i);
    REQUIRE(builder.add({.value = value}, {1000}).has_value());
  }
  return builder.take({.id = static_cast<std::int64_t>(number), .epoch = 0, .base_sequence = 7});
}

std::vector<std::byte> encoded(std::size_t number, Codec codec) {
  PlainBatch plain = batch(number);
  return encode_batch(plain, codec).value().bytes;
}

// One that no codec makes smaller.
PlainBatch incompressible() {
  BatchBuilder builder;
  std::uint64_t state = 1;
  std::string value;
  for (int i = 0; i < 1000; ++i) value += static_cast<char>((state = state * 6364136223846793005 + 1442695) >> 56);
  REQUIRE(builder.add({.value = value}, {1000}).has_value());
  return builder.take();
}

}  // namespace

TEST_CASE("batches come out as if they were encoded one by one, whoever does it") {
  for (const Codec codec : {Codec::lz4, Codec::zstd}) {
    BatchEncoder encoder;
    for (std::size_t round = 0; round < 20; ++round) {
      std::vector<std::shared_ptr<BatchEncoder::Job>> jobs;
      for (std::size_t i = 0; i < 30; ++i) jobs.push_back(encoder.start(batch(round * 30 + i), codec, {}));
      if (round % 3 == 0) std::this_thread::yield();
      if (round % 2 == 0)
        for (const auto& job : jobs) BatchEncoder::help(*job);
      for (std::size_t i = 0; i < 30; ++i) {
        auto finished = BatchEncoder::finish(*jobs[i]);
        REQUIRE(finished.has_value());
        CHECK(finished->bytes == encoded(round * 30 + i, codec));
        CHECK(finished->record_count == static_cast<std::int32_t>(100 + (round * 30 + i) % 7));
        CHECK(jobs[i]->take_memory().capacity() > 0);
      }
    }
  }
}

TEST_CASE("a few batches need no thread") {
  BatchEncoder encoder;
  const auto first = encoder.start(batch(1), Codec::lz4, {});
  const auto second = encoder.start(batch(2), Codec::lz4, {});
  CHECK(BatchEncoder::finish(*second)->bytes == encoded(2, Codec::lz4));
  CHECK(BatchEncoder::finish(*first)->bytes == encoded(1, Codec::lz4));
}

TEST_CASE("a batch that does not get smaller stays plain in its own memory") {
  BatchEncoder encoder;
  const auto job = encoder.start(incompressible(), Codec::lz4, {});
  const auto finished = BatchEncoder::finish(*job);
  REQUIRE(finished.has_value());
  CHECK(load_batch_header(finished->bytes.data()).codec() == Codec::none);
  CHECK(batch_crc_matches(finished->bytes));
  CHECK(job->take_memory().empty());
}

TEST_CASE("what was started and not asked for is dropped") {
  std::shared_ptr<BatchEncoder::Job> kept;
  {
    BatchEncoder encoder;
    for (std::size_t i = 0; i < 200; ++i) {
      auto job = encoder.start(batch(i), Codec::zstd, {});
      if (i == 199) kept = job;
    }
  }
  CHECK(BatchEncoder::finish(*kept)->bytes == encoded(199, Codec::zstd));
}
