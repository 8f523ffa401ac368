#include "leat/pipe/secret.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "leat/base/disk.h"

namespace leat::pipe {
namespace {

constexpr std::size_t kBytesMax = 64 << 10;

Result<std::string> read_file(const Secret& secret) {
  // The user's file, which may be a link: secrets that a system hands out mostly are.
  const Descriptor file(::open(secret.name.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  const auto failed = [&] {
    Error error = fail_errno(errno, fmt::format("{}: cannot read \"{}\"", secret.place, secret.name)).error();
    if (error.code != Code::permission) error.code = Code::configuration;
    return std::unexpected(std::move(error));
  };
  if (!file) return failed();
  std::string text;
  std::array<char, 4096> block{};
  while (text.size() <= kBytesMax) {
    const ssize_t count = ::read(file.get(), block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed();
    if (count == 0) break;
    text.append(block.data(), static_cast<std::size_t>(count));
  }
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

}  // namespace

Result<std::optional<Secret>> parse_secret(SettingsTable& table, const std::string& name, bool may_be_literal) {
  if (!may_be_literal && table.has(name))
    return table.refuse(name, fmt::format("a secret must not stand here: use {}_file or {}_env", name, name));
  std::optional<Secret> found;
  const auto look = [&](const std::string& key, Secret::From from) -> Result<void> {
    const auto text = TRY(table.optional_text(key));
    if (!text) return {};
    if (found) return table.refuse(key, "there is another one of these");
    if (text->empty() || text->find('\0') != std::string::npos) return table.refuse(key, "names nothing");
    found = Secret{from, *text, table.refuse(key, "").error().message};
    found->place.resize(found->place.size() - 2);  // the colon and the space behind which it says what is wrong
    return {};
  };
  if (may_be_literal) TRY(look(name, Secret::From::literal));
  TRY(look(name + "_file", Secret::From::file));
  TRY(look(name + "_env", Secret::From::environment));
  return found;
}

Result<std::string> read_secret(const Secret& secret) {
  const auto refuse = [&](std::string_view what) {
    return fail(Code::configuration, fmt::format("{}: \"{}\" {}", secret.place, secret.name, what));
  };
  std::string text = secret.name;
  if (secret.from == Secret::From::file) text = TRY(read_file(secret));
  if (secret.from == Secret::From::environment) {
    const char* value = std::getenv(secret.name.c_str());  // NOLINT(concurrency-mt-unsafe): nobody changes it
    if (value == nullptr) return refuse("is not set in the environment");
    text = value;
  }
  if (text.empty()) return refuse("is empty");
  if (text.size() > kBytesMax) return refuse(fmt::format("is longer than {} bytes", kBytesMax));
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return refuse("has a control character in it");
  return text;
}

}  // namespace leat::pipe
