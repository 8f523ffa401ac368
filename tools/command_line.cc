#include "tools/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "leat/base/units.h"

namespace leat::tools {
namespace {

// The global flags, as they are needed to step over them. options.cc declares them for CLI11.
constexpr std::string_view kShortFlags = "qvyhV";
constexpr std::string_view kShortWithValue = "D";
constexpr std::array<std::string_view, 5> kLongFlags = {"--quiet", "--verbose", "--yes", "--help", "--version"};
constexpr std::array<std::string_view, 3> kLongWithValue = {"--data-dir", "--color", "--lock-timeout"};

template <class Range>
bool contains(const Range& range, std::string_view word) {
  return std::find(range.begin(), range.end(), word) != range.end();
}

// How many words a global flag and its value take; 0 when `word` is no global flag.
std::size_t global_flag_words(std::string_view word) {
  if (word.starts_with("--")) {
    if (contains(kLongFlags, word)) return 1;
    if (contains(kLongWithValue, word)) return 2;
    return word.find('=') != std::string_view::npos && contains(kLongWithValue, word.substr(0, word.find('='))) ? 1 : 0;
  }
  for (std::size_t i = 1; i < word.size(); ++i) {
    if (kShortWithValue.find(word[i]) != std::string_view::npos) return i + 1 == word.size() ? 2 : 1;
    if (kShortFlags.find(word[i]) == std::string_view::npos) return 0;
  }
  return 1;
}

bool asks(std::string_view word, char short_name, std::string_view long_name) {
  if (word == long_name) return true;
  return word.size() > 1 && word[1] != '-' && word.substr(1).find(short_name) < word.find_first_of(kShortWithValue) - 1;
}

// CLI11's name for an option, cut from the front of one of its messages.
std::string_view leading_name(std::string_view message) {
  return message.substr(0, message.find_first_of(": "));
}

Error usage(std::string message, std::string hint) {
  return Error{Code::usage, std::move(message), std::move(hint)};
}

// Our words for what CLI11 found wrong.
Error explain(const CLI::App& app, const CLI::ParseError& error) {
  const std::string help = app.get_name() + " --help";
  const std::string_view what = error.what();
  std::vector<std::string> extras = app.remaining();
  // A flag that is not known explains whatever else is missing or superfluous.
  const auto flag = std::find_if(extras.begin(), extras.end(),
                                 [](const std::string& word) { return word.size() > 1 && word.front() == '-'; });
  if (flag != extras.end()) {
    const std::string_view name = std::string_view(*flag).substr(0, flag->find('='));
    std::vector<std::string> known;
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& long_name : option->get_lnames()) known.push_back(long_name);
    }
    // A lone letter is near to everything.
    const std::string_view near = name.starts_with("--") ? nearest(name.substr(2), known) : std::string_view{};
    return usage(fmt::format("unknown flag {}", name),
                 near.empty() ? help : fmt::format("did you mean \"--{}\"?", near));
  }
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr && !extras.empty()) {
    return usage(fmt::format("unexpected argument \"{}\"", extras.front()), help);
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    const std::string_view name = leading_name(what);
    if (what.find("missing") != std::string_view::npos) return usage(fmt::format("{} needs a value", name), help);
    if (what.find("At Most") != std::string_view::npos)
      return usage(fmt::format("{} is given more than once", name), help);
    return usage(std::string(what), help);
  }
  if (dynamic_cast<const CLI::ExcludesError*>(&error) != nullptr) {
    const std::size_t middle = what.find(" excludes ");
    if (middle != std::string_view::npos) {
      return usage(fmt::format("{} and {} exclude each other", what.substr(0, middle), what.substr(middle + 10)), help);
    }
  }
  return usage(std::string(what), help);
}

