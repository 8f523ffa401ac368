#include "tools/verify_proof.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "leat/pipe/envelope.h"
#include "leat/proof/checkpoint.h"
#include "tools/key_file.h"
#include "tools/output.h"
#include "tools/proof_file.h"
#include "tools/whole_file.h"

namespace leat::tools {
namespace {

constexpr std::size_t kCheckpointBytesMax = 1 << 20;

// The notes of a text in which several follow one another, an empty line between, as `inspect checkpoint` prints them.
// An empty line before signatures does not end one.
std::vector<std::string_view> split_notes(std::string_view text) {
  constexpr std::string_view kSignature = "\u2014 ";
  std::vector<std::string_view> notes;
  while (!text.empty()) {
    std::size_t end = text.find("\n\n");
    while (end != std::string_view::npos && text.substr(end + 2).starts_with(kSignature))
      end = text.find("\n\n", end + 2);
    notes.push_back(text.substr(0, end == std::string_view::npos ? end : end + 1));
    text.remove_prefix(std::min(text.size(), notes.back().size() + 1));
  }
  return notes;
}

// A failure with the file that it is about in front.
template <class T>
Result<T> about(const std::string& path, Result<T> result) {
  if (!result) result.error().message.insert(0, shown_path(path) + ": ");
  return result;
}

// The one checkpoint of the tree `origin` in a file, once its signature has been checked.
Result<KnownTree> load_checkpoint(const std::string& path, const VerifierKey& key, const std::string& origin) {
  const std::string text = TRY(read_whole_file(path, kCheckpointBytesMax));
  std::vector<std::string_view> notes = split_notes(text);
  std::erase_if(notes, [&](std::string_view note) { return note.substr(0, note.find('\n')) != origin; });
  if (notes.size() != 1) {
    return fail(Code::bad_data, fmt::format("{}: {} of \"{}\" in it, which the proof is about", shown_path(path),
                                            notes.empty() ? "no checkpoint" : "more than one checkpoint", origin));
  }
  const Checkpoint checkpoint = TRY(about(path, open_checkpoint(notes.front(), key)));
  return KnownTree{checkpoint.root, checkpoint.size};
}

Result<KnownTree> known_tree(const std::optional<Hash>& root, const std::optional<std::int64_t>& size,
                             const std::optional<std::string>& checkpoint, const VerifyRequest& request,
                             const std::string& origin) {
  if (checkpoint) return load_checkpoint(*checkpoint, TRY(read_verifier_key(*request.key)), origin);
  KnownTree tree{*root, std::nullopt};
  if (size) tree.size = static_cast<std::uint64_t>(*size);
  return tree;
}

std::string count_of(std::uint64_t records) {
  return fmt::format("{} {}", records, records == 1 ? "record" : "records");
}

Result<void> verify(const InclusionProof& proof, const VerifyRequest& request) {
  if (request.old_root || request.old_checkpoint)
    return fail(Code::usage, "this is a proof of a record, in one tree: there is no older one to be given");
  if (request.root && !request.size) return fail(Code::usage, "--root needs --size where a record is proved");
  const KnownTree tree = TRY(
      known_tree(request.root, request.size, request.checkpoint, request, tree_origin(proof.topic, proof.partition)));
  TRY(about(request.file, check_proof(proof, tree)));
  TRY(out().write(fmt::format("offset {} of partition {} of \"{}\" is in the tree of {} with root {}\n", proof.index,
                              proof.partition.value, proof.topic, count_of(proof.tree_size), to_hex(tree.root))));
  if (!request.show_record) return {};
  RecordView record = proof.record;
  record.topic = proof.topic;
  record.partition = proof.partition;
  record.offset = {static_cast<std::int64_t>(proof.index)};
  std::string line;
  append_envelope(line, record);
  return out().write((stdout_is_terminal() ? escape_controls(line) : line) + "\n");
}

Result<void> verify(const ConsistencyProof& proof, const VerifyRequest& request) {
  if (!request.old_root && !request.old_checkpoint)
    return fail(Code::usage,
                "this is a proof that a tree continues an older one: --old-root or --old-checkpoint is needed");
  const std::string origin = tree_origin(proof.topic, proof.partition);
  const KnownTree old_tree =
      TRY(known_tree(request.old_root, request.old_size, request.old_checkpoint, request, origin));
  const KnownTree tree = TRY(known_tree(request.root, request.size, request.checkpoint, request, origin));
  TRY(about(request.file, check_proof(proof, old_tree, tree)));
  const auto named = [](const KnownTree& known) {
    return fmt::format("{} with root {}", known.size ? "the tree of " + count_of(*known.size) : "the tree",
                       to_hex(known.root));
  };
  return out().write(fmt::format("partition {} of \"{}\": {} continues {}\n", proof.partition.value, proof.topic,
                                 named(tree), named(old_tree)));
}

// Stdin can be read once only.
Result<void> check_inputs_differ(const VerifyRequest& request) {
  const std::array files = {std::optional(request.file), request.checkpoint, request.old_checkpoint, request.key};
  if (std::ranges::count(files, std::optional<std::string>("-")) <= 1) return {};
  return fail(Code::usage, "only one of the files can be -");
}

}  // namespace

Result<void> verify_proof(const VerifyRequest& request) {
  TRY(check_inputs_differ(request));
  const std::string text = TRY(read_whole_file(request.file, kProofBytesMax));
  const ProofFile proof = TRY(about(request.file, parse_proof(text)));
  return std::visit([&](const auto& kind) { return verify(kind, request); }, proof);
}

}  // namespace leat::tools
