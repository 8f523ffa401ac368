#include "leat/proof/merkle.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

namespace leat {
namespace {

// RFC 6962, 2.1 to 2.1.2, word by word over the leaves' own bytes, as the reference for everything below. Hashes of
// ranges are remembered: without that, all sizes to 1,024 take minutes.
class Reference {
 public:
  explicit Reference(std::vector<std::vector<std::byte>> leaves) : leaves_(std::move(leaves)) {}

  // MTH(D[begin:end]).
  Hash mth(std::size_t begin, std::size_t end) {
    if (begin == end) return sha256({});
    const auto [found, is_new] = known_.try_emplace({begin, end});
    if (!is_new) return found->second;
    Hash hash;
    if (end - begin == 1) {
      hash = sha256(joined(std::byte{0}, leaves_[begin], {}));
    } else {
      const std::size_t k = largest_power_of_two_below(end - begin);
      hash = sha256(joined(std::byte{1}, mth(begin, begin + k), mth(begin + k, end)));
    }
    known_[{begin, end}] = hash;
    return hash;
  }

  // PATH(m, D[begin:end]), with m from `begin` on.
  std::vector<Hash> path(std::size_t m, std::size_t begin, std::size_t end) {
    const std::size_t n = end - begin;
    if (n == 1) return {};
    const std::size_t k = largest_power_of_two_below(n);
    if (m < k) return followed_by(path(m, begin, begin + k), mth(begin + k, end));
    return followed_by(path(m - k, begin + k, end), mth(begin, begin + k));
  }

  // PROOF(m, D[n]).
  std::vector<Hash> proof(std::size_t m, std::size_t n) { return subproof(m, 0, n, true); }

 private:
  std::vector<Hash> subproof(std::size_t m, std::size_t begin, std::size_t end, bool b) {
    const std::size_t n = end - begin;
    if (m == n) return b ? std::vector<Hash>{} : std::vector<Hash>{mth(begin, end)};
    const std::size_t k = largest_power_of_two_below(n);
    if (m <= k) return followed_by(subproof(m, begin, begin + k, b), mth(begin + k, end));
    return followed_by(subproof(m - k, begin + k, end, false), mth(begin, begin + k));
  }

  static std::size_t largest_power_of_two_below(std::size_t n) {
    std::size_t k = 1;
    while (k * 2 < n) k *= 2;
    return k;
  }

  static std::vector<std::byte> joined(std::byte prefix, Bytes front, Bytes back) {
    std::vector<std::byte> bytes{prefix};
    bytes.insert(bytes.end(), front.begin(), front.end());
    bytes.insert(bytes.end(), back.begin(), back.end());
    return bytes;
  }

  static std::vector<Hash> followed_by(std::vector<Hash> hashes, const Hash& last) {
    hashes.push_back(last);
    return hashes;
  }

