// `leat consumer list|delete`: the offsets that consumers have stored.
#include <fmt/format.h>

#include "tools/commands.h"
#include "tools/options.h"
#include "tools/several.h"
#include "tools/topic_rows.h"

namespace leat::tools {
namespace {

class ConsumerList : public Command {
 public:
  void add_options(OptionSet& options) override {
    add_text(options, "-t,--topic", topic_, "only consumers of this topic", "TOPIC");
    options.add_flag("--lag", with_lag_, "also how many records each has not read yet");
    auto* format = add_list_format(options, format_);
    options.add_flag("--names", names_only_, "only the names, one a line")->excludes(format);
  }

  Result<void> run(Context& context) override {
    if (topic_) TRY(check_name("topic", *topic_));
    const auto backend = TRY(context.open_backend());
    // An unknown topic has no consumers, but it is more likely a slip of the finger.
    if (topic_) TRY(backend->describe_topic(*topic_));
    ConsumerOffsets found = TRY(backend->consumer_offsets(with_lag_));
    if (topic_) keep_those_on(*topic_, found);
    TRY(names_only_ ? print_names(found.offsets) : print_consumers(format_, found.offsets, with_lag_));
    return report_unreadable(found.unreadable);
  }

 private:
  static Result<void> print_names(const std::vector<ConsumerOffset>& offsets) {
    std::string_view last;  // they come in the order of their names
    for (const ConsumerOffset& offset : offsets) {
      if (offset.consumer != last) TRY(out().write(offset.consumer + "\n"));
      last = offset.consumer;
    }
    return {};
  }

  std::optional<std::string> topic_;
  bool with_lag_ = false;
  bool names_only_ = false;
  ListFormat format_ = ListFormat::table;
};

class ConsumerDelete : public Command {
 public:
  void add_options(OptionSet& options) override {
    add_names(options, "NAME", names_, "names of the consumers")->required();
    add_text(options, "-t,--topic", topic_, "only its offsets on this topic", "TOPIC");
    add_partitions(options, partitions_, "only its offset on this partition (repeatable)");
    options.add_flag("-c,--continue-on-error", continue_on_error_, "go on with the next consumer after a failure");
    options.add_flag("--if-exists", if_exists_, "a consumer that does not exist is no error");
    options.add_flag("-d,--dry-run", dry_run_, "only say what would be done");
  }

  Result<void> run(Context& context) override {
    TRY(check_names("consumer", names_));
    if (topic_) TRY(check_name("topic", *topic_));
    const auto backend = context.open_backend();
    if (!backend) {
      if (if_exists_ && backend.error().code == Code::not_found) return {};
      return std::unexpected(backend.error());
    }
    return for_each_name(names_, "consumers", continue_on_error_,
                         [&](const std::string& name) { return delete_one(**backend, name); });
  }

 private:
  Result<void> delete_one(Backend& backend, const std::string& name) const {
    const std::optional<std::string_view> topic = topic_ ? std::optional<std::string_view>(*topic_) : std::nullopt;
    const auto deleted = backend.delete_consumer(name, topic, partitions_, !dry_run_);
    if (!deleted) {
      if (if_exists_ && deleted.error().code == Code::not_found) return {};
      return std::unexpected(deleted.error());
    }
    for (const DeletedOffset& offset : *deleted) {
      TRY(out().write(fmt::format("consumer \"{}\" on topic \"{}\" and partition \"{}\" {}\n", name, offset.topic,
                                  offset.partition.value, dry_run_ ? "would be deleted" : "deleted")));
    }
    return {};
  }

  std::vector<std::string> names_;
  std::optional<std::string> topic_;
  std::vector<PartitionId> partitions_;
  bool continue_on_error_ = false;
  bool if_exists_ = false;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> make_consumer_list() {
  return std::make_unique<ConsumerList>();
}

std::unique_ptr<Command> make_consumer_delete() {
  return std::make_unique<ConsumerDelete>();
}

}  // namespace leat::tools
