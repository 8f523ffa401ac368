#include "leat/proof/checkpoint.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace leat {
namespace {

// The example of Go's golang.org/x/mod/sumdb/note, signed by both keys of its tests.
constexpr std::string_view kPeterSigns =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
constexpr std::string_view kPeterVerifies = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
constexpr std::string_view kEnochVerifies = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
constexpr std::string_view kPeterText =
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n";
constexpr std::string_view kPeterLine =
    "\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
constexpr std::string_view kEnochLine =
    "\u2014 EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

// Checkpoints of the log of Go's modules, as it published them.
constexpr std::string_view kGoVerifies = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
constexpr std::string_view kGoNote =
    "go.sum database tree\n"
    "6476701\n"
    "mb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=\n"
    "\n"
    "\u2014 sum.golang.org "
    "Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEyVnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfvimWEPWL+o3GeoWwOoAw=\n";
// With the signature of a witness behind the log's.
constexpr std::string_view kGoWitnessedNote =
    "go.sum database tree\n"
    "15067302\n"
    "gJyioq6dwR9n+NjEWORfYmH+ubeYm3kH42BBQ0bTpYI=\n"
    "\n"
    "\u2014 sum.golang.org "
    "Az3grp1rvWOs5NKlr/xR4GLN/CDyzzakmt1o61uSxYKpK1SerqOP2ClbX/peKUZjYnyomH5Xz7GZG3TpB7OeKn4E2ww=\n"
    "\u2014 test.example.com "
    "qTGhC/xIPQ0AXKHK6Y+9ypRfuvMZWPjRXM8NiOg5M1WREn07VQXyuIXM3NRNav3ieVFLUqDRK77PWDmL6w8w84UqeAw=\n";

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string all;
  for (const std::string_view part : parts) all += part;
  return all;
}

SigningKey peter() {
  return parse_signing_key(kPeterSigns).value();
}

// The error's message, which there must be, with the code for bad input.
template <class T>
std::string refusal(const Result<T>& result) {
  REQUIRE(!result);
  CHECK(result.error().code == Code::bad_data);
  CHECK(!result.error().message.empty());
  return result.error().message;
}

TEST_CASE("keys are read and written as Go's note package does") {
  const SigningKey key = peter();
  CHECK(key.name == "PeterNeumann");
  CHECK(key.id == 0xc74f20a3);
  CHECK(to_text(key) == kPeterSigns);
  CHECK(to_text(verifier_of(key)) == kPeterVerifies);
  CHECK(parse_verifier_key(kPeterVerifies).value() == verifier_of(key));
  for (const std::string_view text : {kPeterVerifies, kEnochVerifies, kGoVerifies})
    CHECK(to_text(parse_verifier_key(text).value()) == text);
}

TEST_CASE("a note is signed byte for byte as Go's note package does") {
  CHECK(sign_note(kPeterText, peter()).value() == joined({kPeterText, "\n", kPeterLine}));
}

TEST_CASE("checkpoints that Go's module log has published are opened with its key") {
  const VerifierKey key = parse_verifier_key(kGoVerifies).value();
  const Checkpoint checkpoint = open_checkpoint(kGoNote, key).value();
  CHECK(checkpoint.origin == "go.sum database tree");
  CHECK(checkpoint.size == 6476701);
  CHECK(to_hex(checkpoint.root) == "99bf102d022cd19d323f90acb6aea0ba3f3ba1759e0bd80433ca158a49a6f569");
  CHECK(open_checkpoint(kGoWitnessedNote, key).value().size == 15067302);
  CHECK(refusal(open_checkpoint(kGoNote, verifier_of(peter()))) == "no signature by PeterNeumann+c74f20a3");
}

