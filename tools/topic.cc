// `leat topic create|list|describe|delete`: topics as they come and go.
#include <fmt/format.h>

#include "leat/base/units.h"
#include "tools/commands.h"
#include "tools/options.h"
#include "tools/several.h"
#include "tools/topic_rows.h"

namespace leat::tools {
namespace {

class TopicCreate : public Command {
 public:
  void add_options(OptionSet& options) override {
    add_names(options, "NAME", names_, "names of the topics: letters, digits, '.', '_' and '-'")->required();
    add_count(options, "-p,--partitions", partitions_, "number of partitions (default: 1)", 1);
    add_setting(options, "retention-time", "DUR", "remove records older than this (default: keep all)");
    add_setting(options, "retention-bytes", "SIZE", "remove the oldest records of a partition above this size");
    add_setting(options, "retention-records", "N", "keep exactly the last N records of each partition");
    add_setting(options, "segment-size", "SIZE", "start a new file when one reaches this (default: 1GiB)");
    add_setting(options, "compression-type", "none|lz4|zstd", "what producers use unless they say otherwise");
    add_setting(options, "max-record-size", "SIZE", "the largest record that is accepted (default: 8MiB)");
    add_setting(options, "cleanup", "delete|compact", "compact keeps the last record of each key for ever");
    add_setting(options, "durability", "sync|os", "os acknowledges before the disk has it (default: sync)");
    add_setting(options, "proofs", "on|off", "keep a tree of hashes, for proofs (default: on, off with compact)");
    options.add_flag("--if-not-exists", if_not_exists_, "a topic that exists is no error");
    options.add_flag("-d,--dry-run", dry_run_, "only say what would be done");
  }

  Result<void> run(Context& context) override {
    TRY(check_names("topic", names_));
    if (partitions_ && *partitions_ > kPartitionsMax) {
      return fail(Code::usage,
                  fmt::format("--partitions: {} is too many: at most {} are allowed", *partitions_, kPartitionsMax));
    }
    if (partitions_) settings_.partitions = static_cast<std::int32_t>(*partitions_);
    TRY(check_settings(settings_));
    if (dry_run_) return rehearse(context);
    const auto backend = TRY(context.open_backend(true));
    // All or none, as far as that can be seen beforehand.
    if (names_.size() > 1)
      TRY(for_each_name(names_, "topics", false, [&](const auto& name) { return check(*backend, name); }));
    return for_each_name(names_, "topics", false, [&](const std::string& name) -> Result<void> {
      const auto created = backend->create_topic(name, settings_);
      if (created) return out().write(fmt::format("topic \"{}\" created\n", name));
      return accept_existing(name, created.error());
    });
  }

 private:
  void add_setting(OptionSet& options, const std::string& key, const char* placeholder, const char* help) {
    const auto read = [this, key](const std::vector<std::string>& words) -> Result<void> {
      auto set = set_setting(settings_, key, words.front());
      if (set) return {};
      if (set.error().message.starts_with(key)) set.error().message.insert(0, "--");
      return refusal("--" + key, std::move(set).error());
    };
    options.add_option("--" + key, read, help)->type_name(placeholder);
  }

  Result<void> accept_existing(const std::string& name, const Error& error) const {
    if (!if_not_exists_ || error.code != Code::exists) return std::unexpected(error);
    print_note(fmt::format("topic \"{}\" exists already", name));
    return {};
  }

  Result<void> check(Backend& backend, const std::string& name) const {
    const auto possible = backend.check_create_topic(name, settings_);
    if (possible || (if_not_exists_ && possible.error().code == Code::exists)) return {};
    return possible;
  }

  Result<void> rehearse(Context& context) const {
    const auto backend = context.open_backend();
    // A directory that is missing would be made first.
    if (!backend && backend.error().code != Code::not_found) return std::unexpected(backend.error());
    return for_each_name(names_, "topics", false, [&](const std::string& name) -> Result<void> {
      const auto possible = backend ? (*backend)->check_create_topic(name, settings_) : Result<void>();
      if (possible) return out().write(fmt::format("topic \"{}\" would be created\n", name));
      return accept_existing(name, possible.error());
    });
  }

