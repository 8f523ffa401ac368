// Fuzzes the TOML files: any text as the settings file, a topic's file or the data directory's gives an error that
// names its place or settings that are within their limits, and a topic's settings are read back as they were written.
#include <map>

#include "leat/base/toml.h"
#include "leat/log/data_dir.h"
#include "leat/log/topic.h"
#include "tests/fuzz/fuzz.h"
#include "tools/config.h"
#include "tools/output.h"

namespace leat::fuzz {
namespace {

void check_refusal(const Error& error, Code code = Code::configuration) {
  ASSERT(error.code == code && !error.message.empty());
}

void check_entries(std::string_view text) {
  const auto entries = parse_toml(text, "FILE");
  if (!entries) return check_refusal(entries.error());
  for (std::size_t i = 0; i < entries->size(); ++i) {
    const TomlEntry& entry = (*entries)[i];
    ASSERT(!entry.key.empty() || text.find("\"\"") != text.npos || text.find("''") != text.npos);
    ASSERT(entry.line > 0 && entry.column > 0 && entry.key_line > 0 && entry.key_column > 0);
    ASSERT(i == 0 || (*entries)[i - 1].line <= entry.line);
  }
  // With a comment that none of our own files has, it says the same.
  if (!text.ends_with('\n')) return;
  const auto same = parse_toml(std::string(text) + "# \u00e9\n", "FILE");
  ASSERT(same && *same == *entries);
}

// Any text in quotes comes back.
void check_quote(std::string_view text) {
  if (!is_utf8(text)) return;
  const auto entries = parse_toml("key = " + toml_quote(text), "FILE");
  ASSERT(entries && entries->size() == 1);
  ASSERT(std::get<std::string>((*entries)[0].value) == text);
}

void check_settings_file(std::string_view text) {
  const auto entries = parse_toml(text, "FILE");
  if (!entries) return check_refusal(entries.error());
  const auto environment = [](const char* name) -> std::optional<std::string> {
    return std::string_view(name) == "HOME" ? std::optional<std::string>("/home/u") : std::nullopt;
  };
  const auto settings = tools::resolve_settings({}, environment, *entries, "FILE");
  if (!settings) return check_refusal(settings.error());
  ASSERT(settings->origins.size() == 6 && !settings->globals.data_dir.empty());
}

void check_topic_file(std::string_view text) {
  static const Scratch scratch;
  static const Directory directory = must(Directory::open_root(scratch.path()));
  write_file(scratch / "topic.toml", text);
  const auto file = load_topic_file(directory);
  if (!file) return check_refusal(file.error());
  ASSERT(file->settings.partitions >= 1 && file->settings.partitions <= kPartitionsMax);
  ASSERT(file->settings.segment_bytes >= kSegmentBytesMin && file->settings.segment_bytes <= kSegmentBytesMax);
  must(store_topic_file(directory, *file));
  const TopicFile again = must(load_topic_file(directory));
  ASSERT(again.id == file->id && again.settings == file->settings);
}

void check_data_dir_file(std::string_view text) {
  static const Scratch scratch;
  write_file(scratch / "leat.toml", text);
  const auto opened = DataDir::open(scratch.path(), {.allow_any_file_system = true});
  if (!opened) check_refusal(opened.error());
}

// One setting of a topic: what is taken is listed in a form that is taken again.
void check_setting(Source input) {
  const TopicSettings before;
  const auto names = list_settings(before);
  const std::string_view key = names[input.byte() % names.size()].first;
  const std::string_view text = input.rest();
  TopicSettings settings;
  const auto set = set_setting(settings, key, text);
  if (!set) {
    ASSERT(settings == before);
    return check_refusal(set.error(), Code::usage);
  }
  TopicSettings again;
  for (const auto& [name, value] : list_settings(settings)) must(set_setting(again, name, value));
  ASSERT(again == settings);
}

void check(Source input) {
  switch (input.byte() % 6) {
    case 0:
      return check_entries(input.rest());
    case 1:
      return check_quote(input.rest());
    case 2:
      return check_settings_file("[defaults]\n" + std::string(input.rest()));
    case 3:
      return check_topic_file("id = \"00112233445566778899aabbccddeeff\"\npartitions = 2\n[settings]\n" +
                              std::string(input.rest()));
    case 4:
      return (input.byte() & 1) != 0 ? check_topic_file(input.rest()) : check_data_dir_file(input.rest());
    default:
      return check_setting(input);
  }
}

}  // namespace
}  // namespace leat::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leat::fuzz::check(leat::fuzz::Source(data, size));
  return 0;
}
