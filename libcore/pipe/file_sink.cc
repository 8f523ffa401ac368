// Messages appended to a file, which one process does at a time.
//
// Without rotation they go to the end of PATH itself. With it, to an open file beside it, .PATH.<n>.open, where n is
// the first that no other process has; when that is large or old enough it gets its name for good by one rename: PATH
// with the time and n before its extension, "metrics.20261121T034500123Z.0.jsonl". Who watches the directory sees whole
// files only.
//
// A batch is delivered when its bytes are on the disk (`sync = false`: when the kernel has them). A batch that a crash
// has cut short was not delivered, and comes again. What is there of it is cut from the end when the file is opened
// next: the begun line of an open file, which is ours alone, the begun frame of any file. In PATH itself, which may be
// somebody's who ends without a newline, the line is ended instead. Raw values have no ends to look for.
#include <fmt/format.h>

#include <algorithm>

#include "leat/base/disk.h"
#include "leat/base/file_lock.h"
#include "leat/base/units.h"
#include "leat/pipe/line_format.h"
#include "leat/pipe/sinks.h"

namespace leat::pipe {
namespace {

constexpr ByteRange kOwner = {std::int64_t{1} << 62, 1};  // far behind any end
constexpr int kOpenFilesMax = 1000;                       // of as many processes

struct FileOptions {
  std::string directory;
  std::string name;
  LineFormat format = LineFormat::text;
  bool sync = true;
  std::int64_t rotate_bytes = 0;  // 0: never
  Milliseconds rotate_every{0};   // 0: never

  bool rotates() const { return rotate_bytes > 0 || rotate_every > Milliseconds(0); }
};

// "20261121T034500123Z"
std::string compact_time(TimestampMs time) {
  std::string text = format_time(time);
  std::erase_if(text, [](char c) { return c == '-' || c == ':' || c == '.'; });
  return text;
}

class FileSink final : public Sink {
 public:
  FileSink(FileOptions options, Directory directory) : options_(std::move(options)), directory_(std::move(directory)) {}

  Result<void> open() {
    if (!options_.rotates()) {
      TRY(take(options_.name));
      if (!locked_) {
        return fail(Code::busy, fmt::format("{} is being appended to by another process", path()),
                    "with rotate_bytes or rotate_every each process has a file of its own");
      }
      return {};
    }
    for (number_ = 0; number_ < kOpenFilesMax; ++number_) {
      TRY(take(fmt::format(".{}.{}.open", options_.name, number_)));
      if (locked_) break;
    }
    if (!locked_) return fail(Code::busy, fmt::format("{}: too many processes append to it", path()));
    return {};
  }

  Result<Delivery> deliver(std::span<const Message> batch, const std::atomic<bool>&) override {
    if (!file_) TRY(open());
    TRY(tend());
    if (!file_) TRY(open());
    const std::string text = formatted(options_.format, batch);
    if (auto written = write(text); !written) {
      // What is there of it is in nobody's way when the batch is written again.
      (void)file_.truncate(end_);
      return std::unexpected(written.error());
    }
    if (end_ == 0) begun_at_ = std::chrono::steady_clock::now();
    end_ += static_cast<std::int64_t>(text.size());
    TRY(tend());
    return Delivery{};
  }

  std::optional<SteadyTime> due() const override {
    if (!file_ || end_ == 0 || options_.rotate_every <= Milliseconds(0)) return std::nullopt;
    return begun_at_ + options_.rotate_every;
  }

  // Gives the open file its name when it is its time.
  Result<void> tend() override {
    if (!file_ || end_ == 0) return {};
    const bool large = options_.rotate_bytes > 0 && end_ >= options_.rotate_bytes;
    const bool old = due() && *due() <= std::chrono::steady_clock::now();
    return large || old ? complete() : Result<void>{};
  }

  Result<void> close() override {
    if (!file_) return {};
    if (!options_.rotates()) return {};
    if (end_ > 0) return complete();
    TRY(directory_.unlink(open_name_));
    file_ = {};
    return {};
  }

 private:
  std::string path() const { return directory_.path_of(options_.name); }

  // Opens the file of that name, unless another process has it.
  Result<void> take(const std::string& name) {
    open_name_ = name;
    file_ = TRY(directory_.open_file(name, OpenMode::create_or_open));
    locked_ = TRY(try_lock_range(file_, kOwner, LockKind::exclusive));
    // It may have got its name for good while it was opened.
    if (locked_ && !directory_.names_file(name, file_)) return take(name);
    if (!locked_) {
      file_ = {};
      return {};
    }
    TRY(directory_.sync());
    end_ = TRY(file_.size());
    begun_at_ = std::chrono::steady_clock::now();
    return mend();
  }

