#include "tools/help.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/options.h"

namespace leat::tools {
namespace {

constexpr std::size_t kWidth = 100;
constexpr std::size_t kNameWidthMax = 30;

// Two columns: names, and what they do, wrapped.
struct Entry {
  std::string name;
  std::string text;
};

std::string columns(const std::vector<Entry>& entries, std::size_t name_width) {
  std::string lines;
  for (const Entry& entry : entries) {
    std::string line = "  " + entry.name;
    if (entry.name.size() > name_width) {
      lines += line + "\n";
      line.clear();
    }
    line.resize(std::max(line.size(), name_width + 4), ' ');
    std::string_view left = entry.text;
    const std::size_t room = kWidth - name_width - 4;
    while (left.size() > room) {
      std::size_t cut = left.rfind(' ', room);
      if (cut == std::string_view::npos) cut = room;
      lines += line.append(left.substr(0, cut)) + "\n";
      left.remove_prefix(std::min(left.size(), cut + 1));
      line.assign(name_width + 4, ' ');
    }
    line += left;
    line.erase(line.find_last_not_of(' ') + 1);
    lines += line + "\n";
  }
  return lines;
}

std::size_t name_width(const std::vector<Entry>& entries) {
  std::size_t width = 0;
  for (const Entry& entry : entries) {
    if (entry.name.size() <= kNameWidthMax) width = std::max(width, entry.name.size());
  }
  return width;
}

std::string positional_text(const Option& option) {
  const std::string text = option.names() + (option.takes_many() ? "..." : "");
  return option.is_required() ? text : "[" + text + "]";
}

Entry option_entry(const Option& option) {
  std::string name;
  for (const std::string& short_name : option.short_names()) name += (name.empty() ? "-" : ", -") + short_name;
  for (const std::string& long_name : option.long_names()) name += (name.empty() ? "    --" : ", --") + long_name;
  if (!option.placeholder().empty() && option.takes_value()) name += " " + option.placeholder();
  return {name, option.help()};
}

// The heading that a command opens in the overview, by its first word; the others stand under the one before.
std::string_view heading(std::string_view word) {
  if (word == "produce") return "Records";
  if (word == "topic") return "Topics and partitions";
  if (word == "consumer") return "Consumers";
  if (word == "store") return "Stores";
  if (word == "inspect") return "Looking inside";
  if (word == "check") return "Monitoring";
  if (word == "bench") return "Measuring";
  if (word == "config") return "Other";
  return "";
}

std::string global_text() {
  GlobalFlags flags;
  OptionSet options("leat");
  add_global_options(options, flags);
  std::vector<Entry> entries;
  for (const Option& option : options.options()) entries.push_back(option_entry(option));
  entries.push_back({"-h, --help", "help; --help begins with examples"});
  entries.push_back({"-V, --version", "print the version"});
  return columns(entries, name_width(entries));
}

}  // namespace

std::string overview_text(std::span<const CommandRow> table) {
  std::string text =
      "leat: Kafka's topics, partitions and consumers in a plain directory, without a broker\n\n"
      "Usage: leat [GLOBAL OPTIONS] COMMAND [ARGUMENTS]\n";
  std::string_view open;
  std::size_t width = 0;
  for (const CommandRow& row : table) width = std::max(width, full_name(row).size());
  for (const CommandRow& row : table) {
    const std::string_view title = heading(row.group.empty() ? row.name : row.group);
    if (!title.empty() && title != open) {
      open = title;
      text += fmt::format("\n{}:\n", title);
    }
    text += columns({{full_name(row), std::string(row.summary)}}, width);
  }
  text += "\nGlobal options, before or after the command:\n" + global_text();
  text += "\n'leat help COMMAND' shows examples and all flags; the manual begins with 'man leat'.\n";
  return text;
}

std::string group_text(std::span<const CommandRow> table, std::string_view group) {
  std::vector<Entry> entries;
  for (const CommandRow& row : table) {
    if (row.group == group) entries.push_back({full_name(row), std::string(row.summary)});
  }
  return fmt::format("Usage: leat {} COMMAND [ARGUMENTS]\n\n{}\n'leat help {} COMMAND' shows examples and all flags.\n",
                     group, columns(entries, name_width(entries)), group);
}

std::string command_text(const CommandRow& row, const OptionSet& options, bool examples) {
  std::string text;
  if (examples) {
    text += fmt::format("{}: {}\n\nExamples:\n", full_name(row), row.summary);
    std::string_view left = row.examples;
    while (!left.empty()) {
      const std::size_t end = std::min(left.find('\n'), left.size());
      text += fmt::format("  {}\n", left.substr(0, end));
      left.remove_prefix(std::min(left.size(), end + 1));
    }
    text += '\n';
  }
  std::vector<Entry> positionals;
  std::vector<Entry> own;
  std::vector<Entry> global;
  std::string usage = fmt::format("Usage: {} [OPTIONS]", full_name(row));
  for (const Option& option : options.options()) {
    if (option.heading().empty()) continue;  // hidden
    if (option.is_positional()) {
      usage += " " + positional_text(option);
      positionals.push_back({option.names(), option.help()});
    } else if (option.heading() == kGlobalGroup) {
      global.push_back(option_entry(option));
    } else {
      own.push_back(option_entry(option));
    }
  }
  const std::size_t width = std::max({name_width(positionals), name_width(own), name_width(global)});
  text += usage + "\n";
  if (!positionals.empty()) text += "\nArguments:\n" + columns(positionals, width);
  if (!own.empty()) text += "\nOptions:\n" + columns(own, width);
  text += fmt::format("\n{}:\n", kGlobalGroup) + columns(global, width);
  text += examples ? fmt::format("\nManual: man leat-{}\n", row.group.empty() ? row.name : row.group)
                   : fmt::format("\n'{} --help' begins with examples.\n", full_name(row));
  return text;
}

void declare_options(OptionSet& options, Command& command, GlobalFlags& flags) {
  options.add_help(Option::Kind::short_help, "-h", "short help")->group(kGlobalGroup);
  options.add_help(Option::Kind::long_help, "--help", "help that begins with examples")->group(kGlobalGroup);
  command.add_options(options);
  add_global_options(options, flags);
  options.add_help(Option::Kind::version, "-V,--version", "print the version")->group(kGlobalGroup);
}

namespace {

// `leat help [COMMAND]`.
class Help : public Command {
 public:
  void add_options(OptionSet& options) override {
    add_names(options, "COMMAND", words_, "a command, or the first word of several");
  }

  Result<void> run(Context&) override {
    const std::span<const CommandRow> table = command_table();
    const Selection selection = TRY(select_command(words_, table));
    if (selection.kind == Selection::Kind::group) return out().write(group_text(table, selection.group));
    if (selection.kind != Selection::Kind::command) return out().write(overview_text(table));
    const auto command = selection.row->make();
    GlobalFlags flags;
    OptionSet options(full_name(*selection.row));
    declare_options(options, *command, flags);
    return out().write(command_text(*selection.row, options, true));
  }

 private:
  std::vector<std::string> words_;
};

}  // namespace

std::unique_ptr<Command> make_help() {
  return std::make_unique<Help>();
}

}  // namespace leat::tools
