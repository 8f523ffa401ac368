// One table of a pipeline file: its values by their keys, with errors that name file, line and column. Every key must
// be asked for, or finish() refuses it: what a file says is never passed over. Pure.
#pragma once

#include <array>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "leat/base/clock.h"
#include "leat/base/error.h"
#include "leat/base/toml.h"

namespace leat::pipe {

class SettingsTable {
 public:
  // The part of `entries` (parse_toml() with arrays flattened) below `prefix`: "source", "stage[0]". `path` names the
  // file in messages. Both must outlive the table.
  SettingsTable(std::string_view path, std::string prefix, std::span<const TomlEntry> entries);

  // Whether the file has the table at all, and whether it has the key.
  bool exists() const { return !entries_.empty(); }
  bool has(std::string_view key) const;

  // The value of `key`; the functions without a fallback refuse its absence. Errors: configuration.
  Result<std::string> text(std::string_view key);
  Result<std::optional<std::string>> optional_text(std::string_view key);
  Result<std::string> text_or(std::string_view key, std::string_view fallback);
  Result<bool> truth_or(std::string_view key, bool fallback);
  // A whole number from `least` to `most`.
  Result<std::int64_t> count_or(std::string_view key, std::int64_t fallback, std::int64_t least, std::int64_t most);
  // Bytes: a number, or text like "1MiB".
  Result<std::int64_t> size_or(std::string_view key, std::int64_t fallback, std::int64_t least, std::int64_t most);
  // Text like "4s".
  Result<Milliseconds> duration_or(std::string_view key, Milliseconds fallback);
  Result<std::optional<Milliseconds>> optional_duration(std::string_view key);
  // An array of texts; none where the key is absent, and never an empty one.
  Result<std::vector<std::string>> texts(std::string_view key);
  // An array of whole numbers from `least` to `most`; none where the key is absent.
  Result<std::vector<std::int64_t>> counts(std::string_view key, std::int64_t least, std::int64_t most);
  // A table of texts by their names, as `headers = { A = "b" }`; none where the key is absent.
  Result<std::vector<std::pair<std::string, std::string>>> named_texts(std::string_view key);

  // One of a few words, each standing for a value: `{{"flush", Shutdown::flush}, ...}`.
  template <class T, std::size_t N>
  Result<T> choice_or(std::string_view key, T fallback, const std::array<std::pair<std::string_view, T>, N>& choices) {
    std::array<std::string_view, N> words;
    for (std::size_t i = 0; i < N; ++i) words[i] = choices[i].first;
    const auto word = optional_text(key);
    if (!word) return std::unexpected(word.error());
    if (!*word) return fallback;
    for (const auto& choice : choices)
      if (choice.first == **word) return choice.second;
    return refuse_word(key, **word, words);
  }

  // What is wrong with the value of `key` (with the table, where it is absent): "FILE:LINE:COLUMN: KEY: WHAT".
  std::unexpected<Error> refuse(std::string_view key, std::string_view what, std::string hint = {}) const;
  // What is wrong with the table as a whole.
  std::unexpected<Error> refuse_table(std::string_view what) const;
  // A key that must be there and is not; where another is there that looks like it, that one is not known.
  std::unexpected<Error> refuse_missing(std::string_view key) const;
  // A word that is none of those allowed, with the nearest of them.
  std::unexpected<Error> refuse_word(std::string_view key, std::string_view word,
                                     std::span<const std::string_view> words) const;

  // Refuses the first key that was not asked for, naming the nearest that was.
  Result<void> finish() const;

 private:
  const TomlEntry* find(std::string_view key) const;
  const TomlEntry* ask(std::string_view key);
  // The elements of the array `key`.
  Result<std::vector<const TomlEntry*>> elements(std::string_view key);
  std::string_view name_in_table(const TomlEntry& entry) const;
  std::unexpected<Error> refuse_at(std::uint32_t line, std::uint32_t column, std::string_view what,
                                   std::string hint = {}) const;
  std::unexpected<Error> refuse_unknown(const TomlEntry& entry, std::string_view meant) const;
  std::unexpected<Error> refuse_type(const TomlEntry& entry, std::string_view expected) const;

  std::string_view path_;
  std::string prefix_;
  std::vector<const TomlEntry*> entries_;
  std::set<std::string, std::less<>> asked_;
};

}  // namespace leat::pipe
