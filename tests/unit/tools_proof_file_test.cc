#include "tools/proof_file.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "leat/log/proof_leaf.h"

using namespace leat;
using namespace leat::tools;
using namespace std::string_literals;

namespace {

constexpr std::uint64_t kSize = 11;
constexpr std::uint64_t kIndex = 6;

RecordView record_at(std::uint64_t offset) {
  static const std::string binary = "\xff\xfe\0x"s;
  static const std::vector<HeaderView> headers = {
      {"h", "v"}, {"none", std::nullopt}, {"packed", std::string_view(binary)}, {std::string_view(binary), ""}};
  RecordView record{.timestamp = {1732150000123 + static_cast<std::int64_t>(offset)}, .key = "key", .value = "value"};
  if (offset == kIndex) record.headers = headers;
  return record;
}

Hash leaf_at(std::uint64_t offset) {
  std::string leaf;
  append_canonical(leaf, record_at(offset));
  return hash_leaf(as_bytes(leaf));
}

Hash node_at(int level, std::uint64_t index) {
  if (level == 0) return leaf_at(index);
  return hash_children(node_at(level - 1, 2 * index), node_at(level - 1, 2 * index + 1));
}

Result<Hash> node(NodeId id) {
  return node_at(id.level, id.index);
}

KnownTree tree_of(std::uint64_t size) {
  return {*tree_root(size, node), size};
}

InclusionProof inclusion() {
  InclusionProof proof;
  proof.topic = "t";
  proof.partition = {3};
  proof.tree_size = kSize;
  proof.index = kIndex;
  proof.record = record_at(kIndex);
  proof.path = *inclusion_path(kIndex, kSize, node);
  return proof;
}

ConsistencyProof consistency() {
  return {.topic = "t", .partition = {3}, .old_size = 6, .tree_size = kSize, .path = *consistency_path(6, kSize, node)};
}

// What is wrong with a file, or with what it says of the tree of kSize records.
std::string fault(std::string_view text) {
  const auto proof = parse_proof(text);
  Result<void> checked;
  if (!proof) {
    checked = std::unexpected(proof.error());
  } else if (const auto* one = std::get_if<InclusionProof>(&*proof)) {
    checked = check_proof(*one, tree_of(kSize));
  } else {
    checked = check_proof(std::get<ConsistencyProof>(*proof), tree_of(6), tree_of(kSize));
  }
  if (checked) return "proved";
  CHECK(checked.error().code == Code::bad_data);
  return checked.error().message;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

bool starts(const std::string& text, std::string_view prefix) {
  CAPTURE(text);
  return text.starts_with(prefix);
}

}  // namespace

TEST_CASE("a proof of a record is written, read again, and proves the record") {
  const std::string text = to_text(inclusion());
  CHECK(text.starts_with(R"({"format":"leat-inclusion-1","topic":"t","partition":3,"tree_size":11,"index":6,)"
                         R"("record":{"timestamp":1732150000129,"key":"key","value":"value","headers":[["h","v"],)"));
  const auto read = parse_proof(text);
  REQUIRE(read);
  const auto& proof = std::get<InclusionProof>(*read);
  CHECK(to_text(proof) == text);
  CHECK(proof.record.headers.size() == 4);
  CHECK(proof.record.headers[1].value == std::nullopt);
  CHECK(proof.record.headers[2].value == "\xff\xfe\0x"s);
  CHECK(fault(text) == "proved");
}

TEST_CASE("a proof of consistency is written, read again, and proves it") {
  const std::string text = to_text(consistency());
  CHECK(text.starts_with(R"({"format":"leat-consistency-1","topic":"t","partition":3,"old_size":6,"tree_size":11,)"));
  const auto read = parse_proof(text);
  REQUIRE(read);
  CHECK(to_text(std::get<ConsistencyProof>(*read)) == text);
  CHECK(fault(text) == "proved");
}

TEST_CASE("every kind of record survives the file") {
  const std::string binary = "\x80\0\xc3"s;
  const std::string zero = "\0"s;
  std::vector<RecordView> records = {
      {},
      {.timestamp = {-1}, .key = "", .value = ""},
      {.timestamp = {INT64_MAX}, .key = binary, .value = std::nullopt},
      {.timestamp = {INT64_MIN}, .key = std::nullopt, .value = binary},
      {.timestamp = {0}, .key = "\u20ac \"\\\n\x7f\x01", .value = zero},
  };
  for (const RecordView& record : records) {
    InclusionProof proof;
    proof.topic = "one";
    proof.tree_size = 1;
    proof.record = record;
    std::string leaf;
    append_canonical(leaf, record);
    const auto read = parse_proof(to_text(proof));
    REQUIRE(read);
    CHECK(check_proof(std::get<InclusionProof>(*read), {hash_leaf(as_bytes(leaf)), 1}));
  }
}

TEST_CASE("white space and the order of the names do not matter") {
  const std::string text = to_text(consistency());
  CHECK(fault(" " + replaced(text, ",\"topic\":", "\r\n,\t\"topic\" : ") + "\n") == "proved");
  std::string moved = replaced(text, "\"partition\":3,", "");
  moved.insert(moved.size() - 1, ",\"partition\":3");
  CHECK(fault(moved) == "proved");
}

TEST_CASE("a name that is missing, given twice, unknown or escaped is refused") {
  for (const std::string& text : {to_text(inclusion()), to_text(consistency())}) {
    for (const char* name : {"format", "topic", "partition", "tree_size", "path"}) {
      CAPTURE(name);
      const std::string quoted = "\""s + name + "\":";
      CHECK(fault(replaced(text, quoted, "\"other\":")) == "\""s + name + "\" of the proof is missing");
      CHECK(fault(replaced(text, "{", "{" + quoted + "1,")) == "\""s + name + "\" of the proof is given twice");
    }
    CHECK(fault(replaced(text, "{", R"({"note":{"a":[1,"]"]},)")) == "unknown name \"note\" in the proof");
    CHECK(fault(replaced(text, "\"topic\"", R"("t\u006fpic")")) == "\"topic\" of the proof is missing");
  }
  const std::string text = to_text(inclusion());
  for (const char* name : {"timestamp", "key", "value", "headers"}) {
    CAPTURE(name);
    const std::string quoted = "\""s + name + "\":";
    CHECK(fault(replaced(text, quoted, "\"other\":")) == "\""s + name + "\" of the record is missing");
    CHECK(fault(replaced(text, "\"record\":{", "\"record\":{" + quoted + "1,")) ==
          "\""s + name + "\" of the record is given twice");
  }
  CHECK(fault(replaced(text, "\"record\":{", R"("record":{"offset":6,)")) == "unknown name \"offset\" in the record");
  CHECK(fault(replaced(text, "\"record\":{", R"("record":{"key_b64":"a2V5",)")) ==
        "unknown name \"key\" in the record");
  std::string many = "{";
  for (int i = 0; i < 17; ++i) many += "\"n" + std::to_string(i) + "\":0,";
  CHECK(fault(many + "\"last\":0}") == "\"n16\" of the proof is one too many");
}

