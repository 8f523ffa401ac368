#include "tools/complete.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "leat/log/topic_settings.h"
#include "tools/command_line.h"
#include "tools/help.h"
#include "tools/options.h"

namespace leat::tools {
namespace {

// The command line up to the word being typed, taken apart. Unlike the parser it never fails: half a line is the rule.
class Line {
 public:
  Line(std::span<const std::string> before, std::span<const CommandRow> table) : table_(table) {
    options_->add_help(Option::Kind::short_help, "-h", "");
    options_->add_help(Option::Kind::long_help, "--help", "");
    add_global_options(*options_, flags_);
    for (const std::string& word : before) step(word);
  }

  const CommandRow* row() const { return row_; }
  const std::string& group() const { return group_; }
  const OptionSet& options() const { return *options_; }
  const Option* pending() const { return pending_; }  // the flag whose value comes next
  bool flags_ended() const { return flags_ended_; }   // by --
  const std::optional<std::string>& data_dir() const { return data_dir_; }
  std::size_t positionals() const { return positionals_; }

  const Option* find(std::string_view name) const {
    for (const Option& option : options_->options())
      if (option.has_name(name)) return &option;
    return nullptr;
  }

 private:
  void take_value(const Option& option, const std::string& value) {
    if (option.has_name("-D")) data_dir_ = value;
    pending_ = nullptr;
  }

  void step(const std::string& word) {
    if (pending_ != nullptr) return take_value(*pending_, word);
    if (flags_ended_ || word.size() < 2 || word.front() != '-') return step_word(word);
    if (word == "--") {
      flags_ended_ = true;
    } else if (word.starts_with("--")) {
      const std::size_t equals = word.find('=');
      const Option* option = find(word.substr(0, equals));
      if (option == nullptr || !option->takes_value()) return;
      if (equals == std::string::npos) {
        pending_ = option;
      } else {
        take_value(*option, word.substr(equals + 1));
      }
    } else {
      for (std::size_t i = 1; i < word.size(); ++i) {
        const Option* option = find(std::string{'-', word[i]});
        if (option == nullptr || !option->takes_value()) continue;
        if (i + 1 == word.size()) {
          pending_ = option;
        } else {
          take_value(*option, word.substr(i + 1));
        }
        return;
      }
    }
  }

  void step_word(const std::string& word) {
    if (row_ != nullptr) {
      // Its topics are those of the place it copies from.
      if (row_->name == "copy" && positionals_ == 0) data_dir_ = word;
      ++positionals_;
      return;
    }
    for (const CommandRow& row : table_) {
      if (row.group == group_ && row.name == word) {
        row_ = &row;
        command_ = row.make();
        options_ = std::make_unique<OptionSet>(full_name(row));
        declare_options(*options_, *command_, flags_);
        return;
      }
    }
    group_ = word;
  }

  std::span<const CommandRow> table_;
  GlobalFlags flags_;
  std::unique_ptr<Command> command_;
  std::unique_ptr<OptionSet> options_ = std::make_unique<OptionSet>("leat");
  const CommandRow* row_ = nullptr;
  std::string group_;
  const Option* pending_ = nullptr;
  bool flags_ended_ = false;
  std::optional<std::string> data_dir_;
  std::size_t positionals_ = 0;
};

// Collects the candidates that fit.
class Candidates {
 public:
  explicit Candidates(std::string current) : current_(std::move(current)) {}

  void add(const std::string& word, std::string_view description = {}) {
    if (!word.starts_with(current_)) return;
    list_.push_back(description.empty() ? word : fmt::format("{}\t{}", word, description));
  }
  void add_directive(const char* directive) { list_.emplace_back(directive); }
  std::vector<std::string> take() { return std::move(list_); }

