#include "tools/key_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "leat/base/disk.h"
#include "tools/whole_file.h"

namespace leat::tools {
namespace {

constexpr std::size_t kKeyBytesMax = 4096;

template <class Key>
Result<Key> read_key(const std::string& path, Result<Key> (*parse)(std::string_view)) {
  const std::string text = TRY(read_whole_file(path, kKeyBytesMax));
  std::string_view line = text;
  if (line.ends_with('\n')) line.remove_suffix(1);
  auto key = parse(line);
  if (!key) key.error().message.insert(0, shown_path(path) + ": ");
  return key;
}

// A file that was not there before, with this mode whatever the umask. It goes again unless it is kept.
class NewFile {
 public:
  explicit NewFile(std::string path) : path_(std::move(path)) {}
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile() {
    if (file_ && !kept_) ::unlink(path_.c_str());
  }

  Result<void> write(std::string_view line, mode_t mode) {
    file_ = Descriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, mode));
    if (!file_ && errno == EEXIST)
      return fail(Code::exists, fmt::format("{} exists already: a key is never overwritten", path_));
    if (!file_ || ::fchmod(file_.get(), mode) != 0) return fail_errno(errno, fmt::format("cannot create {}", path_));
    const std::string text = fmt::format("{}\n", line);
    for (std::string_view left = text; !left.empty();) {
      const ssize_t count = ::write(file_.get(), left.data(), left.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return fail_errno(errno, fmt::format("cannot write to {}", path_));
      left.remove_prefix(static_cast<std::size_t>(count));
    }
    if (::fsync(file_.get()) != 0) return fail_errno(errno, fmt::format("cannot sync {}", path_));
    return {};
  }
  void keep() { kept_ = true; }

 private:
  std::string path_;
  Descriptor file_;
  bool kept_ = false;
};

// Makes the names in the directory of `path` durable.
Result<void> sync_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Descriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened || ::fsync(opened.get()) != 0) return fail_errno(errno, fmt::format("cannot sync {}", directory));
  return {};
}

}  // namespace

Result<SigningKey> read_signing_key(const std::string& path) {
  return read_key<SigningKey>(path, parse_signing_key);
}

Result<VerifierKey> read_verifier_key(const std::string& path) {
  return read_key<VerifierKey>(path, parse_verifier_key);
}

Result<void> write_key_files(const std::string& path, const SigningKey& key) {
  NewFile secret(path);
  NewFile shared(path + ".pub");
  TRY(secret.write(to_text(key), 0600));
  TRY(shared.write(to_text(verifier_of(key)), 0644));
  TRY(sync_directory_of(path));
  secret.keep();
  shared.keep();
  return {};
}

}  // namespace leat::tools
