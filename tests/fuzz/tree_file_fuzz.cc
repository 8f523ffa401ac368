// Fuzzes the files of kept hashes: entries and leaves whose checksums are right or not, in files of any length. What is
// read was written whole for that place, what is written is read back, and a cut leaves nothing behind it.
#include <map>
#include <vector>

#include "leat/base/crc32c.h"
#include "leat/proof/tree_file.h"
#include "tests/fuzz/fuzz.h"

namespace leat::fuzz {
namespace {

constexpr std::size_t kEntryBytes = 36;

template <class T>
void append_bytes(std::string& to, const T& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

Hash make_hash(Source& input) {
  Hash hash{};
  std::ranges::copy(as_bytes(input.text(2)), hash.begin());
  return hash;
}

// The file of a level; which hash is rightly at which place.
std::string make_level(Source& input, std::uint32_t level, std::map<std::uint64_t, Hash>& right) {
  std::string content;
  const int entries = input.byte() % 12;
  for (int i = 0; i < entries; ++i) {
    const std::uint8_t kind = input.byte();
    const auto number = static_cast<std::uint64_t>(kind % 4 == 0 ? i + kind / 64 : i);
    const Hash hash = make_hash(input);
    std::string key;
    append_bytes(key, level);
    append_bytes(key, number);
    std::uint32_t crc = crc32c(hash, crc32c(as_bytes(key)));
    if (kind % 4 == 1) crc ^= 1U << input.byte() % 32;
    if (number == static_cast<std::uint64_t>(i) && kind % 4 != 1) right[number] = hash;
    append_bytes(content, hash);
    append_bytes(content, crc);
  }
  return content;
}

void check_level(Source input, const Scratch& scratch, const TreeFiles& files) {
  const int level = kTileLevel * (1 + input.byte() % 3);
  const auto name = "tree/" + std::to_string(level);
  std::map<std::uint64_t, Hash> right;
  std::string content = make_level(input, static_cast<std::uint32_t>(level), right);
  const std::uint8_t cut = input.byte();
  if (cut % 2 == 1) content.resize(content.size() - std::min<std::size_t>(cut, content.size()));
  write_file(scratch / name, content);
  const std::uint64_t whole = content.size() / kEntryBytes;
  ASSERT(must(files.count(level)) == whole);
  const std::uint64_t first = input.byte() >= 250 ? input.number<std::uint64_t>() >> 16 : input.byte() % 16;
  const std::size_t count = input.byte() % 40;
  const auto hashes = must(files.read(level, first, count));
  ASSERT(hashes.size() == count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto found = right.find(first + i);
    const bool is_there = found != right.end() && first + i < whole;
    ASSERT(hashes[i].has_value() == is_there && (!is_there || *hashes[i] == found->second));
  }
  std::vector<Hash> more(1 + input.byte() % 3);
  for (Hash& hash : more) hash = make_hash(input);
  const std::uint64_t at = input.byte() % 16;
  must(files.write(level, at, more));
  const auto again = must(files.read(level, at, more.size()));
  ASSERT(std::ranges::equal(again, more, [](const auto& a, const Hash& b) { return a == b; }));
  const std::uint64_t block = input.byte() % 16;
  must(files.cut(block));
  if (level == kTileLevel) ASSERT(must(files.count(level)) <= block);
}

void check_leaves(Source input, const Scratch& scratch, const TreeFiles& files) {
  constexpr std::uint64_t kBlock = 3;
  const std::uint8_t choice = input.byte();
  const auto count = std::uint32_t{input.byte()} + (choice >= 192 ? 2U : 0U);
  std::string content = "leatlv01";
  append_bytes(content, (choice & 1) != 0 ? input.number<std::uint64_t>() : kBlock);
  append_bytes(content, (choice & 2) != 0 ? input.number<std::uint32_t>() : count);
  append_bytes(content, std::uint32_t{choice / 4 % 2U});
  for (std::uint32_t i = 0; i < count; ++i) append_bytes(content, make_hash(input));
  if ((choice & 8) != 0) content.replace(input.byte() % content.size(), 1, input.text(1));
  const std::uint32_t crc = crc32c(as_bytes(content));
  append_bytes(content, (choice & 16) != 0 ? input.number<std::uint32_t>() : crc);
  if ((choice & 32) != 0) content.resize(input.number<std::uint16_t>() % (content.size() + 1));
  write_file(scratch / "tree/3.leaves", content);
  const auto kept = must(files.kept_leaves(kBlock));
  ASSERT(!must(files.kept_leaves(kBlock + 1)));
  const auto unfinished = must(files.unfinished_signed_blocks(kBlock + 1));
  ASSERT(unfinished.empty() == !(kept && kept->is_signed && kept->hashes.size() < kTileWidth));
  if (kept) {
    ASSERT(!kept->hashes.empty() && kept->hashes.size() <= kTileWidth);
    must(files.keep_leaves(kBlock, *kept));
    const auto again = must(files.kept_leaves(kBlock));
    ASSERT(again && again->hashes == kept->hashes && again->is_signed == kept->is_signed);
  }
  must(files.drop_leaves_before(kBlock + 1));
  ASSERT(must(files.kept_leaves(kBlock)).has_value() == (kept && kept->is_signed));
}

void check(Source input) {
  static const Scratch scratch;
  static const Directory directory = must(Directory::open_root(scratch.path()));
  static const TreeFiles files = must(TreeFiles::open_to_write(directory));
  return (input.byte() & 1) != 0 ? check_level(input, scratch, files) : check_leaves(input, scratch, files);
}

}  // namespace
}  // namespace leat::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leat::fuzz::check(leat::fuzz::Source(data, size));
  return 0;
}
