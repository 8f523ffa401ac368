#include "leat/proof/sha256.h"
#include "tests/support/hash_messages.h"

#include <doctest/doctest.h>
#include <sodium.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "leat/base/error.h"

namespace leat {
namespace {

using Buffer = std::vector<std::byte>;

// The kinds that this CPU has; names those that it has not.
std::vector<Sha256Kind> kinds_here() {
  std::vector<Sha256Kind> kinds;
  for (const Sha256Kind kind : {Sha256Kind::portable, Sha256Kind::sha_ni, Sha256Kind::avx2, Sha256Kind::avx512}) {
    if (sha256_supports(kind)) {
      kinds.push_back(kind);
    } else {
      MESSAGE("skipped: this CPU has no " << to_string(kind));
    }
  }
  return kinds;
}

Buffer from_hex(std::string_view hex) {
  Buffer bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return bytes;
}

Buffer random_bytes(std::mt19937& random, std::size_t size) {
  Buffer bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

std::vector<Hash> hashes_by(Sha256Kind kind, const std::vector<Buffer>& messages) {
  const std::vector<Bytes> views(messages.begin(), messages.end());
  return test::hash_messages(kind, views);
}

struct Vector {
  Buffer message;
  std::string_view hash;
};

// The examples of FIPS 180-2 (its appendix B, and NIST's page of examples for 180-4), and messages of NIST's validation
// suite (CAVS 11.0, SHA256ShortMsg and SHA256LongMsg) on both sides of each step of the padding.
std::vector<Vector> nist_vectors() {
  const auto text = [](std::string_view message) {
    const Bytes bytes = as_bytes(message);
    return Buffer(bytes.begin(), bytes.end());
  };
  return {
      {{}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {text("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {text("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrst"
            "nopqrstu"),
       "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
      {Buffer(1'000'000, std::byte{'a'}), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
      {from_hex("d3"), "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1"},
      {from_hex("11af"), "5ca7133fa735326081558ac312c620eeca9970d1e70a4b95533d956f072d1f98"},
      {from_hex("b4190e"), "dff2e73091f6c05e528896c4c831b9448653dc2ff043528f6769437bc7b975c2"},
      {from_hex("74ba2521"), "b16aa56be3880d18cd41e68384cf1ec8c17680c45a02b1575dc1518923ae8b0e"},
      {from_hex("5738c929c4f4ccb6"), "963bb88f27f512777aab6c8b1a02c70ec0ad651d428f870036e1917120fb48bf"},
      {from_hex("9baf69cba317f422fe26a9a0"), "fe56287cd657e4afc50dba7a3a54c2a6324b886becdcd1fae473b769e551a09b"},
      {from_hex("0a27847cdc98bd6f62220b046edd762b"),
       "80c25ec1600587e7f28b18b1b18e3cdc89928e39cab3bc25e4d4a4c139bcedc4"},
      {from_hex("09fc1accc230a205e4a208e64a8f204291f581a12756392da4b8c0cf5ef02b95"),
       "4f44c1c7fbebb6f9601829f3897bfd650c56fa07844be76489076356ac1886a4"},
      {from_hex("2d52447d1244d2ebc28650e7b05654bad35b3a68eedc7f8515306b496d75f3e73385dd1b002625024b81a02f2fd6dffb6e6d"
                "561cb7d0bd7a"),
       "cfb88d6faf2de3a69d36195acec2e255e2af2b7d933997f348e09f6ce5758360"},
      {from_hex("e2f76e97606a872e317439f1a03fcd92e632e5bd4e7cbc4e97f1afc19a16fde92d77cbe546416b51640cddb92af996534dfd"
                "81edb17c4424cf1ac4d75aceeb"),
       "18041bd4665083001fba8c5411d2d748e8abbfdcdfd9218cb02b68a78e7d4c23"},
      {from_hex("5a86b737eaea8ee976a0a24da63e7ed7eefad18a101c1211e2b3650c5187c2a8a650547208251f6d4237e661c7bf4c77f335"
                "390394c37fa1a9f9be836ac28509"),
       "42e61e174fbb3897d6dd6cef3dd2802fe67b331953b06114a65c772859dfc1aa"},
      {from_hex("451101250ec6f26652249d59dc974b7361d571a8101cdfd36aba3b5854d3ae086b5fdd4597721b66e3c0dc5d8c606d9657d0"
                "e323283a5217d1f53f2f284f57b85c8a61ac8924711f895c5ed90ef17745ed2d728abd22a5f7a13479a462d71b56c19a74a4"
                "0b655c58edfe0a188ad2cf46cbf30524f65d423c837dd1ff2bf462ac4198007345bb44dbb7b1c861298cdf61982a833afc72"
                "8fae1eda2f87aa2c9480858bec"),
       "3c593aa539fdcdae516cdf2f15000f6634185c88f505b39775fb9ab137a10aa2"},
  };
}

TEST_CASE("libsodium says the same, for every kind and messages of any length") {
  std::mt19937 random(7);
  for (const Sha256Kind kind : kinds_here()) {
    std::vector<Buffer> buffers;
    std::vector<Bytes> messages;
    for (int i = 0; i < 500; ++i) buffers.push_back(random_bytes(random, random() % (i % 10 == 0 ? 5000 : 200)));
    for (const Buffer& buffer : buffers) messages.emplace_back(buffer);
    const std::vector<Hash> hashes = test::hash_messages(kind, messages);
    for (std::size_t i = 0; i < messages.size(); ++i) {
      Hash expected;
      ::crypto_hash_sha256(reinterpret_cast<unsigned char*>(expected.data()),
                           reinterpret_cast<const unsigned char*>(messages[i].data()), messages[i].size());
      CHECK(hashes[i] == expected);
    }
  }
}

TEST_CASE("NIST's messages have the hashes that NIST prints, alone and among many, by every kind") {
  const std::vector<Vector> vectors = nist_vectors();
  std::vector<Buffer> messages;
  for (const Vector& vector : vectors) messages.push_back(vector.message);
  for (const Vector& vector : vectors) CHECK(to_hex(sha256(vector.message)) == vector.hash);
  for (const Sha256Kind kind : kinds_here()) {
    CAPTURE(to_string(kind));
    const std::vector<Hash> together = hashes_by(kind, messages);
    for (std::size_t i = 0; i < vectors.size(); ++i) {
      CHECK(to_hex(together[i]) == vectors[i].hash);
      // In every lane.
      for (const Hash& hash : hashes_by(kind, std::vector<Buffer>(messages[i].size() > 1000 ? 1 : 33, messages[i])))
        CHECK(to_hex(hash) == vectors[i].hash);
    }
  }
}

// SHA256Monte of the same suite: 100 results, each after a chain of 1,000 hashes.
TEST_CASE("NIST's Monte Carlo test ends where NIST's does") {
  Hash seed = parse_hash("6d1e72ad03ddeb5de891e572e2396f8da015d899ef0e79503152d6010a3fe691").value();
  for (int round = 0; round < 100; ++round) {
    std::array<Hash, 3> last{seed, seed, seed};
    for (int i = 0; i < 1000; ++i) last = {last[1], last[2], sha256(std::as_bytes(std::span(last)))};
    seed = last[2];
    if (round == 0) CHECK(to_hex(seed) == "e93c330ae5447738c8aa85d71a6c80f2a58381d05872d26bdd39f1fcd4f2b788");
    if (round == 1) CHECK(to_hex(seed) == "2e78f8c8772ea7c9331d41ed3f9cdf27d8f514a99342ee766ee3b8b0d0b121c0");
  }
  CHECK(to_hex(seed) == "6a912ba4188391a78e6f13d88ed2d14e13afce9db6f7dcbf4a48c24f3db02778");
}

TEST_CASE("every kind gives what the portable one gives at each length to 300, reading nothing but the message") {
  std::mt19937 random(6);
  std::vector<Buffer> messages;
  for (std::size_t size = 0; size <= 300; ++size) {
    messages.push_back(random_bytes(random, size));
    messages.back().shrink_to_fit();
  }
  const std::vector<Hash> expected = hashes_by(Sha256Kind::portable, messages);
  for (const Sha256Kind kind : kinds_here()) {
    CAPTURE(to_string(kind));
    CHECK(hashes_by(kind, messages) == expected);
    for (std::size_t size = 0; size <= 300; ++size) {
      // As many as the lanes at least, so that all work in step.
      const std::vector<Hash> hashes = hashes_by(kind, std::vector<Buffer>(16, messages[size]));
      REQUIRE_MESSAGE(std::ranges::count(hashes, expected[size]) == 16, size);
    }
  }
}

TEST_CASE("batches of any number of messages of any length have the hashes of their messages") {
  std::mt19937 random(7);
  const Buffer bytes = random_bytes(random, 20'000);
  const auto some_bytes = [&](std::size_t size_max) {
    const std::size_t size = random() % (size_max + 1);
    return Bytes(bytes).subspan(random() % (bytes.size() - size), size);
  };
  for (const Sha256Kind kind : kinds_here()) {
    CAPTURE(to_string(kind));
    for (std::size_t count = 0; count <= 70; ++count) {
      for (const std::size_t size_max : {20, 150, 3000}) {
        std::vector<Bytes> messages(count);
        for (Bytes& message : messages) message = some_bytes(size_max);
        // One that outlasts the others by far is finished alone.
        if (count > 3 && count % 3 == 0) messages[random() % count] = bytes;
        REQUIRE_MESSAGE(test::hash_messages(kind, messages) == test::hash_messages(Sha256Kind::portable, messages),
                        count);
      }
    }
  }
}

TEST_CASE("messages are put together and hashed again and again in the same memory") {
  std::mt19937 random(9);
  Sha256Messages messages;
  for (const std::size_t count : {100, 3, 40}) {
    messages.clear();
    std::vector<Buffer> written;
    for (std::size_t i = 0; i < count; ++i) {
      written.push_back(random_bytes(random, random() % 500));
      std::ranges::copy(written.back(), messages.add(written.back().size()));
    }
    REQUIRE(messages.size() == count);
    std::vector<Hash> hashes(count);
    messages.hash(hashes);
    for (std::size_t i = 0; i < count; ++i) CHECK(hashes[i] == sha256(written[i]));
  }
}

TEST_CASE("a parent is the hash of 0x01 and its children, for any number of pairs, also in place of the children") {
  std::mt19937 random(8);
  std::vector<Hash> children(140);
  for (Hash& child : children) std::ranges::copy(random_bytes(random, child.size()), child.begin());
  std::vector<Hash> expected;
  for (std::size_t i = 0; i < children.size(); i += 2) {
    Buffer message{std::byte{1}};
    message.insert(message.end(), children[i].begin(), children[i].end());
    message.insert(message.end(), children[i + 1].begin(), children[i + 1].end());
    expected.push_back(sha256(message));
  }
  const auto check = [&](const auto& hash_them) {
    for (std::size_t count = 0; count <= expected.size(); ++count) {
      std::vector<Hash> level(children.begin(), children.begin() + static_cast<std::ptrdiff_t>(2 * count));
      std::vector<Hash> parents(count);
      hash_them(level, parents);
      REQUIRE(std::equal(parents.begin(), parents.end(), expected.begin()));
      hash_them(level, std::span(level).first(count));
      REQUIRE(std::equal(parents.begin(), parents.end(), level.begin()));
    }
  };
  check([](std::span<const Hash> from, std::span<Hash> to) { hash_pairs(from, to); });
  for (const Sha256Kind kind : kinds_here()) {
    CAPTURE(to_string(kind));
    check([&](std::span<const Hash> from, std::span<Hash> to) { hash_pairs(kind, from, to); });
  }
}

TEST_CASE("the kind in use is one that the CPU has, and the fastest of those") {
  CHECK(sha256_supports(sha256_kind()));
  CHECK(sha256_supports(Sha256Kind::portable));
  if (sha256_supports(Sha256Kind::avx512)) CHECK(sha256_kind() == Sha256Kind::avx512);
  if (sha256_kind() == Sha256Kind::portable) CHECK(!sha256_supports(Sha256Kind::avx2));
}

TEST_CASE("a hash is 64 hexadecimal digits, of either case when read") {
  const std::string_view text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  CHECK(to_hex(sha256({})) == text);
  CHECK(parse_hash(text) == sha256({}));
  CHECK(parse_hash("E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855") == sha256({}));
  CHECK(!parse_hash(""));
  CHECK(!parse_hash(text.substr(1)));
  CHECK(!parse_hash(std::string(text) + "0"));
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const char wrong : {'g', 'G', ' ', '/', ':', '@', '`', '\0', '-', '\xff'}) {
      std::string other(text);
      other[i] = wrong;
      CHECK(!parse_hash(other));
    }
  }
}

}  // namespace
}  // namespace leat