TEST_CASE("a value of another type is refused") {
  for (const std::string& text : {to_text(inclusion()), to_text(consistency())}) {
    CHECK(starts(fault(replaced(text, "\"topic\":\"t\"", "\"topic\":7")), "\"topic\" of the proof is not a plain"));
    CHECK(starts(fault(replaced(text, "\"topic\":\"t\"", R"("topic":"\u0074")")), "\"topic\" of the proof is not"));
    CHECK(starts(fault(replaced(text, "\"topic\":\"t\"", R"("topic":"../t")")), "\"topic\" of the proof is not a t"));
    for (const char* number : {"-1", "3.0", "3e0", "\"3\"", "null", "true", "[3]", "2147483648"}) {
      CAPTURE(number);
      CHECK(starts(fault(replaced(text, "\"partition\":3", "\"partition\":"s + number)),
                   "\"partition\" of the proof is not a whole number from 0 to 2147483647"));
    }
    for (const char* number : {"-11", "11.0", "9223372036854775808", "99999999999999999999", "{}"}) {
      CAPTURE(number);
      CHECK(starts(fault(replaced(text, "\"tree_size\":11", "\"tree_size\":"s + number)),
                   "\"tree_size\" of the proof is not a whole number"));
    }
    CHECK(fault(replaced(text, "\"path\":[", "\"path\":[null,")).starts_with("\"path\" of the proof holds"));
    CHECK(fault(replaced(text, "\"path\":[", "\"path\":[[],")).starts_with("\"path\" of the proof holds"));
    CHECK(fault(replaced(text, "\"path\":[", R"("path":["00",)")).starts_with("\"path\" of the proof holds"));
    CHECK(fault(replaced(text, "\"path\":", "\"path\":{},\"x\":")) == "\"path\" of the proof is not an array");
  }
  const std::string text = to_text(inclusion());
  CHECK(fault(replaced(text, "\"index\":6", "\"index\":-6")).starts_with("\"index\" of the proof is not"));
  const std::size_t record = text.find("\"record\":");
  const std::string whole_record = text.substr(record, text.find(",\"path\":") - record);
  for (const char* other : {"[]", "null", "\"{}\"", "7"})
    CHECK(fault(replaced(text, whole_record, "\"record\":"s + other)) == "the record is not an object");
  CHECK(fault(replaced(text, "1732150000129", "null")) == "\"timestamp\" of the record is not a number");
  CHECK(fault(replaced(text, "1732150000129", "1732150000129.0")).starts_with("the record: \"timestamp\" is not"));
  CHECK(fault(replaced(text, "\"key\":\"key\"", "\"key\":1")).starts_with("the record: \"key\" cannot be"));
  CHECK(fault(replaced(text, "\"key\":\"key\"", "\"key_b64\":null")) == "\"key_b64\" of the record is not a string");
  CHECK(fault(replaced(text, "\"key\":\"key\"", "\"key_b64\":\"?\"")).starts_with("the record: not base64"));
  CHECK(fault(replaced(text, "\"headers\":[", "\"headers\":null,\"x\":[")) ==
        "\"headers\" of the record is not an array");
  CHECK(fault(replaced(text, "\"headers\":[", "\"headers\":[7,")).starts_with("the record: a number in"));
}

