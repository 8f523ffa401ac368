// Padding, the sharing out of messages to lanes, and the choice of the compression function.
#include "leat/proof/sha256.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#include "leat/base/error.h"
#include "leat/base/hex.h"
#include "leat/proof/sha256_kernels.h"

namespace leat {
namespace {

constexpr std::size_t kBlock = kSha256BlockBytes;

// A compression function over many lanes, and one over a single lane for what is not worth many.
struct Engine {
  std::size_t lanes;
  Sha256Compress many;
  Sha256Compress one;
  // Fewer messages than this are done one at a time: sooner as measured, and with AVX-512 too little work to have older
  // CPUs leave their highest clock for.
  std::size_t lanes_min;
};

Engine engine_of(Sha256Kind kind) {
#if defined(__x86_64__)
  const bool sha_ni = cpu_has_sha_ni();
  const Sha256Compress one = sha_ni ? sha256_compress_sha_ni : sha256_compress_portable;
  switch (kind) {
    case Sha256Kind::avx512:
      return {16, sha256_compress_avx512, one, sha_ni ? 10U : 4U};
    case Sha256Kind::avx2:
      return {8, sha256_compress_avx2, one, 3};
    case Sha256Kind::sha_ni:
      return {2, sha256_compress_sha_ni_twice, sha256_compress_sha_ni, 2};
    case Sha256Kind::portable:
      break;
  }
#endif
  ASSERT(kind == Sha256Kind::portable);
  return {1, sha256_compress_portable, sha256_compress_portable, 1};
}

const Engine& engine() {
  static const Engine chosen = engine_of(sha256_kind());
  return chosen;
}

// How many bytes a message becomes: a one bit behind it, zeros, and its length in bits, up to a whole block.
constexpr std::size_t padded_size(std::size_t size) {
  return (size + 9 + kBlock - 1) / kBlock * kBlock;
}

// Pads the message whose last, unfinished block lies at the start of `to`: what is behind it up to the end.
void pad(std::span<std::byte> to, std::size_t rest, std::size_t message_size) {
  to[rest] = std::byte{0x80};
  std::memset(to.data() + rest + 1, 0, to.size() - rest - 1 - sizeof(std::uint64_t));
  store_be(to.data() + to.size() - sizeof(std::uint64_t), static_cast<std::uint64_t>(message_size) * 8);
}

// The states of some lanes, word by word as the compression functions want them.
struct States {
  explicit States(std::size_t lane_count) : lanes(lane_count) {}

  void begin(std::size_t lane) {
    for (std::size_t w = 0; w < 8; ++w) words[w * lanes + lane] = kSha256Initial[w];
  }
  Hash hash(std::size_t lane) const {
    Hash hash;
    for (std::size_t w = 0; w < 8; ++w) store_be(hash.data() + w * 4, words[w * lanes + lane]);
    return hash;
  }

  std::size_t lanes;
  alignas(64) std::uint32_t words[8 * kSha256LanesMax];
};

Hash hash_one(Sha256Compress compress, Bytes message) {
  States state(1);
  state.begin(0);
  const std::byte* at = message.data();
  const std::size_t rest = message.size() % kBlock;
  if (message.size() >= kBlock) compress(state.words, &at, message.size() / kBlock);
  std::byte room[2 * kBlock];
  const std::span<std::byte> tail = std::span(room).first(padded_size(rest));
  if (rest != 0) std::memcpy(room, message.data() + (message.size() - rest), rest);
  pad(tail, rest, message.size());
  at = room;
  compress(state.words, &at, tail.size() / kBlock);
  return state.hash(0);
}

// Shares padded messages out to the lanes of an engine.
class Sharing {
 public:
  // Message i ends at ends[i] of `bytes`, and begins where the one before it ends.
  Sharing(const Engine& engine, Bytes bytes, std::span<const std::size_t> ends, std::span<Hash> hashes)
      : engine_(engine), bytes_(bytes), ends_(ends), hashes_(hashes), states_(engine.lanes) {}

  // At least as many messages as lanes_min.
  void run() {
    for (std::size_t lane = 0; lane < engine_.lanes; ++lane) begin_next(lane);
    while (busy_ >= engine_.lanes_min) step();
    for (std::size_t lane = 0; lane < engine_.lanes; ++lane) {
      if (lanes_[lane].blocks != 0) finish_alone(lane);
    }
  }

 private:
  struct Lane {
    std::size_t blocks = 0;  // that are left, at the lane's place in at_; 0 when idle
    std::size_t message = 0;
  };

  std::size_t begin_of(std::size_t message) const { return message == 0 ? 0 : ends_[message - 1]; }

  // Gives the lane the next message, or nothing.
  void begin_next(std::size_t lane) {
    Lane& to = lanes_[lane];
    if (next_ == ends_.size()) {
      to.blocks = 0;
      return;
    }
    to.message = next_++;
    ++busy_;
    states_.begin(lane);
    const std::size_t begin = begin_of(to.message);
    at_[lane] = bytes_.data() + begin;
    to.blocks = (ends_[to.message] - begin) / kBlock;
  }

