#include "tools/command_line.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/base/units.h"

namespace leat::tools {
namespace {

// The global flags, as they are needed to step over them. options.cc declares them.
constexpr std::string_view kShortFlags = "qvyhV";
constexpr std::string_view kShortWithValue = "D";
constexpr std::array<std::string_view, 5> kLongFlags = {"--quiet", "--verbose", "--yes", "--help", "--version"};
constexpr std::array<std::string_view, 3> kLongWithValue = {"--data-dir", "--color", "--lock-timeout"};

template <class Range, class Value>
bool contains(const Range& range, const Value& value) {
  return std::ranges::find(range, value) != std::ranges::end(range);
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

}  // namespace leat::tools