// CLI11 takes a positional "[a,b]" for the two words a and b. Errors: usage, when it has done so.
Result<void> refuse_lists(const CLI::App& app, const std::vector<std::string>& arguments) {
  for (const std::string& word : arguments) {
    if (!word.starts_with('[') || !word.ends_with(']')) continue;
    const auto options = app.get_options();
    const bool whole = std::any_of(options.begin(), options.end(),
                                   [&](const CLI::Option* option) { return contains(option->results(), word); });
    if (!whole) return fail(Code::usage, fmt::format("unexpected argument \"{}\"", word), app.get_name() + " --help");
  }
  return {};
}

}  // namespace

std::string full_name(const CommandRow& row) {
  return row.group.empty() ? fmt::format("leat {}", row.name) : fmt::format("leat {} {}", row.group, row.name);
}

Result<Selection> select_command(std::span<const std::string> words, std::span<const CommandRow> table) {
  Selection selection;
  bool version = false;
  for (std::size_t i = 0; i < words.size();) {
    const std::string& word = words[i];
    if (word.size() > 1 && word.front() == '-') {
      const std::size_t count = global_flag_words(word);
      if (count == 0) {
        return fail(Code::usage, fmt::format("unknown flag {} before the command", word.substr(0, word.find('='))),
                    "leat --help");
      }
      if (i + count > words.size()) return fail(Code::usage, fmt::format("{} needs a value", word), "leat --help");
      selection.help = selection.help || asks(word, 'h', "--help");
      version = version || asks(word, 'V', "--version");
      for (const std::size_t end = std::min(i + count, words.size()); i < end; ++i)
        selection.arguments.push_back(words[i]);
      continue;
    }
    ++i;
    std::vector<std::string> candidates;
    for (const CommandRow& row : table) {
      if (row.group == selection.group && row.name == word) {
        selection.kind = Selection::Kind::command;
        selection.row = &row;
        selection.arguments.insert(selection.arguments.end(), words.begin() + static_cast<std::ptrdiff_t>(i),
                                   words.end());
        return selection;
      }
      if (row.group == selection.group) candidates.emplace_back(row.name);
      if (selection.group.empty() && !row.group.empty()) candidates.emplace_back(row.group);
    }
    if (selection.group.empty() && contains(candidates, word)) {
      selection.kind = Selection::Kind::group;
      selection.group = word;
      continue;
    }
    const std::string prefix = selection.group.empty() ? "" : selection.group + " ";
    const std::string_view near = nearest(word, candidates);
    return fail(Code::usage, fmt::format("unknown command \"{}{}\"", prefix, word),
                near.empty() ? fmt::format("leat help{}", selection.group.empty() ? "" : " " + selection.group)
                             : fmt::format("did you mean \"leat {}{}\"?", prefix, near));
  }
  if (version && !selection.help) selection.kind = Selection::Kind::version;
  return selection;
}

std::array<std::string_view, 2> command_words(std::span<const std::string> words) {
  std::array<std::string_view, 2> found;
  std::size_t count = 0;
  for (std::size_t i = 0; i < words.size() && count < found.size();) {
    const std::string_view word = words[i];
    const bool flag = word.size() > 1 && word.front() == '-';
    if (!flag) found[count++] = word;
    i += flag ? std::max<std::size_t>(global_flag_words(word), 1) : 1;
  }
  return found;
}

Result<Parsed> parse_arguments(CLI::App& app, std::vector<std::string> arguments) {
  // CLI11 would take `--flag=` for a flag whose value comes next.
  for (std::size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
    if (!arguments[i].starts_with("--") || arguments[i].find('=') != arguments[i].size() - 1) continue;
    arguments[i].pop_back();
    arguments.insert(arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, std::string());
    ++i;
  }
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // in the order CLI11 wants
    TRY(refuse_lists(app, arguments));
    return Parsed::run;
  } catch (const CLI::CallForHelp&) {
    return Parsed::short_help;
  } catch (const CLI::CallForAllHelp&) {
    return Parsed::long_help;
  } catch (const CLI::CallForVersion&) {
    return Parsed::version;
  } catch (const CLI::ParseError& error) {
    return std::unexpected(explain(app, error));
  }
}

}  // namespace leat::tools
