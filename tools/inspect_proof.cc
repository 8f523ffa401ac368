// `leat inspect proof`: makes proofs about records, checks them, and exports all that outside verifiers need.
#include <fmt/format.h>

#include <algorithm>

#include "leat/base/units.h"
#include "leat/log/proof_tree.h"
#include "tools/commands.h"
#include "tools/key_file.h"
#include "tools/local_topic.h"
#include "tools/options.h"
#include "tools/progress.h"
#include "tools/proof_file.h"
#include "tools/tlog_export.h"
#include "tools/verify_proof.h"

namespace leat::tools {
namespace {

Option* add_hash(OptionSet& options, const std::string& names, std::optional<Hash>& value, const std::string& help) {
  return add_parsed(options, names, value, help, "HEX", [](std::string_view, const std::string& text) -> Result<Hash> {
    const auto hash = parse_hash(text);
    if (!hash) return fail(Code::usage, fmt::format("\"{}\" is not a hash of 64 hexadecimal digits", text));
    return *hash;
  });
}

class InspectProof : public Command {
 public:
  void add_options(OptionSet& options) override {
    auto* topic = options.add_option("TOPIC", topic_, "name of the topic")->type_name("");
    auto* offset = add_count(options, "OFFSET", offset_, "offset of the record that is to be proved")->type_name("");
    auto* partition = add_partitions(options, partitions_, "the partition, where the topic has several");
    auto* size = add_count(options, "--size", size_, "size of the tree (default: all durable records)");
    auto* consistency = add_sizes(options);
    auto* directory =
        add_text(options, "--export-tlog", export_directory_, "write a static log for outside verifiers", "DIR");
    auto* sign = add_text(options, "--sign", signing_key_, "sign the exported checkpoint with this key", "FILE");
    auto* verify = add_text(options, "--verify", verify_file_, "check a proof, without any data directory", "FILE");
    auto* root = add_hash(options, "--root", verify_.root, "the root the tree is known to have");
    auto* old_root = add_hash(options, "--old-root", verify_.old_root, "the root the older tree is known to have");
    auto* old_size = add_count(options, "--old-size", verify_.old_size, "size the older tree is known to have");
    auto* checkpoint = add_text(options, "--checkpoint", verify_.checkpoint, "a signed checkpoint of the tree", "FILE");
    auto* old_checkpoint =
        add_text(options, "--old-checkpoint", verify_.old_checkpoint, "a signed checkpoint of the older tree", "FILE");
    auto* key = add_text(options, "--key", verify_.key, "the verifier key of the checkpoints", "FILE");

    consistency->excludes(offset)->excludes(size)->excludes(directory);
    directory->excludes(offset)->excludes(size);
    sign->needs(directory);
    for (auto* making : {topic, offset, partition, consistency, directory}) verify->excludes(making);
    for (auto* checking : {root, old_root, old_size, checkpoint, old_checkpoint, key}) checking->needs(verify);
    for (auto* given : {root, size, old_root, old_size}) checkpoint->excludes(given);
    old_size->needs(old_root);
    old_root->needs(root);
    old_checkpoint->needs(checkpoint);
    checkpoint->needs(key);
    key->needs(checkpoint);
  }

  Result<void> run(Context& context) override {
    if (verify_file_) return verify(context);
    if (topic_.empty()) return fail(Code::usage, "TOPIC is required", "leat inspect proof --help");
    if (!offset_ && !consistency_ && !export_directory_) {
      return fail(Code::usage, "OFFSET is required, unless --consistency or --export-tlog asks for something else",
                  "leat inspect proof --help");
    }
    LocalTopic topic = TRY(LocalTopic::open(context, topic_));
    const PartitionId id = TRY(topic.partition(partitions_));
    if (consistency_) return prove_consistency(*topic, id);
    return export_directory_ ? write_tlog(*topic, id, context) : prove_record(*topic, id);
  }

 private:
  using Sizes = std::pair<std::int64_t, std::int64_t>;

  Option* add_sizes(OptionSet& options) {
    const std::string name = "--consistency";
    const auto read = [this, name](const std::vector<std::string>& words) -> Result<void> {
      if (words.size() != 2) return refusal(name, {Code::usage, "two sizes are needed, as in 1000 2000"});
      const auto old_size = parse_count(name, words.front());
      const auto size = parse_count(name, words.back());
      if (!old_size || !size) return refusal(name, (old_size ? size : old_size).error());
      consistency_ = Sizes(*old_size, *size);
      return {};
    };
    return options.add_option(name, read, "prove that the tree of N records continues that of M")
        ->expected(1, 2)
        ->type_name("M N");
  }

  Result<void> verify(const Context& context) {
    if (!verify_.root && !verify_.checkpoint) {
      return fail(Code::usage, "--verify needs what the tree is known by: --root, or --checkpoint and --key",
                  "leat inspect proof --help");
    }
    verify_.file = *verify_file_;
    verify_.size = size_;
    verify_.show_record = context.globals().verbose;
    return verify_proof(verify_);
  }

