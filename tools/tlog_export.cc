#include "tools/tlog_export.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <vector>

#include "leat/log/file_names.h"
#include "leat/log/proof_leaf.h"
#include "leat/log/proof_tree.h"
#include "tools/checkpoint_note.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/proof_file.h"

namespace leat::tools {
namespace {

constexpr std::size_t kCheckpointBytesMax = 1 << 20;
constexpr std::size_t kEntryBytesMax = 0xFFFF;

// ---- Tiles as files ----

// The tiles of one level (or the bundles of entries), below tile/<level>. Tile 1234067 is x001/x234/067.
class TileFolder {
 public:
  explicit TileFolder(Directory level) : level_(std::move(level)) {}

  // A tile of `width`, 256 for a whole one. Durable once the file system has been synced.
  Result<void> write(std::uint64_t tile, std::uint64_t width, std::string_view content) {
    TRY(enter(tile));
    if (width == kTileWidth) return write_file(*folder_, name_of(tile), content);
    return write_file(TRY(folder_->make_directory(name_of(tile) + ".p")), std::to_string(width), content);
  }

  Result<void> remove(std::uint64_t tile, std::uint64_t width) {
    TRY(enter(tile));
    if (width == kTileWidth) return folder_->unlink(name_of(tile));
    const std::string parts = name_of(tile) + ".p";
    TRY(TRY(folder_->open_directory(parts)).unlink(std::to_string(width)));
    (void)folder_->remove_directory(parts);  // stays where there are others
    return {};
  }

  // What was there of a tile before it was whole.
  Result<void> remove_parts(std::uint64_t tile) {
    TRY(enter(tile));
    return folder_->remove_tree(name_of(tile) + ".p");
  }

 private:
  static std::string name_of(std::uint64_t tile) { return fmt::format("{:03}", tile % 1000); }

  // Opens the folder that a tile lies in, unless it is open already.
  Result<void> enter(std::uint64_t tile) {
    if (folder_ && thousand_ == tile / 1000) return {};
    folder_ = TRY(open_thousand(tile / 1000));
    thousand_ = tile / 1000;
    return {};
  }

  Result<Directory> open_thousand(std::uint64_t thousand) const {
    if (thousand == 0) return level_.open_directory(".");
    const Directory above = TRY(open_thousand(thousand / 1000));
    return above.make_directory(fmt::format("x{:03}", thousand % 1000));
  }

  static Result<void> write_file(const Directory& folder, const std::string& name, std::string_view content) {
    const File file = TRY(folder.open_file(name, OpenMode::create_or_open));
    TRY(file.write_at(as_bytes(content), 0));
    return file.truncate(static_cast<std::int64_t>(content.size()));  // a run that was cut short may have left more
  }

  Directory level_;
  std::optional<Directory> folder_;
  std::uint64_t thousand_ = 0;
};

// The tiles of all levels, of a tree that grows: begun where an older export ended.
class TileWriter {
 public:
  TileWriter(const Directory& tiles, ProofTree& tree) : tiles_(&tiles), tree_(&tree) {}

  // Goes on behind the first `blocks` blocks of 256 records, whose tiles are there.
  Result<void> begin(std::uint64_t blocks) {
    begun_at_ = block_ = blocks;
    for (int level = 1; blocks > 0; ++level, blocks /= kTileWidth) {
      for (std::uint64_t i = blocks / kTileWidth * kTileWidth; i < blocks; ++i)
        of(level).push_back(TRY(tree_->node({level * kTileLevel, i})));
    }
    return {};
  }

  // The next block: its entries as they lie in a bundle, and their hashes. Only the last may have fewer than 256.
  Result<void> add(std::string_view entries, std::vector<Hash> leaves) {
    width_ = leaves.size();
    TRY(TRY(folder("entries")).get().write(block_, width_, entries));
    TRY(write_hashes(0, block_, leaves));
    if (width_ < kTileWidth) return {};
    const Hash hash = fold(std::move(leaves), kTileLevel)[0];
    TRY(push(1, block_++, hash));
    width_ = 0;
    return {};
  }

  // Writes what is not 256 wide yet.
  Result<void> finish() {
    for (std::size_t i = 0; i < hashes_.size(); ++i) {
      const int level = static_cast<int>(i) + 1;
      if (!hashes_[i].empty()) TRY(write_hashes(level, (block_ >> kTileLevel * level), hashes_[i]));
    }
    return {};
  }