TEST_CASE("what is not one object is refused") {
  const std::string text = to_text(inclusion());
  for (const std::string& bad :
       {""s, " "s, "{"s, "7"s, text + text, text + "x", text.substr(1), text.substr(0, text.size() - 1), "["s + text,
        std::string(100000, '['), "\xef\xbb\xbf" + text, text + "\0"s}) {
    CHECK(starts(fault(bad), bad == "7" ? "the proof is not an object" : "not one JSON object"));
  }
  CHECK(fault("{}") == "\"format\" of the proof is missing");
  CHECK(fault("[" + text + "]") == "the proof is not an object");
  CHECK(fault(replaced(text, "inclusion-1", "inclusion-2")).starts_with("\"format\" of the proof is neither"));
}

TEST_CASE("a proof with any of its values changed proves nothing") {
  const std::string text = to_text(inclusion());
  const std::string hash = to_hex(inclusion().path[0]);
  CHECK(fault(replaced(text, "\"tree_size\":11", "\"tree_size\":12")).starts_with("the proof's tree has 12 records"));
  CHECK(fault(replaced(text, "\"index\":6", "\"index\":5")).starts_with("record and path lead to the root"));
  CHECK(fault(replaced(text, "\"index\":6", "\"index\":11")) != "proved");
  CHECK(fault(replaced(text, "1732150000129", "1732150000128")).starts_with("record and path lead to the root"));
  CHECK(fault(replaced(text, "\"key\":\"key\"", "\"key\":null")).starts_with("record and path lead to the root"));
  CHECK(fault(replaced(text, "\"value\":\"value\"", "\"value\":\"\"")).starts_with("record and path lead to the root"));
  CHECK(fault(replaced(text, "[\"h\",\"v\"],", "")).starts_with("record and path lead to the root"));
  CHECK(fault(replaced(text, "[\"h\",\"v\"]", "[\"h\",null]")).starts_with("record and path lead to the root"));
  CHECK(fault(replaced(text, "[\"" + hash + "\",", "[")) != "proved");
  CHECK(fault(replaced(text, hash, to_hex(inclusion().path[1]))).starts_with("record and path lead to the root"));
  CHECK(fault(replaced(text, "\"" + hash + "\"", "\"" + hash + "\",\"" + hash + "\"")) != "proved");

  const std::string growth = to_text(consistency());
  CHECK(fault(replaced(growth, "\"tree_size\":11", "\"tree_size\":12")).starts_with("the proof's tree has 12 records"));
  CHECK(fault(replaced(growth, "\"old_size\":6", "\"old_size\":7")).starts_with("the proof's old tree has 7 records"));
  CHECK(fault(replaced(growth, to_hex(consistency().path[1]), hash)) != "proved");
}

TEST_CASE("no byte of a proof can be changed, but for white space") {
  const KnownTree old_tree = tree_of(6);
  const KnownTree tree = tree_of(kSize);
  // Topic and partition are bound by the checkpoint's origin, not by the root.
  const auto proves = [&](std::string_view text, bool& same_log) {
    const auto proof = parse_proof(text);
    if (!proof) return false;
    return std::visit(
        [&](const auto& kind) {
          same_log = tree_origin(kind.topic, kind.partition) == "leat/t/3";
          if constexpr (std::is_same_v<std::decay_t<decltype(kind)>, InclusionProof>) {
            return check_proof(kind, tree).has_value();
          } else {
            return check_proof(kind, old_tree, tree).has_value();
          }
        },
        *proof);
  };
  for (std::string text : {to_text(inclusion()), to_text(consistency())}) {
    for (char& byte : text) {
      const char original = byte;
      for (int value = 0; value < 256; ++value) {
        byte = static_cast<char>(value);
        bool same_log = false;
        const bool proved = proves(text, same_log) && same_log;
        if (proved != (byte == original)) FAIL(doctest::String(text.c_str()));
      }
      byte = original;
    }
    for (std::size_t i = 0; i < text.size(); ++i) {
      bool same_log = false;
      const std::string shorter = text.substr(0, i) + text.substr(i + 1);
      if (proves(shorter, same_log) && same_log) FAIL(doctest::String(shorter.c_str()));
    }
  }
}

TEST_CASE("roots alone do not vouch for sizes, and sizes that are known must agree") {
  const auto read = parse_proof(to_text(consistency()));
  REQUIRE(read);
  const auto& proof = std::get<ConsistencyProof>(*read);
  CHECK(check_proof(proof, {tree_of(6).root, std::nullopt}, {tree_of(kSize).root, std::nullopt}));
  CHECK_FALSE(check_proof(proof, {tree_of(6).root, 5}, tree_of(kSize)));
  CHECK_FALSE(check_proof(proof, tree_of(6), {tree_of(kSize).root, 12}));
  CHECK_FALSE(check_proof(proof, tree_of(5), tree_of(kSize)));
  CHECK_FALSE(check_proof(proof, tree_of(6), tree_of(12)));
}
