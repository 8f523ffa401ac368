#include "leat/proof/tree_file.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstring>

#include "leat/base/crc32c.h"

namespace leat {

namespace {

constexpr std::string_view kTreeDirectory = "tree";
constexpr std::string_view kLeavesSuffix = ".leaves";
constexpr std::array<char, 8> kLeavesMagic = {'l', 'e', 'a', 't', 'l', 'v', '0', '1'};
constexpr int kLevelMax = 56;  // of what is kept: 2^56 leaves under one node

struct Entry {
  Hash hash;
  std::uint32_t crc;
};
static_assert(sizeof(Entry) == 36);

struct LeavesHeader {
  std::array<char, 8> magic;
  std::uint64_t block;
  std::uint32_t count;
  std::uint32_t is_signed;
};
static_assert(sizeof(LeavesHeader) == 24);

template <class T>
Bytes bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

std::uint32_t checksum(int level, std::uint64_t index, const Hash& hash) {
  return crc32c(hash, crc32c(bytes_of(index), crc32c(bytes_of(static_cast<std::uint32_t>(level)))));
}

std::string leaves_name(std::uint64_t block) {
  return fmt::format("{}{}", block, kLeavesSuffix);
}

std::optional<std::uint64_t> parse_leaves_name(std::string_view name) {
  if (!name.ends_with(kLeavesSuffix)) return std::nullopt;
  name.remove_suffix(kLeavesSuffix.size());
  std::uint64_t block = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), block);
  return error == std::errc() && end == name.data() + name.size() ? std::optional(block) : std::nullopt;
}

}  // namespace

std::int64_t TreeFiles::position_of(std::uint64_t index) {
  return static_cast<std::int64_t>(index * sizeof(Entry));
}

Result<TreeFiles> TreeFiles::open(const Directory& partition) {
  auto directory = partition.open_directory(kTreeDirectory);
  if (!directory && directory.error().code != Code::not_found) return std::unexpected(std::move(directory).error());
  return TreeFiles(directory ? std::optional(std::move(*directory)) : std::nullopt);
}

Result<TreeFiles> TreeFiles::open_to_write(const Directory& partition) {
  return TreeFiles(TRY(partition.make_directory(kTreeDirectory)));
}

Result<std::optional<File>> TreeFiles::open_level(int level, OpenMode mode) const {
  if (!directory_) return std::nullopt;
  auto file = directory_->open_file(fmt::format("{}", level), mode);
  if (!file && file.error().code == Code::not_found) return std::nullopt;
  if (!file) return std::unexpected(std::move(file).error());
  return std::move(*file);
}

Result<std::uint64_t> TreeFiles::count(int level) const {
  const auto file = TRY(open_level(level, OpenMode::read));
  return file ? static_cast<std::uint64_t>(TRY(file->size())) / sizeof(Entry) : 0;
}

Result<std::vector<std::optional<Hash>>> TreeFiles::read(int level, std::uint64_t first, std::size_t count) const {
  std::vector<std::optional<Hash>> hashes(count);
  const auto file = TRY(open_level(level, OpenMode::read));
  if (!file) return hashes;
  std::vector<Entry> entries(count);
  const std::size_t bytes = TRY(file->read_at(std::as_writable_bytes(std::span(entries)), position_of(first)));
  for (std::size_t i = 0; i < bytes / sizeof(Entry); ++i) {
    if (entries[i].crc == checksum(level, first + i, entries[i].hash)) hashes[i] = entries[i].hash;
  }
  return hashes;
}

Result<void> TreeFiles::write(int level, std::uint64_t first, std::span<const Hash> hashes) const {
  ASSERT(directory_ && level > 0 && level <= kLevelMax && level % kTileLevel == 0);
  if (hashes.empty()) return {};
  std::vector<Entry> entries;
  entries.reserve(hashes.size());
  for (const Hash& hash : hashes) entries.push_back({hash, checksum(level, first + entries.size(), hash)});
  const auto file = TRY(open_level(level, OpenMode::create_or_open));
  return file->write_at(std::as_bytes(std::span(entries)), position_of(first));
}