TEST_CASE("a checkpoint comes back from its text and from its note") {
  const SigningKey key = generate_key("example.com/log").value();
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{10}, std::uint64_t{20852163},
                                   std::uint64_t{std::numeric_limits<std::int64_t>::max()}}) {
    const Checkpoint checkpoint{.origin = "example.com/log \u00e9 + 1", .size = size, .root = sha256(as_bytes("root"))};
    const std::string text = checkpoint_text(checkpoint);
    CHECK(text.ends_with('\n'));
    CHECK(parse_checkpoint(text).value() == checkpoint);
    const std::string note = sign_note(text, key).value();
    CHECK(note.starts_with(text + "\n\u2014 example.com/log "));
    CHECK(parse_checkpoint(note).value() == checkpoint);
    CHECK(open_checkpoint(note, verifier_of(key)).value() == checkpoint);
  }
  CHECK(checkpoint_text({.origin = "o", .size = 12, .root = {}}) ==
        "o\n12\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
}

TEST_CASE("new keys differ, and each verifies what it has signed and nothing else") {
  const SigningKey one = generate_key("leat.example/\u00fc").value();
  const SigningKey other = generate_key("leat.example/\u00fc").value();
  CHECK(one.seed != other.seed);
  CHECK(one.public_key != other.public_key);
  CHECK(parse_signing_key(to_text(one)).value() == one);
  CHECK(parse_verifier_key(to_text(verifier_of(one))).value() == verifier_of(one));
  const std::string note = sign_note("o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", one).value();
  CHECK(open_checkpoint(note, verifier_of(one)).value().root == sha256({}));
  CHECK(refusal(open_checkpoint(note, verifier_of(other))).starts_with("no signature by leat.example/\u00fc+"));
  // A key that took over the other's id is found out by the signature.
  VerifierKey liar = verifier_of(other);
  liar.id = one.id;
  CHECK(refusal(open_checkpoint(note, liar)).ends_with(" is wrong"));
}

TEST_CASE("extension lines are signed and otherwise ignored") {
  const std::string text = "origin\n7\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nmore\n\u2014 and more\n";
  const std::string note = sign_note(text, peter()).value();
  const Checkpoint expected{.origin = "origin", .size = 7, .root = sha256({})};
  CHECK(parse_checkpoint(text).value() == expected);
  CHECK(open_checkpoint(note, verifier_of(peter())).value() == expected);
  std::string other = note;
  other[other.find("more")] = 'M';
  CHECK(parse_checkpoint(other).value() == expected);
  CHECK(refusal(open_checkpoint(other, verifier_of(peter()))) == "the signature by PeterNeumann+c74f20a3 is wrong");
}

TEST_CASE("a signed note with any bit flipped, any byte lost or any byte doubled is refused") {
  const VerifierKey key = verifier_of(peter());
  const std::string text = "log\n3\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
  const std::string note = sign_note(text, peter()).value();
  REQUIRE(open_checkpoint(note, key));
  for (std::size_t i = 0; i < note.size(); ++i) {
    CAPTURE(i);
    for (int bit = 0; bit < 8; ++bit) {
      std::string wrong = note;
      wrong[i] = static_cast<char>(wrong[i] ^ 1 << bit);
      refusal(open_checkpoint(wrong, key));
    }
    std::string wrong = note;
    wrong.erase(i, 1);
    refusal(open_checkpoint(wrong, key));
    wrong = note;
    wrong.insert(i, 1, note[i]);
    refusal(open_checkpoint(wrong, key));
  }
  for (std::size_t size = 0; size < note.size(); ++size) refusal(open_checkpoint(note.substr(0, size), key));
  refusal(open_checkpoint(text, key));
  refusal(open_checkpoint("", key));
}

