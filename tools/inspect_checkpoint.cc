// `leat inspect checkpoint|keygen`: what a log's trees are at a moment, signed by whoever vouches for it.
#include <fmt/format.h>

#include "leat/log/proof_tree.h"
#include "tools/checkpoint_note.h"
#include "tools/commands.h"
#include "tools/key_file.h"
#include "tools/local_topic.h"
#include "tools/options.h"
#include "tools/proof_file.h"

namespace leat::tools {
namespace {

class InspectCheckpoint : public Command {
 public:
  void add_options(OptionSet& options) override {
    constexpr std::array<std::pair<std::string_view, ListFormat>, 2> kFormats = {
        {{"text", ListFormat::table}, {"json", ListFormat::json}}};
    add_topic(options, topic_);
    add_partitions(options, partitions_, "only this partition (repeatable)");
    add_text(options, "--sign", signing_key_, "sign with this key, made by leat inspect keygen", "FILE");
    add_count(options, "--size", size_, "size of the tree (default: all durable records)");
    add_choice(options, "-O,--output", format_, kFormats, "print notes (default) or JSON");
  }

  Result<void> run(Context& context) override {
    std::optional<SigningKey> key;
    if (signing_key_) key = TRY(read_signing_key(*signing_key_));
    LocalTopic topic = TRY(LocalTopic::open(context, topic_));
    const std::vector<PartitionId> partitions = TRY(topic.partitions(partitions_));
    if (size_ && partitions.size() > 1)
      return fail(Code::usage, "--size is that of one partition's tree: say which with --partition");
    std::vector<std::vector<Cell>> rows;
    for (const PartitionId id : partitions) {
      ProofTree tree = TRY(ProofTree::open(*topic, id));
      Checkpoint checkpoint{.origin = tree_origin(topic_, id), .size = tree.size()};
      if (size_) checkpoint.size = static_cast<std::uint64_t>(*size_);
      if (checkpoint.size > tree.size()) {
        return fail(Code::usage, fmt::format("--size: partition {} of \"{}\" has {} records, fewer than {}", id.value,
                                             topic_, tree.size(), checkpoint.size));
      }
      checkpoint.root = TRY(tree.root(checkpoint.size));
      const std::string note = TRY(make_note(*topic, id, checkpoint, key ? &*key : nullptr));
      rows.push_back({cell(topic_), cell(std::int64_t{id.value}), cell(checkpoint.origin),
                      cell(static_cast<std::int64_t>(checkpoint.size)), cell(to_hex(checkpoint.root)), cell(note)});
    }
    return print(rows);
  }

 private:
  Result<void> print(const std::vector<std::vector<Cell>>& rows) const {
    static const std::vector<Column> columns = {{"TOPIC", "topic"}, {"PARTITION", "partition"}, {"ORIGIN", "origin"},
                                                {"SIZE", "size"},   {"ROOT", "root"},           {"NOTE", "note"}};
    if (format_ == ListFormat::json) return print_rows(format_, columns, rows, "");
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (i > 0) TRY(out().write("\n"));
      TRY(out().write(rows[i].back().text));
    }
    return {};
  }

  std::string topic_;
  std::vector<PartitionId> partitions_;
  std::optional<std::string> signing_key_;
  std::optional<std::int64_t> size_;
  ListFormat format_ = ListFormat::table;
};

class InspectKeygen : public Command {
 public:
  void add_options(OptionSet& options) override {
    add_name(options, name_, "what signatures by the key are called, such as example.com/log");
    add_text(options, "--out", path_, "where the secret key goes; its public half goes beside it, as FILE.pub", "FILE")
        ->required();
  }

  Result<void> run(Context&) override {
    const SigningKey key = TRY(generate_key(name_));
    TRY(write_key_files(*path_, key));
    return out().write(to_text(verifier_of(key)) + "\n");
  }

 private:
  std::string name_;
  std::optional<std::string> path_;
};

}  // namespace

std::unique_ptr<Command> make_inspect_checkpoint() {
  return std::make_unique<InspectCheckpoint>();
}

std::unique_ptr<Command> make_inspect_keygen() {
  return std::make_unique<InspectKeygen>();
}

}  // namespace leat::tools
