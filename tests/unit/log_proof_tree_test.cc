#include "leat/log/proof_tree.h"

#include <fmt/format.h>

#include <bit>

#include "leat/log/maintenance.h"
#include "tests/support/log_fixture.h"

using namespace leat;
using namespace leat::test;

namespace {

// RFC 6962, section 2.1, word for word.
Hash reference_root(std::span<const Hash> leaves) {
  if (leaves.empty()) return sha256({});
  if (leaves.size() == 1) return leaves[0];
  const std::size_t split = std::bit_floor(leaves.size() - 1);
  return hash_children(reference_root(leaves.first(split)), reference_root(leaves.subspan(split)));
}

// A partition whose record i has the value "i", in batches of any size, and what its tree must be.
struct ProofFixture : LogFixture {
  explicit ProofFixture(TopicSettings settings = {}) : LogFixture(settings) {}

  // Up to `count` records in all, `per_batch` a batch, made durable.
  void fill(std::int64_t count, std::int64_t per_batch = 37, Codec codec = Codec::none) {
    while (made < count) {
      BatchBuilder builder(codec);
      for (std::int64_t i = 0; i < per_batch && made < count; ++i, ++made) {
        const std::string value = std::to_string(made);
        must(builder.add({.key = made % 3 == 0 ? std::optional<std::string_view>() : "k", .value = value},
                         {1000 + made}));
        RecordView record{.timestamp = {1000 + made}, .value = value};
        if (made % 3 != 0) record.key = "k";
        std::string text;
        append_canonical(text, record);
        leaves.push_back(hash_leaf(as_bytes(text)));
      }
      std::vector<EncodedBatch> batches;
      batches.push_back(must(builder.finish()));
      must(partition.commit(must(partition.append(batches))));
    }
    partition.release_reserved();
  }
  Hash expected(std::uint64_t size) const { return reference_root(std::span(leaves).first(size)); }
  ProofTree tree() {
    reader = std::make_unique<Topic>(reader_topic());
    return must(ProofTree::open(*reader, {0}));
  }
  void check_roots(std::initializer_list<std::uint64_t> sizes) {
    ProofTree present = tree();
    for (const std::uint64_t size : sizes) {
      CAPTURE(size);
      CHECK(must(present.root(size)) == expected(size));
    }
  }
  void remove_tree() const { std::filesystem::remove_all(partition_path("tree")); }

  Topic topic = writer_topic();
  Partition partition = must(Partition::open(topic, {0}));
  std::unique_ptr<Topic> reader;
  std::vector<Hash> leaves;
  std::int64_t made = 0;
};

}  // namespace

TEST_CASE("a record's canonical form is what the format says, byte for byte") {
  const std::array headers{HeaderView{"h", "v"}, HeaderView{"", std::nullopt}};
  std::string text;
  append_canonical(text, {.timestamp = {0x0102}, .key = "key", .value = std::nullopt, .headers = headers});
  const std::string expected(
      "\0\0\0\0\0\0\x01\x02"
      "\0\0\0\x03key"
      "\xff\xff\xff\xff"
      "\0\0\0\x02"
      "\0\0\0\x01h"
      "\0\0\0\x01v"
      "\0\0\0\0"
      "\xff\xff\xff\xff",
      8 + 7 + 4 + 4 + 5 + 5 + 4 + 4);
  CHECK(text == expected);
}

TEST_CASE("the root is that of RFC 6962 over every record, whatever is kept and whatever the batches") {
  for (const Codec codec : {Codec::none, Codec::lz4}) {
    for (const std::int64_t per_batch : {1, 37, 5000}) {
      ProofFixture f;
      f.fill(3000, per_batch, codec);
      f.check_roots({0, 1, 2, 255, 256, 257, 1000, 2815, 2816, 2999, 3000});
      must(extend_tree(f.partition));
      f.check_roots({0, 1, 2, 255, 256, 257, 1000, 2815, 2816, 2999, 3000});
      CHECK(std::filesystem::file_size(f.partition_path("tree/8")) == 11 * 36);
      CHECK(f.tree().root(3001).error().code == Code::usage);
    }
  }
}