  // Takes away again what add() has written.
  void undo() {
    std::uint64_t first = begun_at_;
    std::uint64_t end = block_;
    for (std::uint64_t block = first; block < end; ++block) remove("entries", block, kTileWidth);
    if (width_ > 0) remove("entries", end, width_);
    if (width_ > 0) remove("0", end, width_);
    for (int level = 0; first < end; ++level, first /= kTileWidth, end /= kTileWidth) {
      for (std::uint64_t tile = first; tile < end; ++tile) remove(std::to_string(level), tile, kTileWidth);
    }
  }

  // Takes away the parts of tiles that were partial in the tree of `old_size`, and are whole now.
  Result<void> remove_parts(std::uint64_t old_size) {
    std::uint64_t tile = old_size / kTileWidth;
    std::uint64_t whole = block_;
    if (tile < whole) TRY(TRY(folder("entries")).get().remove_parts(tile));
    for (int level = 0; tile < whole; ++level, tile /= kTileWidth, whole /= kTileWidth)
      TRY(TRY(folder(std::to_string(level))).get().remove_parts(tile));
    return {};
  }

 private:
  Result<std::reference_wrapper<TileFolder>> folder(const std::string& level) {
    const auto found = folders_.find(level);
    if (found != folders_.end()) return found->second;
    return folders_.emplace(level, TRY(tiles_->make_directory(level))).first->second;
  }

  Result<void> write_hashes(int level, std::uint64_t tile, std::span<const Hash> hashes) {
    return TRY(folder(std::to_string(level))).get().write(tile, hashes.size(), as_text(std::as_bytes(hashes)));
  }

  // The hash of node `index` of a level, which completes the tile below it.
  Result<void> push(int level, std::uint64_t index, const Hash& hash) {
    std::vector<Hash>& hashes = of(level);
    hashes.push_back(hash);
    if (hashes.size() < kTileWidth) return {};
    TRY(write_hashes(level, index / kTileWidth, hashes));
    const Hash above = fold(std::exchange(hashes, {}), kTileLevel)[0];
    return push(level + 1, index / kTileWidth, above);
  }

  std::vector<Hash>& of(int level) {
    if (hashes_.size() < static_cast<std::size_t>(level)) hashes_.resize(static_cast<std::size_t>(level));
    return hashes_[static_cast<std::size_t>(level) - 1];
  }

  void remove(const std::string& level, std::uint64_t tile, std::uint64_t width) {
    if (const auto found = folder(level)) (void)found->get().remove(tile, width);
  }

  const Directory* tiles_;
  ProofTree* tree_;
  std::map<std::string, TileFolder> folders_;
  std::vector<std::vector<Hash>> hashes_;  // of levels 1, 2, ...: those of the last tile, as far as there are any
  std::uint64_t begun_at_ = 0;
  std::uint64_t block_ = 0;  // how many are whole
  std::uint64_t width_ = 0;  // of the one behind them
};

// ---- Records as entries ----

// Up to 256 entries.
class Bundle {
 public:
  std::size_t count() const { return ends_.size(); }

  // An offset of which nothing is left.
  void add_empty() {
    bytes_.append(2, '\0');
    ends_.push_back(bytes_.size());
  }

  Result<void> add(const RecordView& record) {
    const std::size_t begin = bytes_.size();
    bytes_.append(2, '\0');
    append_canonical(bytes_, record);
    const std::size_t length = bytes_.size() - begin - 2;
    if (length > kEntryBytesMax) {
      return fail(Code::bad_data,
                  fmt::format("offset {} cannot be exported: its record takes {} bytes, and an entry of "
                              "a static log at most {}",
                              record.offset.value, length, kEntryBytesMax));
    }
    bytes_[begin] = static_cast<char>(length >> 8);
    bytes_[begin + 1] = static_cast<char>(length & 0xff);
    ends_.push_back(bytes_.size());
    return {};
  }

  const std::string& bytes() const { return bytes_; }