  // What a crash has cut short.
  Result<void> mend() {
    if (end_ == 0 || options_.format == LineFormat::raw) return {};
    const bool frames = options_.format == LineFormat::u32be;
    const std::int64_t whole = frames ? TRY(end_of_frames()) : TRY(end_of_lines());
    if (whole == end_) return {};
    if (frames || options_.rotates()) {
      TRY(file_.truncate(whole));
      end_ = whole;
      return {};
    }
    TRY(file_.write_at(as_bytes("\n"), end_));
    ++end_;
    return {};
  }

  // Behind the last newline.
  Result<std::int64_t> end_of_lines() const {
    std::array<char, 4096> block{};
    for (std::int64_t end = end_; end > 0;) {
      const std::int64_t from = std::max<std::int64_t>(0, end - std::ssize(block));
      const auto size = static_cast<std::size_t>(end - from);
      TRY(file_.read_at(std::as_writable_bytes(std::span(block).first(size)), from));
      const std::size_t at = std::string_view(block.data(), size).rfind('\n');
      if (at != std::string_view::npos) return from + static_cast<std::int64_t>(at) + 1;
      end = from;
    }
    return 0;
  }

  // Behind the last whole frame.
  Result<std::int64_t> end_of_frames() const {
    constexpr std::int64_t kLength = 4;
    constexpr std::uint32_t kNull = 0xFFFFFFFF;
    for (std::int64_t at = 0;;) {
      std::array<std::byte, kLength> length{};
      if (TRY(file_.read_at(length, at)) < length.size()) return at;
      const auto bytes = load_be<std::uint32_t>(length.data());
      const std::int64_t next = at + kLength + (bytes == kNull ? 0 : bytes);
      if (next > end_) return at;
      at = next;
    }
  }

  Result<void> write(std::string_view text) const {
    TRY(file_.write_at(as_bytes(text), end_));
    return options_.sync ? file_.sync_data() : Result<void>{};
  }

  Result<void> complete() {
    const std::size_t dot = options_.name.rfind('.');
    const std::size_t stem = dot == std::string::npos || dot == 0 ? options_.name.size() : dot;
    std::string name;
    for (TimestampMs now = now_ms();; ++now) {
      name = fmt::format("{}.{}.{}{}", options_.name.substr(0, stem), compact_time(now), number_,
                         options_.name.substr(stem));
      if (!directory_.exists(name)) break;
    }
    TRY(directory_.rename(open_name_, directory_, name));
    file_ = {};
    locked_ = false;
    end_ = 0;
    return directory_.sync();
  }

  FileOptions options_;
  Directory directory_;
  std::string open_name_;
  File file_;
  bool locked_ = false;
  int number_ = 0;
  std::int64_t end_ = 0;
  SteadyTime begun_at_{};
};

}  // namespace

Result<SinkPlan> plan_file_sink(SettingsTable& table) {
  FileOptions options;
  const std::string path = TRY(table.text("path"));
  const std::size_t slash = path.rfind('/');
  options.directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  options.name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (options.name.empty() || options.name == "." || options.name == "..")
    return table.refuse("path", "must name a file");
  options.format = TRY(read_line_format(table, LineFormat::text));
  options.sync = TRY(table.truth_or("sync", true));
  options.rotate_bytes = TRY(table.size_or("rotate_bytes", 0, 1, std::int64_t{1} << 50));
  options.rotate_every = TRY(table.duration_or("rotate_every", Milliseconds(0)));
  std::string shown = fmt::format("file {} ({})", path, name_of(options.format));
  if (options.rotate_bytes > 0) shown += fmt::format(", rotated at {}", format_size(options.rotate_bytes));
  if (options.rotate_every > Milliseconds(0))
    shown += fmt::format(", rotated every {}", format_duration(options.rotate_every));
  return SinkPlan{shown, [options](const SinkSurroundings&) -> Result<std::unique_ptr<Sink>> {
                    auto sink = std::make_unique<FileSink>(options, TRY(Directory::open_root(options.directory)));
                    TRY(sink->open());
                    return sink;
                  }};
}

}  // namespace leat::pipe