  std::vector<std::vector<std::byte>> leaves_;
  std::map<std::pair<std::size_t, std::size_t>, Hash> known_;
};

// Leaves of 0 to 20 bytes.
std::vector<std::vector<std::byte>> some_leaves(std::size_t count) {
  std::mt19937 random(9);
  std::vector<std::vector<std::byte>> leaves(count);
  for (auto& leaf : leaves) {
    leaf.resize(random() % 21);
    for (std::byte& byte : leaf) byte = static_cast<std::byte>(random());
  }
  return leaves;
}

// A source of complete subtrees within `size` leaves; anything else asked for is a failure.
NodeSource nodes_of(Reference& reference, std::size_t size) {
  return [&reference, size](NodeId node) -> Result<Hash> {
    CHECK(node.level >= 0);
    CHECK(((node.index + 1) << node.level) <= size);
    return reference.mth(node.index << node.level, (node.index + 1) << node.level);
  };
}

Hash hash_of(std::string_view hex) {
  return parse_hash(hex).value();
}

std::vector<Hash> hashes_of(std::initializer_list<std::string_view> hex) {
  std::vector<Hash> hashes;
  for (const std::string_view text : hex) hashes.push_back(hash_of(text));
  return hashes;
}

// The example of Certificate Transparency's own tests: eight leaves and the roots over the first ones of them.
Reference certificate_transparency() {
  std::vector<std::vector<std::byte>> leaves;
  for (const std::string_view leaf :
       {std::string_view(""), std::string_view("\0", 1), std::string_view("\x10"), std::string_view("\x20\x21"),
        std::string_view("\x30\x31"), std::string_view("\x40\x41\x42\x43"),
        std::string_view("\x50\x51\x52\x53\x54\x55\x56\x57"),
        std::string_view("\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f")}) {
    const Bytes bytes = as_bytes(leaf);
    leaves.emplace_back(bytes.begin(), bytes.end());
  }
  return Reference(leaves);
}

constexpr std::array<std::string_view, 9> kRoots = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                                                    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                                    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                                    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                                    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                                    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                                                    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                                    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                                                    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};

TEST_CASE("leaves and nodes hash as in Certificate Transparency") {
  CHECK(empty_root() == hash_of(kRoots[0]));
  CHECK(hash_leaf({}) == hash_of(kRoots[1]));
  CHECK(to_hex(hash_leaf(as_bytes("L123456"))) == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56");
  CHECK(
      hash_children(hash_of(kRoots[1]), hash_of("96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7")) ==
      hash_of(kRoots[2]));
}

TEST_CASE("the eight leaves of Certificate Transparency have the roots and paths of its tests") {
  Reference reference = certificate_transparency();
  for (std::size_t size = 0; size <= 8; ++size)
    CHECK(to_hex(tree_root(size, nodes_of(reference, size)).value()) == kRoots[size]);

  struct Case {
    std::uint64_t first;  // an index, or the old size
    std::uint64_t size;
    std::vector<Hash> path;
  };
  const std::vector<Case> inclusions = {
      {0, 1, {}},
      {0, 8,
       hashes_of({"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                  "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                  "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"})},
      {5, 8,
       hashes_of({"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                  "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"})},
      {2, 3, hashes_of({"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"})},
      {1, 5,
       hashes_of({"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                  "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                  "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"})}};
  for (const Case& known : inclusions) {
    CHECK(inclusion_path(known.first, known.size, nodes_of(reference, known.size)).value() == known.path);
    const Hash leaf = reference.mth(known.first, known.first + 1);
    CHECK(to_hex(root_from_inclusion(leaf, known.first, known.size, known.path).value()) == kRoots[known.size]);
  }

  const std::vector<Case> consistencies = {
      {1, 1, {}},
      {1, 8,
       hashes_of({"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                  "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                  "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"})},
      {6, 8,
       hashes_of({"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                  "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"})},
      {2, 5,
       hashes_of({"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                  "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"})}};
  for (const Case& known : consistencies) {
    CHECK(consistency_path(known.first, known.size, nodes_of(reference, known.size)).value() == known.path);
    CHECK(check_consistency(known.first, hash_of(kRoots[known.first]), known.size, hash_of(kRoots[known.size]),
                            known.path));
  }
}

TEST_CASE("the roots of all sizes to 1,024 are those of the RFC's definition") {
  Reference reference(some_leaves(1024));
  for (std::size_t size = 0; size <= 1024; ++size)
    REQUIRE_MESSAGE(tree_root(size, nodes_of(reference, size)).value() == reference.mth(0, size), size);
}

void check_inclusion(Reference& reference, std::size_t index, std::size_t size) {
  CAPTURE(index);
  CAPTURE(size);
  const std::vector<Hash> path = inclusion_path(index, size, nodes_of(reference, size)).value();
  REQUIRE(path == reference.path(index, 0, size));
  REQUIRE(path.size() == inclusion_path_length(index, size));
  REQUIRE(root_from_inclusion(reference.mth(index, index + 1), index, size, path).value() == reference.mth(0, size));
}

TEST_CASE("inclusion paths are those of the RFC's definition and lead to the root") {
  Reference reference(some_leaves(1024));
  for (std::size_t size = 1; size <= 130; ++size) {
    for (std::size_t index = 0; index < size; ++index) check_inclusion(reference, index, size);
  }
  std::mt19937 random(10);
  for (std::size_t size = 131; size <= 1024; ++size) {
    check_inclusion(reference, 0, size);
    check_inclusion(reference, random() % size, size);
    check_inclusion(reference, size - 1, size);
  }
}

void check_one_consistency(Reference& reference, std::size_t old_size, std::size_t size) {
  CAPTURE(old_size);
  CAPTURE(size);
  const std::vector<Hash> path = consistency_path(old_size, size, nodes_of(reference, size)).value();
  REQUIRE(path == reference.proof(old_size, size));
  REQUIRE(path.size() == consistency_path_length(old_size, size));
  REQUIRE(check_consistency(old_size, reference.mth(0, old_size), size, reference.mth(0, size), path));
}

TEST_CASE("consistency paths are those of the RFC's definition and lead to both roots") {
  Reference reference(some_leaves(1024));
  for (std::size_t size = 1; size <= 130; ++size) {
    for (std::size_t old_size = 1; old_size <= size; ++old_size) check_one_consistency(reference, old_size, size);
  }
  std::mt19937 random(11);
  for (std::size_t size = 131; size <= 1024; ++size) {
    check_one_consistency(reference, 1, size);
    check_one_consistency(reference, 1 + random() % size, size);
    check_one_consistency(reference, std::size_t{1} << random() % 7, size);
    check_one_consistency(reference, size - 1, size);
  }
}

// The same path with one thing wrong: a bit, a hash dropped, added at each place, or two that changed places.
std::vector<std::vector<Hash>> mutations(const std::vector<Hash>& path) {
  std::vector<std::vector<Hash>> wrong;
  for (std::size_t i = 0; i < path.size(); ++i) {
    for (std::size_t bit = 0; bit < 256; ++bit) {
      wrong.push_back(path);
      wrong.back()[i][bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    }
    wrong.push_back(path);
    wrong.back().erase(wrong.back().begin() + static_cast<std::ptrdiff_t>(i));
    for (std::size_t other = i + 1; other < path.size(); ++other) {
      wrong.push_back(path);
      std::swap(wrong.back()[i], wrong.back()[other]);
    }
  }
  for (std::size_t i = 0; i <= path.size(); ++i) {
    for (const Hash& added : {Hash{}, empty_root(), i < path.size() ? path[i] : Hash{}}) {
      wrong.push_back(path);
      wrong.back().insert(wrong.back().begin() + static_cast<std::ptrdiff_t>(i), added);
    }
  }
  return wrong;
}

constexpr std::uint64_t kLast = std::numeric_limits<std::uint64_t>::max();

TEST_CASE("an inclusion path with anything wrong about it does not lead to the root") {
  Reference reference(some_leaves(300));
  const auto leads_to_root = [&](const Hash& leaf, std::uint64_t index, std::uint64_t size, const auto& path,
                                 const Hash& root) {
    const Result<Hash> found = root_from_inclusion(leaf, index, size, path);
    if (!found) CHECK((found.error().code == Code::bad_data && !found.error().message.empty()));
    return found && *found == root;
  };
  const std::vector<std::pair<std::size_t, std::size_t>> trees = {
      {0, 1}, {0, 2}, {1, 2}, {2, 3}, {4, 7}, {5, 8}, {0, 100}, {99, 100}, {64, 65}, {150, 300}, {299, 300}};
  for (const auto& [index, size] : trees) {
    CAPTURE(index);
    CAPTURE(size);
    const Hash root = reference.mth(0, size);
    const Hash leaf = reference.mth(index, index + 1);
    const std::vector<Hash> path = inclusion_path(index, size, nodes_of(reference, size)).value();
    REQUIRE(leads_to_root(leaf, index, size, path, root));
    for (const std::vector<Hash>& wrong : mutations(path)) REQUIRE(!leads_to_root(leaf, index, size, wrong, root));
    for (std::size_t other = 0; other < 300; ++other) {
      if (other == index) continue;
      REQUIRE(!leads_to_root(leaf, other, size, path, root));
      REQUIRE(!leads_to_root(reference.mth(other, other + 1), index, size, path, root));
    }
    for (std::size_t bit = 0; bit < 256; ++bit) {
      Hash wrong = leaf;
      wrong[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
      REQUIRE(!leads_to_root(wrong, index, size, path, root));
    }
    // Another size can give the same walk, but then never the root of a tree of that size.
    for (const std::uint64_t other : {size - 1, size + 1, size * 2}) {
      if (other < 300 && other != 0) REQUIRE(!leads_to_root(leaf, index, other, path, reference.mth(0, other)));
    }
    for (const std::uint64_t other : {std::uint64_t{0}, kLast, kLast / 2 + 1})
      REQUIRE(!leads_to_root(leaf, index, other, path, root));
    for (const std::uint64_t other : {size, std::size_t{kLast}}) {
      const Result<Hash> found = root_from_inclusion(leaf, other, size, path);
      REQUIRE(!found);
      CHECK(found.error().code == Code::bad_data);
    }
  }
}

TEST_CASE("a consistency path with anything wrong about it is refused") {
  Reference reference(some_leaves(300));
  const auto consistent = [](std::uint64_t old_size, const Hash& old_root, std::uint64_t size, const Hash& root,
                             const std::vector<Hash>& path) {
    const Result<void> checked = check_consistency(old_size, old_root, size, root, path);
    if (!checked) CHECK((checked.error().code == Code::bad_data && !checked.error().message.empty()));
    return checked.has_value();
  };
  const std::vector<std::pair<std::size_t, std::size_t>> trees = {
      {1, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 7}, {6, 8}, {7, 7}, {64, 65}, {65, 128}, {100, 101}, {127, 300}, {256, 300}};
  for (const auto& [old_size, size] : trees) {
    CAPTURE(old_size);
    CAPTURE(size);
    const Hash old_root = reference.mth(0, old_size);
    const Hash root = reference.mth(0, size);
    const std::vector<Hash> path = consistency_path(old_size, size, nodes_of(reference, size)).value();
    REQUIRE(consistent(old_size, old_root, size, root, path));
    for (const std::vector<Hash>& wrong : mutations(path)) REQUIRE(!consistent(old_size, old_root, size, root, wrong));
    for (std::size_t bit = 0; bit < 256; ++bit) {
      Hash wrong = old_root;
      wrong[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
      REQUIRE(!consistent(old_size, wrong, size, root, path));
      wrong = root;
      wrong[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
      REQUIRE(!consistent(old_size, old_root, size, wrong, path));
    }
    if (old_size != size) REQUIRE(!consistent(old_size, root, size, old_root, path));
    // The roots of other sizes, with that size and with the right one.
    for (std::size_t other = 0; other <= 300; ++other) {
      const Hash other_root = reference.mth(0, other);
      if (other != old_size) {
        REQUIRE(!consistent(old_size, other_root, size, root, path));
        REQUIRE(!(consistent(other, other_root, size, root, path) && other != size));
      }
      if (other != size) {
        REQUIRE(!consistent(old_size, old_root, other, other_root, path));
        REQUIRE(!consistent(old_size, old_root, size, other_root, path));
      }
    }
    for (const std::uint64_t other : {std::uint64_t{0}, kLast, kLast / 2 + 1}) {
      REQUIRE(!consistent(old_size, old_root, other, root, path));
      REQUIRE(!consistent(other, old_root, size, root, path));
    }
    REQUIRE(!consistent(0, empty_root(), size, root, {}));
  }
}

TEST_CASE("trees of up to 2^64 - 1 leaves have paths that lead to their roots") {
  // A tree whose leaves are all the same: a node's hash depends on its level only.
  std::array<Hash, 64> level_hash;
  level_hash[0] = hash_leaf(as_bytes("leaf"));
  for (std::size_t level = 1; level < 64; ++level)
    level_hash[level] = hash_children(level_hash[level - 1], level_hash[level - 1]);
  const NodeSource nodes = [&](NodeId node) -> Result<Hash> {
    CHECK((node.level >= 0 && node.level < 64));
    return level_hash[static_cast<std::size_t>(node.level)];
  };
  std::mt19937_64 random(12);
  for (const std::uint64_t size : {kLast, kLast - 1, kLast / 2, kLast / 2 + 1, kLast / 2 + 2, random(), random()}) {
    CAPTURE(size);
    const Hash root = tree_root(size, nodes).value();
    for (const std::uint64_t index : {std::uint64_t{0}, size - 1, size / 2, size / 2 - 1, random() % size}) {
      const std::vector<Hash> path = inclusion_path(index, size, nodes).value();
      CHECK(path.size() == inclusion_path_length(index, size));
      CHECK(root_from_inclusion(level_hash[0], index, size, path).value() == root);
      const std::uint64_t old_size = index + 1;
      const std::vector<Hash> proof = consistency_path(old_size, size, nodes).value();
      CHECK(proof.size() == consistency_path_length(old_size, size));
      CHECK(check_consistency(old_size, tree_root(old_size, nodes).value(), size, root, proof));
    }
  }
}

TEST_CASE("an error of the source is passed on, whichever node it is for") {
  Reference reference(some_leaves(300));
  const auto fails_at = [&](std::size_t number) -> NodeSource {
    return [&reference, number, asked = std::size_t{0}](NodeId node) mutable -> Result<Hash> {
      if (asked++ == number) return fail(Code::damaged, "gone");
      return reference.mth(node.index << node.level, (node.index + 1) << node.level);
    };
  };
  // 299 is 256 + 32 + 8 + 2 + 1.
  std::size_t failures = 0;
  for (std::size_t number = 0; number < 20; ++number) {
    const Result<Hash> root = tree_root(299, fails_at(number));
    CHECK(root.has_value() == (number >= 5));
    for (const auto& path : {inclusion_path(40, 299, fails_at(number)), consistency_path(77, 299, fails_at(number))}) {
      if (path) continue;
      CHECK(path.error().code == Code::damaged);
      ++failures;
    }
  }
  CHECK(failures > 15);
}

}  // namespace
}  // namespace leat
