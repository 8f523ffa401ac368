// Texts are checked from the outside in: characters, then lines, then what the lines say; only then a signature.
#include "leat/proof/checkpoint.h"

#include <fmt/format.h>
#include <sodium.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "leat/base/base64.h"

namespace leat {
namespace {

constexpr std::string_view kPrivatePrefix = "PRIVATE+KEY+";
constexpr std::string_view kSignaturePrefix = "\u2014 ";
constexpr std::byte kEd25519{1};  // the algorithm, in key ids and in key texts
constexpr std::size_t kSignatureBytes = 64;
constexpr std::size_t kSignaturesMax = 100;  // Go's limit
constexpr std::uint64_t kSizeMax = std::numeric_limits<std::int64_t>::max();

// Characters

constexpr char32_t kNoCharacter = 0xffffffff;

// Takes the first character off `text`, which is not empty; kNoCharacter when it does not start with one in UTF-8.
char32_t take_character(std::string_view& text) {
  const auto byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[i])); };
  const char32_t lead = byte(0);
  const std::size_t size = lead < 0x80 ? 1 : lead >> 5 == 0x6 ? 2 : lead >> 4 == 0xe ? 3 : lead >> 3 == 0x1e ? 4 : 0;
  if (size == 0 || text.size() < size) return kNoCharacter;
  char32_t character = size == 1 ? lead : lead & (0x7fU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if (byte(i) >> 6 != 2) return kNoCharacter;
    character = character << 6 | (byte(i) & 0x3f);
  }
  constexpr std::array<char32_t, 5> kFirstOfSize = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = character >= 0xd800 && character <= 0xdfff;
  if (character < kFirstOfSize[size] || is_surrogate || character > 0x10ffff) return kNoCharacter;
  text.remove_prefix(size);
  return character;
}

// As in Unicode's White_Space.
bool is_space(char32_t character) {
  constexpr std::array<char32_t, 9> kSingle = {' ', 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000};
  return (character >= 0x9 && character <= 0xd) || (character >= 0x2000 && character <= 0x200a) ||
         std::ranges::find(kSingle, character) != kSingle.end();
}

// What is wrong with a key's name, or nullptr.
const char* name_fault(std::string_view name) {
  if (name.empty()) return "is empty";
  while (!name.empty()) {
    const char32_t character = take_character(name);
    if (character == kNoCharacter) return "is not UTF-8";
    if (character == '+') return "has a '+'";
    if (is_space(character)) return "has white space";
    if (character < 0x20) return "has a control character";
  }
  return nullptr;
}

std::unexpected<Error> bad_line(std::size_t line, std::string_view what) {
  return fail(Code::bad_data, fmt::format("line {}: {}", line, what));
}

// The first thing about `text` that no note may have.
Result<void> check_characters(std::string_view text) {
  std::size_t line = 1;
  while (!text.empty()) {
    const char32_t character = take_character(text);
    if (character == kNoCharacter) return bad_line(line, "not UTF-8");
    if (character == '\n') {
      ++line;
    } else if (character < 0x20) {
      return bad_line(line, fmt::format("the control character 0x{:02x}", static_cast<unsigned>(character)));
    }
  }
  return {};
}

// Ed25519

// libsodium's functions take and leave plain bytes; it is set up at first use.
bool library_is_ready() {
  static const bool ready = ::sodium_init() >= 0;
  return ready;
}