TEST_CASE("only the known key's signatures count, and all of them must be good") {
  const VerifierKey key = verifier_of(peter());
  const std::string text = "log\n3\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
  const std::string note = sign_note(text, peter()).value();
  const std::string line = note.substr(text.size() + 1);
  // Enoch's is of another text: unknown here, so ignored; so is Peter's name with another id.
  CHECK(open_checkpoint(joined({text, "\n", kEnochLine, line}), key));
  CHECK(open_checkpoint(joined({text, "\n", line, kEnochLine, line}), key));
  CHECK(open_checkpoint(joined({text, "\n\u2014 PeterNeumann AAAAAAA=\n", line}), key));
  CHECK(refusal(open_checkpoint(joined({text, "\n", line, kEnochLine}), parse_verifier_key(kEnochVerifies).value())) ==
        "the signature by EnochRoot+af0cfe78 is wrong");
  for (const std::string& both : {joined({text, "\n", line, kPeterLine}), joined({text, "\n", kPeterLine, line})})
    CHECK(refusal(open_checkpoint(both, key)) == "the signature by PeterNeumann+c74f20a3 is wrong");
  // Peter's id over a signature of the wrong length.
  CHECK(refusal(open_checkpoint(joined({text, "\n\u2014 PeterNeumann x08gowA=\n"}), key)) ==
        "the signature by PeterNeumann+c74f20a3 is wrong");
  const auto repeated = [&](std::size_t count) {
    std::string many = text + "\n";
    for (std::size_t i = 0; i < count; ++i) many += line;
    return many;
  };
  CHECK(open_checkpoint(repeated(100), key));
  CHECK(refusal(open_checkpoint(repeated(101), key)) == "line 105: more than 100 signatures");
}

TEST_CASE("a broken checkpoint is refused with the line and what is wrong there") {
  const std::string root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
  const auto refused = [](std::string_view note) { return refusal(parse_checkpoint(note)); };
  const auto with_size = [&](std::string_view size) { return refused(joined({"o\n", size, "\n", root, "\n"})); };
  const auto with_root = [&](std::string_view text) { return refused(joined({"o\n1\n", text, "\n"})); };
  const auto with_line = [&](std::string_view line) { return refused(joined({"o\n1\n", root, "\n\n", line})); };
  REQUIRE(parse_checkpoint(joined({"o\n1\n", root, "\n"})));

  CHECK(refused("") == "line 1: nothing is there");
  CHECK(refused("o") == "line 1: does not end with a newline");
  CHECK(refused("o\n1\nx") == "line 3: does not end with a newline");
  CHECK(refused("o\n") == "line 2: a checkpoint has an origin, a size and a root, a line each");
  CHECK(refused("o\n1\n") == "line 3: a checkpoint has an origin, a size and a root, a line each");
  CHECK(refused(joined({"\n1\n", root, "\n"})) == "line 1: the origin is empty");
  CHECK(refused(joined({"o\n1\n", root, "\nx\n\ny\n\n", kPeterLine})) == "line 5: an empty line in the text");
  CHECK(refused(joined({"o\r\n1\n", root, "\n"})) == "line 1: the control character 0x0d");
  CHECK(refused(joined({"o\n1\n", root, "\n\tx\n"})) == "line 4: the control character 0x09");
  CHECK(refused(joined({"o\n1\n", root, "\n", std::string_view("\0", 1), "\n"})) ==
        "line 4: the control character 0x00");

  for (const std::string_view size : {"-1", "+1", " 1", "1 ", "0x1", "1.0", "1,000", "\u0661"})
    CHECK(with_size(size) == "line 2: the tree's size is not a decimal number");
  for (const std::string_view size : {"01", "00", "007"})
    CHECK(with_size(size) == "line 2: the tree's size has leading zeros");
  for (const std::string_view size :
       {"9223372036854775808", "18446744073709551615", "18446744073709551616", "99999999999999999999999"})
    CHECK(with_size(size) == "line 2: the tree's size is more than 9223372036854775807");

  CHECK(with_root("AAAA") == "line 3: the root has 3 bytes, not 32");
  CHECK(with_root(root.substr(0, 40) + "uFUA") == "line 3: the root has 33 bytes, not 32");
  for (const std::string& text :
       {root.substr(0, 43), root + "=", root + "\u00e9", " " + root, root + " ", root.substr(0, 43) + "A=",
        // Bits that no byte has, the other alphabet, padding in the middle.
        root.substr(0, 42) + "V=", "-_" + root.substr(2), "AA==" + root.substr(4), std::string("A==="),
        std::string("====")}) {
    CAPTURE(text);
    CHECK(with_root(text) == "line 3: the root is not base64");
  }

  CHECK(with_line("") == "line 4: no signature behind the empty line");
  CHECK(with_line("x\n") == "line 5: expected a signature, which starts with '\u2014 '");
  CHECK(with_line("- n AAAAAAA=\n") == "line 5: expected a signature, which starts with '\u2014 '");
  CHECK(with_line("\u2014 nAAAAAAA=\n") == "line 5: a signature without a key's name");
  CHECK(with_line("\u2014  AAAAAAA=\n") == "line 5: the key's name is empty");
  CHECK(with_line("\u2014 a+b AAAAAAA=\n") == "line 5: the key's name has a '+'");
  CHECK(with_line("\u2014 a\u2003b AAAAAAA=\n") == "line 5: the key's name has white space");
  CHECK(with_line("\u2014 a b AAAAAAA=\n") == "line 5: the signature is not base64");
  CHECK(with_line("\u2014 n AAAAAAA=") == "line 5: does not end with a newline");
  CHECK(with_line("\u2014 n AAAAAA==\n") == "line 5: the signature is too short");
  CHECK(with_line("\u2014 n \n") == "line 5: the signature is too short");
  CHECK(with_line("\u2014 n AAAAAAA=\n\u2014 n\n") == "line 6: a signature without a key's name");
  CHECK(with_line("\u2014 n AAAAAAA=\nx\n") == "line 6: expected a signature, which starts with '\u2014 '");
}