  std::vector<std::string> names_;
  std::optional<std::int64_t> partitions_;
  TopicSettings settings_;
  bool if_not_exists_ = false;
  bool dry_run_ = false;
};

class TopicList : public Command {
 public:
  void add_options(OptionSet& options) override {
    auto* format = add_list_format(options, format_);
    options.add_flag("--names", names_only_, "only the names, one a line")->excludes(format);
  }

  Result<void> run(Context& context) override {
    const auto backend = TRY(context.open_backend());
    const auto names = TRY(backend->topic_names());
    if (names_only_) {
      for (const std::string& name : names) TRY(out().write(name + "\n"));
      return {};
    }
    std::vector<TopicInfo> topics;
    std::optional<Error> failure;
    for (const std::string& name : names) {
      auto info = backend->describe_topic(name);
      if (info) {
        topics.push_back(std::move(*info));
      } else if (info.error().code != Code::not_found) {  // deleted meanwhile is no failure
        if (failure) print_error(*failure);
        failure = info.error();
      }
    }
    TRY(print_topics(format_, topics));
    if (failure) return std::unexpected(std::move(*failure));
    return {};
  }

 private:
  ListFormat format_ = ListFormat::table;
  bool names_only_ = false;
};

class TopicDescribe : public Command {
 public:
  void add_options(OptionSet& options) override {
    add_topic(options, name_);
    add_list_format(options, format_);
  }

  Result<void> run(Context& context) override {
    TRY(check_name("topic", name_));
    const auto backend = TRY(context.open_backend());
    const TopicInfo info = TRY(backend->describe_topic(name_));
    const auto partitions = TRY(backend->partitions(name_));
    ConsumerOffsets consumers = TRY(backend->consumer_offsets(true));
    keep_those_on(name_, consumers);
    TRY(print_description(format_, info, partitions, consumers.offsets));
    return report_unreadable(consumers.unreadable);
  }

 private:
  std::string name_;
  ListFormat format_ = ListFormat::table;
};

class TopicDelete : public Command {
 public:
  void add_options(OptionSet& options) override {
    add_names(options, "NAME", names_, "names of the topics")->required();
    options.add_flag("-c,--continue-on-error", continue_on_error_, "go on with the next topic after a failure");
    options.add_flag("--if-exists", if_exists_, "a topic that does not exist is no error");
    options.add_flag("-d,--dry-run", dry_run_, "only say what would be done");
  }

  Result<void> run(Context& context) override {
    TRY(check_names("topic", names_));
    const auto backend = context.open_backend();
    if (!backend) {
      if (if_exists_ && backend.error().code == Code::not_found) return {};
      return std::unexpected(backend.error());
    }
    return for_each_name(names_, "topics", continue_on_error_,
                         [&](const std::string& name) { return delete_one(**backend, name); });
  }

 private:
  Result<void> delete_one(Backend& backend, const std::string& name) const {
    const auto consumers = backend.consumer_offsets(false);
    const auto deleted = dry_run_ ? exists(backend, name) : backend.delete_topic(name);
    if (!deleted) {
      if (if_exists_ && deleted.error().code == Code::not_found) return {};
      return deleted;
    }
    TRY(out().write(fmt::format("topic \"{}\" {}\n", name, dry_run_ ? "would be deleted" : "deleted")));
    if (!consumers) return {};
    std::string last;
    for (const ConsumerOffset& offset : consumers->offsets) {
      if (offset.topic != name || offset.consumer == last) continue;
      last = offset.consumer;
      print_note(
          fmt::format("consumer \"{}\" {} its offsets on topic \"{}\"", last, dry_run_ ? "would lose" : "lost", name));
    }
    return {};
  }

  static Result<void> exists(Backend& backend, const std::string& name) {
    TRY(backend.describe_topic(name));
    return {};
  }

  std::vector<std::string> names_;
  bool continue_on_error_ = false;
  bool if_exists_ = false;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> make_topic_create() {
  return std::make_unique<TopicCreate>();
}

std::unique_ptr<Command> make_topic_list() {
  return std::make_unique<TopicList>();
}

std::unique_ptr<Command> make_topic_describe() {
  return std::make_unique<TopicDescribe>();
}

std::unique_ptr<Command> make_topic_delete() {
  return std::make_unique<TopicDelete>();
}

}  // namespace leat::tools