  std::vector<Hash> leaves() {
    messages_.clear();
    std::size_t begin = 0;
    for (const std::size_t end : ends_) {
      const Bytes entry = as_bytes(std::string_view(bytes_).substr(begin + 2, end - begin - 2));
      std::byte* const leaf = messages_.add(1 + entry.size());
      *leaf = std::byte{0};
      std::ranges::copy(entry, leaf + 1);
      begin = end;
    }
    std::vector<Hash> hashes(messages_.size());
    messages_.hash(hashes);
    return hashes;
  }

  void clear() {
    bytes_.clear();
    ends_.clear();
  }

 private:
  std::string bytes_;
  std::vector<std::size_t> ends_;
  Sha256Messages messages_;  // the entries, each behind the 0x00 of a leaf
};

// Reads the log from a block on and hands it to the tiles, bundle by bundle.
class Exporter {
 public:
  Exporter(PartitionReader& reader, ProofTree& tree, TileWriter& tiles, bool progress)
      : reader_(&reader), tree_(&tree), tiles_(&tiles), progress_wanted_(progress) {}

  Result<void> run(std::uint64_t first) {
    next_ = first;
    TRY(tiles_->begin(first / kTileWidth));
    Progress progress(TRY(log_bytes(first)), progress_wanted_);
    std::uint64_t done = 0;
    BatchDecoder decoder;
    TRY(reader_->seek({static_cast<std::int64_t>(first)}));
    const VisibleRange range = TRY(reader_->visible());
    while (next_ < tree_->size()) {
      if (stop_requested()) return fail(Code::interrupted, "stopped");
      const auto batch = TRY(reader_->next(range));
      if (!batch) break;
      for (const RecordView& record : TRY(decoder.decode(batch->bytes))) {
        if (record.offset < Offset{static_cast<std::int64_t>(next_)}) continue;
        TRY(skip_to(static_cast<std::uint64_t>(record.offset.value)));
        if (next_ == tree_->size()) break;
        TRY(bundle_.add(record));
        TRY(advance());
      }
      TRY(skip_to(static_cast<std::uint64_t>(batch->header.end_offset().value)));
      done += batch->header.total_bytes();
      progress.update(done, std::chrono::steady_clock::now());
    }
    if (next_ < tree_->size()) {
      return fail(Code::io,
                  fmt::format("{}: the log was cut at offset {} meanwhile", reader_->directory().path(), next_));
    }
    if (bundle_.count() > 0) TRY(hand_over());
    return tiles_->finish();
  }

 private:
  // Empty entries up to `offset`, but none behind the tree.
  Result<void> skip_to(std::uint64_t offset) {
    const std::uint64_t end = std::min(offset, tree_->size());
    while (next_ < end) {
      bundle_.add_empty();
      TRY(advance());
    }
    return {};
  }

  Result<void> advance() {
    ++next_;
    return bundle_.count() == kTileWidth ? hand_over() : Result<void>();
  }

  // What goes out is what the tree says, or nothing does.
  Result<void> hand_over() {
    std::vector<Hash> leaves = bundle_.leaves();
    const std::uint64_t block = (next_ - 1) / kTileWidth;
    const bool whole = leaves.size() == kTileWidth;
    const bool agrees = whole ? TRY(tree_->node({kTileLevel, block})) == fold(leaves, kTileLevel)[0]
                              : TRY(tree_->edge(next_)) == leaves;
    if (!agrees) {
      return fail(Code::damaged, fmt::format("{}: the tree does not agree with the log at offsets {} to {}",
                                             reader_->directory().path(), block * kTileWidth, next_ - 1));
    }
    TRY(tiles_->add(bundle_.bytes(), std::move(leaves)));
    bundle_.clear();
    return {};
  }

  // How much there is to be read.
  Result<std::uint64_t> log_bytes(std::uint64_t first) const {
    const Directory& directory = reader_->directory();
    const std::vector<Offset> bases = TRY(list_segments(directory));
    std::uint64_t bytes = 0;
    for (auto i = bases.empty() ? 0 : segment_of(bases, {static_cast<std::int64_t>(first)}); i < bases.size(); ++i)
      bytes +=
          static_cast<std::uint64_t>(TRY(TRY(directory.open_file(log_file_name(bases[i]), OpenMode::read)).size()));
    return bytes;
  }