TEST_CASE("bytes that are not UTF-8 are refused, characters of every length taken") {
  const std::string rest = "\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
  for (const std::string_view origin : {"\x7f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff",
                                        "\U00010000", "\U0010ffff", "a\u00e9\u4e2d\U0001f600z"}) {
    CHECK(parse_checkpoint(std::string(origin) + rest).value().origin == origin);
  }
  for (const std::string_view origin : {"\x80",
                                        "\xbf",
                                        "\xc0\x80",
                                        "\xc1\xbf",
                                        "\xe0\x80\x80",
                                        "\xe0\x9f\xbf",
                                        "\xed\xa0\x80",
                                        "\xed\xbf\xbf",
                                        "\xf0\x80\x80\x80",
                                        "\xf0\x8f\xbf\xbf",
                                        "\xf4\x90\x80\x80",
                                        "\xf5\x80\x80\x80",
                                        "\xf8\x88\x80\x80\x80",
                                        "\xff",
                                        "\xc3",
                                        "\xe4\xb8",
                                        "\xf0\x9f\x98",
                                        "\xc3(",
                                        "\xe4\xb8(",
                                        "\xf0\x9f\x98(",
                                        "\xe4(\xad"}) {
    CHECK(refusal(parse_checkpoint(std::string(origin) + rest)) == "line 1: not UTF-8");
    CHECK(refusal(parse_checkpoint("o" + rest + std::string(origin) + "\n")) == "line 4: not UTF-8");
  }
}

TEST_CASE("what no note may have is not signed") {
  CHECK(refusal(sign_note("", peter())) == "the text to sign does not end with a newline");
  CHECK(refusal(sign_note("abc", peter())) == "the text to sign does not end with a newline");
  CHECK(refusal(sign_note("a\nb\rc\n", peter())) == "line 2: the control character 0x0d");
  CHECK(refusal(sign_note("a\n\xff\n", peter())) == "line 2: not UTF-8");
  CHECK(sign_note("a\n\nb\n", peter()));
}

