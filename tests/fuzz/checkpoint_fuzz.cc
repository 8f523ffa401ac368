// Fuzzes checkpoints, signed notes and keys: any text gives an error that says why or something that is written back as
// it was, and no change to a note that was signed here keeps its signature. The first byte of the input chooses.
//
// Build, with the include directory that `meson setup` makes in the build directory:
//   clang++-19 -std=c++2b -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -DFMT_HEADER_ONLY=1
//     -Ibuild/include tests/fuzz/checkpoint_fuzz.cc libcore/proof/{checkpoint,sha256,sha256_x86}.cc
//     libcore/base/error.cc -lcrypto -o checkpoint_fuzz
#include <cstdint>
#include <string>
#include <string_view>

#include "leat/base/error.h"
#include "leat/proof/checkpoint.h"

namespace leat {
namespace {

const SigningKey& signing_key() {
  static const SigningKey key =
      parse_signing_key("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz").value();
  return key;
}

void check_refusal(const Error& error) {
  ASSERT(error.code == Code::bad_data && !error.message.empty());
}

// Any text as a note.
void open_any(std::string_view text) {
  const Result<Checkpoint> parsed = parse_checkpoint(text);
  const Result<Checkpoint> opened = open_checkpoint(text, verifier_of(signing_key()));
  if (!opened) check_refusal(opened.error());
  if (!parsed) {
    check_refusal(parsed.error());
    ASSERT(!opened);
    return;
  }
  if (opened) ASSERT(*opened == *parsed);
  const std::string plain = checkpoint_text(*parsed);
  ASSERT(text.starts_with(plain));
  ASSERT(open_checkpoint(sign_note(plain, signing_key()).value(), verifier_of(signing_key())) == *parsed);
}

// Any text signed, then changed where the first bytes say.
void change_signed(std::string_view text) {
  if (text.size() < 4) return;
  const auto place =
      static_cast<std::size_t>(static_cast<unsigned char>(text[0]) << 8 | static_cast<unsigned char>(text[1]));
  const char change = text[2];
  const Result<std::string> note = sign_note(text.substr(3), signing_key());
  if (!note) return check_refusal(note.error());
  const Result<Checkpoint> opened = open_checkpoint(*note, verifier_of(signing_key()));
  const Result<Checkpoint> alone = parse_checkpoint(text.substr(3));
  // The text itself may end like a signed note; then it is not a checkpoint's when signed once more.
  if (opened) ASSERT(alone && *alone == *opened);
  if (change == 0) return;
  std::string changed = *note;
  changed[place % changed.size()] ^= change;
  const Result<Checkpoint> wrong = open_checkpoint(changed, verifier_of(signing_key()));
  ASSERT(!wrong);
  check_refusal(wrong.error());
}

void parse_keys(std::string_view text) {
  const Result<VerifierKey> verifier = parse_verifier_key(text);
  if (verifier) {
    ASSERT(to_text(*verifier) == text);
  } else {
    check_refusal(verifier.error());
  }
  const Result<SigningKey> signing = parse_signing_key(text);
  if (signing) {
    ASSERT(to_text(*signing) == text);
  } else {
    check_refusal(signing.error());
  }
}

}  // namespace
}  // namespace leat

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 4) {
    case 0:
      leat::parse_keys(text);
      break;
    case 1:
      leat::change_signed(text);
      break;
    default:
      leat::open_any(text);
  }
  return 0;
}