TEST_CASE("a tree of more than one kept level says the same with and without its files") {
  ProofFixture f;
  f.fill(70'000, 1000);
  must(extend_tree(f.partition));
  CHECK(std::filesystem::file_size(f.partition_path("tree/16")) == 36);
  f.check_roots({65'535, 65'536, 65'537, 69'999, 70'000});
  f.remove_tree();
  f.check_roots({65'535, 65'536, 65'537, 70'000});
}

TEST_CASE("every inclusion and consistency proof checks out against the roots") {
  ProofFixture f;
  f.fill(700);
  must(extend_tree(f.partition));
  ProofTree tree = f.tree();
  for (const std::uint64_t size : {1, 2, 256, 257, 511, 700}) {
    for (std::uint64_t index = 0; index < size; index += 13) {
      const auto path = must(tree.inclusion({static_cast<std::int64_t>(index)}, size));
      CHECK(must(root_from_inclusion(f.leaves[index], index, size, path)) == f.expected(size));
    }
    for (std::uint64_t old_size = 1; old_size <= size; old_size += 29) {
      const auto path = must(tree.consistency(old_size, size));
      must(check_consistency(old_size, f.expected(old_size), size, f.expected(size), path));
    }
  }
  CHECK(tree.inclusion({700}, 700).error().code == Code::usage);
  CHECK(tree.inclusion({-1}, 700).error().code == Code::usage);
  CHECK(tree.inclusion({0}, 701).error().code == Code::usage);
  CHECK(tree.consistency(0, 700).error().code == Code::usage);
  CHECK(tree.consistency(5, 4).error().code == Code::usage);
}

TEST_CASE("a kept hash that is damaged, torn or of another log is made again") {
  ProofFixture f;
  f.fill(2000);
  must(extend_tree(f.partition));
  const std::string good = read_file(f.partition_path("tree/8"));
  for (const std::size_t byte : {std::size_t{0}, std::size_t{40}, good.size() - 1}) {
    write_file(f.partition_path("tree/8"), good);
    flip_byte(f.partition_path("tree/8"), byte);
    f.check_roots({300, 2000});
  }
  write_file(f.partition_path("tree/8"), good.substr(0, good.size() - 10));
  f.check_roots({300, 2000});
  // Whole entries, each with its checksum, that another log has left.
  ProofFixture other;
  other.fill(1);
  other.fill(2000, 20);
  const std::vector<Hash> wrong(7, sha256({}));
  must(must(TreeFiles::open_to_write(f.partition.directory())).write(8, 0, wrong));
  f.check_roots({300, 2000});
  f.fill(2300);
  must(extend_tree(f.partition));
  CHECK(read_file(f.partition_path("tree/8")).substr(0, good.size()) == good);
  // More of them than there are records.
  must(must(TreeFiles::open_to_write(f.partition.directory())).write(8, 8, wrong));
  f.fill(2600);
  must(extend_tree(f.partition));
  f.check_roots({2600});
}

TEST_CASE("what retention leaves stays provable, and so do the trees from the log start on") {
  ProofFixture f;
  f.fill(1000);
  must(f.partition.roll());
  f.fill(1500);
  must(f.partition.roll());
  f.fill(1700);
  must(trim_partition(f.partition, {1500}));
  CHECK(!std::filesystem::exists(f.log_path({1000})));
  f.check_roots({1500, 1501, 1536, 1700});
  ProofTree tree = f.tree();
  for (const std::uint64_t index : {1500, 1535, 1536, 1699}) {
    const auto path = must(tree.inclusion({static_cast<std::int64_t>(index)}, 1700));
    CHECK(must(root_from_inclusion(f.leaves[index], index, 1700, path)) == f.expected(1700));
  }
  must(check_consistency(1500, f.expected(1500), 1700, f.expected(1700), must(tree.consistency(1500, 1700))));
  must(check_consistency(1280, f.expected(1280), 1700, f.expected(1700), must(tree.consistency(1280, 1700))));
  CHECK(!tree.consistency(1100, 1700));
  // On and on: the edge of what is gone moves, and what is kept of the blocks before it goes.
  f.fill(2100);
  must(f.partition.roll());
  f.fill(2200);
  must(trim_partition(f.partition, {2100}));
  f.check_roots({2100, 2200});
  CHECK(!std::filesystem::exists(f.partition_path("tree/5.leaves")));
  CHECK(std::filesystem::exists(f.partition_path("tree/8.leaves")));
  f.fill(2400);
  must(extend_tree(f.partition));
  f.check_roots({2100, 2400});
}

TEST_CASE("a signed size stays provable when its records are gone") {
  ProofFixture f;
  f.fill(1100);
  must(keep_signed_edge(f.topic, {0}, 1100));
  must(keep_signed_edge(f.topic, {0}, 1030));
  must(f.partition.roll());
  f.fill(2000);
  must(f.partition.roll());
  f.fill(2100);
  must(trim_partition(f.partition, {2000}));
  ProofTree tree = f.tree();
  for (const std::uint64_t size : {1030, 1100}) {
    must(check_consistency(size, f.expected(size), 2100, f.expected(2100), must(tree.consistency(size, 2100))));
    CHECK(must(tree.root(size)) == f.expected(size));
  }
  CHECK(!tree.root(1500));
}

TEST_CASE("without its files and with records gone, the tree is damaged and says so; records stay readable") {
  ProofFixture f;
  f.fill(600);
  must(f.partition.roll());
  f.fill(900);
  must(trim_partition(f.partition, {600}));
  f.remove_tree();
  Topic topic = f.reader_topic();
  const auto refused = ProofTree::open(topic, {0});
  REQUIRE(!refused);
  CHECK(refused.error().code == Code::damaged);
  CHECK(refused.error().message.find("retired records") != std::string::npos);
  CHECK(f.values().size() == 300);
}

TEST_CASE("a topic without proofs keeps none and gives none") {
  for (const TopicSettings& settings : {TopicSettings{.proofs = false}, TopicSettings{.cleanup = Cleanup::compact}}) {
    LogFixture f(settings);
    Topic topic = f.writer_topic();
    const Partition partition = must(Partition::open(topic, {0}));
    must(extend_tree(partition));
    CHECK(!std::filesystem::exists(f.partition_path("tree")));
    CHECK(ProofTree::open(topic, {0}).error().code == Code::usage);
  }
}

TEST_CASE("a damaged batch is reported by the tree, not hashed") {
  ProofFixture f;
  f.fill(1000);
  flip_byte(f.log_path(), std::filesystem::file_size(f.log_path()) / 2);
  Topic topic = f.reader_topic();
  const auto refused = ProofTree::open(topic, {0});
  REQUIRE(!refused);
  CHECK(refused.error().code == Code::damaged);
  CHECK(refused.error().message.find(f.log_path()) != std::string::npos);
}