 private:
  std::string current_;
  std::vector<std::string> list_;
};

// What fits in the place of `placeholder`; each word is offered with `prefix` before it.
void add_values(Candidates& candidates, const Line& line, const std::string& placeholder, const Option& option,
                const std::string& prefix, const NameSources& sources) {
  const auto add_all = [&](const std::vector<std::string>& words) {
    for (const std::string& word : words) candidates.add(prefix + word);
  };
  // Of "start|end|N|TIME" only the words can be offered.
  const auto add_words = [&](std::string_view choices) {
    while (!choices.empty()) {
      const std::string choice(choices.substr(0, choices.find('|')));
      choices.remove_prefix(std::min(choices.size(), choice.size() + 1));
      if (choice[0] >= 'a' && choice[0] <= 'z') candidates.add(prefix + choice);
    }
  };
  const bool choices = placeholder.find('|') != std::string::npos && (placeholder[0] < 'A' || placeholder[0] > 'Z');
  const bool names_topic = placeholder.starts_with("TOPIC") ||
                           (placeholder == "NAME" && line.group() == "topic" && line.row()->name != "create");
  const bool names_consumer = option.has_name("--consumer") ||
                              (placeholder == "NAME" && (line.group() == "consumer" || line.row()->name == "consumer"));
  if (choices) {
    add_words(placeholder);
  } else if (placeholder.starts_with("FILE") || placeholder.starts_with("PATH") || placeholder == "PIPELINE") {
    candidates.add_directive(":files");
  } else if (placeholder.starts_with("DIR") || placeholder == "SRC" || placeholder == "DST") {
    candidates.add_directive(":dirs");
  } else if (names_topic) {
    add_all(sources.topics(line.data_dir()));
  } else if (names_consumer) {
    add_all(sources.consumers(line.data_dir()));
  } else if (placeholder == "SHELL") {
    add_all({"bash", "zsh", "fish"});
  } else if (placeholder == "SETTING") {
    for (const auto& [key, value] : list_settings(TopicSettings{})) candidates.add(fmt::format("{}{}=", prefix, key));
    candidates.add_directive(":nospace");
  }
}

void add_flags(Candidates& candidates, const OptionSet& options) {
  for (const Option& option : options.options()) {
    if (option.heading().empty()) continue;  // hidden
    for (const std::string& name : option.long_names()) candidates.add("--" + name, option.help());
    for (const std::string& name : option.short_names()) candidates.add("-" + name, option.help());
  }
}

void add_commands(Candidates& candidates, std::span<const CommandRow> table, std::string_view group) {
  std::string_view last;
  for (const CommandRow& row : table) {
    if (row.group == group) {
      candidates.add(std::string(row.name), row.summary);
    } else if (group.empty() && row.group != last) {
      candidates.add(std::string(row.group), fmt::format("{} commands", row.group));
    }
    last = row.group;
  }
}

// The positional that the next word belongs to: the last one takes all that are left.
const Option* next_positional(const Line& line) {
  std::size_t left = line.positionals();
  for (const Option& option : line.options().options()) {
    if (!option.is_positional()) continue;
    if (option.takes_many() || left == 0) return &option;
    --left;
  }
  return nullptr;
}

}  // namespace

std::vector<std::string> complete_line(std::span<const std::string> before, const std::string& current,
                                       std::span<const CommandRow> table, const NameSources& sources) {
  const Line line(before, table);
  Candidates candidates(current);
  const std::size_t equals = current.find('=');
  if (const Option* option = line.pending()) {
    add_values(candidates, line, option->placeholder(), *option, "", sources);
  } else if (!line.flags_ended() && current.starts_with("--") && equals != std::string::npos) {
    const Option* named = line.find(current.substr(0, equals));
    if (named != nullptr) {
      add_values(candidates, line, named->placeholder(), *named, current.substr(0, equals + 1), sources);
    }
  } else if (!line.flags_ended() && current.starts_with('-')) {
    add_flags(candidates, line.options());
  } else if (line.row() == nullptr) {
    add_commands(candidates, table, line.group());
  } else if (line.row()->name == "help" && line.row()->group.empty()) {
    add_commands(candidates, table, line.positionals() == 0 ? std::string_view{} : std::string_view(before.back()));
  } else if (const Option* positional = next_positional(line)) {
    add_values(candidates, line, positional->names(), *positional, "", sources);
  }
  return candidates.take();
}

}  // namespace leat::tools
