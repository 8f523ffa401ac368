#include "tools/arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "leat/base/units.h"

namespace leat::tools {

namespace {

template <class Range, class Value>
bool contains(const Range& range, const Value& value) {
  return std::ranges::find(range, value) != std::ranges::end(range);
}

// CLI11's name for an option, cut from the front of one of its messages.
std::string_view leading_name(std::string_view message) {
  return message.substr(0, message.find_first_of(": "));
}

Error usage(std::string message, std::string hint) {
  return Error{Code::usage, std::move(message), std::move(hint)};
}

}  // namespace

// Reads one command line into what a set of options binds. CLI11 is told of those options alone that the words may
// name: each costs it more than all else that most commands do before they open a file.
class ArgumentParser {
 public:
  explicit ArgumentParser(OptionSet& options) : options_(options), app_("", options.command()) {
    app_.set_help_flag();  // it declares one by itself
  }

  Result<Parsed> parse(const std::vector<std::string>& words) {
    for (Option& option : options_.options_) {
      const bool named = std::ranges::any_of(words, [&](const std::string& word) { return may_name(word, option); });
      if (option.is_positional() || option.required_ || named) declare(option);
    }
    for (const auto& [option, declared] : declared_) relate(*option, *declared);
    try {
      app_.parse(std::vector<std::string>(words.rbegin(), words.rend()));  // in the order CLI11 wants
      TRY(refuse_lists(words));
      for (const auto& [option, declared] : declared_) option->count_ = declared->count();
      return Parsed::run;
    } catch (const CLI::CallForHelp&) {
      return Parsed::short_help;
    } catch (const CLI::CallForAllHelp&) {
      return Parsed::long_help;
    } catch (const CLI::CallForVersion&) {
      return Parsed::version;
    } catch (const CLI::ParseError& error) {
      return std::unexpected(explain(error));
    }
  }

 private:
  // Whether `word` can be a name of the option, or several with this one among them; true too often, never too seldom.
  static bool may_name(std::string_view word, const Option& option) {
    if (word.size() < 2 || word.front() != '-') return false;
    if (word[1] == '-') return option.has_name(word.substr(0, word.find('=')));
    for (std::string_view left = option.names(); !left.empty();) {
      const std::string_view name = take_name(left);
      if (name.size() == 2 && word.find(name[1], 1) != std::string_view::npos) return true;
    }
    return false;
  }

  CLI::Option* declare(Option& option) {
    if (const auto found = std::ranges::find(declared_, &option, &std::pair<Option*, CLI::Option*>::first);
        found != declared_.end())
      return found->second;
    CLI::Option* const declared = declare_kind(option);
    declared_.emplace_back(&option, declared);
    for (const Option* needed : option.needed_) declare(const_cast<Option&>(*needed));
    return declared;
  }

  CLI::Option* declare_kind(Option& option) {
    switch (option.kind_) {
      case Option::Kind::short_help:
        return app_.set_help_flag(option.names_);
      case Option::Kind::long_help:
        return app_.set_help_all_flag(option.names_);
      case Option::Kind::version:
        return app_.set_version_flag(option.names_, std::string());
      case Option::Kind::flag:
        return app_.add_flag(option.names_, *option.flag_);
      case Option::Kind::value:
        break;
    }
    const CLI::callback_t read = [&option](const CLI::results_t& words) {
      const auto taken = option.read_(words);
      if (!taken) throw CLI::ValidationError(taken.error().message, CLI::ExitCodes::ValidationError);
      return true;
    };
    CLI::Option* const declared = app_.add_option(option.names_, read);
    if (option.repeatable_) {
      declared->expected(CLI::detail::expected_max_vector_size)->allow_extra_args(false);
    } else if (option.words_max_ == OptionSet::kMany) {
      declared->expected(CLI::detail::expected_max_vector_size);
    } else if (option.words_max_ > 1) {
      declared->expected(option.words_min_, option.words_max_);
    }
    if (option.take_last_) declared->take_last();
    return declared->required(option.required_);
  }

  // Says what does not go together. Of an option that is not declared none was given.
  void relate(const Option& option, CLI::Option& declared) {
    for (const auto& [other, handle] : declared_) {
      if (contains(option.excluded_, other)) declared.excludes(handle);
      if (contains(option.needed_, other)) declared.needs(handle);
    }
  }

  // CLI11 takes a positional "[a,b]" for the two words a and b. Errors: usage, when it has done so.
  Result<void> refuse_lists(const std::vector<std::string>& words) const {
    for (const std::string& word : words) {
      if (!word.starts_with('[') || !word.ends_with(']')) continue;
      const bool whole =
          std::ranges::any_of(declared_, [&](const auto& one) { return contains(one.second->results(), word); });
      if (!whole) return std::unexpected(usage(fmt::format("unexpected argument \"{}\"", word), help()));
    }
    return {};
  }

  // Our words for what CLI11 found wrong.
  Error explain(const CLI::ParseError& error) const {
    const std::string_view what = error.what();
    const std::vector<std::string> extras = app_.remaining();
    // A flag that is not known explains whatever else is missing or superfluous.
    const auto flag =
        std::ranges::find_if(extras, [](const std::string& word) { return word.size() > 1 && word.front() == '-'; });
    if (flag != extras.end()) return explain_unknown(std::string_view(*flag).substr(0, flag->find('=')));
    if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr && !extras.empty())
      return usage(fmt::format("unexpected argument \"{}\"", extras.front()), help());
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
      const std::string_view name = leading_name(what);
      if (what.find("missing") != std::string_view::npos) return usage(fmt::format("{} needs a value", name), help());
      if (what.find("At Most") != std::string_view::npos)
        return usage(fmt::format("{} is given more than once", name), help());
      return usage(std::string(what), help());
    }
    if (dynamic_cast<const CLI::ExcludesError*>(&error) != nullptr) {
      const std::size_t middle = what.find(" excludes ");
      if (middle != std::string_view::npos)
        return usage(fmt::format("{} and {} exclude each other", what.substr(0, middle), what.substr(middle + 10)),
                     help());
    }
    return usage(std::string(what), help());
  }

  Error explain_unknown(std::string_view flag) const {
    std::vector<std::string> known;
    for (const Option& option : options_.options())
      for (std::string& name : option.long_names()) known.push_back(std::move(name));
    // A lone letter is near to everything.
    const std::string_view near = flag.starts_with("--") ? nearest(flag.substr(2), known) : std::string_view{};
    return usage(fmt::format("unknown flag {}", flag),
                 near.empty() ? help() : fmt::format("did you mean \"--{}\"?", near));
  }

  std::string help() const { return options_.command() + " --help"; }

  OptionSet& options_;
  CLI::App app_;
  std::vector<std::pair<Option*, CLI::Option*>> declared_;
};

Result<Parsed> parse_arguments(OptionSet& options, std::vector<std::string> arguments) {
  // CLI11 would take `--flag=` for a flag whose value comes next.
  for (std::size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
    if (!arguments[i].starts_with("--") || arguments[i].find('=') != arguments[i].size() - 1) continue;
    arguments[i].pop_back();
    arguments.insert(arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, std::string());
    ++i;
  }
  return ArgumentParser(options).parse(arguments);
}

}  // namespace leat::tools