Result<void> TreeFiles::cut(std::uint64_t block) const {
  for (int level = kTileLevel; level <= kLevelMax; level += kTileLevel, block >>= kTileLevel) {
    const auto file = TRY(open_level(level, OpenMode::read_write));
    if (!file) return {};
    if (TRY(file->size()) > position_of(block)) TRY(file->truncate(position_of(block)));
  }
  return {};
}

Result<void> TreeFiles::sync() const {
  if (!directory_) return {};
  for (int level = kTileLevel; level <= kLevelMax; level += kTileLevel) {
    const auto file = TRY(open_level(level, OpenMode::read_write));
    if (!file) break;
    TRY(file->sync_data());
  }
  return directory_->sync();
}

Result<std::optional<TreeFiles::KeptLeaves>> TreeFiles::kept_leaves(std::uint64_t block) const {
  constexpr std::size_t kBytesMax = sizeof(LeavesHeader) + kTileWidth * sizeof(Hash) + sizeof(std::uint32_t);
  if (!directory_) return std::nullopt;
  const auto text = directory_->read_file(leaves_name(block), kBytesMax);
  if (!text && text.error().code == Code::io) return std::unexpected(text.error());
  if (!text) return std::nullopt;
  LeavesHeader header{};
  std::uint32_t crc = 0;
  if (text->size() < sizeof header + sizeof crc) return std::nullopt;
  std::memcpy(&header, text->data(), sizeof header);
  const std::string_view body = std::string_view(*text).substr(0, text->size() - sizeof crc);
  std::memcpy(&crc, text->data() + body.size(), sizeof crc);
  if (header.magic != kLeavesMagic || header.block != block || header.count == 0 || header.count > kTileWidth ||
      body.size() != sizeof header + header.count * sizeof(Hash) || crc != crc32c(as_bytes(body)))
    return std::nullopt;
  KeptLeaves leaves{std::vector<Hash>(header.count), header.is_signed != 0};
  std::memcpy(leaves.hashes.data(), body.data() + sizeof header, header.count * sizeof(Hash));
  return leaves;
}

Result<void> TreeFiles::keep_leaves(std::uint64_t block, const KeptLeaves& leaves) const {
  ASSERT(directory_ && !leaves.hashes.empty() && leaves.hashes.size() <= kTileWidth);
  const LeavesHeader header{kLeavesMagic, block, static_cast<std::uint32_t>(leaves.hashes.size()), leaves.is_signed};
  std::string text(reinterpret_cast<const char*>(&header), sizeof header);
  text.append(reinterpret_cast<const char*>(leaves.hashes.data()), leaves.hashes.size() * sizeof(Hash));
  const std::uint32_t crc = crc32c(as_bytes(text));
  text.append(reinterpret_cast<const char*>(&crc), sizeof crc);
  return directory_->replace_file(leaves_name(block), text);
}

Result<std::vector<std::uint64_t>> TreeFiles::kept_blocks_before(std::uint64_t block) const {
  std::vector<std::uint64_t> blocks;
  if (!directory_) return blocks;
  for (const std::string& name : TRY(directory_->list())) {
    const auto number = parse_leaves_name(name);
    if (number && *number < block) blocks.push_back(*number);
  }
  return blocks;
}

Result<std::vector<std::uint64_t>> TreeFiles::unfinished_signed_blocks(std::uint64_t block) const {
  std::vector<std::uint64_t> blocks = TRY(kept_blocks_before(block));
  std::vector<std::uint64_t> unfinished;
  for (const std::uint64_t number : blocks) {
    const auto kept = TRY(kept_leaves(number));
    if (kept && kept->is_signed && kept->hashes.size() < kTileWidth) unfinished.push_back(number);
  }
  return unfinished;
}

Result<void> TreeFiles::drop_leaves_before(std::uint64_t block) const {
  for (const std::uint64_t number : TRY(kept_blocks_before(block))) {
    const auto kept = TRY(kept_leaves(number));
    if (!kept || !kept->is_signed) TRY(directory_->unlink(leaves_name(number)));
  }
  return {};
}

}  // namespace leat