TEST_CASE("a key's name has no white space, no plus and no control characters, and is UTF-8") {
  const std::vector<std::pair<std::string_view, std::string_view>> bad = {{"", "is empty"},
                                                                          {"a+b", "has a '+'"},
                                                                          {"+", "has a '+'"},
                                                                          {"a b", "has white space"},
                                                                          {"a\n", "has white space"},
                                                                          {"\ta", "has white space"},
                                                                          {"a\u0085", "has white space"},
                                                                          {"a\u00a0b", "has white space"},
                                                                          {"\u1680", "has white space"},
                                                                          {"\u2000", "has white space"},
                                                                          {"\u200a", "has white space"},
                                                                          {"\u2028", "has white space"},
                                                                          {"\u2029", "has white space"},
                                                                          {"\u202f", "has white space"},
                                                                          {"\u205f", "has white space"},
                                                                          {"\u3000", "has white space"},
                                                                          {"a\x01", "has a control character"},
                                                                          {"\x1f", "has a control character"},
                                                                          {"a\xff", "is not UTF-8"}};
  for (const auto& [name, fault] : bad) {
    CAPTURE(name);
    const Result<SigningKey> key = generate_key(name);
    REQUIRE(!key);
    CHECK(key.error().code == Code::usage);
    CHECK(key.error().message == "the key's name " + std::string(fault));
  }
  for (const std::string_view name : {"a", "example.com/log?x=1", "\u00fc", "\u200b", "\u1681", "-"})
    CHECK(generate_key(name).value().name == name);
}

// As in the tests of Go's note package: every piece of the text, and every byte one higher.
template <class Parse>
void check_manglings(std::string_view text, const Parse& parse) {
  for (std::size_t from = 0; from <= text.size(); ++from) {
    for (std::size_t size = 0; from + size <= text.size(); ++size) {
      if (size != text.size()) refusal(parse(text.substr(from, size)));
    }
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string wrong(text);
      wrong[i] = static_cast<char>(wrong[i] ^ 1 << bit);
      CAPTURE(wrong);
      refusal(parse(wrong));
    }
    std::string wrong(text);
    ++wrong[i];
    refusal(parse(wrong));
  }
}

TEST_CASE("a verifier key with anything wrong about it is refused") {
  check_manglings(kPeterVerifies, [](std::string_view text) { return parse_verifier_key(text); });
  const auto refused = [](std::string_view text) { return refusal(parse_verifier_key(text)); };
  CHECK(refused("") == "verifier key: expected three parts with '+' between them");
  CHECK(refused("a+12345678") == "verifier key: expected three parts with '+' between them");
  CHECK(refused(kPeterSigns) == "verifier key: this is a signing key, which is secret");
  CHECK(refused("+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW") == "verifier key: its name is empty");
  CHECK(refused("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW") ==
        "verifier key: its id is not 8 lower-case hexadecimal digits");
  CHECK(refused("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n") ==
        "verifier key: its data is not base64");
  CHECK(refused("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW") ==
        "verifier key: the id is c74f20a4, that of its name and key is c74f20a3");
  // Two that Go's tests have: another length and another type, with ids that belong to them.
  CHECK(refused("PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==") ==
        "verifier key: its data is not base64");
  CHECK(refused("PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEQ==") ==
        "verifier key: it has 36 bytes, not 32");
  CHECK(refused("PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW") ==
        "verifier key: it is not of the type Ed25519");
}

TEST_CASE("a signing key with anything wrong about it is refused without repeating it") {
  check_manglings(kPeterSigns, [](std::string_view text) {
    const Result<SigningKey> key = parse_signing_key(text);
    if (!key) CHECK(key.error().message.find("YEKFALV") == std::string::npos);
    return key;
  });
  const auto refused = [](std::string_view text) { return refusal(parse_signing_key(text)); };
  CHECK(refused(kPeterVerifies) == "signing key: does not start with PRIVATE+KEY+");
  CHECK(refused("PRIVATE+KEY+PeterNeumann+c74f20a3") == "signing key: expected three parts with '+' between them");
  CHECK(refused("PRIVATE+KEY+EnochRoot+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")
            .starts_with("signing key: the id is c74f20a3, that of its name and key is "));
}

}  // namespace
}  // namespace leat
