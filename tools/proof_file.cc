#include "tools/proof_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "leat/log/limits.h"
#include "leat/log/proof_leaf.h"
#include "leat/log/topic_settings.h"
#include "leat/pipe/envelope.h"
#include "tools/json_text.h"

namespace leat::tools {
namespace {

static_assert(kProofBytesMax > std::size_t{6} * kRecordBytesMax);

constexpr std::string_view kInclusion = "leat-inclusion-1";
constexpr std::string_view kConsistency = "leat-consistency-1";

// The values of JSON that is known to be well-formed and without white space between its tokens are found by their
// ends: the byte behind the value that begins at `at`.
std::size_t value_end(std::string_view json, std::size_t at) {
  std::size_t depth = 0;
  for (bool in_string = false; at < json.size(); ++at) {
    const char c = json[at];
    if (in_string) {
      if (c == '\\') ++at;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']' || c == ',' || c == ':') {
      if (depth == 0) return at;
      if (c == '}' || c == ']') --depth;
    }
  }
  return at;
}

// The members of an object, each of which has to be asked for, and to be there, exactly once.
class Members {
 public:
  // `json` is well-formed and compact, and outlives this.
  static Result<Members> of(std::string_view what, std::string_view json) {
    if (!json.starts_with('{')) return fail(Code::bad_data, fmt::format("{} is not an object", what));
    Members members(what);
    for (std::size_t at = 1; json[at] != '}';) {
      const std::size_t name_end = value_end(json, at);
      const std::size_t end = value_end(json, name_end + 1);
      const std::string_view name = json.substr(at + 1, name_end - at - 2);
      if (members.list_.size() == kMembersMax) return members.refuse(name, "is one too many");
      if (members.find(name) != members.list_.end()) return members.refuse(name, "is given twice");
      members.list_.push_back({name, json.substr(name_end + 1, end - name_end - 1)});
      at = json[end] == ',' ? end + 1 : end;
    }
    return members;
  }

  // The value as it is written.
  Result<std::string_view> take(std::string_view name) {
    const auto found = find(name);
    if (found == list_.end()) return refuse(name, "is missing");
    const std::string_view value = found->value;
    list_.erase(found);
    return value;
  }
  // A string that needs no escapes.
  Result<std::string_view> take_word(std::string_view name) {
    const std::string_view value = TRY(take(name));
    const auto word = word_of(value);
    return word ? Result<std::string_view>(*word) : refuse(name, "is not a plain string");
  }
  Result<std::uint64_t> take_count(std::string_view name, std::uint64_t largest = INT64_MAX) {
    const std::string_view value = TRY(take(name));
    std::uint64_t count = 0;
    const char* const begin = value.data();
    const char* const end = begin + value.size();
    const auto [at, error] = std::from_chars(begin, end, count);
    if (error != std::errc() || at != end || count > largest) {
      return refuse(name, fmt::format("is not a whole number from 0 to {}", largest));
    }
    return count;
  }
  Result<std::vector<Hash>> take_hashes(std::string_view name) {
    const std::string_view list = TRY(take(name));
    if (!list.starts_with('[')) return refuse(name, "is not an array");
    std::vector<Hash> hashes;
    for (std::size_t at = 1; list[at] != ']';) {
      const std::size_t end = value_end(list, at);
      const auto word = word_of(list.substr(at, end - at));
      const auto hash = word ? parse_hash(*word) : std::nullopt;
      if (!hash || to_hex(*hash) != *word) {
        return refuse(name,
                      fmt::format("holds something at {} that is not 64 lower-case hexadecimal digits", hashes.size()));
      }
      hashes.push_back(*hash);
      at = list[end] == ',' ? end + 1 : end;
    }
    return hashes;
  }
  bool has(std::string_view name) { return find(name) != list_.end(); }

  // To be asked last: nothing may be left over.
  Result<void> finish() const {
    constexpr std::size_t kNameBytesShown = 80;
    if (list_.empty()) return {};
    return fail(Code::bad_data,
                fmt::format("unknown name \"{}\" in {}", list_.front().name.substr(0, kNameBytesShown), what_));
  }

 private:
  static constexpr std::size_t kMembersMax = 16;  // more than any object here has, so that looking for one is quick

  struct Member {
    std::string_view name;  // as it is written: one with escapes in it is none that anybody asks for
    std::string_view value;
  };

  explicit Members(std::string_view what) : what_(what) {}

  std::vector<Member>::iterator find(std::string_view name) { return std::ranges::find(list_, name, &Member::name); }
  std::unexpected<Error> refuse(std::string_view name, std::string_view why) const {
    return fail(Code::bad_data, fmt::format("\"{}\" of {} {}", name, what_, why));
  }
  static std::optional<std::string_view> word_of(std::string_view value) {
    if (!value.starts_with('"') || value.find('\\') != std::string_view::npos) return std::nullopt;
    return value.substr(1, value.size() - 2);
  }

