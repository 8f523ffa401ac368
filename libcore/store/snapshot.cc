#include "leat/store/snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "leat/base/crc32c.h"
#include "leat/base/file_lock.h"
#include "leat/log/file_names.h"

namespace leat {

namespace {

// A block is closed when its records reach this.
constexpr std::size_t kBlockBytes = 1 << 20;
constexpr std::string_view kLockFile = "lock";

std::string file_name(PartitionId partition) {
  return fmt::format("{}.snapshot", partition.value);
}

// Whether what is there need not be written again. The same once more is younger, and so believed for longer.
bool is_enough(const SnapshotHeader& present, const SnapshotHeader& wanted) {
  constexpr std::int64_t kYoungMs = 3'600'000;
  if (present.changelog_next != wanted.changelog_next) return present.changelog_next > wanted.changelog_next;
  return wanted.written_at - present.written_at < kYoungMs;
}

// A file being written, block by block.
class Writer {
 public:
  explicit Writer(const File& file) : file_(file) {}

  Result<void> begin(const SnapshotHeader& header) { return put({as_bytes(encode_snapshot_header(header))}); }

  Result<void> add(const StoredValue& record) {
    append_snapshot_record(block_, record);
    ++records_;
    return block_.size() < kBlockBytes ? Result<void>{} : close_block();
  }

  Result<void> finish() {
    if (records_ > 0) TRY(close_block());
    TRY(put({as_bytes(encode_snapshot_end(total_))}));
    return file_.sync_data();
  }

 private:
  Result<void> close_block() {
    const std::string header = encode_snapshot_block_header(records_, block_);
    TRY(put({as_bytes(header), as_bytes(block_)}));
    total_ += records_;
    records_ = 0;
    block_.clear();
    return {};
  }

  Result<void> put(std::initializer_list<Bytes> pieces) {
    TRY(file_.write_at(std::span(pieces.begin(), pieces.size()), position_));
    for (const Bytes piece : pieces) position_ += static_cast<std::int64_t>(piece.size());
    return {};
  }

  const File& file_;
  std::int64_t position_ = 0;
  std::string block_;
  std::uint32_t records_ = 0;
  std::int64_t total_ = 0;
};

// A file being read.
class BlockReader {
 public:
  explicit BlockReader(const File& file) : file_(file) {}

  // The header; nullopt where there is none that is whole.
  Result<std::optional<SnapshotHeader>> begin() {
    std::array<std::byte, kSnapshotHeaderBytes + kSnapshotStoreBytesMax> bytes;
    const std::size_t count = TRY(file_.read_at(bytes, 0));
    auto header = decode_snapshot_header({bytes.data(), count});
    if (header) position_ = static_cast<std::int64_t>(kSnapshotHeaderBytes + header->store.size());
    return header;
  }

  enum class Step { block, end, bad };

  // The next block's records to `use`. At a bad place, `position()` is its byte.
  Result<Step> next(const std::function<void(const StoredValue&)>& use) {
    std::array<std::byte, kSnapshotEndBytes> head;
    const std::size_t count = TRY(file_.read_at(head, position_));
    if (count < kSnapshotBlockHeaderBytes) return Step::bad;
    const auto [records, bytes, crc] = decode_snapshot_block_header(head.data());
    if (records == 0) return is_snapshot_end(Bytes(head).first(count), total_) ? Step::end : Step::bad;
    if (bytes > kSnapshotBlockBytesMax || std::int64_t{bytes} > TRY(file_.size()) - position_) return Step::bad;
    payload_.resize(bytes);
    const std::int64_t at = position_ + static_cast<std::int64_t>(kSnapshotBlockHeaderBytes);
    if (TRY(file_.read_at(payload_, at)) != bytes) return Step::bad;
    const bool whole = crc == crc32c(payload_, crc32c(Bytes(head).first(8)));
    if (!whole || !decode_snapshot_block(records, payload_, use)) return Step::bad;
    position_ = at + std::int64_t{bytes};
    total_ += records;
    return Step::block;
  }

