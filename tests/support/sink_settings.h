// A sink's settings parsed from the text of a table [s] of a file "f", whose first line is 2.
#pragma once

#include <string>
#include <string_view>

#include "leat/pipe/settings_table.h"
#include "tests/support/log_fixture.h"

namespace leat::test {

template <class Options>
Result<Options> parsed(Result<Options> (*parse)(pipe::SettingsTable&), std::string_view text) {
  const auto entries = TRY(parse_toml("[s]\n" + std::string(text), "f", TomlArrays::flattened));
  pipe::SettingsTable table("f", "s", entries);
  auto options = TRY(parse(table));
  TRY(table.finish());
  return options;
}

// What is said against settings; empty when nothing is.
template <class Options>
std::string refusal(Result<Options> (*parse)(pipe::SettingsTable&), std::string_view text) {
  const auto options = parsed(parse, text);
  if (options) return {};
  CHECK(options.error().code == Code::configuration);
  return options.error().message;
}

}  // namespace leat::test