  // As many blocks as each lane has left.
  void step() {
    std::size_t count = SIZE_MAX;
    std::size_t shortest = 0;
    for (std::size_t lane = 0; lane < engine_.lanes; ++lane) {
      if (lanes_[lane].blocks == 0 || lanes_[lane].blocks >= count) continue;
      count = lanes_[lane].blocks;
      shortest = lane;
    }
    // Idle lanes work along on bytes that are there.
    for (std::size_t lane = 0; lane < engine_.lanes; ++lane) {
      if (lanes_[lane].blocks == 0) at_[lane] = at_[shortest];
    }
    engine_.many(states_.words, at_.data(), count);
    for (std::size_t lane = 0; lane < engine_.lanes; ++lane) {
      Lane& of = lanes_[lane];
      if (of.blocks == 0) continue;
      at_[lane] += count * kBlock;
      of.blocks -= count;
      if (of.blocks != 0) continue;
      hashes_[of.message] = states_.hash(lane);
      --busy_;
      begin_next(lane);
    }
  }

  void finish_alone(std::size_t lane) {
    States state(1);
    for (std::size_t w = 0; w < 8; ++w) state.words[w] = states_.words[w * engine_.lanes + lane];
    engine_.one(state.words, &at_[lane], lanes_[lane].blocks);
    hashes_[lanes_[lane].message] = state.hash(0);
  }

  const Engine& engine_;
  Bytes bytes_;
  std::span<const std::size_t> ends_;
  std::span<Hash> hashes_;
  States states_;
  std::array<const std::byte*, kSha256LanesMax> at_{};
  std::array<Lane, kSha256LanesMax> lanes_;
  std::size_t next_ = 0;
  std::size_t busy_ = 0;
};

void hash_messages(const Engine& engine, Bytes bytes, std::span<const std::size_t> ends, std::span<Hash> hashes) {
  ASSERT(ends.size() == hashes.size());
  if (ends.size() >= engine.lanes_min && engine.lanes > 1) {
    Sharing(engine, bytes, ends, hashes).run();
    return;
  }
  const std::byte* at = bytes.data();
  for (std::size_t i = 0; i < ends.size(); ++i) {
    States state(1);
    state.begin(0);
    const std::byte* const end = bytes.data() + ends[i];
    engine.one(state.words, &at, static_cast<std::size_t>(end - at) / kBlock);
    hashes[i] = state.hash(0);
    at = end;
  }
}

// Two blocks: 0x01, two hashes, and padding that is always the same.
struct Pair {
  void prepare() {
    std::memset(bytes, 0, sizeof bytes);
    bytes[0] = std::byte{1};
    bytes[65] = std::byte{0x80};
    store_be(bytes + 2 * kBlock - 8, std::uint64_t{65 * 8});
  }
  void set(const Hash* children) { std::memcpy(bytes + 1, children, 2 * sizeof(Hash)); }

  alignas(64) std::byte bytes[2 * kBlock];
};

void hash_all_pairs(const Engine& engine, std::span<const Hash> children, std::span<Hash> parents) {
  ASSERT(children.size() == 2 * parents.size());
  Pair pairs[kSha256LanesMax];
  const std::byte* blocks[kSha256LanesMax];
  const std::size_t used = std::min(parents.size(), engine.lanes);
  for (std::size_t i = 0; i < used; ++i) pairs[i].prepare();
  for (std::size_t i = 0; i < engine.lanes; ++i) blocks[i] = pairs[i < used ? i : 0].bytes;
  for (std::size_t done = 0; done < parents.size();) {
    const std::size_t left = parents.size() - done;
    const bool together = left >= engine.lanes_min;
    const std::size_t count = together ? std::min(left, engine.lanes) : 1;
    for (std::size_t i = 0; i < count; ++i) pairs[i].set(&children[2 * (done + i)]);
    States states(together ? engine.lanes : 1);
    for (std::size_t i = 0; i < states.lanes; ++i) states.begin(i);
    (together ? engine.many : engine.one)(states.words, blocks, 2);
    for (std::size_t i = 0; i < count; ++i) parents[done + i] = states.hash(i);
    done += count;
  }
}

// One round of FIPS 180-4, 6.2.2; as in sha256_lanes.inc, the working variables change their roles and not their
// places.
template <std::size_t kRound, bool kExtend>
inline void one_round(std::uint32_t* v, std::uint32_t* w, const std::uint32_t* k) {
  if constexpr (kExtend) {
    const std::uint32_t before = w[(kRound + 1) % 16];
    const std::uint32_t late = w[(kRound + 14) % 16];
    w[kRound] += (std::rotr(before, 7) ^ std::rotr(before, 18) ^ before >> 3) + w[(kRound + 9) % 16] +
                 (std::rotr(late, 17) ^ std::rotr(late, 19) ^ late >> 10);
  }
  constexpr std::size_t kA = (16 - kRound) % 8;
  const std::uint32_t a = v[kA];
  const std::uint32_t b = v[(kA + 1) % 8];
  const std::uint32_t c = v[(kA + 2) % 8];
  std::uint32_t& d = v[(kA + 3) % 8];
  const std::uint32_t e = v[(kA + 4) % 8];
  const std::uint32_t f = v[(kA + 5) % 8];
  const std::uint32_t g = v[(kA + 6) % 8];
  std::uint32_t& h = v[(kA + 7) % 8];
  const std::uint32_t t1 =
      h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + (g ^ (e & (f ^ g))) + k[kRound] + w[kRound];
  d += t1;
  h = t1 + (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) | (c & (a | b)));
}

template <bool kExtend, std::size_t... kRound>
inline void sixteen_rounds(std::uint32_t* v, std::uint32_t* w, const std::uint32_t* k, std::index_sequence<kRound...>) {
  (one_round<kRound, kExtend>(v, w, k), ...);
}

}  // namespace

