// How long a proof takes: to make one of a random record, and to verify it, in a log of N records (100,000 unless
// given); and how many records a second a tree is made of. Medians of many; prints what it ran on.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <random>

#include "leat/backend/backend.h"
#include "leat/log/proof_tree.h"
#include "tests/support/temp_dir.h"

using namespace leat;

namespace {

using Clock = std::chrono::steady_clock;

double microseconds(Clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

struct Percentiles {
  explicit Percentiles(std::vector<double> values) : sorted(std::move(values)) { std::ranges::sort(sorted); }
  double at(double part) const {
    return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))];
  }
  std::vector<double> sorted;
};

Result<void> fill(Backend& backend, std::int64_t records) {
  TRY(backend.create_topic("t", {}));
  const auto producer = TRY(backend.open_producer("t", {}));
  const std::string value(100, 'x');
  for (std::int64_t i = 0; i < records; ++i) TRY(producer->send({.value = value}));
  return producer->flush();
}

// Makes and verifies proofs of random records; the log is open, as in a program that answers questions.
Result<void> measure(const std::string& path, std::int64_t records) {
  const auto backend = TRY(open_backend(path, {.create = true}));
  TRY(fill(*backend, records));
  const DataDir data_dir = TRY(DataDir::open(path, {}));
  Topic topic = TRY(Topic::open(data_dir, "t", Topic::Access::read));
  const Clock::time_point opening = Clock::now();
  ProofTree tree = TRY(ProofTree::open(topic, {0}));
  const Hash root = TRY(tree.root(tree.size()));
  const double opened = microseconds(Clock::now() - opening);

  std::mt19937_64 random(1);
  std::vector<double> making;
  std::vector<double> verifying;
  PartitionReader reader = TRY(PartitionReader::open(topic, {0}, false));
  const VisibleRange range = TRY(reader.visible());
  BatchDecoder decoder;
  for (int i = 0; i < 1000; ++i) {
    const Offset offset{static_cast<std::int64_t>(random() % tree.size())};
    const Clock::time_point begun = Clock::now();
    const auto proof = TRY(tree.inclusion(offset, tree.size()));
    TRY(reader.seek(offset));
    const auto batch = TRY(reader.next(range));
    const auto decoded = TRY(decoder.decode(batch->bytes));
    const RecordView& record = decoded[static_cast<std::size_t>(offset - decoded.front().offset)];
    const Clock::time_point made = Clock::now();
    std::string text;
    append_canonical(text, record);
    const Hash shown = TRY(
        root_from_inclusion(hash_leaf(as_bytes(text)), static_cast<std::uint64_t>(offset.value), tree.size(), proof));
    if (shown != root) return fail(Code::internal, "a proof did not verify");
    verifying.push_back(microseconds(Clock::now() - made));
    making.push_back(microseconds(made - begun));
  }
  const Percentiles make(std::move(making));
  const Percentiles verify(std::move(verifying));
  fmt::print("{} records of 100 bytes, SHA-256 by {}, page cache warm\n", records, to_string(sha256_kind()));
  fmt::print("open and root   {:8.1f} us\n", opened);
  fmt::print("make a proof    {:8.1f} us p50 {:8.1f} us p99\n", make.at(0.5), make.at(0.99));
  fmt::print("verify it       {:8.1f} us p50 {:8.1f} us p99\n", verify.at(0.5), verify.at(0.99));

  std::filesystem::remove_all(path + "/topics/t/0/tree");
  const Clock::time_point begun = Clock::now();
  TRY(TRY(ProofTree::open(topic, {0})).root(tree.size()));
  fmt::print("the tree anew   {:8.2f} M records/s\n",
             static_cast<double>(records) / microseconds(Clock::now() - begun));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t records = argc > 1 ? std::atoll(argv[1]) : 100'000;
  const test::TempDir directory;
  const auto done = measure(directory / "data", std::max<std::int64_t>(records, 1));
  if (!done) fmt::print(stderr, "{}\n", done.error().message);
  return done ? 0 : 1;
}
