// `leat completions SHELL`: the completion files, which are part of the binary, and the candidates that they ask for.

#include "completion_texts.h"
#include "tools/commands.h"
#include "tools/complete.h"
#include "tools/options.h"

namespace leat::tools {
namespace {

// The names that `list` finds in the data directory. None when anything at all is wrong: this is no time for messages.
template <class List>
std::vector<std::string> names_in(std::optional<std::string> data_dir, const List& list) {
  const auto home = process_environment("HOME");
  if (data_dir && data_dir->starts_with("~/") && home) data_dir->replace(0, 1, *home);  // not expanded yet
  GlobalFlags flags;
  flags.data_dir = std::move(data_dir);
  const auto settings = load_settings(flags, true);
  if (!settings) return {};
  const auto backend = Context(settings->globals).open_backend();
  return backend ? list(**backend) : std::vector<std::string>{};
}

std::vector<std::string> topic_names(const std::optional<std::string>& data_dir) {
  return names_in(data_dir, [](Backend& backend) {
    auto names = backend.topic_names();
    return names ? std::move(*names) : std::vector<std::string>{};
  });
}

std::vector<std::string> consumer_names(const std::optional<std::string>& data_dir) {
  return names_in(data_dir, [](Backend& backend) {
    std::vector<std::string> names;
    const auto offsets = backend.consumer_offsets(false);
    if (!offsets) return names;
    for (const ConsumerOffset& offset : offsets->offsets) {
      if (names.empty() || names.back() != offset.consumer) names.push_back(offset.consumer);
    }
    return names;
  });
}

class Completions : public Command {
 public:
  void add_options(OptionSet& options) override {
    add_names(options, "SHELL", words_, "bash, zsh or fish");
    // Asked by the completion files: candidates for the last of the words.
    options.add_flag("--for-line", for_line_)->group("");
  }

  Result<void> run(Context&) override {
    if (for_line_) return print_candidates();
    if (words_.empty()) return fail(Code::usage, "SHELL is required: bash, zsh or fish", "leat completions bash");
    if (words_.size() > 1) {
      return fail(Code::usage, "unexpected argument \"" + words_[1] + "\"", "leat completions --help");
    }
    const std::string& shell = words_[0];
    if (shell == "bash") return out().write(kBashCompletion);
    if (shell == "zsh") return out().write(kZshCompletion);
    if (shell == "fish") return out().write(kFishCompletion);
    return fail(Code::usage, "there are no completions for \"" + shell + "\": expected bash, zsh or fish",
                "leat completions bash");
  }

 private:
  Result<void> print_candidates() const {
    if (words_.empty()) return {};
    const std::span<const std::string> before(words_.data(), words_.size() - 1);
    for (const std::string& candidate :
         complete_line(before, words_.back(), command_table(), {topic_names, consumer_names})) {
      TRY(out().write(candidate + "\n"));
    }
    return {};
  }

  std::vector<std::string> words_;
  bool for_line_ = false;
};

}  // namespace

std::unique_ptr<Command> make_completions() {
  return std::make_unique<Completions>();
}

}  // namespace leat::tools