void sha256_compress_portable(std::uint32_t* state, const std::byte* const* blocks, std::size_t count) {
  constexpr auto kSixteen = std::make_index_sequence<16>{};
  const std::byte* at = *blocks;
  for (const std::byte* const end = at + count * kBlock; at != end; at += kBlock) {
    std::uint32_t w[16];
    for (std::size_t i = 0; i < 16; ++i) w[i] = load_be<std::uint32_t>(at + i * 4);
    std::uint32_t v[8];
    std::copy_n(state, 8, v);
    sixteen_rounds<false>(v, w, kSha256Rounds.data(), kSixteen);
    for (std::size_t i = 16; i < 64; i += 16) sixteen_rounds<true>(v, w, kSha256Rounds.data() + i, kSixteen);
    for (std::size_t i = 0; i < 8; ++i) state[i] += v[i];
  }
}

std::string_view to_string(Sha256Kind kind) {
  switch (kind) {
    case Sha256Kind::portable:
      return "portable";
    case Sha256Kind::sha_ni:
      return "sha-ni";
    case Sha256Kind::avx2:
      return "avx2";
    case Sha256Kind::avx512:
      return "avx512";
  }
  return "unknown";
}

bool sha256_supports(Sha256Kind kind) {
  if (kind == Sha256Kind::portable) return true;
#if defined(__x86_64__)
  switch (kind) {
    case Sha256Kind::sha_ni:
      return cpu_has_sha_ni();
    case Sha256Kind::avx2:
      return cpu_has_avx2();
    case Sha256Kind::avx512:
      return cpu_has_avx512();
    default:
      break;
  }
#endif
  return false;
}

Sha256Kind sha256_kind() {
  // The fastest first, as measured.
  static const Sha256Kind chosen = [] {
    for (const Sha256Kind kind : {Sha256Kind::avx512, Sha256Kind::sha_ni, Sha256Kind::avx2}) {
      if (sha256_supports(kind)) return kind;
    }
    return Sha256Kind::portable;
  }();
  return chosen;
}

Hash sha256(Bytes message) {
  return hash_one(engine().one, message);
}

std::byte* Sha256Messages::add(std::size_t size) {
  const std::size_t begin = ends_.empty() ? 0 : ends_.back();
  const std::size_t end = begin + padded_size(size);
  if (end > bytes_.size()) bytes_.resize(std::max(end, 2 * bytes_.size()));
  ends_.push_back(end);
  const std::size_t whole = size / kBlock * kBlock;
  pad(std::span(bytes_).first(end).subspan(begin + whole), size - whole, size);
  return bytes_.data() + begin;
}

void Sha256Messages::hash(std::span<Hash> hashes) const {
  hash_messages(engine(), bytes_, ends_, hashes);
}
void Sha256Messages::hash(Sha256Kind kind, std::span<Hash> hashes) const {
  ASSERT(sha256_supports(kind));
  hash_messages(engine_of(kind), bytes_, ends_, hashes);
}

void hash_pairs(std::span<const Hash> children, std::span<Hash> parents) {
  hash_all_pairs(engine(), children, parents);
}
void hash_pairs(Sha256Kind kind, std::span<const Hash> children, std::span<Hash> parents) {
  ASSERT(sha256_supports(kind));
  hash_all_pairs(engine_of(kind), children, parents);
}

std::optional<Hash> parse_hash(std::string_view hex) {
  Hash hash;
  if (hex.size() != 2 * hash.size()) return std::nullopt;
  for (std::size_t i = 0; i < hash.size(); ++i) {
    const int high = hex_digit(hex[2 * i]);
    const int low = hex_digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    hash[i] = static_cast<std::byte>(high << 4 | low);
  }
  return hash;
}

}  // namespace leat