const unsigned char* data_of(Bytes bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* room_in(std::span<std::byte> bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

std::unexpected<Error> library_failed() {
  return fail(Code::internal, "libsodium cannot be set up");
}

// What libsodium signs with: the seed and the public key, gone from memory at the end.
struct SecretKey {
  SecretKey() = default;
  SecretKey(const SecretKey&) = delete;
  SecretKey& operator=(const SecretKey&) = delete;
  ~SecretKey() { ::sodium_memzero(bytes.data(), bytes.size()); }

  std::array<unsigned char, crypto_sign_ed25519_SECRETKEYBYTES> bytes{};
};

static_assert(crypto_sign_ed25519_SEEDBYTES == sizeof(Ed25519Key));
static_assert(crypto_sign_ed25519_PUBLICKEYBYTES == sizeof(Ed25519Key));
static_assert(crypto_sign_ed25519_BYTES == kSignatureBytes);

Result<Ed25519Key> public_key_of(const Ed25519Key& seed) {
  if (!library_is_ready()) return library_failed();
  SecretKey secret;
  Ed25519Key public_key{};
  ::crypto_sign_ed25519_seed_keypair(room_in(public_key), secret.bytes.data(), data_of(seed));
  return public_key;
}

using Signature = std::array<std::byte, kSignatureBytes>;

Result<Signature> sign(std::string_view text, const Ed25519Key& seed) {
  if (!library_is_ready()) return library_failed();
  SecretKey secret;
  Ed25519Key public_key{};
  ::crypto_sign_ed25519_seed_keypair(room_in(public_key), secret.bytes.data(), data_of(seed));
  Signature signature{};
  ::crypto_sign_ed25519_detached(room_in(signature), nullptr, data_of(as_bytes(text)), text.size(),
                                 secret.bytes.data());
  return signature;
}

Result<bool> verifies(std::string_view text, Bytes signature, const Ed25519Key& public_key) {
  if (!library_is_ready()) return library_failed();
  if (signature.size() != kSignatureBytes) return false;
  return ::crypto_sign_ed25519_verify_detached(data_of(signature), data_of(as_bytes(text)), text.size(),
                                               data_of(public_key)) == 0;
}

// Keys

std::uint32_t key_id(std::string_view name, const Ed25519Key& public_key) {
  std::vector<std::byte> message;
  message.reserve(name.size() + 2 + public_key.size());
  std::ranges::copy(as_bytes(name), std::back_inserter(message));
  message.push_back(std::byte{'\n'});
  message.push_back(kEd25519);
  std::ranges::copy(public_key, std::back_inserter(message));
  return load_be<std::uint32_t>(sha256(message).data());
}

// What both kinds of keys are in text.
struct KeyText {
  std::string_view name;
  std::uint32_t id = 0;
  Ed25519Key data{};
};

std::string to_text(const KeyText& key) {
  std::vector<std::byte> data{kEd25519};
  std::ranges::copy(key.data, std::back_inserter(data));
  return fmt::format("{}+{:08x}+{}", key.name, key.id, encode_base64(as_text(data)));
}

Result<KeyText> parse_key(std::string_view what, std::string_view text) {
  const auto bad = [&](std::string_view fault) { return fail(Code::bad_data, fmt::format("{}: {}", what, fault)); };
  const std::size_t name_end = text.find('+');
  const std::size_t id_end = name_end == std::string_view::npos ? name_end : text.find('+', name_end + 1);
  if (id_end == std::string_view::npos) return bad("expected three parts with '+' between them");
  KeyText key;
  key.name = text.substr(0, name_end);
  if (const char* const fault = name_fault(key.name); fault != nullptr) return bad(fmt::format("its name {}", fault));
  const std::string_view id = text.substr(name_end + 1, id_end - name_end - 1);
  const auto [end, fault] = std::from_chars(id.data(), id.data() + id.size(), key.id, 16);
  if (fault != std::errc{} || end != id.data() + id.size() || id != fmt::format("{:08x}", key.id))
    return bad("its id is not 8 lower-case hexadecimal digits");
  const auto data = decode_base64(text.substr(id_end + 1));
  if (!data) return bad("its data is not base64");
  if (data->empty() || static_cast<std::byte>(data->front()) != kEd25519) return bad("it is not of the type Ed25519");
  if (data->size() != 1 + key.data.size())
    return bad(fmt::format("it has {} bytes, not {}", data->size() - 1, key.data.size()));
  std::ranges::copy(as_bytes(*data).subspan(1), key.data.begin());
  return key;
}

Result<void> check_id(std::string_view what, const KeyText& key, const Ed25519Key& public_key) {
  if (const std::uint32_t id = key_id(key.name, public_key); id != key.id) {
    return fail(Code::bad_data,
                fmt::format("{}: the id is {:08x}, that of its name and key is {:08x}", what, key.id, id));
  }
  return {};
}

// Notes

struct SignatureLine {
  std::string_view name;
  std::uint32_t id = 0;
  std::vector<std::byte> signature;
};

struct Note {
  std::string_view text;
  std::vector<SignatureLine> signatures;  // empty when it is not signed
};

// Takes a line off `text`, which ends with a newline.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

Result<SignatureLine> parse_signature(std::size_t number, std::string_view line) {
  if (!line.starts_with(kSignaturePrefix)) return bad_line(number, "expected a signature, which starts with '\u2014 '");
  line.remove_prefix(kSignaturePrefix.size());
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return bad_line(number, "a signature without a key's name");
  SignatureLine parsed;
  parsed.name = line.substr(0, space);
  if (const char* const fault = name_fault(parsed.name); fault != nullptr)
    return bad_line(number, fmt::format("the key's name {}", fault));
  const auto text = decode_base64(line.substr(space + 1));
  if (!text) return bad_line(number, "the signature is not base64");
  const Bytes data = as_bytes(*text);
  if (data.size() <= sizeof parsed.id) return bad_line(number, "the signature is too short");
  parsed.id = load_be<std::uint32_t>(data.data());
  const Bytes signature = data.subspan(sizeof parsed.id);
  parsed.signature.assign(signature.begin(), signature.end());
  return parsed;
}

Result<Note> parse_note(std::string_view text) {
  TRY(check_characters(text));
  auto line = static_cast<std::size_t>(std::ranges::count(text, '\n'));
  if (text.empty()) return bad_line(1, "nothing is there");
  if (!text.ends_with('\n')) return bad_line(line + 1, "does not end with a newline");
  Note note{.text = text, .signatures = {}};
  const std::size_t empty_line = text.rfind("\n\n");
  if (empty_line == std::string_view::npos) return note;
  note.text = text.substr(0, empty_line + 1);
  std::string_view rest = text.substr(empty_line + 2);
  if (rest.empty()) return bad_line(line, "no signature behind the empty line");
  line = static_cast<std::size_t>(std::ranges::count(note.text, '\n')) + 1;
  while (!rest.empty()) {
    ++line;
    if (note.signatures.size() == kSignaturesMax)
      return bad_line(line, fmt::format("more than {} signatures", kSignaturesMax));
    note.signatures.push_back(TRY(parse_signature(line, take_line(rest))));
  }
  return note;
}

Result<std::uint64_t> parse_tree_size(std::size_t number, std::string_view line) {
  std::uint64_t size = 0;
  const auto [end, fault] = std::from_chars(line.data(), line.data() + line.size(), size);
  if (fault == std::errc::invalid_argument || end != line.data() + line.size())
    return bad_line(number, "the tree's size is not a decimal number");
  if (fault != std::errc{} || size > kSizeMax)
    return bad_line(number, fmt::format("the tree's size is more than {}", kSizeMax));
  if (line.size() > 1 && line.front() == '0') return bad_line(number, "the tree's size has leading zeros");
  return size;
}

Result<Checkpoint> parse_checkpoint_text(std::string_view text) {
  const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n'));
  if (lines < 3) return bad_line(lines + 1, "a checkpoint has an origin, a size and a root, a line each");
  Checkpoint checkpoint;
  checkpoint.origin = take_line(text);
  if (checkpoint.origin.empty()) return bad_line(1, "the origin is empty");
  checkpoint.size = TRY(parse_tree_size(2, take_line(text)));
  const auto root = decode_base64(take_line(text));
  if (!root) return bad_line(3, "the root is not base64");
  if (root->size() != checkpoint.root.size())
    return bad_line(3, fmt::format("the root has {} bytes, not {}", root->size(), checkpoint.root.size()));
  std::ranges::copy(as_bytes(*root), checkpoint.root.begin());
  for (std::size_t number = 4; !text.empty(); ++number) {
    if (take_line(text).empty()) return bad_line(number, "an empty line in the text");
  }
  return checkpoint;
}

}  // namespace

Result<SigningKey> generate_key(std::string_view name) {
  if (const char* const fault = name_fault(name); fault != nullptr)
    return fail(Code::usage, fmt::format("the key's name {}", fault));
  SigningKey key{.name = std::string(name), .id = 0, .seed = {}, .public_key = {}};
  if (::getentropy(key.seed.data(), key.seed.size()) != 0) return fail_errno(errno, "cannot get random bytes");
  key.public_key = TRY(public_key_of(key.seed));
  key.id = key_id(name, key.public_key);
  return key;
}

VerifierKey verifier_of(const SigningKey& key) {
  return {.name = key.name, .id = key.id, .public_key = key.public_key};
}

std::string to_text(const SigningKey& key) {
  return std::string(kPrivatePrefix) + to_text(KeyText{key.name, key.id, key.seed});
}

std::string to_text(const VerifierKey& key) {
  return to_text(KeyText{key.name, key.id, key.public_key});
}

Result<SigningKey> parse_signing_key(std::string_view text) {
  constexpr std::string_view kWhat = "signing key";
  if (!text.starts_with(kPrivatePrefix))
    return fail(Code::bad_data, fmt::format("{}: does not start with {}", kWhat, kPrivatePrefix));
  const KeyText key = TRY(parse_key(kWhat, text.substr(kPrivatePrefix.size())));
  const Ed25519Key public_key = TRY(public_key_of(key.data));
  TRY(check_id(kWhat, key, public_key));
  return SigningKey{.name = std::string(key.name), .id = key.id, .seed = key.data, .public_key = public_key};
}

Result<VerifierKey> parse_verifier_key(std::string_view text) {
  constexpr std::string_view kWhat = "verifier key";
  if (text.starts_with(kPrivatePrefix))
    return fail(Code::bad_data, fmt::format("{}: this is a signing key, which is secret", kWhat));
  const KeyText key = TRY(parse_key(kWhat, text));
  TRY(check_id(kWhat, key, key.data));
  return VerifierKey{.name = std::string(key.name), .id = key.id, .public_key = key.data};
}

std::string checkpoint_text(const Checkpoint& checkpoint) {
  std::string text =
      fmt::format("{}\n{}\n{}\n", checkpoint.origin, checkpoint.size, encode_base64(as_text(checkpoint.root)));
  ASSERT(parse_checkpoint(text) == checkpoint);
  return text;
}

Result<std::string> sign_note(std::string_view text, const SigningKey& key) {
  ASSERT(name_fault(key.name) == nullptr);
  TRY(check_characters(text));
  if (!text.ends_with('\n')) return fail(Code::bad_data, "the text to sign does not end with a newline");
  const Signature signature = TRY(sign(text, key.seed));
  std::array<std::byte, sizeof key.id + kSignatureBytes> data{};
  store_be(data.data(), key.id);
  std::ranges::copy(signature, data.begin() + sizeof key.id);
  return fmt::format("{}\n{}{} {}\n", text, kSignaturePrefix, key.name, encode_base64(as_text(data)));
}

Result<Checkpoint> parse_checkpoint(std::string_view note) {
  return parse_checkpoint_text(TRY(parse_note(note)).text);
}

Result<Checkpoint> open_checkpoint(std::string_view note, const VerifierKey& key) {
  const Note parsed = TRY(parse_note(note));
  bool signed_by_key = false;
  for (const SignatureLine& line : parsed.signatures) {
    if (line.name != key.name || line.id != key.id) continue;
    if (!TRY(verifies(parsed.text, line.signature, key.public_key)))
      return fail(Code::bad_data, fmt::format("the signature by {}+{:08x} is wrong", key.name, key.id));
    signed_by_key = true;
  }
  if (!signed_by_key) return fail(Code::bad_data, fmt::format("no signature by {}+{:08x}", key.name, key.id));
  return parse_checkpoint_text(parsed.text);
}

}  // namespace leat