  PartitionReader* reader_;
  ProofTree* tree_;
  TileWriter* tiles_;
  bool progress_wanted_;
  Bundle bundle_;
  std::uint64_t next_ = 0;  // the offset that comes next
};

// ---- The directory ----

// The directory an export goes to, and whether it was made for it.
struct Target {
  Directory directory;
  bool made;
  std::optional<Checkpoint> old;
};

Result<Target> open_target(const std::string& path) {
  struct stat status = {};
  const bool made = ::stat(path.c_str(), &status) != 0 && errno == ENOENT;
  if (!made && !S_ISDIR(status.st_mode)) return fail(Code::exists, fmt::format("{} is not a directory", path));
  if (made) TRY(Directory::make_root(path));
  Target target{TRY(Directory::open_root(path)), made, std::nullopt};
  const std::vector<std::string> names = TRY(target.directory.list());
  if (names.empty()) return target;
  if (!std::ranges::binary_search(names, "checkpoint")) {
    return fail(Code::exists, fmt::format("{} is not empty, and holds no export that is complete", path));
  }
  auto old = parse_checkpoint(TRY(target.directory.read_file("checkpoint", kCheckpointBytesMax)));
  if (!old)
    return fail(old.error().code, fmt::format("{}: {}", target.directory.path_of("checkpoint"), old.error().message));
  target.old = std::move(*old);
  return target;
}

// Whether what was exported before is the beginning of this tree.
Result<void> check_continues(const Target& target, const std::string& origin, ProofTree& tree) {
  const std::string path = target.directory.path_of("checkpoint");
  if (target.old->origin != origin)
    return fail(Code::bad_data, fmt::format("{} is of \"{}\", not of \"{}\"", path, target.old->origin, origin));
  if (target.old->size > tree.size()) {
    return fail(Code::bad_data, fmt::format("{} is of a tree of {} records, and there are only {}", path,
                                            target.old->size, tree.size()));
  }
  const Hash root = TRY(tree.root(target.old->size));
  if (root == target.old->root) return {};
  return fail(Code::bad_data, fmt::format("{} is of another tree: its first {} records have the root {}, and these {}",
                                          path, target.old->size, to_hex(target.old->root), to_hex(root)));
}

// Everything that was written to the file system of a directory is durable on success: one call for thousands of tiles.
Result<void> sync_file_system(const Directory& directory) {
  if (::syncfs(directory.fd()) != 0) return fail_errno(errno, fmt::format("cannot sync {}", directory.path()));
  return {};
}

}  // namespace

Result<ExportedTlog> export_tlog(Topic& topic, PartitionId id, const std::string& path, const SigningKey* key,
                                 bool progress) {
  ProofTree tree = TRY(ProofTree::open(topic, id));
  PartitionReader reader = TRY(PartitionReader::open(topic, id, false));
  Target target = TRY(open_target(path));
  const auto forget_target = [&] {
    if (!target.old) (void)target.directory.remove_tree("tile");
    if (target.made) ::rmdir(path.c_str());
  };

  const auto work = [&]() -> Result<ExportedTlog> {
    const std::string origin = tree_origin(topic.name(), id);
    const std::uint64_t old_size = target.old ? target.old->size : 0;
    const std::uint64_t first = old_size / kTileWidth * kTileWidth;
    if (tree.log_start() > Offset{static_cast<std::int64_t>(first)} && old_size < tree.size()) {
      return fail(Code::usage, fmt::format("the records below offset {} have been retired, and those from {} on would "
                                           "have to be exported",
                                           tree.log_start().value, first));
    }
    if (target.old) TRY(check_continues(target, origin, tree));

    const Directory tile_root = TRY(target.directory.make_directory("tile"));
    TileWriter tiles(tile_root, tree);
    if (old_size < tree.size() || !target.old) {
      const auto exported = Exporter(reader, tree, tiles, progress).run(first);
      if (!exported) {
        if (target.old) tiles.undo();
        return std::unexpected(exported.error());
      }
    }
    TRY(sync_file_system(target.directory));
    const Checkpoint checkpoint{origin, tree.size(), TRY(tree.root(tree.size()))};
    const std::string note = TRY(make_note(topic, id, checkpoint, key));
    TRY(target.directory.replace_file("checkpoint", note));
    if (old_size < tree.size()) TRY(tiles.remove_parts(old_size));
    return ExportedTlog{checkpoint.size, old_size};
  };
  auto done = work();
  if (!done) forget_target();
  return done;
}

}  // namespace leat::tools
