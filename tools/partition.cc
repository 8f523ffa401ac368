// `leat partition list`: what every partition holds.

#include "tools/commands.h"
#include "tools/options.h"
#include "tools/several.h"
#include "tools/topic_rows.h"

namespace leat::tools {
namespace {

class PartitionList : public Command {
 public:
  void add_options(OptionSet& options) override {
    add_names(options, "TOPIC", topics_, "only these topics (default: all)");
    add_list_format(options, format_);
  }

  Result<void> run(Context& context) override {
    TRY(check_names("topic", topics_));
    const auto backend = TRY(context.open_backend());
    const bool all = topics_.empty();
    if (all) topics_ = TRY(backend->topic_names());
    std::vector<PartitionInfo> partitions;
    std::optional<Error> failure;
    for (const std::string& topic : topics_) {
      auto found = backend->partitions(topic);
      if (found) {
        partitions.insert(partitions.end(), found->begin(), found->end());
      } else if (!all || found.error().code != Code::not_found) {  // deleted meanwhile is no failure
        if (failure) print_error(*failure);
        failure = found.error();
      }
    }
    if (!failure || !partitions.empty()) TRY(print_partitions(format_, partitions));
    if (failure) return std::unexpected(std::move(*failure));
    return {};
  }

 private:
  std::vector<std::string> topics_;
  ListFormat format_ = ListFormat::table;
};

}  // namespace

std::unique_ptr<Command> make_partition_list() {
  return std::make_unique<PartitionList>();
}

}  // namespace leat::tools
