#include "leat/pipe/clickhouse_options.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <tuple>

#include "leat/base/hex.h"

namespace leat::pipe {
namespace {

constexpr std::array<std::pair<std::string_view, HttpCompression>, 4> kCompressions = {
    {{"none", HttpCompression::none},
     {"gzip", HttpCompression::gzip},
     {"lz4", HttpCompression::lz4},
     {"zstd", HttpCompression::zstd}}};

// What the sink's promises rest on.
constexpr std::array<std::string_view, 11> kOwnSettings = {"query",
                                                           "user",
                                                           "password",
                                                           "database",
                                                           "insert_deduplication_token",
                                                           "max_insert_block_size",
                                                           "min_insert_block_size_rows",
                                                           "min_insert_block_size_bytes",
                                                           "input_format_allow_errors_num",
                                                           "input_format_allow_errors_ratio",
                                                           "async_insert"};

Result<void> check_settings(const SettingsTable& table, const ClickhouseOptions& options) {
  for (const auto& [name, value] : options.settings) {
    if (std::ranges::find(kOwnSettings, name) != kOwnSettings.end())
      return table.refuse("settings", fmt::format("{} is set by the sink itself", name));
    const auto is_name = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
    if (name.empty() || !std::ranges::all_of(name, is_name))
      return table.refuse("settings", fmt::format("\"{}\" is not the name of a setting", name));
  }
  return {};
}

std::string in_backquotes(std::string_view name) {
  std::string text = "`";
  for (const char c : name) {
    if (c == '`' || c == '\\') text += '\\';
    text += c;
  }
  return text + "`";
}

// The number behind the first "Code: " that begins a line and that the mark of an exception follows. The first, as the
// text goes on with what it found in the data.
std::optional<int> code_in_text(std::string_view body) {
  constexpr std::string_view kMark = "Code: ";
  for (std::size_t at = body.find(kMark); at != std::string_view::npos; at = body.find(kMark, at + 1)) {
    if (at != 0 && body[at - 1] != '\n') continue;
    const std::string_view rest = body.substr(at + kMark.size());
    int number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (error == std::errc() && rest.find("DB::Exception") != std::string_view::npos) return number;
  }
  return std::nullopt;
}

// Numbers of ClickHouse's ErrorCodes, which never change their meaning.
constexpr std::array kMayPass = {3,   74,  75,  76,  95,  96,  159, 160, 173, 198, 201,  202,  203,
                                 204, 209, 210, 225, 236, 241, 242, 243, 244, 252, 254,  279,  285,
                                 286, 319, 373, 394, 425, 439, 473, 733, 745, 999, 1000, 1001, 1002};
constexpr std::array kBadRow = {6,   23,  25,  26,  27,  28,  32,  33,  38,  41,  53,  69,  70,  72, 117,
                                130, 131, 190, 321, 349, 353, 376, 407, 441, 467, 469, 675, 676, 691};
constexpr std::array kNotFound = {60, 81};
constexpr std::array kNotAllowed = {164, 192, 193, 194, 195, 291, 497, 516};
constexpr std::array kMistaken = {16, 44, 47, 48, 62, 73, 89, 115, 452};

template <std::size_t Count>
bool holds(const std::array<int, Count>& numbers, int number) {
  return std::ranges::find(numbers, number) != numbers.end();
}

}  // namespace

Result<ClickhouseOptions> parse_clickhouse_options(SettingsTable& table) {
  ClickhouseOptions options;
  options.url = TRY(table.text("url"));
  TRY(check_url(table, options.url));
  if (options.url.find('?') != std::string::npos)
    return table.refuse("url", "must not have a query: settings belong into the table settings");
  options.table = TRY(table.text("table"));
  options.database = TRY(table.text_or("database", ""));
  const std::size_t dot = options.table.find('.');
  if (!table.has("database") && dot != std::string::npos) {
    options.database = options.table.substr(0, dot);
    options.table.erase(0, dot + 1);
  }
  if (options.table.empty() || (dot != std::string::npos && options.database.empty()))
    return table.refuse("table", "expected TABLE or DATABASE.TABLE");
  options.compression = TRY(table.choice_or("compression", HttpCompression::none, kCompressions));
  options.deduplicate = TRY(table.truth_or("deduplicate", true));
  options.target = TRY(parse_http_target(table));
  options.settings = TRY(table.named_texts("settings"));
  TRY(check_settings(table, options));
  return options;
}

std::string clickhouse_table_name(const ClickhouseOptions& options) {
  return options.database.empty() ? in_backquotes(options.table)
                                  : fmt::format("{}.{}", in_backquotes(options.database), in_backquotes(options.table));
}

std::string deduplication_token(std::span<const Message> batch) {
  std::vector<SourceRange> ranges;
  for (const Message& message : batch) ranges.insert(ranges.end(), message.sources.begin(), message.sources.end());
  std::ranges::sort(ranges, {}, [](const SourceRange& r) { return std::tie(r.topic, r.partition, r.first, r.last); });
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  const auto add = [&](const SourceRange& range) {
    const std::string text =
        fmt::format("{}/{}:{}-{}\n", range.topic, range.partition.value, range.first.value, range.last.value);
    crypto_hash_sha256_update(&state, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  };
  SourceRange joined;
  for (const SourceRange& range : ranges) {
    if (&range != ranges.data() && range.topic == joined.topic && range.partition == joined.partition &&
        range.first <= joined.last + 1) {
      joined.last = std::max(joined.last, range.last);
      continue;
    }
    if (&range != ranges.data()) add(joined);
    joined = range;
  }
  if (!ranges.empty()) add(joined);
  std::array<unsigned char, crypto_hash_sha256_BYTES> hash{};
  crypto_hash_sha256_final(&state, hash.data());
  return to_hex(std::as_bytes(std::span(hash)));
}

std::optional<int> exception_code(std::string_view header, std::string_view body) {
  int number = 0;
  const auto [end, error] = std::from_chars(header.data(), header.data() + header.size(), number);
  if (error == std::errc() && end == header.data() + header.size() && number != 0) return number;
  return code_in_text(body);
}

Code meaning_of_exception(int number, std::string_view text) {
  // Rows for too many of the table's partitions in one block: fewer rows may go.
  if (number == 252 && text.find("single INSERT") != std::string_view::npos) return Code::bad_data;
  if (holds(kMayPass, number)) return Code::unavailable;
  if (holds(kNotAllowed, number)) return Code::permission;
  if (holds(kNotFound, number)) return Code::not_found;
  if (holds(kBadRow, number)) return Code::bad_data;
  if (holds(kMistaken, number)) return Code::configuration;
  const bool names_row = text.find("(at row ") != std::string_view::npos ||
                         text.find("(while read the value of key ") != std::string_view::npos;
  return names_row ? Code::bad_data : Code::unavailable;
}

}  // namespace leat::pipe
