// What a command declares: its flags and positionals, in the order of its help. Holds no opinion on how a command line
// is read (arguments.cc) or shown (help.cc, complete.cc). Declaring costs next to nothing: a command that runs for half
// a millisecond declares forty options and is given two.
#pragma once

#include <climits>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/error.h"

namespace leat::tools {

// Takes the first of "-p,--partition" off.
std::string_view take_name(std::string_view& names);

// One flag or positional. References and pointers to it hold as long as its set.
class Option {
 public:
  // Takes the words that were given, at least one. Errors: usage, naming the option.
  using Read = std::function<Result<void>(const std::vector<std::string>& words)>;

  enum class Kind {
    value,       // takes words
    flag,        // takes none
    short_help,  // -h
    long_help,   // --help
    version,     // -V
  };

  // ---- Declaring ----

  Option* group(std::string_view heading);  // in the help; empty hides it
  Option* type_name(std::string_view placeholder);
  Option* required();
  Option* expected(int words_min, int words_max);  // after one name
  Option* repeatable();                            // one word after each name
  Option* take_last();                             // repeatable, and only the last one counts
  Option* excludes(const Option* other);
  Option* needs(const Option* other);

  // ---- Looking ----

  Kind kind() const { return kind_; }
  const std::string& names() const { return names_; }  // "-p,--partition", "TOPIC"
  bool is_positional() const { return !names_.starts_with('-'); }
  std::vector<std::string> long_names() const { return names_after("--"); }  // without the dashes
  std::vector<std::string> short_names() const { return names_after("-"); }
  bool has_name(std::string_view with_dashes) const;
  const std::string& help() const { return help_; }
  const std::string& heading() const { return heading_; }
  const std::string& placeholder() const { return placeholder_; }
  bool is_required() const { return required_; }
  bool takes_value() const { return words_max_ > 0; }
  bool takes_many() const { return words_max_ > 1 || repeatable_; }
  // How often it was given on the command line that was read.
  std::size_t count() const { return count_; }

 private:
  friend class OptionSet;
  friend class ArgumentParser;

  std::vector<std::string> names_after(std::string_view dashes) const;

  Kind kind_ = Kind::value;
  std::string names_;
  std::string help_;
  std::string heading_ = "Options";
  std::string placeholder_;
  Read read_;             // of values
  bool* flag_ = nullptr;  // of flags
  int words_min_ = 1;
  int words_max_ = 1;
  bool required_ = false;
  bool repeatable_ = false;
  bool take_last_ = false;
  std::vector<const Option*> excluded_;
  std::vector<const Option*> needed_;
  std::size_t count_ = 0;
};

class OptionSet {
 public:
  static constexpr int kMany = INT_MAX;

  // `command` is what the user types: "leat topic create".
  explicit OptionSet(std::string command) : command_(std::move(command)) {}

  const std::string& command() const { return command_; }
  const std::deque<Option>& options() const { return options_; }

  Option* add_flag(std::string_view names, bool& value, std::string_view help = {});
  Option* add_option(std::string_view names, Option::Read read, std::string_view help);
  Option* add_option(std::string_view names, std::string& value, std::string_view help);
  // All words that are left.
  Option* add_option(std::string_view names, std::vector<std::string>& values, std::string_view help);
  Option* add_help(Option::Kind kind, std::string_view names, std::string_view help);

 private:
  friend class ArgumentParser;

  Option& add(Option::Kind kind, std::string_view names, std::string_view help);

  std::string command_;
  std::deque<Option> options_;  // places stay
};

}  // namespace leat::tools