  std::int64_t position() const { return position_; }

 private:
  const File& file_;
  std::int64_t position_ = 0;
  std::int64_t total_ = 0;
  std::vector<std::byte> payload_;
};

}  // namespace

Result<SnapshotPlace> SnapshotPlace::make(const std::string& base, std::string_view store) {
  const Directory root = TRY(Directory::open_root(base));
  const Directory stores = TRY(root.make_directory(kStoresDirectory));
  return SnapshotPlace(TRY(stores.make_directory(store)), std::string(store));
}

Result<std::optional<SnapshotPlace>> SnapshotPlace::find(const std::string& base, std::string_view store) {
  const Directory root = TRY(Directory::open_root(base));
  const auto stores = root.open_directory(kStoresDirectory);
  if (!stores) return std::nullopt;
  auto directory = stores->open_directory(store);
  if (!directory) return std::nullopt;
  return SnapshotPlace(*std::move(directory), std::string(store));
}

Result<bool> SnapshotPlace::write(const SnapshotHeader& header, const Table& table,
                                  const std::function<bool()>& stop) const {
  const File lock = TRY(directory_.open_file(kLockFile, OpenMode::create_or_open));
  if (!TRY(try_lock_range(lock, {header.partition.value, 1}, LockKind::exclusive))) return false;
  const std::string name = file_name(header.partition);
  if (const auto present = directory_.open_file(name, OpenMode::read)) {
    const auto found = TRY(BlockReader(*present).begin());
    if (found && found->incarnation == header.incarnation && is_enough(*found, header)) return false;
  }
  const std::string fresh = name + ".new";
  const File file = TRY(directory_.open_file(fresh, OpenMode::create_or_open));
  TRY(file.truncate(0));
  const auto written = [&]() -> Result<bool> {
    Writer writer(file);
    TRY(writer.begin(header));
    Result<void> added;
    bool stopped = false;
    table.scan(std::nullopt, [&](const StoredValue& value) {
      added = writer.add(value);
      stopped = stop();
      return added.has_value() && !stopped;
    });
    TRY(std::move(added));
    if (stopped) return false;
    TRY(writer.finish());
    TRY(directory_.rename(fresh, directory_, name));
    TRY(directory_.sync());
    return true;
  }();
  if (!written || !*written) (void)directory_.unlink(fresh);
  return written;
}

Result<void> SnapshotPlace::remove(PartitionId partition) const {
  TRY(directory_.unlink(file_name(partition)));
  return directory_.sync();
}

Result<std::optional<SnapshotHeader>> SnapshotPlace::read(PartitionId partition, const HashKey& incarnation,
                                                          const std::function<bool(const SnapshotHeader&)>& fits,
                                                          const std::function<void(const StoredValue&)>& use,
                                                          std::string& notice) const {
  const std::string name = file_name(partition);
  const auto file = directory_.open_file(name, OpenMode::read);
  if (!file) {
    if (file.error().code == Code::not_found) return std::nullopt;
    return std::unexpected(file.error());
  }
  BlockReader reader(*file);
  const auto damaged = [&] {
    notice = fmt::format("{}: damaged at byte {}: the changelog is read from its beginning instead",
                         directory_.path_of(name), reader.position());
    return std::nullopt;
  };
  auto header = TRY(reader.begin());
  if (!header || header->partition != partition || header->store != store_) return damaged();
  // A record takes three bytes and more.
  header->keys = std::clamp<std::int64_t>(header->keys, 0, TRY(file->size()) / 3);
  if (header->incarnation != incarnation || !fits(*header)) return std::nullopt;
  for (;;) {
    switch (TRY(reader.next(use))) {
      case BlockReader::Step::block:
        continue;
      case BlockReader::Step::end:
        return header;
      case BlockReader::Step::bad:
        return damaged();
    }
  }
}

}  // namespace leat