  std::string what_;
  std::vector<Member> list_;
};

// An envelope of nothing but the record, with all that there can be.
Result<void> parse_record(std::string_view json, InclusionProof& proof) {
  Members members = TRY(Members::of("the record", json));
  for (const std::string_view name : {"key", "value"}) {
    const std::string packed = fmt::format("{}_b64", name);
    if (!members.has(packed)) {
      TRY(members.take(name));
    } else if (TRY(members.take(packed)) == "null") {
      return fail(Code::bad_data, fmt::format("\"{}\" of the record is not a string", packed));
    }
  }
  TRY(members.take("timestamp"));
  if (!TRY(members.take("headers")).starts_with('['))
    return fail(Code::bad_data, "\"headers\" of the record is not an array");
  TRY(members.finish());

  proof.owned = std::make_unique<InclusionProof::Owned>();
  std::vector<char>& text = proof.owned->text;
  text.reserve(json.size() + 1);
  text.assign(json.begin(), json.end());
  text.push_back('\0');
  JsonRecord& record = proof.owned->record;
  if (const auto parsed = parse_json_record(text.data(), json.size(), record); !parsed)
    return fail(Code::bad_data, fmt::format("the record: {}", parsed.error().message));
  if (!record.timestamp) return fail(Code::bad_data, "\"timestamp\" of the record is not a number");
  proof.record = {.timestamp = *record.timestamp, .key = record.key, .value = record.value, .headers = record.headers};
  return {};
}

template <class Proof>
Result<void> parse_common(Members& members, Proof& proof) {
  proof.topic = TRY(members.take_word("topic"));
  if (!check_name("topic", proof.topic)) return fail(Code::bad_data, "\"topic\" of the proof is not a topic's name");
  proof.partition = {static_cast<std::int32_t>(TRY(members.take_count("partition", INT32_MAX)))};
  proof.tree_size = TRY(members.take_count("tree_size"));
  proof.path = TRY(members.take_hashes("path"));
  return {};
}

std::string begin_text(std::string_view format, std::string_view topic, PartitionId partition) {
  return fmt::format(R"({{"format":"{}","topic":"{}","partition":{})", format, topic, partition.value);
}

void append_path(std::string& to, const std::vector<Hash>& path) {
  to += ",\"path\":[";
  for (std::size_t i = 0; i < path.size(); ++i) to += fmt::format("{}\"{}\"", i == 0 ? "" : ",", to_hex(path[i]));
  to += "]}";
}

Result<void> check_size(std::string_view which, std::uint64_t size, const KnownTree& tree) {
  if (!tree.size || *tree.size == size) return {};
  return fail(Code::bad_data,
              fmt::format("the proof's {} has {} records, and the one given has {}", which, size, *tree.size));
}

}  // namespace

Result<ProofFile> parse_proof(std::string_view text) {
  std::string json;
  if (!append_compact_json(json, text)) return fail(Code::bad_data, "not one JSON object");
  Members members = TRY(Members::of("the proof", json));
  const std::string_view format = TRY(members.take_word("format"));
  if (format == kInclusion) {
    InclusionProof proof;
    TRY(parse_common(members, proof));
    proof.index = TRY(members.take_count("index"));
    const std::string_view record = TRY(members.take("record"));
    TRY(members.finish());
    TRY(parse_record(record, proof));
    return proof;
  }
  if (format == kConsistency) {
    ConsistencyProof proof;
    TRY(parse_common(members, proof));
    proof.old_size = TRY(members.take_count("old_size"));
    TRY(members.finish());
    return proof;
  }
  return fail(Code::bad_data,
              fmt::format("\"format\" of the proof is neither \"{}\" nor \"{}\"", kInclusion, kConsistency));
}

std::string to_text(const InclusionProof& proof) {
  std::string text = begin_text(kInclusion, proof.topic, proof.partition);
  text += fmt::format(R"(,"tree_size":{},"index":{},"record":{{)", proof.tree_size, proof.index);
  append_record_members(text, proof.record);
  text += '}';
  append_path(text, proof.path);
  return text;
}

std::string to_text(const ConsistencyProof& proof) {
  std::string text = begin_text(kConsistency, proof.topic, proof.partition);
  text += fmt::format(R"(,"old_size":{},"tree_size":{})", proof.old_size, proof.tree_size);
  append_path(text, proof.path);
  return text;
}

Result<void> check_proof(const InclusionProof& proof, const KnownTree& tree) {
  ASSERT(tree.size);
  TRY(check_size("tree", proof.tree_size, tree));
  std::string leaf;
  append_canonical(leaf, proof.record);
  const Hash root = TRY(root_from_inclusion(hash_leaf(as_bytes(leaf)), proof.index, proof.tree_size, proof.path));
  if (root == tree.root) return {};
  return fail(Code::bad_data,
              fmt::format("record and path lead to the root {}, not to {}", to_hex(root), to_hex(tree.root)));
}

Result<void> check_proof(const ConsistencyProof& proof, const KnownTree& old_tree, const KnownTree& tree) {
  TRY(check_size("old tree", proof.old_size, old_tree));
  TRY(check_size("tree", proof.tree_size, tree));
  return check_consistency(proof.old_size, old_tree.root, proof.tree_size, tree.root, proof.path);
}

std::string tree_origin(std::string_view topic, PartitionId partition) {
  return fmt::format("leat/{}/{}", topic, partition.value);
}

}  // namespace leat::tools