  Result<void> prove_record(Topic& topic, PartitionId id) const {
    ProofTree tree = TRY(ProofTree::open(topic, id));
    const Offset offset{*offset_};
    const auto end = static_cast<std::int64_t>(tree.size());
    if (offset < tree.log_start() || offset.value >= end) {
      const std::string held =
          tree.log_start().value >= end ? "none" : fmt::format("{} to {}", tree.log_start().value, end - 1);
      return fail(Code::usage, fmt::format("there is no offset {} in partition {} of \"{}\", which holds {}",
                                           offset.value, id.value, topic.name(), held));
    }
    const std::int64_t size = size_.value_or(end);
    if (size <= offset.value || size > end) {
      return fail(Code::usage,
                  fmt::format("--size: a tree of {} records is not one of those with offset {}, which have "
                              "{} to {}",
                              size, offset.value, offset.value + 1, end));
    }
    InclusionProof proof;
    proof.topic = topic.name();
    proof.partition = id;
    proof.tree_size = static_cast<std::uint64_t>(size);
    proof.index = static_cast<std::uint64_t>(offset.value);
    proof.path = TRY(tree.inclusion(offset, proof.tree_size));
    PartitionReader reader = TRY(PartitionReader::open(topic, id, false));
    BatchDecoder decoder;
    proof.record = TRY(read_record(reader, decoder, topic, offset));
    TRY(check_own(check_proof(proof, {TRY(tree.root(proof.tree_size)), proof.tree_size}), topic, id));
    std::string text = to_text(proof);
    if (text.size() > kProofBytesMax)
      return fail(Code::bad_data, fmt::format("offset {} holds a record too large for a proof", offset.value));
    if (stdout_is_terminal()) escape_json_controls(text, 0);
    return out().write(text + "\n");
  }

  // The record lives as long as the reader and the decoder are left alone.
  static Result<RecordView> read_record(PartitionReader& reader, BatchDecoder& decoder, const Topic& topic,
                                        Offset offset) {
    TRY(reader.seek(offset));
    if (const auto batch = TRY(reader.next(TRY(reader.visible())))) {
      for (const RecordView& record : TRY(decoder.decode(batch->bytes))) {
        if (record.offset == offset) return record;
      }
    }
    return fail(Code::usage, fmt::format("offset {} of partition {} of \"{}\" holds no record any more", offset.value,
                                         reader.id().value, topic.name()));
  }

  Result<void> prove_consistency(Topic& topic, PartitionId id) const {
    ProofTree tree = TRY(ProofTree::open(topic, id));
    ConsistencyProof proof;
    proof.topic = topic.name();
    proof.partition = id;
    const auto [old_size, size] = *consistency_;
    const auto all = static_cast<std::int64_t>(tree.size());
    if (old_size < 1 || old_size > size || size > all) {
      return fail(Code::usage, fmt::format("--consistency: no tree of {} records continues one of {} here: sizes go "
                                           "from 1 to {}",
                                           size, old_size, all));
    }
    proof.old_size = static_cast<std::uint64_t>(old_size);
    proof.tree_size = static_cast<std::uint64_t>(size);
    proof.path = TRY(tree.consistency(proof.old_size, proof.tree_size));
    const KnownTree old_tree{TRY(tree.root(proof.old_size)), proof.old_size};
    TRY(check_own(check_proof(proof, old_tree, {TRY(tree.root(proof.tree_size)), proof.tree_size}), topic, id));
    return out().write(to_text(proof) + "\n");
  }

  // A proof of ours that proves nothing is not handed out: what is kept of the tree is not that of the log.
  static Result<void> check_own(const Result<void>& checked, const Topic& topic, PartitionId id) {
    if (checked) return {};
    return fail(Code::damaged,
                fmt::format("the tree of partition {} of \"{}\" does not agree with its log: {}", id.value,
                            topic.name(), checked.error().message),
                fmt::format("leat inspect verify {} --deep", topic.name()));
  }

  Result<void> write_tlog(Topic& topic, PartitionId id, const Context& context) const {
    if (export_directory_->empty()) return fail(Code::usage, "--export-tlog: the directory's name is empty");
    std::optional<SigningKey> key;
    if (signing_key_) key = TRY(read_signing_key(*signing_key_));
    const bool progress = progress_allowed() && !context.globals().quiet;
    const ExportedTlog done = TRY(export_tlog(topic, id, *export_directory_, key ? &*key : nullptr, progress));
    if (!key) print_note("the checkpoint is not signed, which verifiers ask for: --sign FILE signs it");
    return out().write(fmt::format("{} holds {} {} of partition {} of \"{}\", {} of them new\n", *export_directory_,
                                   done.size, done.size == 1 ? "record" : "records", id.value, topic.name(),
                                   done.size - done.old_size));
  }

  std::string topic_;
  std::optional<std::int64_t> offset_;
  std::vector<PartitionId> partitions_;
  std::optional<std::int64_t> size_;
  std::optional<Sizes> consistency_;
  std::optional<std::string> export_directory_;
  std::optional<std::string> signing_key_;
  std::optional<std::string> verify_file_;
  VerifyRequest verify_;
};

}  // namespace

std::unique_ptr<Command> make_inspect_proof() {
  return std::make_unique<InspectProof>();
}

}  // namespace leat::tools
